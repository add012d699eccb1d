//! Callers at several proxies, which note what they ask and what they are told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::{Duration, Instant};

use super::checker::PATIENCE;
use super::history::Attempt;
use super::stalls::{self, Processes};
use crate::random;
use crate::support::call::{Caller, Endpoint, Message};

/// First wait before a request is repeated; it doubles, up to the other one.
const T1: u64 = 500_000;
const T2: u64 = 4_000_000;
/// How long an answer that comes after a refusal is waited for: an INVITE that was sent twice
/// may be judged twice.
const LATER: u64 = PATIENCE;
/// Whom a call is of, and the scopes that count it.
#[derive(Clone)]
pub struct Ask {
    pub company: String,
    pub headers: String,
    pub scopes: Vec<String>,
}

/// What callers do at each proxy.
#[derive(Clone)]
pub struct Load {
    /// Taken in turn.
    pub asks: Vec<Ask>,
    pub calls: usize,
    /// New calls a second.
    pub rate: u64,
    /// How long a call lasts, in ms; None: until the end.
    pub life: Option<(u64, u64)>,
    pub seed: u64,
}

/// INVITEs without an answer at a time.
const AT_ONCE: usize = 200;

#[derive(Default)]
struct Told {
    stop: AtomicBool,
    judged: AtomicUsize,
    /// Nodes that get no new calls, a bit each.
    hushed: AtomicU64,
    /// How often each node was killed.
    deaths: [AtomicUsize; 8],
}

/// Runs until it is stopped.
pub struct Traffic {
    pub began: Instant,
    told: Arc<Told>,
    callers: Vec<JoinHandle<Vec<Attempt>>>,
    watch: Option<JoinHandle<Vec<(u64, u64)>>>,
}

/// What the callers have seen, and when they did not run.
pub type Seen = (Vec<Attempt>, Vec<(u64, u64)>);

impl Traffic {
    /// `processes`: those of the proxies, which are watched for whether they run.
    pub fn start(proxies: Vec<SocketAddr>, load: &Load, processes: &Processes) -> Self {
        let (began, told) = (Instant::now(), Arc::new(Told::default()));
        let callers = proxies.into_iter().enumerate().map(|(node, proxy)| {
            let (load, told) = (load.clone(), Arc::clone(&told));
            spawn(move || run(node, proxy, &load, began, &told))
        });
        let callers = callers.collect();
        let (watched, processes) = (Arc::clone(&told), Arc::clone(processes));
        let goes_on = move || !watched.stop.load(SeqCst);
        let watch = Some(spawn(move || stalls::watch(began, &processes, goes_on)));
        Traffic { began, told, callers, watch }
    }

    pub fn now(&self) -> u64 {
        since(self.began)
    }

    /// Calls that were admitted or refused.
    pub fn judged(&self) -> usize {
        self.told.judged.load(SeqCst)
    }

    /// Runs `kill` while the node gets no new calls; all that it has go with it. When that
    /// was.
    pub fn while_killed(&self, node: usize, kill: impl FnOnce()) -> u64 {
        self.told.hushed.fetch_or(1 << node, SeqCst);
        sleep(Duration::from_millis(200));
        let at = self.now();
        kill();
        self.told.deaths[node].fetch_add(1, SeqCst);
        self.told.hushed.fetch_and(!(1 << node), SeqCst);
        at
    }

    /// Hangs all calls up.
    pub fn stop(mut self) -> Seen {
        self.told.stop.store(true, SeqCst);
        let callers = std::mem::take(&mut self.callers).into_iter();
        let seen = callers.flat_map(|caller| caller.join().unwrap()).collect();
        (seen, self.watch.take().unwrap().join().unwrap())
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.told.stop.store(true, SeqCst);
    }
}

fn since(began: Instant) -> u64 {
    began.elapsed().as_micros() as u64
}

/// How far a call is.
enum Stage {
    Asking,
    Refused,
    Talking,
    Leaving,
}

struct Live<'a> {
    caller: Caller<'a>,
    record: usize,
    stage: Stage,
    /// When something is to be done again, or the call ends.
    next: u64,
    pause: u64,
}

struct Callers<'a> {
    endpoint: &'a Endpoint,
    node: usize,
    proxy: SocketAddr,
    load: &'a Load,
    began: Instant,
    told: &'a Told,
    live: HashMap<String, Live<'a>>,
    records: Vec<Attempt>,
    unanswered: usize,
    random: u64,
}

fn run(node: usize, proxy: SocketAddr, load: &Load, began: Instant, told: &Told) -> Vec<Attempt> {
    let endpoint = Endpoint::new("127.0.0.1");
    let mut callers = Callers {
        endpoint: &endpoint,
        node,
        proxy,
        load,
        began,
        told,
        live: HashMap::new(),
        records: Vec::new(),
        unanswered: 0,
        random: load.seed ^ (node as u64 + 1) << 32 | 1,
    };
    callers.talk();
    callers.hang_up();
    callers.records
}

