//! Versions of the tables, in the three databases: as old releases left them, as the scripts
//! make them, and as they must not be.

use std::fs;

use crate::support::kamailio::{Config, Kamailio};
use crate::support::servers::Server;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, project};
use serde_json::json;

const ROW: &str = "INSERT INTO sipwarden_brand VALUES ('b', 0); INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 0);";

fn script(file: &str) -> String {
    fs::read_to_string(project().join(file)).unwrap()
}

fn fault(kamailio: &Kamailio) -> String {
    kamailio.try_rpc("sipwarden.reload", json!([])).unwrap_err()
}

/// `run` runs SQL in a database with the tables of 0.1.0; `folder` has its scripts.
fn tables_have_versions(
    config: &Config,
    folder: &str,
    run: &dyn Fn(&str),
    query: &dyn Fn(&str) -> String,
) {
    run(ROW);
    let kamailio = config.start();
    let log = kamailio.log();
    assert!(!log.contains("version\"") && !log.contains("no such table"), "{log}");
    let reload = || kamailio.rpc("sipwarden.reload", json!([]))["generation"].clone();
    assert_eq!(reload(), 2);

    // From 0.1.0 to this release, twice: rows stay.
    let upgrade = script(&format!("kamailio-cfg/sql/{folder}/upgrade-0.9.0.sql"));
    let create = script(&format!("kamailio-cfg/sql/{folder}/sipwarden.sql"));
    for sql in [&upgrade, &create, &upgrade] {
        run(sql);
        assert_eq!(reload()["is_not"], json!(null));
    }
    let ours =
        "SELECT COUNT(*) FROM version WHERE table_name LIKE 'sipwarden_%' AND table_version = 1";
    assert_eq!(query(ours).trim(), "8");
    let generation = reload();

    // Too old: the script that is named helps. Too new: it says so. The old tables serve.
    run("UPDATE version SET table_version = 0 WHERE table_name = 'sipwarden_user'");
    let why = fault(&kamailio);
    let named = format!(
        "table sipwarden_user has version 0, and 1 is needed: run kamailio-cfg/sql/{folder}/upgrade-0.9.0.sql"
    );
    assert!(why.contains(&named), "{why}");
    run(&upgrade);
    assert_eq!(reload(), generation.as_u64().unwrap() + 1);
    run("UPDATE version SET table_version = 2 WHERE table_name = 'sipwarden_user'");
    let why = fault(&kamailio);
    assert!(
        why.contains("sipwarden_user has version 2, and this sipwarden reads 1: install"),
        "{why}"
    );
    assert_eq!(kamailio.rpc("sipwarden.check", json!(["c", "127.0.0.1"]))["reason"], "filter_off");
    drop(kamailio);
    let log = config.fail_to_start();
    assert!(log.contains("sipwarden_user has version 2"), "{log}");

    // A view of another schema has no row, and an application may have a table of this name.
    run("DELETE FROM version WHERE table_name = 'sipwarden_user'");
    run("ALTER TABLE sipwarden_user RENAME TO people");
    run("CREATE VIEW sipwarden_user AS SELECT aor, company_id, external_calls FROM people");
    config.start().rpc("sipwarden.reload", json!([]));
    run("DROP TABLE version");
    run("CREATE TABLE version (number INTEGER)");
    run("INSERT INTO version VALUES (7)");
    config.start().rpc("sipwarden.reload", json!([]));
}

/// A table of limits from before `max_ringing`, as a view of another schema may be.
fn a_column_that_is_missing_is_named(mut config: Config, folder: &str, run: &dyn Fn(&str)) {
    config.settings += "modparam(\"sipwarden\", \"limit_table\", \"sipwarden_limit\")\n";
    run("INSERT INTO sipwarden_limit (kind, id, max_calls) VALUES ('carrier', 'west', 7)");
    let kamailio = config.start();
    let limit = |kamailio: &Kamailio| {
        let limits = kamailio.rpc("sipwarden.limits", json!(["carrier", "west"]));
        limits["limits"][0]["max_calls"].clone()
    };
    run("ALTER TABLE sipwarden_limit DROP COLUMN max_ringing");
    run("UPDATE sipwarden_limit SET max_calls = 8");
    let named = format!(
        "table sipwarden_limit has no column max_ringing: add it to the table or view, as in \
         kamailio-cfg/sql/{folder}/sipwarden.sql"
    );
    let why = fault(&kamailio);
    assert!(why.contains(&named), "{why}");
    assert_eq!(limit(&kamailio), 7);
    drop(kamailio);
    let log = config.fail_to_start();
    assert!(log.contains(&named), "{log}");
    run("ALTER TABLE sipwarden_limit ADD COLUMN max_ringing INTEGER");
    assert_eq!(limit(&config.start()), 8);
}

/// `grant` is what the administrator does for a new table.
fn server_has_versions(server: &Server, folder: &str, grant: &str) {
    // The tables are those of 0.1.0 but for their versions.
    server.run("DROP TABLE version;");
    let mut config = Config::new(&server.url());
    config.modules = server.driver().into();
    let run = |sql: &str| {
        server.run(&format!("{};\n{grant}", sql.trim_end().trim_end_matches(';')));
    };
    tables_have_versions(&config, folder, &run, &|sql| server.query(sql));
    a_column_that_is_missing_is_named(config, folder, &run);
}

#[test]
fn mariadb() {
    server_has_versions(&Server::mariadb(), "mysql", "");
}

#[test]
fn postgresql() {
    server_has_versions(
        &Server::postgres(),
        "postgres",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO sip;",
    );
}

#[test]
fn sqlite() {
    let folder = Folder::new();
    let db = Sqlite::empty(folder.join("tables.sqlite"));
    db.run(&script("tests/package/0.1.0/sqlite.sql"));
    let config = Config::new(&db.url());
    tables_have_versions(&config, "sqlite", &|sql| db.run(sql), &|sql| db.query(sql));
    a_column_that_is_missing_is_named(config, "sqlite", &|sql| db.run(sql));
}
