//! The same tables in a real MariaDB and a real PostgreSQL.

use super::Config;
use crate::support::servers::Server;
use crate::support::sip::Phone;
use serde_json::json;

/// More rows than the driver hands over at a time, not a multiple of it.
const COMPANIES: usize = 1001;

fn tables_are_read_and_reloaded(mut database: Server, backslash: &str) {
    database.run("INSERT INTO sipwarden_brand VALUES ('b', 5);");
    let companies: Vec<_> = (0..COMPANIES).map(|n| format!("('c{n}', 'b', 1, {n})")).collect();
    database.run(&format!("INSERT INTO sipwarden_company VALUES {};", companies.join(",")));
    let ranges: Vec<_> =
        (0..COMPANIES).map(|n| format!("('c{n}', '10.{}.{}.0', 24)", n / 250, n % 250)).collect();
    database.run(&format!("INSERT INTO sipwarden_company_address VALUES {};", ranges.join(",")));
    database.run("INSERT INTO sipwarden_company_address VALUES ('c7', '127.0.1.0/24', NULL), ('c7', '2001:db8::/32', NULL);
        INSERT INTO sipwarden_company VALUES ('qu''ote%s é', 'b', 0, 0);
        INSERT INTO sipwarden_company_country VALUES ('c7', 'ES');
        INSERT INTO sipwarden_user VALUES ('alice@c7.example', 'c7', 3);
        INSERT INTO sipwarden_trusted VALUES ('192.0.2.1', NULL, 'exempt'), ('192.0.2.2', 32, NULL);
        INSERT INTO sipwarden_limit VALUES ('company', 'c7', 'in', 120, 10, 60, 5, 3600, NULL, 30);
        INSERT INTO sipwarden_limit (kind, id, max_new, window_seconds) VALUES ('did', '*', 3, 1);");

    // The schema may be run again: the rows stay, as the log shows below.
    database.create_tables();

    // A text that a driver might take for an escape sequence.
    database.run(&format!("INSERT INTO sipwarden_company VALUES ('{backslash}x37', 'b', 0, 0);"));

    let mut config = Config::new(&database.url())
        .settings("modparam(\"sipwarden\", \"limit_table\", \"sipwarden_limit\")\n");
    config.modules = database.driver().into();
    let server = config.start();
    let log = server.log();
    let rows = format!(
        "1 brands, {} companies, {} ranges, 1 countries, 1 users, 2 trusted, 2 limits",
        COMPANIES + 2,
        COMPANIES + 2
    );
    assert!(log.contains(&rows), "{log}");
    assert!(!log.contains("sip:secret@"), "{log}");
    let limits = server.ask("company", json!(["c7"]))["limits"].clone();
    let numbers = ["max_calls", "max_new", "window_seconds", "reserved", "longest", "max_ringing"];
    assert_eq!(numbers.map(|name| limits[0][name].as_u64()), [120, 10, 60, 5, 3600, 30].map(Some));
    assert_eq!(limits[0]["direction"], "in", "{limits}");

    let phone = Phone::new("127.0.1.1", server.address());
    assert_eq!(phone.ask("c7").reason, "granted_range");
    assert_eq!(phone.ask("c8").reason, "denied_source");
    let last = format!("c{}", COMPANIES - 1);
    assert_eq!(server.ask("company", json!([last]))["max_calls"], COMPANIES - 1);
    let escaped = server.ask("check", json!(["\\x37", "127.0.0.1"]));
    assert_eq!(escaped["reason"], "filter_off", "{escaped}");
    let quoted = server.ask("check", json!(["qu'ote%s é", "127.0.0.1"]));
    assert_eq!(quoted["reason"], "filter_off");
    assert_eq!(server.ask("check", json!(["c7", "2001:db8::9"]))["reason"], "granted_range");

    database.run("INSERT INTO sipwarden_company_address VALUES ('c8', '127.0.1.1', NULL);");
    assert_eq!(server.ask("reload", json!([]))["generation"], 2);
    assert_eq!(phone.ask("c8").reason, "granted_range");

    database.run("INSERT INTO sipwarden_company_address VALUES ('c8', '127.0.1.1', 8);");
    let fault = server.try_ask("reload", json!([])).unwrap_err();
    assert!(fault.contains("127.0.1.1") && fault.contains("127.0.0.0/8"), "{fault}");
    database.run("DELETE FROM sipwarden_company_address WHERE mask = 8;");

    database.kill();
    let fault = server.try_ask("reload", json!([])).unwrap_err();
    assert!(fault.contains("127.0.0.1") && !fault.contains("secret"), "{fault}");
    assert_eq!(phone.ask("c8").reason, "granted_range");
    database.start();
    assert_eq!(server.ask("reload", json!([]))["generation"], 3);

    database.run("ALTER TABLE sipwarden_trusted RENAME TO elsewhere;");
    let fault = server.try_ask("reload", json!([])).unwrap_err();
    assert!(fault.contains("table sipwarden_trusted cannot be read: kamailio-cfg/sql"), "{fault}");
    database.run("ALTER TABLE elsewhere RENAME TO sipwarden_trusted;");
    database.run("ALTER TABLE sipwarden_user RENAME COLUMN external_calls TO calls;");
    let fault = server.try_ask("reload", json!([])).unwrap_err();
    assert!(fault.contains("table sipwarden_user has no column external_calls: add"), "{fault}");
    database.run("ALTER TABLE sipwarden_user RENAME COLUMN calls TO external_calls;");
    // A driver that reconnects in the middle must not mix two states.
    database.make_trusted_slow();
    let fault = std::thread::scope(|scope| {
        let reloading = scope.spawn(|| server.try_ask("reload", json!([])));
        database.kill_sleeping_session();
        reloading.join().unwrap().unwrap_err()
    });
    assert!(fault.contains("lost") || fault.contains("cannot be read"), "{fault}");
    database.run("DROP VIEW sipwarden_trusted; ALTER TABLE fast RENAME TO sipwarden_trusted;");
    for expected in 4..30 {
        assert_eq!(server.ask("reload", json!([]))["generation"], expected);
    }
    assert_eq!(phone.ask("c8").reason, "granted_range");
}

#[test]
fn mariadb() {
    tables_are_read_and_reloaded(Server::mariadb(), "\\\\");
}

#[test]
fn postgresql() {
    tables_are_read_and_reloaded(Server::postgres(), "\\");
}