impl<'a> Callers<'a> {
    fn talk(&mut self) {
        let (mut next, mut looked, mut deaths) = (0, 0, 0);
        while !self.told.stop.load(SeqCst) {
            let now = since(self.began);
            let died = self.told.deaths[self.node].load(SeqCst);
            if died != deaths {
                deaths = died;
                self.lose_all();
            }
            let hushed = self.told.hushed.load(SeqCst) & 1 << self.node != 0;
            let may = !hushed && self.unanswered < AT_ONCE && self.records.len() < self.load.calls;
            if may && now >= next {
                self.begin();
                // What could not be begun in time is not made up for.
                next = now.max(next + 1_000_000 / self.load.rate);
            }
            self.listen(Duration::from_micros(if may { 200 } else { 2000 }));
            if now >= looked + 20_000 {
                looked = now;
                self.look();
            }
        }
    }

    fn hang_up(&mut self) {
        let end = since(self.began) + 60_000_000;
        self.live.retain(|_, live| !matches!(live.stage, Stage::Refused));
        while !self.live.is_empty() && since(self.began) < end {
            for live in self.live.values_mut().filter(|l| matches!(l.stage, Stage::Talking)) {
                live.next = 0;
            }
            self.look();
            self.listen(Duration::from_millis(5));
        }
    }

    fn begin(&mut self) {
        let ask = &self.load.asks[self.records.len() % self.load.asks.len()];
        let caller = Caller::new(self.endpoint, self.proxy, &ask.company, &ask.headers);
        let id = caller.call_id.clone();
        let asked = since(self.began);
        caller.invite();
        self.records.push(Attempt {
            call: id.clone(),
            node: self.node,
            scopes: ask.scopes.clone(),
            asked,
            verdict: "unanswered".into(),
            ..Attempt::default()
        });
        self.unanswered += 1;
        let record = self.records.len() - 1;
        let live = Live { caller, record, stage: Stage::Asking, next: asked + T1, pause: T1 };
        self.live.insert(id, live);
    }

    /// All messages that are there.
    fn listen(&mut self, wait: Duration) {
        let mut wait = wait;
        while let Some((message, _)) = self.endpoint.receive_within(wait) {
            self.hear(&message);
            wait = Duration::from_micros(1);
        }
    }

    fn hear(&mut self, message: &Message) {
        let now = since(self.began);
        let Some(status) = message.status() else { return };
        let id = message.header("Call-ID").unwrap_or_default();
        let Some(live) = self.live.get_mut(id) else { return };
        let record = &mut self.records[live.record];
        let of_invite = message.header("CSeq").is_some_and(|c| c.ends_with("INVITE"));
        if !of_invite {
            if status >= 200 && matches!(live.stage, Stage::Leaving) {
                record.gone = Some(now);
                self.live.remove(id);
            }
            return;
        }
        if status < 200 {
            return;
        }
        if matches!(live.stage, Stage::Asking) {
            record.told = Some(now);
            record.verdict = if status < 300 { "admitted".into() } else { reason(&message.line) };
            self.unanswered -= 1;
            self.told.judged.fetch_add(1, SeqCst);
        }
        if status >= 300 {
            live.caller.refused(message);
            if matches!(live.stage, Stage::Asking) {
                (live.stage, live.next) = (Stage::Refused, now + LATER);
            }
            return;
        }
        if let Stage::Asking | Stage::Refused = live.stage {
            live.caller.answered(message);
            record.answered = Some(now);
            live.next = match (&live.stage, self.load.life) {
                (Stage::Refused, _) => now,
                (_, Some((least, most))) => {
                    now + 1000 * (least + random::next(&mut self.random) % (most - least))
                }
                (_, None) => u64::MAX,
            };
            live.stage = Stage::Talking;
        }
        live.caller.ack();
    }

    /// What is due is done.
    fn look(&mut self) {
        let now = since(self.began);
        let mut over = Vec::new();
        for (id, live) in self.live.iter_mut().filter(|(_, live)| now >= live.next) {
            let record = &mut self.records[live.record];
            match live.stage {
                Stage::Asking if now > record.asked + PATIENCE => {
                    self.unanswered -= 1;
                    over.push(id.clone());
                }
                Stage::Asking => live.caller.invite(),
                Stage::Refused => over.push(id.clone()),
                Stage::Talking => {
                    record.bye = Some(now);
                    live.caller.within("BYE");
                    (live.stage, live.pause) = (Stage::Leaving, T1);
                }
                Stage::Leaving => live.caller.within("BYE"),
            }
            live.next = now + live.pause;
            live.pause = T2.min(2 * live.pause);
        }
        over.iter().for_each(|id| drop(self.live.remove(id)));
    }

    fn lose_all(&mut self) {
        for (_, live) in self.live.drain() {
            if matches!(live.stage, Stage::Asking) {
                self.records[live.record].verdict = "lost".into();
            }
        }
        self.unanswered = 0;
    }
}

/// Why a call was refused, as the proxy says.
fn reason(line: &str) -> String {
    let why = line.split_once("Refused: ").map_or(line, |(_, why)| why.split(' ').next().unwrap());
    why.to_owned()
}
