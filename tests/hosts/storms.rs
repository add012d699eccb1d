//! Limits are exact under storms of INVITEs from SIPp, in 16 workers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use super::{Config, Server};
use crate::Here;
use crate::support::call::{Caller, Endpoint};
use crate::support::callee::AutoCallee;
use crate::support::host::Host;
use crate::support::proxy::{assert_nothing_left, calls, count_by, unhurried, wait_for_calls};
use crate::support::sipp::Sipp;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, Going, PATIENCE, wait_for};
use serde_json::json;

const WORKERS: u32 = 16;
const INVITES: usize = 5000;

/// A proxy with 16 workers, and a callee that answers everything.
struct Stage {
    server: Server,
    callee: AutoCallee,
    folder: Folder,
}

impl Stage {
    fn new(tenants: &str) -> Self {
        let folder = Folder::new();
        let db = Sqlite::create(folder.join("tables.sqlite"));
        db.run(tenants);
        let callee = AutoCallee::start("127.0.0.1");
        let mut config: Config = unhurried(&db.url(), callee.address);
        config.workers = WORKERS;
        config.routes = config.routes.replace(
            "if (is_present_hf(\"X-Roadwarrior\"))",
            "if (is_present_hf(\"X-Aor\") && $hdr(X-Aor) != \"-\" && !roadwarrior_acquire(\"$hdr(X-Aor)\", \"$fd\")) {
                send_reply(403, \"Refused: $swd(reason)\");
                exit;
            }
            if (is_present_hf(\"X-Roadwarrior\"))",
        );
        Stage { server: config.start(), callee, folder }
    }

    /// The same; the second field of a row is the scopes of a call, with `+` between them.
    fn with_scopes(tenants: &str) -> Self {
        let folder = Folder::new();
        let db = Sqlite::create(folder.join("tables.sqlite"));
        db.run(tenants);
        let callee = AutoCallee::start("127.0.0.1");
        let mut config: Config = unhurried(&db.url(), callee.address)
            .settings("modparam(\"sipwarden\", \"limit_table\", \"sipwarden_limit\")\n");
        config.workers = WORKERS;
        let asks = format!("cc_limit(\"$fd\", \"o\", \"{}\")", Here::SCOPES);
        let config = count_by(config, &asks);
        Stage { server: config.start(), callee, folder }
    }

    /// Starts SIPp with calls that take the rows in turn.
    fn sipp(&self, name: &str, rows: &[&str], invites: usize) -> Sipp {
        Sipp::start(&self.folder, name, self.server.address(), rows, invites)
    }

    /// Runs one storm while the counters are sampled; what SIPp saw admitted,
    /// per domain.
    fn storm(&self, rows: &[&str], limits: &[(&str, &str, u64)]) -> HashMap<String, usize> {
        let storm = Going::begin();
        let samples = AtomicU64::new(0);
        std::thread::scope(|scope| {
            let sampler = scope.spawn(|| {
                while storm.is_on() {
                    for &(company, counter, limit) in limits {
                        let shown = self.server.ask("company", json!([company]));
                        let count = shown[counter].as_u64().unwrap();
                        assert!(count <= limit, "{company}: {counter} {count} above {limit}");
                        samples.fetch_add(1, SeqCst);
                    }
                }
            });
            let end = storm.while_held();
            let sipp = self.sipp("storm", rows, INVITES);
            sipp.wait_for_judged(INVITES);
            self.callee.hang_up();
            let seen = sipp.finish();
            drop(end);
            sampler.join().unwrap();
            assert!(samples.load(SeqCst) > 20, "{} samples", samples.load(SeqCst));
            assert_eq!(seen.refused + seen.admitted.values().sum::<usize>(), INVITES);
            seen.admitted
        })
    }
}

#[test]
fn limit_ten_admits_ten() {
    let stage = Stage::new(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 10);",
    );
    let admitted = stage.storm(&["c;-"], &[("c", "calls", 10)]);
    assert_eq!(admitted["c"], 10);
    assert_eq!(stage.server.counter("cc_call_counted"), 10);
    // SIPp repeats what is not answered at once, and a refusal keeps no state.
    assert!(stage.server.counter("cc_company_limit") >= INVITES as u64 - 10);
    assert_nothing_left(&stage.server);
}

/// Each domain comes to a limit of another kind, which its own scopes exceed.
#[test]
fn several_kinds_at_once_admit_just_their_limits() {
    let stage = Stage::with_scopes(
        "INSERT INTO sipwarden_brand VALUES ('b', 0), ('six', 6);
         INSERT INTO sipwarden_company VALUES ('x', 'b', 0, 0), ('y', 'b', 0, 9), ('z', 'b', 0, 0),
            ('w', 'b', 0, 0), ('u', 'six', 0, 9), ('s', 'b', 0, 3), ('t', 'b', 0, 9),
            ('v', 'b', 0, 9);
         INSERT INTO sipwarden_limit (kind, id, direction, max_calls) VALUES
            ('carrier', 'north', 'any', 10), ('carrier', 'south', 'out', 7),
            ('did', '*', 'any', 4), ('group', 'few', 'any', 6), ('group', 'all', 'out', 43),
            ('user', 't', 'out', 2), ('user', '*', 'any', 5);
         INSERT INTO sipwarden_limit (kind, id, max_new, window_seconds) VALUES
            ('carrier', 'wide', 5, 3600);",
    );
    let mut rows = Vec::new();
    for did in 0..3 {
        rows.push(format!("x;carrier=north+did=x{did}+group=all"));
        rows.push(format!("y;carrier=south+did=y{did}+group=all"));
        rows.push(format!("z;did=z{did}+group=few+group=all"));
        rows.push(format!("w;carrier=wide+did=w{did}+group=all"));
        // The brand is reached, then the company, then the user.
        rows.push(format!("u;user=u{did}+did=u{did}+group=all"));
        rows.push(format!("s;carrier=east+user=s{did}+group=all"));
        rows.push(format!("t;carrier=west+user=t+did=t{did}+group=all"));
        rows.push(format!("v;carrier=west+user=v{did}+did=v+group=all"));
    }
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    let reached = [("x", 10), ("y", 7), ("z", 6), ("w", 5), ("u", 6), ("s", 3), ("t", 2), ("v", 4)];
    let limits = reached.map(|(company, limit)| (company, "calls", limit));
    let admitted = stage.storm(&rows, &limits);
    assert_eq!(reached.map(|(company, _)| (company, admitted[company] as u64)), reached);
    assert_eq!(stage.server.counter("cc_call_counted"), 43);
    for refused in ["cc_rate", "cc_limit", "cc_brand_limit", "cc_company_limit"] {
        assert!(stage.server.counter(refused) > 0, "{refused}");
    }
    wait_for("the calls to end", || {
        (stage.server.ask("calls", json!([]))["total"] == 0).then_some(())
    });
    let top = stage.server.ask("top", json!([]));
    assert_eq!(top["scopes"], json!([]), "{top}");
}

#[test]
fn a_brand_below_the_sum_of_its_companies_admits_just_its_limit() {
    let stage = Stage::new(
        "INSERT INTO sipwarden_brand VALUES ('b', 10), ('free', 0);
         INSERT INTO sipwarden_company VALUES ('x', 'b', 0, 6), ('y', 'b', 0, 6), ('z', 'b', 0, 6),
            ('own', 'free', 0, 4);",
    );
    let limits = [
        ("x", "brand_calls", 10),
        ("x", "calls", 6),
        ("y", "calls", 6),
        ("z", "calls", 6),
        ("own", "calls", 4),
    ];
    let admitted = stage.storm(&["x;-", "y;-", "z;-", "own;-"], &limits);
    let of_brand: usize =
        ["x", "y", "z"].iter().map(|c| admitted.get(*c).copied().unwrap_or(0)).sum();
    assert_eq!(of_brand, 10, "{admitted:?}");
    assert_eq!(admitted["own"], 4);
    assert_nothing_left(&stage.server);
}

#[test]
fn roadwarriors_get_one_two_or_three_calls() {
    let stage = Stage::new(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c1', 'b', 1, 0), ('c2', 'b', 1, 0), ('c3', 'b', 1, 0),
            ('c0', 'b', 1, 0);
         INSERT INTO sipwarden_user VALUES ('u@c1', 'c1', 1), ('u@c2', 'c2', 2), ('u@c3', 'c3', 3),
            ('u@c0', 'c0', 0);",
    );
    let limits = [("c1", "calls", 1), ("c2", "calls", 2), ("c3", "calls", 3), ("c0", "calls", 0)];
    let rows = ["c1;u@c1", "c2;u@c2", "c3;u@c3", "c0;u@c0"];
    let admitted = stage.storm(&rows, &limits);
    assert_eq!((admitted["c1"], admitted["c2"], admitted["c3"]), (1, 2, 3));
    assert_eq!(admitted.get("c0"), None);
    assert_eq!(stage.server.counter("roadwarrior_counted"), 6);
    assert_nothing_left(&stage.server);
}

/// A phone's INVITEs reach several workers at once, and a call that counted twice would leave
/// no room for another one.
#[test]
fn copies_of_an_invite_are_one_call() {
    const CALLS: usize = 20;
    const ROUNDS: usize = 40;
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(&format!(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 0, {CALLS});"
    ));
    let callee = AutoCallee::start("127.0.0.1");
    let mut config: Config = unhurried(&db.url(), callee.address);
    config.workers = WORKERS;
    for ends_copies in Here::ENDS_COPIES {
        assert!(config.routes.contains(ends_copies));
        config.routes = config.routes.replace(ends_copies, "");
    }
    let server = config.start();
    let phones: Vec<_> = (0..=CALLS).map(|_| Endpoint::new("127.0.0.1")).collect();
    for round in 1..=ROUNDS {
        let call = |phone| Caller::new(phone, server.address(), "c", "");
        let mut up: Vec<_> = phones[..CALLS].iter().map(call).collect();
        up.iter().for_each(|call| (0..4).for_each(|_| call.invite()));
        for call in &mut up {
            let reply = call.final_reply();
            assert_eq!(reply.status(), Some(200), "{}", reply.line);
            call.ack();
        }
        // Of this one no copies: they could be judged when there is room again.
        let mut more = call(&phones[CALLS]);
        more.invite();
        let reply = more.final_reply();
        assert!(reply.line.contains("company_limit 20/20"), "{}", reply.line);
        assert_eq!(server.counter("cc_call_counted"), (round * CALLS) as u64);
        up.iter_mut().for_each(|call| call.within("BYE"));
        for call in &mut up {
            let answer = call.answer_within("BYE", PATIENCE);
            assert_eq!(answer.expect("an answer to a BYE").status(), Some(200));
        }
        wait_for_calls(&server, "c", 0);
    }
    let observed = callee.observed();
    assert_eq!((observed.first.len(), observed.most["c"]), (ROUNDS * CALLS, CALLS));
    assert_nothing_left(&server);
}

