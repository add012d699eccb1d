//! A callee that answers by itself. For storms in which only the proxy is of interest.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::call::{Endpoint, Message};

/// Times of RFC 3261, 13.3.1.4: an answer is repeated after T1, then after
/// twice as long, up to T2, until the ACK is there or 64 * T1 have passed.
const T1: Duration = Duration::from_millis(500);
const T2: Duration = Duration::from_secs(4);

/// Answers every request as it comes with 200, in a thread, until dropped.
pub struct AutoCallee {
    pub address: SocketAddr,
    told: Arc<Told>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread is told.
#[derive(Default)]
struct Told {
    stop: AtomicBool,
    hang_up: AtomicBool,
    observed: Mutex<Observed>,
}

/// What the callee has seen of the calls from each domain: it counts for itself.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// Calls that ever came.
    pub ever: HashMap<String, usize>,
    /// Most that were live at a time: from the INVITE to the end of the call.
    pub most: HashMap<String, usize>,
    live: HashMap<String, HashSet<String>>,
    /// Topmost Via of each INVITE.
    invites: HashSet<String>,
    /// When the INVITE of a call first came, and its header X-Passed.
    pub first: HashMap<String, (Instant, String)>,
}

impl Observed {
    /// Whether a call came and no BYE of it.
    pub fn is_live(&self, call_id: &str) -> bool {
        self.live.values().any(|calls| calls.contains(call_id))
    }

    fn begin(&mut self, invite: &Message, call_id: &str) {
        // A repeat may come after the call has ended.
        if !self.invites.insert(invite.header("Via").unwrap_or_default().to_owned()) {
            return;
        }
        let domain = domain(invite);
        let passed = || invite.header("X-Passed").unwrap_or_default().to_owned();
        self.first.entry(call_id.to_owned()).or_insert_with(|| (Instant::now(), passed()));
        let live = self.live.entry(domain.to_owned()).or_default();
        if live.insert(call_id.to_owned()) {
            *self.ever.entry(domain.to_owned()).or_default() += 1;
            let most = self.most.entry(domain.to_owned()).or_default();
            *most = (*most).max(live.len());
        }
    }

    fn end(&mut self, call_id: &str) {
        for live in self.live.values_mut() {
            live.remove(call_id);
        }
    }

    /// Calls that are live now.
    pub fn live(&self, domain: &str) -> usize {
        self.live.get(domain).map_or(0, HashSet::len)
    }
}

/// The domain of a caller.
fn domain(message: &Message) -> &str {
    let from = message.header("From").unwrap_or_default();
    from.split('@').nth(1).and_then(|rest| rest.split(['>', ';']).next()).unwrap_or_default()
}

impl AutoCallee {
    pub fn start(ip: &str) -> Self {
        let endpoint = Endpoint::new(ip);
        let address = endpoint.address();
        let told = Arc::new(Told::default());
        let told_thread = Arc::clone(&told);
        let thread = std::thread::spawn(move || {
            let mut calls = Calls::default();
            while !told_thread.stop.load(Relaxed) {
                if let Some(got) = endpoint.receive_within(Duration::from_millis(100)) {
                    calls.take(&endpoint, got, &told_thread.observed);
                }
                calls.repeat(&endpoint, told_thread.hang_up.load(Relaxed));
            }
        });
        AutoCallee { address, told, thread: Some(thread) }
    }

    /// What it has seen so far.
    pub fn observed(&self) -> Observed {
        self.told.observed.lock().unwrap().clone()
    }

    /// Ends all its calls, and from now on each new one.
    pub fn hang_up(&self) {
        self.told.hang_up.store(true, Relaxed);
    }

    /// New calls stay up again.
    pub fn pick_up(&self) {
        self.told.hang_up.store(false, Relaxed);
    }
}

impl Drop for AutoCallee {
    fn drop(&mut self) {
        self.told.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Calls that live, by Call-ID. What the callee has said is repeated until it
/// is answered: nobody else in the call repeats it when it was lost.
#[derive(Default)]
struct Calls {
    live: HashMap<String, Call>,
    looked: Option<Instant>,
}

struct Call {
    invite: (Message, SocketAddr),
    acknowledged: bool,
    hung_up: bool,
    next: Instant,
    pause: Duration,
    end: Instant,
}

impl Calls {
    fn take(
        &mut self,
        endpoint: &Endpoint,
        got: (Message, SocketAddr),
        observed: &Mutex<Observed>,
    ) {
        let id = got.0.header("Call-ID").unwrap_or_default().to_owned();
        if got.0.status().is_some() {
            self.live.remove(&id);
            observed.lock().unwrap().end(&id);
            return;
        }
        let now = Instant::now();
        match got.0.method() {
            "ACK" => {
                self.live.entry(id).and_modify(|call| call.acknowledged = true);
                return;
            }
            "INVITE" => {
                let call = Call {
                    invite: got.clone(),
                    acknowledged: false,
                    hung_up: false,
                    next: now + T1,
                    pause: T1,
                    end: now + 64 * T1,
                };
                observed.lock().unwrap().begin(&got.0, &id);
                self.live.entry(id).or_insert(call);
            }
            "BYE" => {
                self.live.remove(&id);
                observed.lock().unwrap().end(&id);
            }
            _ => {}
        }
        endpoint.reply(&got, 200, "t");
    }

    fn repeat(&mut self, endpoint: &Endpoint, hang_up: bool) {
        let now = Instant::now();
        if self.looked.is_some_and(|looked| now < looked + T1 / 10) {
            return;
        }
        self.looked = Some(now);
        for call in self.live.values_mut() {
            call.repeat(endpoint, hang_up, now);
        }
    }
}

impl Call {
    fn repeat(&mut self, endpoint: &Endpoint, hang_up: bool, now: Instant) {
        if hang_up && !self.hung_up {
            self.hung_up = true;
            (self.next, self.pause, self.end) = (now, T1, now + 64 * T1);
        }
        let waits = self.hung_up || !self.acknowledged;
        if !waits || now < self.next || now > self.end {
            return;
        }
        if self.hung_up {
            endpoint.hang_up(&self.invite);
        } else {
            endpoint.reply(&self.invite, 200, "t");
        }
        self.next = now + self.pause;
        self.pause = T2.min(self.pause * 2);
    }
}
