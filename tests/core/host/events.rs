//! Events with their attributes, and the audit table.

use serde_json::{Value, json};

use super::alone::alone;
use super::door;
use super::request::Request;
use super::start::started;
use super::world::{events, world};

/// The attributes of the only event of a name, but for times.
fn only(name: &str) -> Value {
    while door::record() {}
    let mut told = events(name);
    assert_eq!(told.len(), 1, "{name}: {told:?}");
    world().events.retain(|(known, _)| known != name);
    told[0].retain(|name, _| !["since", "until"].contains(&&**name));
    Value::Object(told.remove(0))
}

#[test]
fn an_event_has_the_attributes_that_say_something() {
    alone(|| {
        started(&[]);
        let loaded = only("reload");
        let expected = json!({
            "event": "reload", "reason": "reload", "function": "", "count": 1, "calls": 1,
            "limit": 0, "limit_near": 0, "monitored": 0
        });
        assert_eq!(loaded, expected);
        let far = Request { call_id: "x@y".into(), ..Request::from("203.0.113.9") };
        // Repeats are told later.
        (0..9).for_each(|_| assert_eq!(door::check_company_ip(&far, "7"), -1));
        let expected = json!({
            "event": "denied", "reason": "denied_source", "code": -1,
            "function": "check_company_ip", "ip": "203.0.113.9", "learnt": "packet",
            "company": "7", "brand": "b", "call_id": "x@y", "from": "sip:alice@example.com",
            "count": 1, "calls": 0, "limit": 0, "limit_near": 0, "monitored": 0
        });
        assert_eq!(only("denied"), expected);
        // In between the variable tells of the message.
        assert_eq!(door::variable(&far, "event"), Value::Null);
    });
}

#[test]
fn blocks_bans_limits_and_failures_are_told() {
    alone(|| {
        started(&[]);
        only("reload");
        let of = |event: Value, name: &str| event[name].clone();
        door::ask("block", json!({"address": "203.0.113.0/24", "seconds": 60}));
        let block = only("block");
        assert_eq!([&block["event"], &block["ip"]], ["block_started", "203.0.113.0/24"]);
        assert_eq!(block["class"], "default");
        door::ask("unblock", json!(["all"]));
        assert_eq!(of(only("unblock"), "event"), "block_ended");
        door::ask("ban", json!(["alice@example.com", "203.0.113.9"]));
        let ban = only("block");
        assert_eq!([&ban["event"], &ban["aor"]], ["auth_ban_started", "alice@example.com"]);

        for call in ["one", "two"] {
            assert_eq!(door::cc_limit(&Request::invite("192.0.2.7", call), "7", ""), 1);
        }
        let near = only("limit");
        assert_eq!([&near["event"], &near["company"]], ["near_limit", "7"]);
        assert_eq!([&near["calls"], &near["limit"]], [2, 2]);
        assert_eq!(door::cc_limit(&Request::invite("192.0.2.7", "three"), "7", ""), -7);
        let limit = only("limit");
        assert_eq!([&limit["event"], &limit["reason"]], ["limit", "company_limit"]);

        world().has_database = false;
        door::rpc("reload", json!([])).unwrap_err();
        let failed = only("reload");
        assert_eq!(failed["event"], "reload_failed");
        assert!(failed["text"].as_str().unwrap().contains("the fake database is away"));
        // Companies and brands with limits, for monitoring.
        assert!(events("gauge").iter().all(|told| told["event"] == "near_limit"));
    });
}

#[test]
fn the_audit_table_has_what_was_refused() {
    alone(|| {
        started(&[("audit_url", json!("mysql://fake/audit"))]);
        door::check_company_ip(&Request::from("203.0.113.9"), "7");
        while door::record() {}
        let audit = world().audit.clone();
        let row = |reason: &str, source: &str, company: &str| {
            (reason.to_owned(), source.to_owned(), company.to_owned(), 1)
        };
        assert_eq!(audit, [row("reload", "", ""), row("denied_source", "203.0.113.9", "7")]);
    });
}
