//! A panic in any entry from C leaves the server serving and is logged once.

use super::Config;
use crate::Here;
use crate::support::call::{Caller, Endpoint};
use crate::support::callee::AutoCallee;
use crate::support::panics::{assert_injected, assert_reported, injected};
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for};
use serde_json::json;

fn config(folder: &Folder, entry: &str) -> Config {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 0);",
    );
    injected(Config::new(&db.url()), entry)
}

#[test]
fn without_an_injected_panic_the_build_works() {
    let folder = Folder::new();
    let server = config(&folder, "").start();
    assert_eq!(Phone::new("127.0.0.1", server.address()).ask("c").reason, "filter_off");
    assert_eq!(server.counter("panics"), 0);
}

#[test]
fn a_panic_in_a_check_fails_closed() {
    let folder = Folder::new();
    let routes = r#"
route {
    if (check_company_ip("c")) { sl_send_reply(200, "granted"); exit; }
    sl_send_reply(403, "$rc");
}
"#;
    let mut server = config(&folder, "CheckCompanyIp").routes(routes).start();
    let phone = Phone::new("127.0.0.1", server.address());
    for _ in 0..40 {
        let reply = phone.request("OPTIONS", "c", "").unwrap();
        assert_eq!(reply.status, 403, "{}", reply.text);
    }
    assert!(server.runs());
    assert_eq!(server.counter("panics"), 40);
    assert_reported(&server, "CheckCompanyIp");
}

#[test]
fn a_panic_in_a_grant_gives_none() {
    let folder = Folder::new();
    let routes = r#"
route {
    if (grant("c", "60")) { sl_send_reply(200, "granted"); exit; }
    sl_send_reply(403, "$rc");
}
"#;
    let mut server = config(&folder, "Grant").routes(routes).start();
    let phone = Phone::new("127.0.0.1", server.address());
    assert_eq!(phone.request("OPTIONS", "c", "").unwrap().status, 403);
    assert!(server.runs());
    assert_reported(&server, "Grant");
    assert_eq!(server.ask("grants", json!([]))["total"], 0);
}

#[test]
fn a_panic_in_flood_control_fails_open() {
    let folder = Folder::new();
    let routes = r#"
route {
    if (flood_check()) { sl_send_reply(200, "$rc"); exit; }
    sl_send_reply(403, "refused");
}
"#;
    let mut server = config(&folder, "FloodCheck").routes(routes).start();
    let phone = Phone::new("127.0.0.1", server.address());
    for _ in 0..40 {
        let reply = phone.request("OPTIONS", "c", "").unwrap();
        assert!(reply.text.starts_with("SIP/2.0 200 3"), "{}", reply.text);
    }
    assert!(server.runs());
    assert_reported(&server, "FloodCheck");
}

