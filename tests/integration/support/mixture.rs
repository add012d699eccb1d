//! Calls whose endings are drawn at random, both ends of them.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::Going;
use super::call::{Caller, Endpoint, Message};
use crate::random::next;

/// Calls in progress at a time: few enough that loopback loses nothing.
const WINDOW: usize = 60;
/// A caller gives up on what nobody answers.
const LOST_AFTER: Duration = Duration::from_secs(8);

/// What happens to a call. The callee reads it from the header X-Plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Plan {
    CallerHangsUp,
    CalleeHangsUp,
    Busy,
    Cancelled,
    AnswerCrossesCancel,
    RingsForEver,
    Unreachable,
    Lifetime,
    RefusedByScript,
    DroppedByScript,
}

const PLANS: [(Plan, u32); 10] = [
    (Plan::CallerHangsUp, 35),
    (Plan::CalleeHangsUp, 15),
    (Plan::Busy, 15),
    (Plan::Cancelled, 12),
    (Plan::AnswerCrossesCancel, 8),
    (Plan::RingsForEver, 1),
    (Plan::Unreachable, 1),
    (Plan::Lifetime, 3),
    (Plan::RefusedByScript, 6),
    (Plan::DroppedByScript, 4),
];

fn draw(random: &mut u64) -> Plan {
    let total: u32 = PLANS.iter().map(|(_, weight)| weight).sum();
    let mut at = (next(random) >> 32) as u32 % total;
    for (plan, weight) in PLANS {
        if at < weight {
            return plan;
        }
        at -= weight;
    }
    Plan::CallerHangsUp
}

/// Answers by plan while there are calls.
fn serve(endpoint: &Endpoint, calls: &Going) {
    let mut ringing: HashMap<String, (Message, SocketAddr)> = HashMap::new();
    while calls.is_on() {
        let Some(got) = endpoint.receive_within(Duration::from_millis(50)) else { continue };
        if got.0.status().is_some() {
            continue;
        }
        let plan = got.0.header("X-Plan").unwrap_or_default().to_owned();
        let call_id = got.0.header("Call-ID").unwrap_or_default().to_owned();
        match got.0.method() {
            "INVITE" => match plan.as_str() {
                "Busy" => endpoint.reply(&got, 486, "t"),
                "Cancelled" | "AnswerCrossesCancel" | "RingsForEver" => {
                    endpoint.reply(&got, 180, "t");
                    ringing.insert(call_id, got);
                }
                "Unreachable" => {}
                _ => endpoint.reply(&got, 200, "t"),
            },
            "CANCEL" => {
                endpoint.reply(&got, 200, "t");
                if let Some(invite) = ringing.get(&call_id) {
                    let crossing = invite.0.header("X-Plan") == Some("AnswerCrossesCancel");
                    endpoint.reply(invite, if crossing { 200 } else { 487 }, "t");
                }
            }
            "ACK" if plan == "CalleeHangsUp" => endpoint.hang_up(&got),
            "ACK" => {}
            _ => endpoint.reply(&got, 200, "t"),
        }
    }
}

struct Running<'a> {
    call: Caller<'a>,
    plan: Plan,
    since: Instant,
    cancelled: bool,
    up: bool,
}

/// Whether the call is over for the caller.
fn advance(
    running: &mut Running<'_>,
    message: &Message,
    from: SocketAddr,
    caller: &Endpoint,
) -> bool {
    let Some(status) = message.status() else {
        caller.reply(&(message.clone(), from), 200, "x");
        return message.method() == "BYE";
    };
    let cseq = message.header("CSeq").unwrap_or_default();
    match (cseq.ends_with("INVITE"), status) {
        (true, 100..=179) => false,
        (true, 180..=199) => {
            if matches!(running.plan, Plan::Cancelled | Plan::AnswerCrossesCancel)
                && !running.cancelled
            {
                running.call.cancel();
                running.cancelled = true;
            }
            false
        }
        (true, 200..=299) => {
            running.call.answered(message);
            let extra = format!("X-Plan: {:?}\r\n", running.plan);
            running.call.ack_with(&extra);
            if running.up {
                return false;
            }
            running.up = true;
            match running.plan {
                Plan::CalleeHangsUp => false,
                Plan::Lifetime => true,
                _ => {
                    running.call.within("BYE");
                    false
                }
            }
        }
        (true, _) => {
            running.call.refused(message);
            true
        }
        (false, _) => cseq.ends_with("BYE"),
    }
}

