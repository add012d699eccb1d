//! Monitor mode: nothing is refused, and all is told.

use super::{Config, Server};
use crate::support::call::{Caller, Endpoint};
use crate::support::callee::AutoCallee;
use crate::support::scripts::ANSWER_VERDICT;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, proxy, wait_for};
use serde_json::json;

fn tenants(folder: &Folder) -> Sqlite {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('office', 'b', 1, 0), ('watched', 'b', 2, 0),
            ('open', 'b', 0, 0);
        INSERT INTO sipwarden_company_address VALUES ('office', '10.0.0.0/24', NULL),
            ('watched', '10.0.0.0/24', NULL);",
    );
    db
}

#[test]
fn monitor_mode_allows_and_reports_per_company_and_everywhere() {
    let folder = Folder::new();
    let server = Config::new(&tenants(&folder).url()).start();
    let phone = Phone::new("127.9.0.1", server.address());
    let told = |company: &str| {
        let told = phone.ask(company);
        (told.code, told.reason)
    };
    assert_eq!(told("watched"), (9, "monitored".into()));
    assert_eq!(told("office"), (-1, "denied_source".into()));
    assert_eq!(server.counter("check_denied_source"), 2);
    assert_eq!(server.counter("check_monitored"), 1);
    let shown = server.ask("company", json!(["watched"]));
    assert_eq!(shown["ip_filter"], "monitor", "{shown}");
    server.ask("set", json!(["monitor", 1]));
    wait_for("the monitor", || (server.ask("settings", json!([]))["monitor"] == 1).then_some(()));
    assert_eq!(told("office"), (9, "monitored".into()));
    assert_eq!(told("nobody"), (9, "monitored".into()));
    assert_eq!(told("open"), (2, "filter_off".into()));
    server.ask("set", json!(["monitor", 0]));
    wait_for("no monitor", || (told("office").0 == -1).then_some(()));
}

#[test]
fn the_script_can_ask_what_monitor_mode_would_refuse() {
    let folder = Folder::new();
    let server = Config::new(&tenants(&folder).url())
        .routes(&ANSWER_VERDICT.replace("$swd(code) $swd(reason)", "$swd(would_code) $swd(would)"))
        .start();
    let phone = Phone::new("127.9.0.1", server.address());
    for (company, would) in [
        ("watched", (-1, "denied_source")),
        ("office", (-1, "denied_source")),
        ("open", (2, "filter_off")),
        ("nobody", (-3, "unknown_company")),
    ] {
        let told = phone.ask(company);
        assert_eq!((told.code, told.reason.as_str()), would, "{company}");
    }
}

#[test]
fn a_monitored_call_above_the_limit_is_counted_and_reported() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('c', 'b', 2, 2);
        INSERT INTO sipwarden_user VALUES ('one@c', 'c', 1);",
    );
    let callee = AutoCallee::start("127.0.0.1");
    let server: Server = proxy::config(&db.url(), callee.address)
        .settings("modparam(\"sipwarden\", \"monitor\", 1)\n")
        .start();
    let endpoint = Endpoint::new("127.0.0.1");
    let mut calls = Vec::new();
    for n in 1..=3 {
        let header = "X-Roadwarrior: one@c\r\n";
        let mut call = Caller::new(&endpoint, server.address(), "c", header);
        call.invite();
        assert_eq!(call.final_reply().status(), Some(200), "call {n}");
        call.ack();
        calls.push(call);
    }
    assert_eq!(proxy::calls(&server, "c"), 3);
    assert_eq!(server.counter("cc_company_limit"), 1);
    assert_eq!(server.counter("cc_monitored"), 1);
    assert_eq!(server.counter("roadwarrior_limit"), 2);
    let top = server.ask("top", json!([5]));
    let load = |max_calls, percent, near| json!({"brand": "b", "calls": 3, "max_calls": max_calls, "percent": percent, "near_percent": 80, "near": near});
    let mut company = load(2, 150, 1);
    company["company"] = json!("c");
    assert_eq!(top["companies"], json!([company]));
    assert_eq!(top["brands"], json!([load(0, 0, 0)]));
    let reasons = wait_for("both reports", || {
        let denied = server.ask("denied", json!([]));
        let list = denied["denied"].as_array().unwrap().clone();
        (list.len() == 2).then_some(list)
    });
    for denied in reasons {
        assert_eq!(denied["monitored"], 1, "{denied}");
        let (calls, limit) = (denied["calls"].as_u64().unwrap(), denied["limit"].as_u64().unwrap());
        assert!(calls > limit && limit > 0, "{denied}");
    }
    calls.iter_mut().for_each(|call| call.within("BYE"));
    proxy::assert_nothing_left(&server);
}
