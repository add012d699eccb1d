//! A panic in any entry from C leaves Kamailio serving and is logged once.

use crate::support::call::{Caller, Endpoint};
use crate::support::callee::AutoCallee;
use crate::support::kamailio::{Config, faulty_module};
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
    let mut config = Config::new(&db.url());
    config.module = faulty_module();
    config.environment = vec![("SIPWARDEN_PANIC".into(), entry.into())];
    config
}

fn reports(log: &str, entry: &str) -> usize {
    log.matches(&format!("caught a panic in {entry}: ")).count()
}

#[test]
fn without_an_injected_panic_the_build_works() {
    let folder = Folder::new();
    let kamailio = config(&folder, "").start();
    assert_eq!(Phone::new("127.0.0.1", kamailio.address()).ask("c").reason, "filter_off");
    assert_eq!(kamailio.counter("panics"), 0);
}

#[test]
fn a_panic_in_a_check_fails_closed() {
    let folder = Folder::new();
    let routes = r#"
request_route {
    if (check_company_ip("c")) { sl_send_reply("200", "granted"); exit; }
    sl_send_reply("403", "$rc");
}
"#;
    let mut kamailio = config(&folder, "CheckCompanyIp").routes(routes).start();
    let phone = Phone::new("127.0.0.1", kamailio.address());
    for _ in 0..40 {
        let reply = phone.request("OPTIONS", "c", "").unwrap();
        assert_eq!(reply.status, 403, "{}", reply.text);
    }
    assert!(kamailio.runs());
    assert_eq!(kamailio.counter("panics"), 40);
    let log = kamailio.log();
    assert_eq!(reports(&log, "CheckCompanyIp"), 1, "{log}");
    assert!(log.contains("injected into CheckCompanyIp"), "{log}");
}

#[test]
fn a_panic_in_a_grant_gives_none() {
    let folder = Folder::new();
    let routes = r#"
request_route {
    if (grant("c", "60")) { sl_send_reply("200", "granted"); exit; }
    sl_send_reply("403", "$rc");
}
"#;
    let mut kamailio = config(&folder, "Grant").routes(routes).start();
    let phone = Phone::new("127.0.0.1", kamailio.address());
    assert_eq!(phone.request("OPTIONS", "c", "").unwrap().status, 403);
    assert!(kamailio.runs());
    assert_eq!(reports(&kamailio.log(), "Grant"), 1);
    assert_eq!(kamailio.rpc("sipwarden.grants", json!([]))["total"], 0);
}

#[test]
fn a_panic_in_flood_control_fails_open() {
    let folder = Folder::new();
    let routes = r#"
request_route {
    if (flood_check()) { sl_send_reply("200", "$rc"); exit; }
    sl_send_reply("403", "refused");
}
"#;
    let mut kamailio = config(&folder, "FloodCheck").routes(routes).start();
    let phone = Phone::new("127.0.0.1", kamailio.address());
    for _ in 0..40 {
        let reply = phone.request("OPTIONS", "c", "").unwrap();
        assert!(reply.text.starts_with("SIP/2.0 200 3"), "{}", reply.text);
    }
    assert!(kamailio.runs());
    assert_eq!(reports(&kamailio.log(), "FloodCheck"), 1);
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
            "request_route {{
                if ({call}) {{ sl_send_reply(\"200\", \"$rc\"); exit; }}
                sl_send_reply(\"403\", \"refused\");
            }}"
        );
        let mut kamailio = config(&folder, entry).routes(&routes).start();
        let phone = Phone::new("127.0.0.1", kamailio.address());
        for _ in 0..10 {
            let reply = phone.request("OPTIONS", "c", "").unwrap();
            assert!(reply.text.starts_with("SIP/2.0 200 3"), "{}", reply.text);
        }
        assert!(kamailio.runs());
        assert_eq!(reports(&kamailio.log(), entry), 1);
    }
}

