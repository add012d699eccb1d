//! Spraying, proofs, budgets and scanners, as a script meets them.

use serde_json::{Value, json};

use super::alone::alone;
use super::door;
use super::request::Request;
use super::start::started;
use super::world::{logged, rows, world};
use sipwarden::tables::Table;

fn reason(request: &Request) -> String {
    door::variable(request, "reason").as_str().unwrap_or_default().to_owned()
}

/// A failure with credentials that were never sent before.
fn fails(from: &str, aor: &str, code: &str, n: u32) -> (i32, String) {
    let request = Request {
        id: n,
        credentials: vec![format!("Digest username=\"{aor}\", response=\"{n}\"")],
        code: code.into(),
        ..Request::from(from)
    };
    let code = door::auth_failed(&request, aor, None);
    (code, reason(&request))
}

fn floods(request: &Request) -> (i32, String) {
    let code = door::flood_check(request, "");
    (code, reason(request))
}

fn call(method: &str, params: Value) -> Value {
    door::rpc(method, params).unwrap()
}

fn source(address: &str) -> Value {
    call("source", json!([address]))
}

#[test]
fn a_sprayer_is_blocked_as_a_source_and_a_challenge_is_no_failure() {
    alone(|| {
        started(&[]);
        let bot = "203.0.113.9";
        for n in 0..200 {
            let challenged = Request { id: 1000 + n, ..Request::from(bot) };
            assert_eq!(door::auth_failed(&challenged, &format!("u{n}@x"), None), 6);
        }
        assert_eq!(source(bot)["spraying"]["aors"], 0);
        let passed = (0..60).find(|n| fails(bot, &format!("u{n}@x"), "-2", *n).1 == "spraying");
        assert!((28..36).contains(&passed.unwrap()), "{passed:?}");
        assert!(logged("spraying from 203.0.113.9: "));
        assert!(logged("block of 203.0.113.9 starts: spraying, class default; 3600 s"));
        assert_eq!(floods(&Request::from(bot)), (-2, "flood_blocked".into()));
        let known = source(bot);
        assert_eq!(known["block"]["reason"], "spraying");
        assert_eq!(known["spraying"]["aors"], 0);
        // Its neighbour is not.
        assert_eq!(floods(&Request::from("203.0.113.10")).0, 1);
        call("unblock", json!([bot]));
        assert_eq!(floods(&Request::from(bot)).0, 1);
    });
}

#[test]
fn unknown_users_have_a_limit_of_their_own_and_an_exempt_source_has_none() {
    alone(|| {
        started(&[("spray_unknown", json!(5))]);
        let passed = (0..20).find(|n| fails("203.0.113.9", &format!("u{n}@x"), "-3", *n).0 < 0);
        assert!(passed.is_some_and(|n| n < 8), "{passed:?}");
        // The same number of wrong passwords.
        assert!((0..20).all(|n| fails("203.0.113.8", &format!("u{n}@x"), "-2", n).0 > 0));
        // 198.51.100.200 is trusted.
        assert!((0..60).all(|n| fails("198.51.100.200", &format!("u{n}@x"), "-3", n).0 > 0));
    });
}

#[test]
fn who_is_only_watched_is_not_blocked_for_spraying() {
    alone(|| {
        started(&[("auth_monitor", json!(1))]);
        let said = (0..60).map(|n| fails("203.0.113.9", &format!("u{n}@x"), "-2", n));
        assert!(said.into_iter().all(|(code, _)| code > 0));
        assert!(logged("(monitored: nobody is refused)"));
        assert_eq!(floods(&Request::from("203.0.113.9")).0, 1);
    });
}