#[test]
fn a_panic_in_brute_force_protection_fails_open() {
    for (entry, call) in [
        ("AuthCheck", "auth_check(\"a@x\")"),
        ("AuthFailed", "auth_failed(\"a@x\", \"secret\")"),
        ("AuthOk", "auth_ok(\"a@x\")"),
    ] {
        let folder = Folder::new();
        let routes = format!(
            "route {{
                if ({call}) {{ sl_send_reply(200, \"$rc\"); exit; }}
                sl_send_reply(403, \"refused\");
            }}"
        );
        let mut server = config(&folder, entry).routes(&routes).start();
        let phone = Phone::new("127.0.0.1", server.address());
        for _ in 0..10 {
            let reply = phone.request("OPTIONS", "c", "").unwrap();
            assert!(reply.text.starts_with("SIP/2.0 200 3"), "{}", reply.text);
        }
        assert!(server.runs());
        assert_reported(&server, entry);
    }
}

#[test]
fn a_panic_in_the_modules_own_process_or_a_setting_leaves_it_serving() {
    for entry in ["Sweep", "Tell", "ApplySetting", "Resolve"] {
        let folder = Folder::new();
        let with_resolver = "modparam(\"sipwarden\", \"host_names\", 1)\n";
        let mut server = config(&folder, entry).settings(with_resolver).start();
        // One that panics is a fault, or changes nothing.
        let _ = server.try_ask("set", json!(["flood_limit", 5]));
        let _ = server.try_ask("set", json!(["flood_window", "5s"]));
        wait_for(entry, || (server.counter("panics") >= 1).then_some(()));
        assert_eq!(Phone::new("127.0.0.1", server.address()).ask("c").reason, "filter_off");
        assert!(server.runs());
        assert_reported(&server, entry);
    }
}

/// What fails again and again keeps nothing else from its turn.
#[test]
fn a_job_that_panics_keeps_no_other_one_waiting() {
    let all = [
        "Sweep",
        "SweepBans",
        "SweepGrants",
        "Revise",
        "Feed",
        "FollowFeeds",
        "KeepBlocks",
        "KeepTables",
        "Reap",
        "Say",
        "Tell",
        "Gauges",
        "Audit",
    ];
    let folder = Folder::new();
    let file = folder.join("blocks");
    // The one job that works comes late among those of its process.
    let failing = all.iter().filter(|job| **job != "KeepBlocks").copied().collect::<Vec<_>>();
    let mut server = config(&folder, &failing.join(","))
        .settings(&format!("modparam(\"sipwarden\", \"flood_persist\", \"{}\")\n", file.display()))
        .settings("modparam(\"sipwarden\", \"blocklist_file\", \"none=/nonexistent\")\n")
        .settings("modparam(\"sipwarden\", \"firewall\", \"inet sipwarden\")\n")
        .start();
    server.ask("block", json!(["203.0.113.7"]));
    wait_for("the file of blocks", || {
        std::fs::read_to_string(&file).unwrap_or_default().contains("203.0.113.7").then_some(())
    });
    failing.iter().for_each(|job| assert_reported(&server, job));
    server.stop(libc::SIGTERM);
    let folder = Folder::new();
    let server = config(&folder, "Gauges,Audit").start();
    Phone::new("127.9.0.1", server.address()).ask("nobody");
    wait_for("the refusals", || (server.ask("denied", json!([]))["total"] == 1).then_some(()));
}

#[test]
fn a_panic_where_calls_are_counted_fails_closed_but_not_for_emergencies() {
    for (entry, script) in [
        ("RoadwarriorAcquire", "roadwarrior_acquire(\"u@c\", \"c\")"),
        ("CcLimit", "cc_limit(\"c\", \"o\")"),
    ] {
        let folder = Folder::new();
        let routes = format!(
            "route {{
                if (cc_limit(\"c\", \"e\")) {{ append_to_reply(\"X-Emergency: passed\\r\\n\"); }}
                if ({script}) {{ sl_send_reply(200, \"granted\"); exit; }}
                sl_send_reply(403, \"refused\");
            }}"
        );
        let mut config = config(&folder, entry).routes(&routes);
        config.modules.push_str("loadmodule \"dialog.so\"\n");
        let mut server = config.start();
        let phone = Phone::new("127.0.0.1", server.address());
        for _ in 0..20 {
            let reply = phone.request("INVITE", "c", "").unwrap();
            assert_eq!(reply.status, 403, "{}", reply.text);
            assert_eq!(reply.header("X-Emergency"), Some("passed"));
        }
        assert!(server.runs());
        assert_reported(&server, entry);
        // Calls may have been left half counted.
        let anew = "all calls were counted anew: a process had ended, or a panic was caught";
        wait_for(anew, || server.log().contains(anew).then_some(()));
    }
}

#[test]
fn a_panic_in_a_dialog_callback_or_the_reaper_leaves_it_serving() {
    for entry in ["DialogEvent", "Reap"] {
        let folder = Folder::new();
        let callee = AutoCallee::start("127.0.0.1");
        let db = Sqlite::create(folder.join("calls.sqlite"));
        db.run(
            "INSERT INTO sipwarden_brand VALUES ('b', 0);
            INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 0);",
        );
        let config = crate::support::proxy::config::<Here>(&db.url(), callee.address)
            .settings("modparam(\"sipwarden\", \"reaper_interval\", 1)\n");
        let mut server = injected(config, entry).start();
        let endpoint = Endpoint::new("127.0.0.1");
        for _ in 0..5 {
            let mut call = Caller::new(&endpoint, server.address(), "c", "");
            call.invite();
            assert_eq!(call.final_reply().status(), Some(200));
            call.ack();
            call.within("BYE");
        }
        wait_for("panics", || (server.counter("panics") >= 2).then_some(()));
        // Calls whose end nobody was told of are found by the reaper.
        if entry == "DialogEvent" {
            wait_for("the reaper", || (server.counter("leases_leaked") == 5).then_some(()));
            assert_eq!(crate::support::proxy::calls(&server, "c"), 0);
            assert!(server.log().contains("was still counted while its dialog was gone; freed"));
        }
        assert!(server.runs());
        assert_reported(&server, entry);
    }
}

#[test]
fn a_panic_behind_a_variable_gives_null() {
    let folder = Folder::new();
    let mut server = config(&folder, "Variable").start();
    let phone = Phone::new("127.0.0.1", server.address());
    for _ in 0..20 {
        let reply = phone.request("OPTIONS", "c", "").unwrap();
        assert!(reply.text.contains("X-Verdict: <null> <null>"), "{}", reply.text);
    }
    assert!(server.runs());
    assert_reported(&server, "Variable");
}

#[test]
fn a_panic_in_an_rpc_is_a_fault() {
    let folder = Folder::new();
    let mut server = config(&folder, "Rpc").start();
    for method in
        ["reload", "stats", "version", "problems", "check", "company", "blocks", "settings"]
    {
        let fault = server.try_ask(method, json!([])).unwrap_err();
        assert!(fault.contains("internal error"), "{fault}");
    }
    assert!(server.runs());
    assert_eq!(Phone::new("127.0.0.1", server.address()).ask("c").reason, "filter_off");
    assert_reported(&server, "Rpc");
}

#[test]
fn a_panic_while_it_starts_stops_it_cleanly() {
    for entry in ["Init", "SetParam", "Row"] {
        let folder = Folder::new();
        let log = config(&folder, entry).fail_to_start();
        assert_injected(&log, entry);
        assert!(!log.contains("core dump"), "{log}");
    }
    // Before the log is there: the module is not usable, and nothing crashes.
    for (entry, missing) in
        [("Param", "db_url"), ("VariableIndex", "swd"), ("Attach", "injected into Attach")]
    {
        let folder = Folder::new();
        let log = config(&folder, entry).fail_to_start();
        assert!(log.contains(missing), "{log}");
        assert_injected(&log, entry);
    }
}

/// The host has none of them then.
#[test]
fn a_panic_in_the_list_of_statistics_leaves_it_serving() {
    let folder = Folder::new();
    let mut server = config(&folder, "Statistic").start();
    assert_eq!(Phone::new("127.0.0.1", server.address()).ask("c").reason, "filter_off");
    assert!(server.runs());
    assert_injected(&server.log(), "Statistic");
}

#[test]
fn a_panic_at_the_end_keeps_it_from_no_end() {
    let folder = Folder::new();
    let mut server = config(&folder, "Destroy").start();
    assert_eq!(Phone::new("127.0.0.1", server.address()).ask("c").reason, "filter_off");
    let status = server.stop(libc::SIGTERM);
    assert!(status.success(), "{status}: {}", server.log());
    assert_reported(&server, "Destroy");
}