#[test]
fn refused_calls_cause_no_refusals() {
    let stage = Stage::new(
        "INSERT INTO sipwarden_brand VALUES ('b', 10);
         INSERT INTO sipwarden_company VALUES ('full', 'b', 0, 1), ('roomy', 'b', 0, 0);",
    );
    // One call fills the company; all of its storm is refused. Nine of the other
    // company's calls fit beside it, and none of them may meet a storm's shadow.
    let first = stage.sipp("first", &["full;-"], 1);
    wait_for_calls(&stage.server, "full", 1);
    let storm = stage.sipp("storm", &["full;-"], 3000);
    let roomy = stage.sipp("roomy", &["roomy;-"], 9);
    roomy.wait_for_judged(9);
    storm.wait_for_judged(3000);
    stage.callee.hang_up();
    let seen = storm.finish();
    assert_eq!(roomy.finish().admitted["roomy"], 9);
    first.finish();
    assert!(seen.refused >= 2000, "{} refused", seen.refused);
    assert_nothing_left(&stage.server);
}

#[test]
fn a_full_ledger_fails_closed_but_not_for_emergencies() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
            INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 0), ('tight', 'b', 0, 1);",
    );
    let callee = AutoCallee::start("127.0.0.1");
    let server: Server = unhurried(&db.url(), callee.address)
        .settings("modparam(\"sipwarden\", \"max_calls\", 16)\n")
        .start();
    let endpoint = Endpoint::new("127.0.0.1");
    let call = |domain: &str, headers: &str| {
        let mut call = Caller::new(&endpoint, server.address(), domain, headers);
        call.invite();
        let reply = call.final_reply();
        if reply.status() == Some(200) {
            call.ack();
        }
        (call, reply)
    };
    // An emergency passes a limit and counts above it.
    let (_tight, _) = call("tight", "");
    let (_, refused) = call("tight", "");
    assert!(refused.line.contains("company_limit 1/1"), "{}", refused.line);
    let (_emergency, reply) = call("tight", "X-Flags: eo\r\n");
    assert_eq!(reply.status(), Some(200));
    assert_eq!(calls(&server, "tight"), 2);
    let listed = server.ask("calls", json!(["tight"]));
    assert_eq!(listed["total"], 2);
    let emergency = listed["calls"].as_array().unwrap().iter().find(|c| c["emergency"] == 1);
    assert_eq!(emergency.unwrap()["direction"], "out");

    let mut up: Vec<_> = (0..14).map(|_| call("c", "").0).collect();
    let (_, refused) = call("c", "");
    assert!(refused.line.contains("ledger_full"), "{}", refused.line);
    assert_eq!(server.counter("cc_ledger_full"), 1);
    let (_uncounted, reply) = call("c", "X-Flags: e\r\n");
    assert_eq!(reply.status(), Some(200), "{}", reply.line);
    assert_eq!(server.counter("emergency_uncounted"), 1);
    let (_unknown, reply) = call("nobody", "X-Flags: e\r\n");
    assert_eq!(reply.status(), Some(200), "{}", reply.line);

    up.pop().unwrap().within("BYE");
    wait_for_calls(&server, "c", 13);
    wait_for("the record to be free", || {
        (server.ask("stats", json!([]))["calls"] == 15).then_some(())
    });
    let (_, reply) = call("c", "");
    assert_eq!(reply.status(), Some(200));
}