#[test]
fn a_proven_source_is_not_blocked_by_what_others_may_have_forged() {
    alone(|| {
        started(&[("flood_limit", json!(5)), ("flood_unproven", json!("block"))]);
        let told = |request: &Request| (0..20).map(|_| floods(request).1).collect::<Vec<_>>();
        // Nobody knows this one.
        let stranger = told(&Request::from("203.0.113.9"));
        assert_eq!(stranger[5..7], ["flood_started", "flood_blocked"]);
        assert_eq!(source("203.0.113.9")["proven"], 0);
        // Each kind of proof.
        door::auth_ok(&Request::from("203.0.113.1"), "alice@x");
        door::dialog_request(&Request::from("203.0.113.2"));
        floods(&Request { stream: true, ..Request::from("203.0.113.3") });
        let proofs = ["authentication", "dialog", "connection"];
        for (from, proof) in (1..).zip(proofs) {
            let address = format!("203.0.113.{from}");
            let known = source(&address);
            assert_eq!((&known["proven"], &known["proofs"]), (&json!(1), &json!(proof)));
            assert!(known["proven_since"].as_u64().unwrap() > 1_600_000_000);
            let forged = told(&Request::from(&address));
            assert_eq!(forged[4..7], ["under_limit", "flood_unproven", "flood_unproven"]);
            // What comes over a connection cannot be forged, and is served meanwhile.
            let own = Request { stream: true, ..Request::from(&address) };
            assert_eq!(floods(&own).1, "under_limit");
        }
        assert_eq!(call("blocks", json!([]))["total"], 1);
        assert!(logged("not blocked: anybody may have forged these requests"));
        // A flood over a connection is the source's own.
        let own = Request { stream: true, ..Request::from("203.0.113.3") };
        let flood = told(&own);
        assert!(flood.contains(&"flood_started".to_owned()), "{flood:?}");
        assert_eq!(floods(&own).1, "flood_blocked");
        assert_eq!(floods(&Request::from("203.0.113.3")).1, "flood_blocked");
        // An address that the script gives did not open the connection.
        let given = Request {
            stream: true,
            given: Some("203.0.113.4".into()),
            ..Request::from("203.0.113.5")
        };
        floods(&given);
        assert_eq!(source("203.0.113.4")["proven"], 0);
    });
}

#[test]
fn who_has_never_proven_itself_is_throttled() {
    alone(|| {
        started(&[("flood_limit", json!(5))]);
        let stranger = Request::from("203.0.113.9");
        let told: Vec<_> = (0..300).map(|_| floods(&stranger)).collect();
        assert!(told[5..].iter().all(|told| *told == (-17, "flood_unproven".into())));
        assert_eq!(call("blocks", json!([]))["total"], 0);
        assert_eq!(source("203.0.113.9")["reason"], "flood_unproven");
    });
}

#[test]
fn proven_sources_have_a_class_of_their_own() {
    alone(|| {
        started(&[
            ("flood_limit", json!(5)),
            ("flood_class", json!("proven=limit:50")),
            ("flood_proven_class", json!("proven")),
        ]);
        let phone = Request::from("203.0.113.9");
        assert_eq!(floods(&phone).1, "under_limit");
        assert_eq!(source("203.0.113.9")["class"], "default");
        door::auth_ok(&phone, "alice@x");
        assert_eq!(source("203.0.113.9")["class"], "proven");
        let passed = (0..100).take_while(|_| floods(&phone).0 > 0).count();
        assert_eq!(passed, 50);
        assert_eq!(door::variable(&phone, "class"), "proven");
        // What is listed keeps its class.
        let trusted = Request::from("198.51.100.200");
        door::auth_ok(&trusted, "alice@x");
        assert_eq!(floods(&trusted).1, "exempt");
    });
}

#[test]
fn unknown_sources_have_a_budget_and_the_others_do_not_notice() {
    alone(|| {
        started(&[("flood_budget", json!(50)), ("flood_window", json!("60"))]);
        let bot = |n: u32| Request::from(&format!("100.64.{}.{}", n / 200, n % 200));
        let told: Vec<_> = (0..300).map(|n| floods(&bot(n))).collect();
        assert!(told[..50].iter().all(|told| told.1 == "under_limit"));
        assert!(told[50..].iter().all(|told| *told == (-18, "flood_budget".into())));
        let phone = Request::from("203.0.113.9");
        assert_eq!(floods(&phone).1, "flood_budget");
        door::auth_ok(&phone, "alice@x");
        assert_eq!(floods(&phone).1, "under_limit");
        assert_eq!(floods(&Request::from("198.51.100.200")).1, "exempt");
        // A company's range is listed, whatever its class.
        assert!(floods(&Request::from("192.0.2.7")).0 > 0);
        let own = Request { stream: true, ..bot(500) };
        assert_eq!(floods(&own).1, "under_limit");
        assert!(logged("the budget of class default is spent: 50 requests"));
        let top = call("top", json!([]));
        let budget = &top["budgets"][0];
        assert_eq!((&budget["class"], &budget["requests"]), (&json!("default"), &json!(50)));
        assert!(budget["refused_seconds"].is_number());
    });
}

