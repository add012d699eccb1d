//! A panic in any entry from C leaves Kamailio serving and is logged once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

use serde_json::json;
use support::Folder;
use support::kamailio::{Config, faulty_module};
use support::sip::Phone;
use support::sqlite::Sqlite;

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
    for method in ["reload", "stats", "version", "problems", "check", "company"] {
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
    for (entry, missing) in [("Param", "db_url"), ("VariableIndex", "swd")] {
        let folder = Folder::new();
        let log = config(&folder, entry).fail_to_start();
        assert!(log.contains(missing), "{log}");
    }
}

#[test]
fn a_panic_in_what_start_up_can_do_without_leaves_it_serving() {
    for entry in ["Statistic", "Destroy"] {
        let folder = Folder::new();
        let mut kamailio = config(&folder, entry).start();
        assert_eq!(Phone::new("127.0.0.1", kamailio.address()).ask("c").reason, "filter_off");
        assert!(kamailio.runs());
    }
}