#[test]
fn a_panic_in_the_modules_own_process_or_a_setting_leaves_it_serving() {
    for entry in ["Sweep", "Tell", "ApplySetting", "CheckSetting", "Resolve"] {
        let folder = Folder::new();
        let with_resolver = "modparam(\"sipwarden\", \"host_names\", 1)\n";
        let mut config = config(&folder, entry).settings(with_resolver);
        config.modules.push_str("loadmodule \"cfg_rpc.so\"\n");
        let mut kamailio = config.start();
        kamailio.kamcmd(&["cfg.set_now_int", "sipwarden", "flood_limit", "5"]);
        kamailio.kamcmd(&["cfg.set_now_string", "sipwarden", "flood_window", "5s"]);
        wait_for(entry, || (kamailio.counter("panics") >= 1).then_some(()));
        assert_eq!(Phone::new("127.0.0.1", kamailio.address()).ask("c").reason, "filter_off");
        assert!(kamailio.runs());
        assert_eq!(reports(&kamailio.log(), entry), 1);
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
    let mut kamailio = config(&folder, &failing.join(","))
        .settings(&format!("modparam(\"sipwarden\", \"flood_persist\", \"{}\")\n", file.display()))
        .settings("modparam(\"sipwarden\", \"blocklist_file\", \"none=/nonexistent\")\n")
        .start();
    kamailio.rpc("sipwarden.block", json!(["203.0.113.7"]));
    wait_for("the file of blocks", || {
        std::fs::read_to_string(&file).unwrap_or_default().contains("203.0.113.7").then_some(())
    });
    // Without a firewall nothing is fed.
    for job in failing.iter().filter(|job| **job != "Feed") {
        wait_for(job, || (reports(&kamailio.log(), job) == 1).then_some(()));
    }
    kamailio.stop(libc::SIGTERM);
    let folder = Folder::new();
    let kamailio = config(&folder, "Gauges,Audit").start();
    Phone::new("127.9.0.1", kamailio.address()).ask("nobody");
    wait_for("the refusals", || {
        (kamailio.rpc("sipwarden.denied", json!([]))["total"] == 1).then_some(())
    });
}

#[test]
fn a_panic_where_calls_are_counted_fails_closed_but_not_for_emergencies() {
    for (entry, script) in [
        ("RoadwarriorAcquire", "roadwarrior_acquire(\"u@c\", \"c\")"),
        ("CcLimit", "cc_limit(\"c\", \"o\")"),
    ] {
        let folder = Folder::new();
        let routes = format!(
            "request_route {{
                if (cc_limit(\"c\", \"e\")) {{ append_to_reply(\"X-Emergency: passed\\r\\n\"); }}
                if ({script}) {{ sl_send_reply(\"200\", \"granted\"); exit; }}
                sl_send_reply(\"403\", \"refused\");
            }}"
        );
        let mut config = config(&folder, entry).routes(&routes);
        config.modules.push_str("loadmodule \"dialog.so\"\n");
        let mut kamailio = config.start();
        let phone = Phone::new("127.0.0.1", kamailio.address());
        for _ in 0..20 {
            let reply = phone.request("INVITE", "c", "").unwrap();
            assert_eq!(reply.status, 403, "{}", reply.text);
            assert_eq!(reply.header("X-Emergency"), Some("passed"));
        }
        assert!(kamailio.runs());
        assert_eq!(reports(&kamailio.log(), entry), 1);
        // Calls may have been left half counted.
        let anew = "all calls were counted anew: a process had ended, or a panic was caught";
        wait_for(anew, || kamailio.log().contains(anew).then_some(()));
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
        let mut config = crate::support::proxy::config(&db.url(), callee.address)
            .settings("modparam(\"sipwarden\", \"reaper_interval\", 1)\n");
        config.module = faulty_module();
        config.environment = vec![("SIPWARDEN_PANIC".into(), entry.into())];
        let mut kamailio = config.start();
        let endpoint = Endpoint::new("127.0.0.1");
        for _ in 0..5 {
            let mut call = Caller::new(&endpoint, kamailio.address(), "c", "");
            call.invite();
            assert_eq!(call.final_reply().status(), Some(200));
            call.ack();
            call.within("BYE");
        }
        wait_for("panics", || (kamailio.counter("panics") >= 2).then_some(()));
        // Calls whose end nobody was told of are found by the reaper.
        if entry == "DialogEvent" {
            wait_for("the reaper", || (kamailio.counter("leases_leaked") == 5).then_some(()));
            assert_eq!(crate::support::proxy::calls(&kamailio, "c"), 0);
            assert!(kamailio.log().contains("was still counted while its dialog was gone; freed"));
        }
        assert!(kamailio.runs());
        assert_eq!(reports(&kamailio.log(), entry), 1);
    }
}

#[test]
fn a_panic_behind_a_variable_gives_null() {
    let folder = Folder::new();
    let mut kamailio = config(&folder, "Variable").start();
    let phone = Phone::new("127.0.0.1", kamailio.address());
    for _ in 0..20 {
        let reply = phone.request("OPTIONS", "c", "").unwrap();
        assert!(reply.text.contains("X-Verdict: <null> <null>"), "{}", reply.text);
    }
    assert!(kamailio.runs());
    assert_eq!(reports(&kamailio.log(), "Variable"), 1);
}

#[test]
fn a_panic_in_an_rpc_is_a_fault() {
    let folder = Folder::new();
    let mut kamailio = config(&folder, "Rpc").start();
    for method in
        ["reload", "stats", "version", "problems", "check", "company", "blocks", "settings"]
    {
        let fault = kamailio.try_rpc(&format!("sipwarden.{method}"), json!([])).unwrap_err();
        assert!(fault.contains("internal error"), "{fault}");
    }
    assert!(kamailio.runs());
    assert_eq!(Phone::new("127.0.0.1", kamailio.address()).ask("c").reason, "filter_off");
    assert_eq!(reports(&kamailio.log(), "Rpc"), 1);
}

#[test]
fn a_panic_while_kamailio_starts_stops_it_cleanly() {
    for entry in ["Init", "SetParam", "Row"] {
        let folder = Folder::new();
        let log = config(&folder, entry).fail_to_start();
        assert!(reports(&log, entry) >= 1, "{log}");
        assert!(!log.contains("core dump"), "{log}");
    }
    // Before the log is there: the module is not usable, and nothing crashes.
    for (entry, missing) in
        [("Param", "db_url"), ("VariableIndex", "swd"), ("Attach", "injected into Attach")]
    {
        let folder = Folder::new();
        let log = config(&folder, entry).fail_to_start();
        assert!(log.contains(missing), "{log}");
    }
}

#[test]
fn a_panic_in_what_start_up_can_do_without_leaves_it_serving() {
    for entry in ["Statistic", "Destroy", "ReapInterval", "DialogRestored"] {
        let folder = Folder::new();
        let mut kamailio = config(&folder, entry).start();
        assert_eq!(Phone::new("127.0.0.1", kamailio.address()).ask("c").reason, "filter_off");
        assert!(kamailio.runs());
    }
}
