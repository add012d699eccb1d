//! Where SIP workers ask the broker for slots of shared limits and wait for its answer; and
//! what the broker tells all workers. In shared memory.
#![forbid(unsafe_code)]

mod lifts;
mod reloads;
mod slots;
mod standing;

pub use lifts::{Lift, Lifted, Lifts};
pub use reloads::{Reloads, Tables};
pub use slots::Slots;
pub use standing::{Numbers, Policies, Standing};

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use crate::cluster::{Answer, Ask, Want};
use crate::shm::{Bell, SharedText};

/// Bytes of the longest address with a port, and one more.
const ADDRESS: usize = 64;

/// Both, and the bell that wakes the broker.
pub struct Desk {
    /// Questions and answers.
    slots: Slots,
    /// What the broker tells.
    pub standing: Standing,
    /// What operators have lifted here.
    pub lifts: Lifts,
    /// What one node asks all for.
    pub reloads: Reloads,
    /// Address of the server that the session is with.
    server: SharedText<ADDRESS>,
    /// Rung when there is work for the broker.
    pub bell: &'static Bell,
}

impl Desk {
    /// Maps an empty desk.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new(bell: &'static Bell) -> io::Result<Self> {
        let (slots, standing) = (Slots::new()?, Standing::new()?);
        let (lifts, reloads, server) = (Lifts::new()?, Reloads::new()?, SharedText::new()?);
        Ok(Desk { slots, standing, lifts, reloads, server, bell })
    }

    /// The broker has a session with the server at this address.
    pub fn set_server(&self, address: Option<SocketAddr>) {
        self.server.set(&address.map_or_else(String::new, |address| address.to_string()));
    }

    /// Where the server is; None: at a socket in the file system, or there was no session yet.
    pub fn server(&self) -> Option<SocketAddr> {
        self.server.get().parse().ok()
    }

    /// Asks for slots and waits until `deadline`. None: no answer came in time.
    pub fn ask(&self, wants: impl Iterator<Item = Want>, deadline: Instant) -> Option<Answer> {
        let question = self.slots.put(wants)?;
        self.bell.ring();
        self.slots.wait(question, deadline)
    }

    /// What was asked since the last time. One process calls this, the broker.
    pub fn asked(&self, each: impl FnMut(Ask)) {
        self.slots.take(each);
    }

    /// Whether somebody still waits for the answer to a question.
    pub fn is_waited_for(&self, id: u64) -> bool {
        self.slots.is_waited_for(id)
    }

    /// Answers a question, if somebody still waits.
    pub fn answer(&self, id: u64, answer: Answer) {
        self.slots.answer(id, answer);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cluster::Key;

    #[allow(clippy::unwrap_used)] // a helper of tests
    fn desk() -> &'static Desk {
        let bell = Box::leak(Box::new(Bell::new().unwrap()));
        Box::leak(Box::new(Desk::new(bell).unwrap()))
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[test]
    fn each_worker_gets_the_answer_to_its_own_question() {
        let desk = desk();
        let workers: Vec<_> = (0..8u32)
            .map(|worker| {
                std::thread::spawn(move || {
                    for n in 0..2_000u32 {
                        let key = Key(u128::from(worker) << 80 | u128::from(n));
                        let want = Want { key, limit: n };
                        let answer = desk.ask([want].into_iter(), soon());
                        assert_eq!(answer, Some(Answer::Full { key, total: n }));
                    }
                })
            })
            .collect();
        while workers.iter().any(|worker| !worker.is_finished()) {
            let seen = desk.bell.rings();
            let mut asks = Vec::new();
            desk.asked(|ask| asks.push(ask));
            for ask in &asks {
                let Want { key, limit } = ask.wants[0];
                desk.answer(ask.id, Answer::Full { key, total: limit });
            }
            if asks.is_empty() {
                desk.bell.wait(seen, Duration::from_millis(10));
            }
        }
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    }

    #[test]
    fn who_has_left_is_not_answered_and_its_place_is_free() {
        let desk = desk();
        let want = Want { key: Key(8), limit: 1 };
        for _ in 0..5_000 {
            assert_eq!(desk.ask([want].into_iter(), Instant::now()), None);
        }
        let mut asks = Vec::new();
        desk.asked(|ask| asks.push(ask));
        assert!(asks.iter().all(|ask| !desk.is_waited_for(ask.id)));
        // The next one is not answered by an answer to those before.
        let late = std::thread::spawn(move || desk.ask([want].into_iter(), soon()));
        let ask = loop {
            let mut asked = Vec::new();
            desk.asked(|ask| asked.push(ask));
            if let Some(ask) = asked.pop() {
                break ask;
            }
        };
        asks.iter().for_each(|old| desk.answer(old.id, Answer::Down));
        assert!(desk.is_waited_for(ask.id));
        desk.answer(ask.id, Answer::Look);
        assert_eq!(late.join().unwrap(), Some(Answer::Look));
    }
}
