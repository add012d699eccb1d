//! The broker's first thread: it asks the server for what workers lack, and gives back what
//! nobody needs.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use super::control::Control;
use super::herald::Herald;
use super::link::Link;
use super::news::News;
use super::room::{Line, Room};
use crate::clock;
use crate::cluster::{Answer, Phase, Request};
use crate::host::contract::log;
use crate::host::state::{self, with_snapshot};
use crate::ledger::{Limit, ScopeKind};
use crate::policy::limit_of;
use crate::snapshot::View;

/// The longest sleep.
const NAP: Duration = Duration::from_millis(50);
/// Sleep before PUBLISHED is asked again.
const SHORT: Duration = Duration::from_millis(10);
/// Ms after which all claims are told again.
const AGAIN: u64 = 60_000;
/// Bytes of the stack of each thread. An answer may be nested a hundred times, and each time takes
/// some: what a hostile server answers must not end this process.
pub(super) const STACK: usize = 2 << 20;

thread_local! {
    static BROKER: RefCell<Option<Broker>> = const { RefCell::new(None) };
}

struct Broker {
    room: Arc<Room>,
    link: Option<Link>,
    /// The session that the link is for.
    epoch: u64,
    control: Option<JoinHandle<()>>,
    herald: Option<JoinHandle<()>>,
    news: News,
    /// Generation of the tables whose limits are known.
    generation: u64,
    /// When all claims are told again.
    again: u64,
}

/// Whether limits are shared.
pub fn is_needed() -> bool {
    state::get().is_some_and(|state| state.desk.is_some())
}

/// Called all the time in this process only. Waits a tenth of a second at most for work, and
/// a second for the server.
pub fn serve() {
    BROKER.with_borrow_mut(|broker| {
        if broker.is_none() {
            *broker = Broker::new();
        }
        match broker {
            Some(broker) => broker.serve(),
            None => std::thread::sleep(NAP),
        }
    });
}

/// The host stops: other nodes may use this one's slots at once. Without an answer they wait
/// until it counts as dead.
pub fn leave() {
    let Some(state) = state::get() else { return };
    let (Some(desk), Some(settings)) = (&state.desk, &state.settings.cluster) else { return };
    let stamp = desk.standing.stamp();
    if stamp.session == 0 {
        return;
    }
    let link = Link::open_known(&settings.server, &settings.key, desk.server());
    let left = link.and_then(|mut link| link.run(&Request::Leave(stamp), &settings.setup.times));
    if let Err(why) = left {
        log::warning(format_args!("the cluster was not told that this node leaves: {why}"));
    }
}

impl Broker {
    fn new() -> Option<Self> {
        let state = state::get()?;
        let room = Room::new(state, state.desk.as_ref()?, state.settings.cluster.as_ref()?);
        let again = clock::boottime() + AGAIN;
        let room = Arc::new(room);
        let news = News::default();
        let (control, herald) = (None, None);
        Some(Broker { room, link: None, epoch: 0, control, herald, news, generation: 0, again })
    }

    fn serve(&mut self) {
        let seen = self.room.desk.bell.rings();
        self.keep_threads();
        self.say();
        self.news.turn(&self.room);
        self.revise();
        match self.next() {
            Ok(Some(request)) => self.ask(&request),
            Ok(None) => self.room.desk.bell.wait(seen, NAP),
            Err(nap) => self.room.desk.bell.wait(seen, nap),
        }
    }

    fn keep_threads(&mut self) {
        let runs =
            |thread: &Option<JoinHandle<()>>| thread.as_ref().is_some_and(|t| !t.is_finished());
        let new = |name: &str| Builder::new().name(name.into()).stack_size(STACK);
        if !runs(&self.control) {
            let control = Control::new(Arc::clone(&self.room));
            self.control = new("sipwarden beats").spawn(move || control.run()).ok();
        }
        if !runs(&self.herald) {
            let herald = Herald::new(Arc::clone(&self.room));
            self.herald = new("sipwarden news").spawn(move || herald.run()).ok();
        }
    }

