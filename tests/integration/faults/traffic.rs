//! Calls and checks that go on while something is done to Kamailio.

use super::*;
use crate::support::sip::Phone;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

const CALLERS: usize = 4;

/// Calls of company `d`, one after the other, in four threads, while `work` runs: each is
/// admitted and answered, so no worker waits for anything. Then none counts any more.
pub(super) fn under_calls<T>(kamailio: &Kamailio, work: impl FnOnce() -> T) -> T {
    let going = Going::begin();
    std::thread::scope(|scope| {
        let callers: Vec<_> =
            (0..CALLERS).map(|_| scope.spawn(|| call_on(kamailio, &going))).collect();
        let end = going.while_held();
        let value = work();
        drop(end);
        let calls: usize = callers.into_iter().map(|caller| caller.join().unwrap()).sum();
        assert!(calls >= CALLERS, "{calls} calls");
        value
    })
}

/// The number of calls.
fn call_on(kamailio: &Kamailio, going: &Going) -> usize {
    let endpoint = Endpoint::new("127.0.0.1");
    let mut calls = 0;
    while going.is_on() || calls == 0 {
        let mut call = call_up(&endpoint, kamailio, "d", "");
        call.within("BYE");
        calls += 1;
    }
    calls
}

/// What callers and the one who ends Kamailio tell each other.
struct Ending {
    proxy: SocketAddr,
    /// Until no process of Kamailio is there any more.
    going: Going,
    /// Callers who have a call up and have ended one.
    ready: AtomicUsize,
    /// Answers to all.
    answers: AtomicUsize,
}

/// Ends Kamailio with SIGTERM while calls of company `d` come and go and a phone asks for verdicts.
/// All go on until nobody answers any more. How many calls surely live, as nobody has ended them and
/// their callers have had answers since.
pub(super) fn end_under_calls(kamailio: &mut Kamailio) -> usize {
    let (going, none) = (Going::begin(), AtomicUsize::default);
    let ending = Ending { proxy: kamailio.address(), going, ready: none(), answers: none() };
    std::thread::scope(|scope| {
        let over = ending.going.while_held();
        let callers: Vec<_> =
            (0..CALLERS).map(|_| scope.spawn(|| call_to_the_end(&ending))).collect();
        let phone = scope.spawn(|| ask_to_the_end(&ending));
        wait_for("all to call", || (ending.ready.load(Relaxed) == CALLERS).then_some(()));
        let up = proxy::calls(kamailio, "d");
        assert!(up >= CALLERS as u64, "{up} calls");
        let before = ending.answers.load(Relaxed);
        wait_for("an answer", || (ending.answers.load(Relaxed) > before).then_some(()));
        assert_ends(kamailio);
        drop(over);
        assert!(phone.join().unwrap() > 0);
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    })
}

/// One call is up at any time: the next one begins before it ends.
fn call_to_the_end(ending: &Ending) -> usize {
    let endpoint = Endpoint::new("127.0.0.1");
    let mut held: Option<Caller<'_>> = None;
    let mut ended = 0;
    loop {
        let mut next = Caller::new(&endpoint, ending.proxy, "d", "");
        next.invite();
        if !ending.is_answered("INVITE", &mut next) {
            return usize::from(held.is_some());
        }
        next.ack();
        if let Some(mut call) = held.replace(next) {
            call.within("BYE");
            if !ending.is_answered("BYE", &mut call) {
                return 0;
            }
            ended += 1;
            ending.ready.fetch_add(usize::from(ended == 1), Relaxed);
        }
    }
}

/// How often it was told a verdict.
fn ask_to_the_end(ending: &Ending) -> usize {
    let phone = Phone::new("127.0.1.1", ending.proxy);
    let mut told = 0;
    while ending.going.is_on() {
        let call_id = phone.send("OPTIONS", "office", "");
        let reply = loop {
            match phone.reply_within(&call_id, STEP) {
                None if ending.going.is_on() => {}
                reply => break reply,
            }
        };
        let Some(reply) = reply else { break };
        assert_eq!(reply.told().unwrap().reason, "granted_range", "{}", reply.text);
        ending.answers.fetch_add(1, Relaxed);
        told += 1;
    }
    told
}

/// How long a caller waits before it looks whether Kamailio has gone.
const STEP: Duration = Duration::from_millis(200);

impl Ending {
    /// Whether a request is answered, with 200, before Kamailio has gone.
    fn is_answered(&self, method: &str, call: &mut Caller<'_>) -> bool {
        loop {
            let may_come = self.going.is_on();
            let reply = match method {
                "INVITE" => call.final_reply_within(STEP),
                _ => call.answer_within(method, STEP),
            };
            if let Some(reply) = reply {
                assert_eq!(reply.status(), Some(200), "{}", reply.line);
                self.answers.fetch_add(1, Relaxed);
                return true;
            }
            if !may_come {
                return false;
            }
        }
    }
}
