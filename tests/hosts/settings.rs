//! Settings that are changed while the server runs.

use super::{Config, Server};
use crate::support::call::{Caller, Endpoint};
use crate::support::callee::AutoCallee;
use crate::support::panics::injected;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, proxy, wait_for};
use serde_json::{Value, json};

const TENANTS: &str = "
INSERT INTO sipwarden_brand VALUES ('b', 0);
INSERT INTO sipwarden_company VALUES ('office', 'b', 1, 0);
";

pub fn tenants(folder: &Folder, name: &str) -> Sqlite {
    let db = Sqlite::create(folder.join(name));
    db.run(TENANTS);
    db
}

fn set(server: &Server, name: &str, value: &str) {
    server.ask("set", json!([name, value]));
}

/// Why a value is refused.
fn refused(server: &Server, name: &str, value: &str) -> String {
    server.try_ask("set", json!([name, value])).unwrap_err()
}

/// The settings, once all changes hold.
pub fn settings(server: &Server) -> Value {
    wait_for("changes", || {
        let told = server.ask("settings", json!([]));
        (told["pending"] == 0).then_some(told)
    })
}

#[test]
fn another_database_and_other_tables_hold_from_the_next_reload_on() {
    let folder = Folder::new();
    let (first, second) = (tenants(&folder, "a.sqlite"), tenants(&folder, "b.sqlite"));
    second.run("INSERT INTO sipwarden_company VALUES ('new', 'b', 0, 0);");
    first.run("CREATE VIEW all_open AS SELECT id, brand_id, 0 AS ip_filter, max_calls FROM sipwarden_company;");
    let server = Config::new(&first.url()).start();
    let phone = Phone::new("127.9.0.1", server.address());
    let verdict = |company: &str| phone.ask(company).reason;
    let reload = || server.try_ask("reload", json!([]));
    assert_eq!(verdict("office"), "denied_no_ranges");

    set(&server, "company_table", "all_open");
    reload().unwrap();
    assert_eq!(verdict("office"), "filter_off");
    set(&server, "company_table", "sipwarden_company");
    set(&server, "db_url", &second.url());
    reload().unwrap();
    assert_eq!(
        (verdict("office"), verdict("new")),
        ("denied_no_ranges".into(), "filter_off".into())
    );

    // What cannot be is refused, what cannot be read leaves the tables as they are.
    let before = settings(&server);
    let said = refused(&server, "company_table", "a; DROP");
    assert!(said.contains("company_table: \"a; DROP\" is not a table name"), "{said}");
    let said = refused(&server, "db_url", "oracle://sip:secret@db/sip");
    assert!(said.contains("db_url: \"oracle\" is not supported"), "{said}");
    let said = refused(&server, "reload_bad_rows", "keep");
    assert!(said.contains("\"keep\" is not one of fail, skip"), "{said}");
    assert_eq!(settings(&server), before);
    set(&server, "brand_table", "nowhere");
    let fault = reload().unwrap_err();
    assert!(fault.contains("nowhere"), "{fault}");
    assert_eq!(verdict("new"), "filter_off");
    set(&server, "brand_table", "sipwarden_brand");

    second.run("INSERT INTO sipwarden_company_address VALUES ('office', '10.0.0.300', NULL);");
    let fault = reload().unwrap_err();
    assert!(fault.contains("10.0.0.300"), "{fault}");
    set(&server, "reload_bad_rows", "skip");
    assert_eq!(reload().unwrap()["rows"]["companies"], 2);
}

#[test]
fn the_audit_table_is_switched_on_moved_and_off() {
    let folder = Folder::new();
    let (first, second) = (tenants(&folder, "a.sqlite"), tenants(&folder, "b.sqlite"));
    second.run("CREATE TABLE other AS SELECT * FROM sipwarden_audit;");
    let server = Config::new(&first.url()).start();
    let phone = Phone::new("127.9.0.1", server.address());
    let row = |db: &Sqlite, table: &str, company: &str| {
        phone.ask(company);
        wait_for(company, || {
            let sql = format!("SELECT hits FROM {table} WHERE company = '{company}';");
            (db.query(&sql) == "1\n").then_some(())
        });
    };
    set(&server, "audit_url", &first.url());
    settings(&server);
    row(&first, "sipwarden_audit", "one");
    set(&server, "audit_url", &second.url());
    settings(&server);
    row(&second, "sipwarden_audit", "two");
    set(&server, "audit_table", "other");
    settings(&server);
    row(&second, "other", "three");
    set(&server, "audit_url", "");
    settings(&server);
    phone.ask("four");
    wait_for("four is told", || {
        (server.ask("denied", json!(["four"]))["total"] == 1).then_some(())
    });
    assert_eq!(server.counter("audit_lost"), 0);
    set(&server, "audit_table", "sipwarden_audit");
    set(&server, "audit_url", &first.url());
    settings(&server);
    row(&first, "sipwarden_audit", "five");
    let all = "SELECT company FROM sipwarden_audit WHERE company <> '' ORDER BY 1;";
    assert_eq!(first.query(all), "five\none\n");
    assert_eq!(second.query(all), "two\n");
}

#[test]
fn blocks_are_written_to_the_file_that_is_named() {
    let folder = Folder::new();
    let server = Config::new(&tenants(&folder, "a.sqlite").url()).start();
    server.ask("block", json!(["127.8.0.1"]));
    let has_block = |name: &str| {
        wait_for(name, || {
            let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
            text.contains("127.8.0.1/32").then_some(())
        });
    };
    let path = |name: &str| folder.join(name).display().to_string();
    set(&server, "flood_persist", &path("first"));
    has_block("first");
    set(&server, "flood_persist", &path("second"));
    has_block("second");
    let said = refused(&server, "flood_persist", "blocks");
    assert!(said.contains("flood_persist: \"blocks\" does not begin with /"), "{said}");
    std::fs::write(folder.join("other"), "not ours").unwrap();
    let said = refused(&server, "flood_persist", &path("other"));
    assert!(said.contains("other\" is not a file of blocks"), "{said}");
    let said = refused(&server, "flood_persist", &path(""));
    assert!(said.contains("is not a file of blocks"), "{said}");
    let said = refused(&server, "flood_persist", &path("no/folder"));
    assert!(said.contains("cannot be written"), "{said}");
    assert_eq!(settings(&server)["flood_persist"], path("second"));
}

#[test]
fn the_reaper_is_switched_on() {
    let folder = Folder::new();
    let db = tenants(&folder, "a.sqlite");
    db.run("UPDATE sipwarden_company SET ip_filter = 0;");
    let callee = AutoCallee::start("127.0.0.1");
    let config: Config = proxy::config(&db.url(), callee.address)
        .settings("modparam(\"sipwarden\", \"reaper_interval\", 0)\n");
    // A build in which the ends of calls are not noticed.
    let server = injected(config, "DialogEvent").start();
    let endpoint = Endpoint::new("127.0.0.1");
    let mut call = Caller::new(&endpoint, server.address(), "office", "");
    call.invite();
    assert_eq!(call.final_reply().status(), Some(200));
    call.ack();
    call.within("BYE");
    wait_for("the end", || {
        let found = server.ask("reconcile", json!([]));
        (found["without_dialog"] == 1).then_some(())
    });
    assert_eq!(proxy::calls(&server, "office"), 1);
    set(&server, "reaper_interval", "1");
    wait_for("the reaper", || (proxy::calls(&server, "office") == 0).then_some(()));
}