#[test]
fn a_nonce_answered_proves_the_address_and_buys_nothing_more() {
    alone(|| {
        started(&[
            ("flood_limit", json!(5)),
            ("flood_unproven", json!("block")),
            ("flood_budget", json!(50)),
            ("flood_window", json!("60")),
            ("flood_class", json!("proven=limit:50")),
            ("flood_proven_class", json!("proven")),
        ]);
        let proofs = |address: &str| source(address).get("proofs").cloned();
        let guess = Request { credentials: vec!["wrong".into()], ..Request::from("203.0.113.9") };
        // Anybody may have got a nonce that is good from everywhere.
        world().has_bound_nonces = false;
        door::auth_failed(&guess, "alice@x", None);
        assert_eq!(proofs("203.0.113.9"), None);
        world().has_bound_nonces = true;
        // Nor does an address prove itself that the script gives, or without credentials.
        let given = Request {
            given: Some("203.0.113.9".into()),
            source: "203.0.113.8".parse().ok(),
            ..guess.clone()
        };
        door::auth_failed(&given, "alice@x", None);
        door::auth_failed(&Request::from("203.0.113.9"), "alice@x", None);
        // What a script compares by itself has no nonce, and an old one proves nothing.
        door::auth_failed(&guess, "alice@x", Some("token"));
        door::auth_failed(&Request { code: "-4".into(), ..guess.clone() }, "alice@x", None);
        assert_eq!(proofs("203.0.113.9"), None);
        door::auth_failed(&guess, "alice@x", None);
        assert_eq!(proofs("203.0.113.9"), Some(json!("nonce")));
        assert_eq!(source("203.0.113.9")["class"], "default");
        // Packets that others may have forged do not block it.
        let told: Vec<_> = (0..20).map(|_| floods(&guess).1).collect();
        assert_eq!(told[4..7], ["under_limit", "flood_unproven", "flood_unproven"]);
        // It spends the budget like all whom nobody knows.
        let bot = |n: u32| Request::from(&format!("100.64.{}.{}", n / 200, n % 200));
        assert!((0..60).any(|n| floods(&bot(n)).1 == "flood_budget"));
        let late = Request { credentials: vec!["wrong".into()], ..Request::from("203.0.113.10") };
        door::auth_failed(&late, "alice@x", None);
        assert_eq!(proofs("203.0.113.10"), Some(json!("nonce")));
        assert_eq!(floods(&late).1, "flood_budget");
        // A right password makes it a customer.
        door::auth_ok(&late, "alice@x");
        assert_eq!(proofs("203.0.113.10"), Some(json!("authentication,nonce")));
        assert_eq!(floods(&late).1, "under_limit");
        assert_eq!(source("203.0.113.10")["class"], "proven");
    });
}

#[test]
fn scanners_are_known_by_what_they_call_themselves() {
    alone(|| {
        rows(Table::Tool, &[&["user_agent", "prefix", "friendly-"], &["from", "equal", "x"]]);
        started(&[("tool_table", json!("sipwarden_tool"))]);
        let of = |agent: &str| Request { user_agent: agent.into(), ..Request::from("203.0.113.9") };
        assert_eq!(door::scanner_check(&of("Friendly-Scanner 1")), -1);
        assert_eq!(reason(&of("Friendly-Scanner 1")), "scanner");
        door::record();
        assert_eq!(call("denied", json!([]))["denied"][0]["reason"], "scanner");
        let phone = of("a friendly phone");
        assert_eq!(door::scanner_check(&phone), 1);
        assert_eq!(reason(&phone), "no_scanner");
    });
}
