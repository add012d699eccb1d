//! Which address is judged: the sender's, or the one that the script gives.

use super::{Config, Server};
use crate::support::sip::{Phone, Reply};
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for};
use libc::SIGTERM;
use serde_json::{Value, json};

const TENANTS: &str = "
INSERT INTO sipwarden_brand VALUES ('b', 0);
INSERT INTO sipwarden_company VALUES ('office', 'b', 1, 0);
INSERT INTO sipwarden_company_address VALUES ('office', '198.51.100.0', 24),
    ('office', '2001:db8::', 32);
INSERT INTO sipwarden_user VALUES ('two@office', 'office', 2);
";

/// The edge: whatever comes from there is somebody else's.
const EDGE: &str = "127.0.0.9";

/// The user part names the function; X-Client is what the edge tells.
const SCRIPT: &str = r#"
request_route {
    switch ($rU) {
        case "flood": flood_check("", "$hdr(X-Client)"); break;
        case "emergency": flood_check("e", "$hdr(X-Client)"); break;
        case "check": check_company_ip("office", "$hdr(X-Client)"); break;
        case "country": check_country("ES", "$hdr(X-Client)"); break;
        case "roadwarrior": roadwarrior_acquire("two@office", "office", "o", "$hdr(X-Client)"); break;
        case "spared": roadwarrior_acquire("two@office", "office", "e", "$hdr(X-Client)"); break;
        case "ask": auth_check("alice@office", "$hdr(X-Client)"); break;
        case "failed": auth_failed("alice@office", "$hdr(X-Guess)", "$hdr(X-Client)"); break;
        case "ok": auth_ok("alice@office", "$hdr(X-Client)"); break;
        case "limit": cc_limit("office"); break;
        default: flood_check();
    }
    append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\nX-Judged: $swd(ip) $swd(learnt)\r\n");
    sl_send_reply(486, "Asked");
}
"#;

/// Functions that refuse a wrong text, and those that let it pass.
const CLOSED: [&str; 3] = ["check", "country", "roadwarrior"];
const OPEN: [&str; 5] = ["flood", "emergency", "ask", "failed", "ok"];

pub struct Edge {
    pub server: Server,
    phone: Phone,
}

fn tenants(folder: &Folder) -> Sqlite {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(TENANTS);
    db
}

pub fn config(folder: &Folder) -> Config {
    let mut config = Config::new(&tenants(folder).url()).routes(SCRIPT).settings(
        "modparam(\"sipwarden\", \"flood_limit\", 5)\nmodparam(\"sipwarden\", \"flood_window\", \"600s\")\n\
         modparam(\"sipwarden\", \"auth_limit\", 2)\nmodparam(\"sipwarden\", \"auth_restart\", 0)\n",
    );
    config.workers = 1;
    config.modules.push_str("loadmodule \"dialog.so\"\n");
    config
}

impl Edge {
    pub fn new(server: Server) -> Self {
        let phone = Phone::new(EDGE, server.address());
        Edge { server, phone }
    }

    fn ask(&self, function: &str, headers: &str) -> Reply {
        let method =
            if function == "roadwarrior" || function == "spared" { "INVITE" } else { "OPTIONS" };
        self.phone.request(method, function, headers).expect("a reply")
    }

    /// What is said of a client that the edge tells, and of whom.
    fn of(&self, function: &str, client: &str) -> (i32, String, String) {
        told(&self.ask(function, &format!("X-Client: {client}\r\n")))
    }

    pub fn blocks(&self) -> Vec<Value> {
        self.server.ask("blocks", json!([]))["blocks"].as_array().unwrap().clone()
    }
}

fn told(reply: &Reply) -> (i32, String, String) {
    let told = reply.told().unwrap_or_else(|| panic!("{}", reply.text));
    (told.code, told.reason, reply.header("X-Judged").unwrap().to_owned())
}

fn said(code: i32, reason: &str, judged: &str) -> (i32, String, String) {
    (code, reason.to_owned(), judged.to_owned())
}

#[test]
fn every_function_judges_the_address_that_the_script_gives() {
    let folder = Folder::new();
    let edge = Edge::new(config(&folder).start());
    let granted = "198.51.100.7 script";
    assert_eq!(edge.of("check", "198.51.100.7"), said(1, "granted_range", granted));
    assert_eq!(edge.of("check", "[2001:db8::7]"), said(1, "granted_range", "2001:db8::7 script"));
    let elsewhere = "203.0.113.5 script";
    assert_eq!(edge.of("check", "203.0.113.5"), said(-1, "denied_source", elsewhere));
    assert_eq!(edge.of("roadwarrior", "198.51.100.7"), said(1, "granted_range", granted));
    assert_eq!(edge.of("roadwarrior", "203.0.113.5"), said(4, "roadwarrior_counted", elsewhere));
    assert_eq!(edge.of("flood", "203.0.113.5"), said(1, "under_limit", elsewhere));
    // An office is exempt, also behind an edge.
    assert_eq!(edge.of("flood", "198.51.100.7"), said(2, "exempt", granted));
    let failed = |guess: &str| {
        told(&edge.ask("failed", &format!("X-Guess: {guess}\r\nX-Client: 203.0.113.5\r\n")))
    };
    assert_eq!(failed("one"), said(1, "auth_counted", elsewhere));
    assert_eq!(failed("two"), said(-1, "auth_ban_started", elsewhere));
    assert_eq!(edge.of("ask", "203.0.113.5"), said(-2, "auth_banned", elsewhere));
    assert_eq!(edge.of("ok", "203.0.113.5"), said(-2, "auth_banned", elsewhere));
    assert_eq!(edge.of("ask", "203.0.113.6"), said(1, "auth_clear", "203.0.113.6 script"));
    assert_eq!(edge.of("ok", "203.0.113.6"), said(1, "auth_cleared", "203.0.113.6 script"));
    // Who sends himself is known by his packets, whatever the script gives.
    assert_eq!(edge.of("check", EDGE), said(-1, "denied_source", &format!("{EDGE} packet")));
    // Without the argument it is the sender.
    let sender = format!("{EDGE} packet");
    assert_eq!(edge.of("plain", "203.0.113.5"), said(1, "under_limit", &sender));
    assert_eq!(edge.of("limit", "203.0.113.5").2, sender);
    let denied = wait_for("the refusals", || {
        let denied = edge.server.ask("denied", json!(["office"]));
        let list = denied["denied"].as_array().unwrap().clone();
        list.into_iter().find(|d| d["reason"] == "denied_source" && d["source"] != EDGE)
    });
    assert_eq!((&denied["source"], &denied["learnt"]), (&json!("203.0.113.5"), &json!("script")));
}

