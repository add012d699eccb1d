//! Each event has the attributes that the reference says, and no others.

use std::collections::{BTreeMap, BTreeSet};

use crate::hosts::limits::{ROUTES, Stage};
use crate::support::call::{Caller, Endpoint};
use crate::support::callee::AutoCallee;
use crate::support::dns::Dns;
use crate::support::kamailio::{Config, Kamailio};
use crate::support::mmdb::Mmdb;
use crate::support::panics::injected;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, proxy, wait_for};
use serde_json::json;
use sipwarden::events::EventKind;
use sipwarden::host::ATTRIBUTES;

/// What all events have, and what is of requests only.
const OF_ALL: [&str; 4] = ["event", "reason", "count", "monitored"];

/// Before the calls of [`ROUTES`].
const REQUESTS: &str = r#"
request_route {
    if (is_method("MESSAGE")) { flood_check(); exit; }
    if (is_method("OPTIONS")) { check_company_ip("office"); exit; }
    if (is_method("REGISTER")) { auth_failed("$hdr(X-User)", "$hdr(X-Secret)"); exit; }
    if (is_method("PUBLISH")) { grant("office", "60"); exit; }
    if (is_method("SUBSCRIBE")) { scanner_check(); exit; }
    if ($hdr(X-User) != $null) {
        if (!roadwarrior_acquire("$hdr(X-User)", "office")) { route(REFUSE); }
    }
"#;

/// Writes all that `$swd` says in all event routes.
fn event_routes() -> String {
    let values = ATTRIBUTES.iter().filter(|attribute| attribute.name != "page");
    let values: String = values.map(|a| format!("|{}=$swd({})", a.name, a.name)).collect();
    let routes: BTreeSet<_> = EventKind::ALL.map(EventKind::route).into();
    let routes = routes.iter().chain([&"gauge"]);
    routes
        .map(|r| {
            format!("event_route[sipwarden:{r}] {{ xlog(\"L_NOTICE\", \"told{values}|\\n\"); }}\n")
        })
        .collect()
}

/// The attributes that events of each kind have had so far.
fn seen(kamailio: &Kamailio) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for line in kamailio.log().lines() {
        let Some((_, told)) = line.split_once("told|") else { continue };
        let has = told.split('|').filter_map(|part| part.split_once('='));
        let has: BTreeMap<_, _> = has.collect();
        let names = has
            .iter()
            .filter(|(name, value)| !["<null>", "", "0"].contains(value) && !OF_ALL.contains(name));
        let names = names.map(|(name, _)| (*name).to_owned());
        all.entry(has["event"].to_owned()).or_default().extend(names);
    }
    all
}

/// Waits until each attribute of these kinds was seen. No other one ever may be.
fn all_are_seen(kamailio: &Kamailio, kinds: &[EventKind]) {
    for kind in kinds {
        let expected: BTreeSet<_> = kind.attributes().iter().map(|a| (*a).to_owned()).collect();
        let complete = || {
            let has = seen(kamailio).remove(kind.name()).unwrap_or_default();
            assert!(has.is_subset(&expected), "{}: {has:?}", kind.name());
            let left: Vec<_> = expected.difference(&has).cloned().collect();
            if left.is_empty() { Ok(()) } else { Err(left) }
        };
        wait_for(&format!("{}: {:?}", kind.name(), complete().err()), || complete().ok());
    }
}

const ROWS: &str = "
INSERT INTO sipwarden_company VALUES ('office', 'x', 1, 0);
INSERT INTO sipwarden_company_address VALUES ('office', '10.0.0.0', 8);
INSERT INTO sipwarden_user VALUES ('alice@office', 'office', 1), ('bob@office', 'office', 0);
INSERT INTO sipwarden_limit (kind, id, direction, max_calls, longest) VALUES
    ('carrier', 'x', 'out', 1, NULL), ('carrier', 'short', 'any', NULL, 1);
";