/// What becomes of the next call.
pub enum Next {
    Begin,
    /// Not yet.
    Later,
    /// There is none.
    End,
}

/// Both ends.
pub struct Mixture {
    callee: Mutex<Endpoint>,
    address: SocketAddr,
    random: u64,
    /// Calls begun, by their plan.
    pub begun: HashMap<String, usize>,
}

impl Mixture {
    pub fn new() -> Self {
        let callee = Endpoint::new("127.0.0.1");
        let address = callee.address();
        let (callee, random) = (Mutex::new(callee), 0x5eed_5eed_5eed_5eed);
        Mixture { callee, address, random, begun: HashMap::new() }
    }

    /// Where the proxy finds the callee.
    pub fn callee(&self) -> SocketAddr {
        self.address
    }

    /// Calls company `c` over the proxy as long as `next` says so, told how many calls there
    /// were; returns when the last one is over.
    pub fn run(&mut self, proxy: SocketAddr, mut next: impl FnMut(usize) -> Next) {
        let calls = Going::begin();
        std::thread::scope(|scope| {
            let callee = &self.callee;
            scope.spawn(|| serve(&callee.lock().unwrap(), &calls));
            let _end = calls.while_held();
            let caller = Endpoint::new("127.0.0.1");
            let mut running: HashMap<String, Running<'_>> = HashMap::new();
            let (mut count, mut is_over) = (0, false);
            while !is_over || !running.is_empty() {
                while !is_over && running.len() < WINDOW {
                    match next(count) {
                        Next::Begin => {}
                        Next::Later => break,
                        Next::End => {
                            is_over = true;
                            break;
                        }
                    }
                    let plan = draw(&mut self.random);
                    *self.begun.entry(format!("{plan:?}")).or_default() += 1;
                    if let Some(begun) = begin(&caller, proxy, plan, count) {
                        running.insert(begun.call.call_id.clone(), begun);
                    }
                    count += 1;
                }
                if let Some((message, from)) = caller.receive_within(Duration::from_millis(20)) {
                    let id = message.header("Call-ID").unwrap_or_default().to_owned();
                    let over =
                        running.get_mut(&id).is_some_and(|r| advance(r, &message, from, &caller));
                    if over {
                        running.remove(&id);
                    }
                }
                running.retain(|_, r| r.since.elapsed() < LOST_AFTER);
            }
        });
    }
}

/// Sends the INVITE; nothing is waited for if the script drops it.
fn begin<'a>(
    caller: &'a Endpoint,
    proxy: SocketAddr,
    plan: Plan,
    number: usize,
) -> Option<Running<'a>> {
    let doing = match plan {
        Plan::RefusedByScript => "X-Do: treply\r\n",
        Plan::DroppedByScript => "X-Do: drop\r\n",
        Plan::Lifetime => "X-Do: lifetime\r\n",
        _ => "",
    };
    let headers = format!(
        "X-Plan: {plan:?}\r\n{doing}X-Carrier: {}\r\nX-Did: {}\r\n",
        number % 3,
        number % 97
    );
    let call = Caller::new(caller, proxy, "c", &headers);
    call.invite();
    let since = Instant::now();
    let running = Running { call, plan, since, cancelled: false, up: false };
    (plan != Plan::DroppedByScript).then_some(running)
}