#[test]
fn a_wrong_text_is_its_own_reason_and_never_the_edge() {
    let folder = Folder::new();
    let edge = Edge::new(config(&folder).start());
    let wrong = [
        "203.0.113.5, 10.0.0.1",
        "203.0.113.5:5060",
        "[2001:db8::1]:5060",
        "[203.0.113.5]",
        "client.example",
        "203.0.113.0/24",
        "\"\"",
        "null",
        "fe80::1%eth0",
    ];
    let headers: Vec<_> = wrong.iter().map(|text| format!("X-Client: {text}\r\n")).collect();
    // No header at all: the variable is unset.
    let headers: Vec<_> = headers.iter().map(String::as_str).chain([""]).collect();
    for header in &headers {
        for function in CLOSED {
            let expected = said(-12, "bad_address", "<null> <null>");
            assert_eq!(told(&edge.ask(function, header)), expected, "{function} {header}");
        }
        for function in OPEN {
            let expected = said(7, "bad_address", "<null> <null>");
            assert_eq!(told(&edge.ask(function, header)), expected, "{function} {header}");
        }
        // An emergency is never refused.
        assert_eq!(told(&edge.ask("spared", header)).1, "roadwarrior_emergency", "{header}");
    }
    let asked = headers.len() as u64;
    for (counter, expected) in [
        ("check_bad_address", asked),
        ("country_bad_address", asked),
        ("roadwarrior_bad_address", asked),
        ("flood_bad_address", 2 * asked),
        ("auth_check_bad_address", asked),
        ("auth_failed_bad_address", asked),
        ("auth_ok_bad_address", asked),
    ] {
        assert_eq!(edge.server.counter(counter), expected, "{counter}");
    }
    // Nothing was counted for the edge.
    let source = edge.server.ask("source", json!([EDGE]));
    assert_eq!(source["requests"], 0, "{source}");
    assert_eq!(edge.server.counter("auth_known"), 0);
    assert_eq!(edge.server.counter("calls_active"), 0);
    // Said once, with the value.
    let log = edge.server.log();
    let line = "check_company_ip has judged nothing: \"203.0.113.5, 10.0.0.1\" is not an IP address; \
                give one address, without a port (said once a minute)";
    assert_eq!(log.matches("has judged nothing").count(), 1, "{log}");
    assert!(log.contains(line), "{log}");
    // The refusals can be found.
    wait_for("the refusals", || {
        let denied = edge.server.ask("denied", json!(["office"]));
        let list = denied["denied"].as_array().unwrap();
        let bad = |function: &str| {
            list.iter().any(|d| {
                d["reason"] == "bad_address" && d["function"] == function && d["source"] == ""
            })
        };
        (bad("check_company_ip") && bad("roadwarrior_acquire")).then_some(())
    });
}

#[test]
fn a_block_by_the_script_keeps_how_it_was_learnt_over_a_restart() {
    let folder = Folder::new();
    let file = folder.join("blocks");
    let events = r#"
event_route[sipwarden:block] {
    xlog("L_NOTICE", "told: $swd(ip) $swd(learnt)\n");
}
"#;
    let mut config = config(&folder)
        .settings(&format!("modparam(\"sipwarden\", \"flood_persist\", \"{}\")\n", file.display()));
    config.routes.push_str(events);
    let mut edge = Edge::new(config.start());
    for _ in 0..5 {
        assert_eq!(edge.of("flood", "203.0.113.5").1, "under_limit");
    }
    assert_eq!(edge.of("flood", "203.0.113.5").1, "flood_started");
    assert_eq!(edge.of("flood", "203.0.113.5").1, "flood_blocked");
    assert_eq!(edge.of("flood", "203.0.113.6").1, "under_limit");
    assert_eq!(edge.of("plain", "").1, "under_limit", "the edge is not blocked");
    let is_kept = |blocks: Vec<Value>, requests: u32| {
        assert_eq!(blocks.len(), 1, "{blocks:?}");
        let shown = ["source", "learnt", "refused", "in_firewall"].map(|name| &blocks[0][name]);
        let wanted = [json!("203.0.113.5"), json!("script"), json!(requests), json!(0)];
        assert_eq!(shown, wanted.each_ref());
    };
    is_kept(edge.blocks(), 2);
    wait_for("the event", || edge.server.log().contains("told: 203.0.113.5 script").then_some(()));
    wait_for("the file", || {
        std::fs::read_to_string(&file).is_ok_and(|text| text.contains(" script\n")).then_some(())
    });
    edge.server.stop(SIGTERM);
    let edge = Edge::new(config.start());
    is_kept(edge.blocks(), 2);
}