    fn say(&self) {
        let lines = std::mem::take(&mut self.room.lock().lines);
        for line in lines {
            match line {
                Line::Info(text) => log::info(format_args!("{text}")),
                Line::Warning(text) => log::warning(format_args!("{text}")),
                Line::Error(text) => log::error(format_args!("{text}")),
            }
        }
    }

    /// Limits that are new, or gone, with the last reload.
    fn revise(&mut self) {
        let state = self.room.state;
        let generation = state.store.publication().current();
        if generation != self.generation {
            self.generation = generation;
            with_snapshot(|view, _| {
                let brands: HashMap<_, _> = view.brands().collect();
                state.ledger.revise_shared(|kind, id| Some(limits(view, &brands, kind, id)));
            });
        }
    }

    /// The next request; Err: how long to sleep.
    fn next(&mut self) -> Result<Option<Request>, Duration> {
        let room = &self.room;
        let mut inner = room.lock();
        let phase = inner.node.session().phase();
        room.desk.asked(|ask| {
            if phase >= Phase::Publishing {
                inner.node.ask(ask);
            } else {
                room.desk.answer(ask.id, Answer::Down);
            }
        });
        let left: Vec<u64> = inner.node.asks().iter().map(|ask| ask.id).collect();
        for id in left.into_iter().filter(|id| !room.desk.is_waited_for(*id)) {
            inner.node.withdraw(id);
        }
        let now = clock::boottime();
        if phase < Phase::Publishing || !inner.pace.may_ask(now) {
            return Err(if phase < Phase::Publishing { NAP } else { SHORT });
        }
        if now >= self.again {
            self.again = now + AGAIN;
            inner.node.assert_all(&&room.state.ledger);
        }
        if self.epoch != inner.epoch {
            self.epoch = inner.epoch;
            self.link = None;
        }
        let (request, answers) = inner.node.next(&mut &room.state.ledger);
        drop(inner);
        room.answer(answers);
        Ok(request)
    }

    fn ask(&mut self, request: &Request) {
        let began = Instant::now();
        let reply = self.run(request);
        let room = Arc::clone(&self.room);
        let mut inner = room.lock();
        if inner.epoch != self.epoch {
            // The session has ended meanwhile; what it asked for is void.
            self.link = None;
            return;
        }
        let reply = match reply {
            Ok(reply) => reply,
            Err(why) => {
                self.link = None;
                room.end(&mut inner, &why);
                return;
            }
        };
        room.see(&reply);
        let published = matches!(request, Request::Published(_));
        let outcome = inner.node.reply(reply, &mut &room.state.ledger);
        if published && inner.node.session().phase() == Phase::Publishing {
            inner.pace.unknown(clock::boottime());
        }
        room.desk.standing.break_with(|breaker| breaker.answered());
        let us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
        room.desk.standing.count_batch(us, inner.node.mirror().len() as u64);
        room.settle(&mut inner, outcome);
        if inner.node.session().wants_beat() {
            room.news.notify_all();
        }
    }

    /// The answer of the server that the session is one of.
    fn run(&mut self, request: &Request) -> Result<crate::cluster::Reply, String> {
        let settings = self.room.settings;
        if self.link.is_none() {
            let link = Link::open(&settings.server, &settings.key)?;
            if link.server != self.room.lock().server {
                return Err("it is another server now".into());
            }
            self.link = Some(link);
        }
        let link = self.link.as_mut().ok_or("no connection")?;
        link.run(request, &settings.setup.times)
    }
}

/// The limits of a scope by directions, as far as they are shared.
fn limits(view: &View<'_>, brands: &HashMap<&[u8], u32>, kind: ScopeKind, id: &[u8]) -> [Limit; 3] {
    let [any, inbound, outbound] = *view.limits(kind, id);
    let any = match kind {
        // Each user that has a slot has a limit.
        ScopeKind::ROADWARRIOR => Limit::calls(1),
        ScopeKind::BRAND => limit_of(view, kind, id, brands.get(id).copied().unwrap_or(0)),
        ScopeKind::COMPANY => {
            let calls = view.company(id).map_or(0, |company| company.max_calls());
            limit_of(view, kind, id, calls)
        }
        _ => any,
    };
    [any, inbound, outbound]
}
