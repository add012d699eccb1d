//! What is Kamailio's own about tables in a real MariaDB and a real PostgreSQL.

use crate::support::kamailio::Config;
use crate::support::servers::Server;
use crate::support::sip::Phone;
use crate::support::wait_for;
use serde_json::json;

const UUID: &str = "123e4567-e89b-12d3-a456-426614174000";
const OTHER: &str = "00000000-0000-0000-0000-000000000000";

fn one_company(server: &Server) -> Config {
    server.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('on', 'b', 1, 0), ('off', 'b', 0, 0);
        INSERT INTO sipwarden_company_address VALUES ('on', '127.0.1.1', NULL);",
    );
    let mut config = Config::new(&server.url());
    config.modules = server.driver().into();
    config
}

#[test]
fn mariadb_columns_of_other_types_are_read_or_their_cast_is_named() {
    let server = Server::mariadb();
    let config = one_company(&server);
    server.run("ALTER TABLE sipwarden_company MODIFY ip_filter BIT(1);");
    let kamailio = config.start();
    let inside = Phone::new("127.0.1.1", kamailio.address());
    let filters = |kamailio: &crate::support::kamailio::Kamailio| {
        ["on", "off"].map(|id| kamailio.rpc("sipwarden.company", json!([id]))["ip_filter"].clone())
    };
    assert_eq!(filters(&kamailio), ["on", "off"]);
    let faults = |said: &str| {
        let fault = kamailio.try_rpc("sipwarden.reload", json!([])).unwrap_err();
        let log = kamailio.log();
        assert!(log.contains(said), "{said}: {fault} {log}");
        assert_eq!(inside.ask("on").reason, "granted_range");
    };
    let reads = || kamailio.rpc("sipwarden.reload", json!([]));

    server.run(
        "DROP TABLE sipwarden_company_address;
        CREATE TABLE sipwarden_company_address (company_id VARCHAR(9), ip_addr INET6, mask INT);
        INSERT INTO sipwarden_company_address VALUES ('on', '::ffff:127.0.1.1', NULL);",
    );
    faults("is not an IP address; cast it in a view: CAST(ip_addr AS CHAR)");
    server.run(
        "ALTER TABLE sipwarden_company_address RENAME TO addresses;
        CREATE VIEW sipwarden_company_address AS
            SELECT company_id, CAST(ip_addr AS CHAR) AS ip_addr, mask FROM addresses;",
    );
    reads();
    assert_eq!(inside.ask("on").reason, "granted_range");

    server.run(
        "ALTER TABLE sipwarden_company MODIFY max_calls BIT(12);
        UPDATE sipwarden_company SET max_calls = 300;",
    );
    faults("is not a number from 0 to 2147483647; cast it in a view: CAST(max_calls AS UNSIGNED)");
    server.run("ALTER TABLE sipwarden_company MODIFY max_calls INT;");

    server.run(&format!(
        "CREATE TABLE tenants (id UUID, brand_id VARCHAR(9), ip_filter BIT(2), max_calls INT);
        INSERT INTO tenants VALUES ('{UUID}', 'b', 2, 0);
        ALTER TABLE sipwarden_company RENAME TO companies;
        CREATE VIEW sipwarden_company AS SELECT * FROM tenants;
        DELETE FROM addresses;"
    ));
    faults("is not text (UTF-8); cast it in a view: CAST(id AS CHAR)");
    server.run(
        "CREATE OR REPLACE VIEW sipwarden_company AS
            SELECT CAST(id AS CHAR) AS id, brand_id, ip_filter, max_calls FROM tenants;",
    );
    reads();
    assert_eq!(kamailio.rpc("sipwarden.company", json!([UUID]))["ip_filter"], "monitor");
}

