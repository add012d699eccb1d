//! Tables are read anew while requests come, and bad ones leave the old.

use serde_json::json;

use crate::host::Config;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, Going};

#[test]
fn reloads_under_load_show_one_state_or_the_other() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 1, 0);
         INSERT INTO sipwarden_company_address VALUES ('c', '127.0.0.1', 32);",
    );
    // More than a page of rows.
    db.run(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         INSERT INTO sipwarden_company_address
             SELECT 'c', '10.' || (i / 250) || '.' || (i % 250) || '.0', 24 FROM n;",
    );
    let opensips = Config::new(&db.url()).start();
    let stats = opensips.rpc("sipwarden_reload", json!([]));
    assert_eq!(stats["rows"]["ranges"], 20001, "{stats}");
    let load = Going::begin();
    std::thread::scope(|scope| {
        let asker = scope.spawn(|| {
            let phone = Phone::new("127.0.0.1", opensips.address());
            let mut seen = 0;
            while load.is_on() {
                let told = phone.ask("c");
                assert!([1, 2].contains(&told.code), "{told:?}");
                seen += 1;
            }
            seen
        });
        let end = load.while_held();
        for round in 0..20 {
            db.run(&format!("UPDATE sipwarden_company SET ip_filter = {};", round % 2));
            opensips.rpc("sipwarden_reload", json!([]));
        }
        drop(end);
        assert!(asker.join().unwrap() > 20);
    });
    let phone = Phone::new("127.0.0.1", opensips.address());
    assert_eq!(phone.ask("c").code, 1);
}

#[test]
fn a_bad_row_is_named_and_changes_nothing() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 0);",
    );
    let opensips = Config::new(&db.url()).start();
    db.run("INSERT INTO sipwarden_company_address VALUES ('c', 'nowhere', 8);");
    let fault = opensips.try_rpc("sipwarden_reload", json!([])).unwrap_err();
    assert!(fault.contains("nowhere"), "{fault}");
    let phone = Phone::new("127.0.0.1", opensips.address());
    assert_eq!(phone.ask("c").code, 2);
    db.run("DELETE FROM sipwarden_company_address; UPDATE sipwarden_company SET ip_filter = 1;");
    opensips.rpc("sipwarden_reload", json!([]));
    assert_eq!(phone.ask("c").code, -2);
}

#[test]
fn a_table_that_is_missing_stops_the_start_and_not_the_server() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    let opensips = Config::new(&db.url()).start();
    db.run("DROP TABLE sipwarden_user;");
    let fault = opensips.try_rpc("sipwarden_reload", json!([])).unwrap_err();
    assert!(fault.contains("sipwarden_user"), "{fault}");
    opensips.rpc("sipwarden_stats", json!([]));
    drop(opensips);
    let log = Config::new(&db.url()).fail_to_start();
    assert!(log.contains("table sipwarden_user cannot be read"), "{log}");
}

#[test]
fn refusals_are_written_to_the_audit_table() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 1, 0);",
    );
    let settings = format!("modparam(\"sipwarden\", \"audit_url\", \"{}\")\n", db.url());
    let opensips = Config::new(&db.url()).settings(&settings).start();
    let phone = Phone::new("127.0.0.1", opensips.address());
    for _ in 0..3 {
        assert_eq!(phone.ask("c").code, -2);
    }
    crate::support::wait_for("the rows", || {
        let rows = db.query(
            "SELECT reason, source, company, SUM(hits) FROM sipwarden_audit \
             WHERE company = 'c' GROUP BY 1, 2, 3;",
        );
        (rows.trim() == "denied_no_ranges|127.0.0.1|c|3").then_some(())
    });
    assert_eq!(opensips.counter("audit_lost"), 0);
}