#[test]
fn an_operator_lists_and_releases_calls() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 100);
            INSERT INTO sipwarden_company VALUES ('c', 'b', 1, 50), ('d', 'b', 0, 0),
                ('a-very-long-customer-name.pbx.provider.example.com', 'b', 0, 0);
            INSERT INTO sipwarden_user VALUES ('alice@c', 'c', 2);",
    );
    let callee = AutoCallee::start("127.0.0.1");
    let server: Server = unhurried(&db.url(), callee.address).start();
    let endpoint = Endpoint::new("127.0.0.1");
    let mut up: Vec<_> = (0..25)
        .map(|n| {
            let (domain, headers) = match n {
                0 => ("c", "X-Roadwarrior: alice@c\r\nX-Flags: i\r\n"),
                _ => ("d", ""),
            };
            let mut call = Caller::new(&endpoint, server.address(), domain, headers);
            call.invite();
            assert_eq!(call.final_reply().status(), Some(200));
            call.ack();
            call
        })
        .collect();
    let page = server.ask("calls", json!(["", 2]));
    assert_eq!((&page["total"], &page["pages"]), (&json!(25), &json!(2)));
    assert_eq!(page["calls"].as_array().unwrap().len(), 5);
    let of_c = server.ask("calls", json!(["c"]));
    let call = &of_c["calls"][0];
    assert_eq!(call["call_id"], up[0].call_id.as_str());
    let shown =
        ["company", "brand", "user", "direction"].map(|field| call[field].as_str().unwrap());
    assert_eq!(shown, ["c", "b", "alice@c", "in"]);
    let explained = server.ask("check", json!(["c", "127.0.0.1", "alice@c"]));
    assert_eq!(explained["roadwarrior"]["reason"], "roadwarrior_counted");
    assert_eq!(explained["roadwarrior"]["user_calls"], 1);
    assert_eq!(explained["cc_limit"]["company_calls"], 1);
    assert_eq!(explained["cc_limit"]["brand_calls"], 25);

    let long = "a-very-long-customer-name.pbx.provider.example.com";
    let mut of_long = Caller::new(&endpoint, server.address(), long, "");
    of_long.invite();
    assert_eq!(of_long.final_reply().status(), Some(200));
    of_long.ack();
    let listed = server.ask("calls", json!([long]));
    assert_eq!(
        (&listed["total"], &listed["calls"][0]["call_id"]),
        (&json!(1), &json!(of_long.call_id))
    );
    up.push(of_long);

    let call_id = up[0].call_id.clone();
    assert!(server.try_ask("release", json!(["no-such-call"])).is_err());
    assert_eq!(server.ask("release", json!([call_id]))["released"], 1);
    assert_eq!(calls(&server, "c"), 0);
    assert!(server.log().contains(&format!("took the call {call_id} out of the counts")));
    for call in &mut up {
        call.within("BYE");
    }
    wait_for_calls(&server, "d", 0);
    assert_nothing_left(&server);
}