#[test]
fn postgresql_columns_of_other_types_are_read() {
    let server = Server::postgres();
    let config = one_company(&server);
    server.run(&format!(
        "DROP TABLE sipwarden_company_address, sipwarden_company_country, sipwarden_user, sipwarden_company;
        CREATE TABLE sipwarden_company (id UUID, brand_id TEXT, ip_filter BOOLEAN, max_calls BIGINT);
        CREATE TABLE sipwarden_company_address (company_id UUID, ip_addr INET, mask INT);
        CREATE TABLE sipwarden_company_country (company_id UUID, country CHAR(2));
        CREATE TABLE sipwarden_user (aor TEXT, company_id UUID, external_calls NUMERIC(1));
        INSERT INTO sipwarden_company VALUES ('{UUID}', 'b', true, 0), ('{OTHER}', 'b', false, NULL);
        INSERT INTO sipwarden_company_address VALUES ('{UUID}', '127.0.1.1', NULL), ('{UUID}', '127.3.0.0/16', NULL);
        INSERT INTO sipwarden_user VALUES ('alice@x', '{UUID}', 3);
        GRANT SELECT ON ALL TABLES IN SCHEMA public TO sip;"
    ));
    let kamailio = config.start();
    let phone = |ip: &str| Phone::new(ip, kamailio.address()).ask(UUID).reason;
    assert_eq!(phone("127.0.1.1"), "granted_range");
    assert_eq!(phone("127.3.1.2"), "granted_range");
    assert_eq!(phone("127.0.1.2"), "denied_source");
    let off = kamailio.rpc("sipwarden.company", json!([OTHER]));
    assert_eq!(off["ip_filter"], "off");
}

/// A server that is gone, and one that takes connections and never answers.
fn the_proxy_starts_without_it(mut server: Server, driver: &str) {
    let folder = crate::support::Folder::new();
    let mut config = one_company(&server);
    config.modules.push_str(driver);
    let config = config.settings(&format!(
        "modparam(\"sipwarden\", \"tables_file\", \"{}\")\n",
        folder.join("kept").display()
    ));
    let mut kamailio = config.start();
    wait_for("the file", || (kamailio.counter("tables_kept") == 1).then_some(()));
    kamailio.stop(libc::SIGTERM);
    for halted in [false, true] {
        if halted {
            server.stop()
        } else {
            server.kill()
        }
        kamailio = config.start();
        assert_eq!(kamailio.counter("tables_from_file"), 1);
        let inside = Phone::new("127.0.1.1", kamailio.address());
        assert_eq!(inside.ask("on").reason, "granted_range");
        // While the one process waits for the database, the other does its work.
        wait_for("a block that ends", || {
            kamailio.rpc("sipwarden.block", json!(["203.0.113.7", "1"]));
            kamailio.log().contains("block of 203.0.113.7 ends").then_some(())
        });
        if halted {
            server.resume()
        } else {
            server.start()
        }
        crate::support::wait_up_to(
            std::time::Duration::from_secs(90),
            "the database's tables",
            || (kamailio.counter("tables_from_file") == 0).then_some(()),
        );
        assert_eq!(inside.ask("on").reason, "granted_range");
        kamailio.stop(libc::SIGTERM);
    }
}

#[test]
fn mariadb_is_not_needed_to_start() {
    the_proxy_starts_without_it(Server::mariadb(), "");
}

#[test]
fn postgresql_is_not_needed_to_start() {
    let patience = "modparam(\"db_postgres\", \"timeout\", 2)\n";
    the_proxy_starts_without_it(Server::postgres(), patience);
}

/// Quotes, backslashes, format directives, control characters, other alphabets, and
/// a text that is too long.
const HOSTILE: [&str; 5] = [
    "a'; DROP TABLE sipwarden_audit; --@x",
    "back\\slash'\\''@x",
    "%s%n%x%@x",
    "anaïs@пример",
    "\u{1b}[2J@x",
];

