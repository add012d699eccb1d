//! Ten thousand calls with endings drawn at random end with nothing counted.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::random::next;
use crate::support::call::{Caller, Endpoint, Message};
use crate::support::kamailio::Config;
use crate::support::proxy::{assert_nothing_left, config};
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, Going, wait_for, wait_up_to};
use serde_json::json;

const CALLS: usize = 10_000;
/// Calls in progress at a time: few enough that loopback loses nothing.
const WINDOW: usize = 60;
/// A caller gives up on what nobody answers.
const PATIENCE: Duration = Duration::from_secs(8);

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
fn callee(endpoint: &Endpoint, calls: &Going) {
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

#[test]
fn ten_thousand_random_endings_leave_nothing() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
            INSERT INTO sipwarden_company VALUES ('c', 'b', 1, 0), ('d', 'b', 1, 0);
            INSERT INTO sipwarden_user VALUES ('alice@c', 'c', 3);
            INSERT INTO sipwarden_limit (kind, id, direction, max_calls, max_new, window_seconds)
                VALUES ('carrier', '*', 'any', 1000, 60000, 1), ('did', '*', 'in', 1000, 60000, 2),
                ('user', '*', 'out', 1000, NULL, NULL), ('company', '*', 'in', 1000, NULL, NULL);",
    );
    let callee_end = Endpoint::new("127.0.0.1");
    let mut config: Config = config(&db.url(), callee_end.address())
        .settings("modparam(\"sipwarden\", \"limit_table\", \"sipwarden_limit\")\n");
    config.workers = 8;
    // Two companies, a carrier, a user, and a called number on the way in.
    let asked = "cc_limit(\"$fd\", \"$var(flags)\")";
    assert_eq!(config.routes.matches(asked).count(), 1);
    let asks = "cc_limit(\"$fd\", \"o\", \"carrier=$hdr(X-Carrier);user=$fU@$fd\") \
                || !cc_limit(\"d\", \"i\", \"did=$hdr(X-Did)\")";
    config.routes = config.routes.replace(asked, asks);
    let kamailio = config.start();
    let calls = Going::begin();
    let mut tally: HashMap<String, usize> = HashMap::new();
    std::thread::scope(|scope| {
        let callee_end = callee_end;
        let calls = &calls;
        scope.spawn(move || callee(&callee_end, calls));
        let _end = calls.while_held();
        let caller = Endpoint::new("127.0.0.1");
        let mut random = 0x5eed_5eed_5eed_5eedu64;
        let mut running: HashMap<String, Running<'_>> = HashMap::new();
        let mut begun = 0;
        while begun < CALLS || !running.is_empty() {
            while begun < CALLS && running.len() < WINDOW {
                let plan = draw(&mut random);
                let doing = match plan {
                    Plan::RefusedByScript => "X-Do: treply\r\n",
                    Plan::DroppedByScript => "X-Do: drop\r\n",
                    Plan::Lifetime => "X-Do: lifetime\r\n",
                    _ => "",
                };
                let call = Caller::new(
                    &caller,
                    kamailio.address(),
                    "c",
                    &format!(
                        "X-Plan: {plan:?}\r\n{doing}X-Carrier: {}\r\nX-Did: {}\r\n",
                        begun % 3,
                        begun % 97
                    ),
                );
                call.invite();
                begun += 1;
                *tally.entry(format!("{plan:?}")).or_default() += 1;
                if plan != Plan::DroppedByScript {
                    let since = Instant::now();
                    running.insert(
                        call.call_id.clone(),
                        Running { call, plan, since, cancelled: false, up: false },
                    );
                }
            }
            if let Some((message, from)) = caller.receive_within(Duration::from_millis(20)) {
                let id = message.header("Call-ID").unwrap_or_default().to_owned();
                let over =
                    running.get_mut(&id).is_some_and(|r| advance(r, &message, from, &caller));
                if over {
                    running.remove(&id);
                }
            }
            running.retain(|_, r| r.since.elapsed() < PATIENCE);
        }
    });
    println!("{tally:?}");
    let counted = kamailio.counter("cc_call_counted");
    assert!(counted as usize > CALLS * 99 / 100, "{counted} of {CALLS} calls were counted");
    // Lifetimes of 2 s and the transactions' own timers are still to pass.
    wait_up_to(Duration::from_secs(100), "all calls to go", || {
        (kamailio.rpc("sipwarden.company", json!(["c"]))["calls"] == 0).then_some(())
    });
    wait_up_to(Duration::from_secs(100), "all leases to go", || {
        (kamailio.rpc("sipwarden.stats", json!([]))["calls"] == 0).then_some(())
    });
    assert_nothing_left(&kamailio);
    for company in ["c", "d"] {
        assert_eq!(kamailio.rpc("sipwarden.company", json!([company]))["calls"], 0);
    }
    // The records of carriers and numbers go when their rates have forgotten all calls.
    wait_for("all scopes to go", || {
        (kamailio.rpc("sipwarden.stats", json!([]))["call_scopes_idle"] == 0).then_some(())
    });
}