#[test]
fn each_event_has_the_attributes_of_the_reference() {
    let geoip = Folder::new();
    let countries = geoip.join("countries.mmdb");
    std::fs::write(&countries, Mmdb::new(4, 24).with(&[("127.0.0.0/8", "ES")]).bytes()).unwrap();
    let calls = ROUTES.split_once("request_route {").unwrap().1;
    let routes =
        format!("{REQUESTS}{}{}", calls.split("event_route").next().unwrap(), event_routes());
    let stage = Stage::with(ROWS, &routes, |config| {
        config.settings(&format!(
            "modparam(\"sipwarden\", \"geoip_db\", \"{}\")\n\
             modparam(\"sipwarden\", \"flood_limit\", 3)\n\
             modparam(\"sipwarden\", \"flood_unproven\", \"block\")\n\
             modparam(\"sipwarden\", \"auth_limit\", 3)\n\
             modparam(\"sipwarden\", \"tool_table\", \"sipwarden_tool\")\n\
             modparam(\"sipwarden\", \"spray_passwords\", 5)\n",
            countries.display()
        ))
    });
    let kamailio = &stage.server;
    let send = |source: &str, method: &str, headers: &str, times: u32| {
        let phone = Phone::new(source, kamailio.address());
        (0..times)
            .for_each(|n| drop(phone.send(method, "x", &headers.replace("$n", &n.to_string()))));
    };
    // A block by a flood, throttling, and a block for spraying; both end.
    send("127.9.0.1", "MESSAGE", "", 6);
    wait_for("the block", || (kamailio.counter("flood_blocks_started") == 1).then_some(()));
    kamailio.rpc("sipwarden.set", json!(["flood_unproven", "throttle"]));
    send("127.9.0.2", "MESSAGE", "", 6);
    for user in ["alice@office", "bob@office", "carol@office"] {
        send("127.9.0.3", "REGISTER", &format!("X-User: {user}\r\nX-Secret: guess $n\r\n"), 4);
    }
    wait_for("spraying", || (kamailio.counter("flood_blocks_started") == 2).then_some(()));
    for source in ["127.9.0.1", "127.9.0.3"] {
        kamailio.rpc("sipwarden.unblock", json!([source]));
    }
    kamailio.rpc("sipwarden.unban", json!(["alice@office"]));
    // Refusals of sources, and grants.
    send("127.9.0.4", "OPTIONS", "", 1);
    wait_for("the refusal", || (kamailio.counter("check_denied_source") == 1).then_some(()));
    send("127.9.0.4", "SUBSCRIBE", "User-Agent: friendly-scanner\r\n", 1);
    send("127.9.0.4", "PUBLISH", "", 1);
    kamailio.rpc("sipwarden.allow", json!(["office", "127.9.0.5", 60, "a hotel"]));
    send("127.9.0.5", "OPTIONS", "", 1);
    wait_for("the grants", || (kamailio.counter("check_granted_temporarily") == 1).then_some(()));
    for source in ["127.9.0.4", "127.9.0.5"] {
        kamailio.rpc("sipwarden.disallow", json!(["office", source]));
    }
    // Limits of a scope, a user, a company; a call that lasts its longest.
    let first = stage.scoped("o", "carrier=x").unwrap();
    stage.scoped("o", "carrier=x").err().unwrap();
    for user in ["alice@office", "alice@office", "bob@office", "nobody@office"] {
        let _ = stage.call(&[("X-Company", "a"), ("X-User", user)]);
    }
    let _short = stage.scoped("o", "carrier=short").unwrap();
    stage.endpoint.request("BYE");
    // The tables.
    kamailio.rpc("sipwarden.reload", json!([]));
    stage.db.run("UPDATE sipwarden_company_address SET ip_addr = '10.0.0.300';");
    kamailio.try_rpc("sipwarden.reload", json!([])).unwrap_err();
    // These need a host of their own, below.
    let apart = [EventKind::Leak, EventKind::NameChanged];
    let kinds = EventKind::ALL.into_iter().filter(|kind| !apart.contains(kind));
    all_are_seen(kamailio, &kinds.collect::<Vec<_>>());
    drop(first);
}

#[test]
fn a_changed_name_has_the_attributes_of_the_reference() {
    let folder = Folder::new();
    let countries = folder.join("countries.mmdb");
    std::fs::write(&countries, Mmdb::new(4, 24).with(&[("192.0.2.0/24", "ES")]).bytes()).unwrap();
    let dns = Dns::start(&[("office.dyn.example", "192.0.2.7")]);
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 1, 0);
         INSERT INTO sipwarden_company_address VALUES ('c', 'office.dyn.example', NULL);",
    );
    let mut config = Config::new(&db.url()).settings(&format!(
        "modparam(\"sipwarden\", \"host_names\", 1)\n\
         modparam(\"sipwarden\", \"geoip_db\", \"{}\")\n",
        countries.display()
    ));
    config.routes.push_str(&event_routes());
    config.wrapper = dns.wrapper();
    all_are_seen(&config.start(), &[EventKind::NameChanged]);
}

/// A call whose end nobody is told of.
#[test]
fn a_leak_has_the_attributes_of_the_reference() {
    let (folder, callee) = (Folder::new(), AutoCallee::start("127.0.0.1"));
    let db = Sqlite::create(folder.join("calls.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 0);",
    );
    let mut config = proxy::config(&db.url(), callee.address)
        .settings("modparam(\"sipwarden\", \"reaper_interval\", 1)\n");
    config.routes.push_str(&event_routes());
    let kamailio = injected(config, "DialogEvent").start();
    let endpoint = Endpoint::new("127.0.0.1");
    let mut call = Caller::new(&endpoint, kamailio.address(), "c", "");
    call.invite();
    assert_eq!(call.final_reply().status(), Some(200));
    call.ack();
    call.within("BYE");
    all_are_seen(&kamailio, &[EventKind::Leak]);
}