fn the_audit_table_is_written(mut server: Server) {
    server.run("INSERT INTO sipwarden_brand VALUES ('b', 5); INSERT INTO sipwarden_company VALUES ('c', 'b', 1, 0);");
    let kamailio = server.audited().start();
    let phone = Phone::new("127.9.0.1", kamailio.address());
    let ask = |aor: &str| {
        phone.request("OPTIONS", "x", &format!("X-Aor: {aor}\r\n")).unwrap();
    };
    let column = |server: &Server, column: &str, reason: &str| {
        let mut all: Vec<String> = server
            .query(&format!("SELECT {column} FROM sipwarden_audit WHERE reason = '{reason}'"))
            .lines()
            .map(|line| match server.driver().contains("mysql") {
                // the client doubles backslashes
                true => line.replace("\\\\", "\\"),
                false => line.to_owned(),
            })
            .collect();
        all.sort();
        all
    };
    // The repeats of each are told when their period is over: one row, two hits.
    let long = "l".repeat(400);
    for aor in HOSTILE.into_iter().chain([long.as_str()]) {
        ask(aor);
        ask(aor);
    }
    let mut expected: Vec<String> =
        HOSTILE.iter().map(|aor| aor.escape_debug().to_string()).collect();
    expected.push(long[..320].to_owned());
    expected.sort();
    wait_for("all rows, with their repeats", || {
        let reason = "roadwarrior_none";
        (column(&server, "aor", reason) == expected
            && column(&server, "hits", reason) == vec!["2"; expected.len()])
        .then_some(())
    });
    let times = "CASE WHEN last_time >= first_time AND first_time > 1700000000 THEN 1 ELSE 0 END";
    assert_eq!(column(&server, times, "roadwarrior_none"), vec!["1"; expected.len()]);
    let subject = column(&server, "CONCAT(source, ' ', company, ' ', brand)", "roadwarrior_none");
    assert_eq!(subject, vec!["127.9.0.1 c b"; expected.len()]);

    // It comes back by itself, and nothing of the time between is lost.
    server.kill();
    ask("later@x");
    wait_for("a complaint", || kamailio.log().contains("audit rows are not written").then_some(()));
    server.start();
    wait_for("the row", || {
        column(&server, "aor", "roadwarrior_none").contains(&"later@x".to_owned()).then_some(())
    });
    assert_eq!(kamailio.counter("audit_lost"), 0);
}

#[test]
fn mariadb_keeps_the_audit() {
    the_audit_table_is_written(Server::mariadb());
}

#[test]
fn postgresql_keeps_the_audit() {
    the_audit_table_is_written(Server::postgres());
}

/// The views that the guide shows, over the tables that it shows.
#[test]
fn the_guides_views_of_a_table_of_tenants_load() {
    let server = Server::mariadb();
    let guide =
        std::fs::read_to_string(crate::support::project().join("docs/your-schema.md")).unwrap();
    let mut blocks = guide.split("```sql\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    server.run(
        "SET foreign_key_checks = 0; DROP TABLE sipwarden_brand, sipwarden_company,
        sipwarden_company_address, sipwarden_company_country, sipwarden_user, sipwarden_trusted,
        sipwarden_limit;",
    );
    server.run(blocks.next().unwrap());
    server.run(
        "INSERT INTO tenants VALUES (7, 'seven.example', NULL, 5, NULL, 1),
            (8, 'eight.example', 3, NULL, NULL, 1), (9, 'gone.example', 3, 1, NULL, 0);
        INSERT INTO tenant_ips VALUES (7, '127.0.1.0/24'), (7, '2001:db8::/32'), (9, '127.0.9.0/24');
        INSERT INTO extensions VALUES (1, 7, 'alice', 1), (2, 8, 'bob', 0), (3, 9, 'eve', 1);
        INSERT INTO carriers VALUES ('192.0.2.1', 30), ('192.0.2.2', NULL);",
    );
    server.run(blocks.next().unwrap());
    server.run(blocks.next().unwrap());
    let class =
        "modparam(\"sipwarden\", \"flood_class\", \"carrier=limit:2000;window:2;block:0\")\n";
    let table = "modparam(\"sipwarden\", \"limit_table\", \"sipwarden_limit\")\n";
    let mut config = Config::new(&server.url()).settings(class).settings(table);
    config.modules = server.driver().into();
    let kamailio = config.start();
    let log = kamailio.log();
    let rows = "2 brands, 2 companies, 2 ranges, 0 countries, 2 users, 2 trusted, 2 limits";
    assert!(log.contains(rows), "{log}");
    let phone = Phone::new("127.0.1.1", kamailio.address());
    assert_eq!(phone.ask("7").reason, "granted_range");
    assert_eq!(phone.ask("8").reason, "filter_off");
    assert_eq!(phone.ask("9").reason, "unknown_company");
}
