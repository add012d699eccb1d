//! IvozProvider's tables as sipwarden's views show them, in a real MariaDB.

use std::fs;

use crate::support::kamailio::Kamailio;
use crate::support::platform::{BRANDS, COMPANIES, Platform, network_of};
use crate::support::project;
use serde_json::{Value, json};

fn reason(kamailio: &Kamailio, company: &str, ip: &str) -> String {
    let told = kamailio.rpc("sipwarden.check", json!([company, ip]));
    told["reason"].as_str().unwrap().to_owned()
}

/// What an INVITE of this user would be told from an address that is not granted.
pub fn roadwarrior(kamailio: &Kamailio, company: &str, aor: &str) -> Value {
    kamailio.rpc("sipwarden.check", json!([company, "198.18.0.1", aor]))["roadwarrior"].clone()
}

fn class(kamailio: &Kamailio, ip: &str) -> String {
    kamailio.rpc("sipwarden.source", json!([ip]))["class"].as_str().unwrap().to_owned()
}

#[test]
fn thousands_of_companies_are_read_through_views_and_nothing_else_can_be() {
    let platform = Platform::start();
    platform.run("INSERT INTO ApplicationServers VALUES (1, '127.0.0.20', 'as1');");
    let kamailio = platform.config("sipwarden_trusted_users").start();
    let rows = format!(
        "{BRANDS} brands, {COMPANIES} companies, {COMPANIES} ranges, 0 countries, {} users, 1 trusted",
        2 * COMPANIES
    );
    assert!(kamailio.log().contains(&rows), "{}", kamailio.log());
    for n in [1, 777, COMPANIES] {
        let (id, inside) = (n.to_string(), format!("{}.9", network_of(n)));
        assert_eq!(reason(&kamailio, &id, &inside), "granted_range");
        assert_eq!(reason(&kamailio, &id, "198.18.0.1"), "denied_source");
        let told = roadwarrior(&kamailio, &id, &format!("alice@c{n}.example"));
        let expected = if n % 4 == 0 { "roadwarrior_none" } else { "roadwarrior_counted" };
        assert_eq!(told["reason"], expected, "{told}");
        let told = roadwarrior(&kamailio, &id, &format!("bob@c{n}.example"));
        assert_eq!(told["reason"], "roadwarrior_none", "{told}");
    }

    // The user of the views reads no table of the platform, and writes nowhere.
    for (user, password, sql) in [
        ("sipwarden", "shown", "SELECT * FROM ivozprovider.Terminals"),
        ("sipwarden", "shown", "SELECT * FROM ivozprovider.kam_users_address"),
        ("sipwarden", "shown", "DELETE FROM sipwarden.sipwarden_operator_address"),
        ("sipwarden", "shown", "DELETE FROM sipwarden.sipwarden_brand"),
        ("sipwarden", "shown", "INSERT INTO sipwarden.sipwarden_brand VALUES ('9', 0)"),
        ("sipwarden", "shown", "SELECT * FROM sipwarden.sipwarden_audit"),
        ("sipwarden_audit", "written", "DELETE FROM sipwarden.sipwarden_audit"),
        ("sipwarden_audit", "written", "SELECT * FROM sipwarden.sipwarden_company"),
    ] {
        let denied = platform.server.try_query_as(user, password, sql).unwrap_err();
        assert!(denied.contains("denied"), "{sql}: {denied}");
    }
    // Nothing was added to the platform's own database, and the script may run again.
    let before = platform.server.query(
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'ivozprovider'",
    );
    let views = project().join("kamailio-cfg/ivozprovider/views.sql");
    platform.server.run_script(&fs::read_to_string(views).unwrap());
    let after = platform.server.query(
        "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'ivozprovider'",
    );
    assert_eq!(before, after);

    // An edit in the portal, and a reload.
    platform.run("INSERT INTO kam_users_address (companyId, source_address, ip_addr) VALUES (7, '198.18.0.1', '198.18.0.1');");
    assert_eq!(kamailio.rpc("sipwarden.reload", json!([]))["generation"], 2);
    assert_eq!(reason(&kamailio, "7", "198.18.0.1"), "granted_range");
}

/// Brand 1, companies 1 (vpbx) and 2 (wholesale), and what a case needs. Some keys are
/// gone, so that rows can be there which the platform's portal never writes.
pub fn small() -> Platform {
    let platform = Platform::empty();
    platform.run(
        "ALTER TABLE Users ADD KEY (terminalId), DROP KEY uniqueTerminalId;
         ALTER TABLE Terminals DROP KEY terminal_name_domain;
         ALTER TABLE kam_trusted DROP KEY src_ip;
         ALTER TABLE kam_users_address MODIFY mask INT NULL DEFAULT 32;
         INSERT INTO Brands VALUES (1, 'b', 4294967295);
         INSERT INTO Companies (id, brandId, type, name, domain_users, ipFilter, maxCalls) VALUES
            (1, 1, 'vpbx', 'c', 'c1.example', 1, 0), (2, 1, 'wholesale', 'w', NULL, 1, 4294967295),
            (3, 1, 'retail', 'r', NULL, NULL, 0), (4, 1, 'residential', 's', NULL, 0, 0),
            (5, 1, 'vpbx', 'empty', NULL, 1, 7), (6, 1, 'vpbx', 'watched', NULL, 1, 0);
         INSERT INTO sipwarden.sipwarden_watched_company VALUES (6);
         INSERT INTO Domains VALUES (1, 'C1.example'), (2, ' c5.example ');",
    );
    platform
}

#[test]
fn limits_of_the_operator_and_of_received_calls_are_read() {
    let platform = small();
    platform.run(
        "INSERT INTO Terminals (id, name, domainId, companyId) VALUES
            (1, 'Alice', 1, 1), (2, 'bob', 1, 1), (3, 'carol', NULL, 1), (4, 'dave', 1, 1);
         INSERT INTO Users (id, companyId, terminalId, maxCalls) VALUES
            (1, 1, 1, 3), (2, 1, 1, 2), (3, 1, 2, 0), (4, 1, 3, 1), (5, 1, 4, 4294967295),
            (6, 1, NULL, 1);
         INSERT INTO sipwarden.sipwarden_operator_limit (kind, id, direction, max_calls, max_new, window_seconds)
            VALUES ('did', '*', 'in', 5, 10, 1), ('user', 'dave@c1.example', 'in', 4, NULL, NULL);",
    );
    let table = "modparam(\"sipwarden\", \"limit_table\", \"sipwarden_limit\")\n";
    let kamailio = platform.config("sipwarden_trusted_trunks").settings(table).start();
    let limits = |asked: Value| kamailio.rpc("sipwarden.limits", asked);
    let all = limits(json!([]));
    assert_eq!(all["total"], 3, "{all}");
    let of = |kind: &str, id: &str| limits(json!([kind, id]))["limits"].clone();
    let alice = of("user", "alice@c1.example");
    assert_eq!((&alice[0]["max_calls"], &alice[0]["direction"]), (&json!(2), &json!("in")));
    assert_eq!(of("user", "dave@c1.example")[0]["max_calls"], 4);
    assert_eq!(of("user", "bob@c1.example"), json!([]));
    let number = of("did", "+34911111111");
    assert_eq!((&number[0]["max_calls"], &number[0]["max_new"]), (&json!(5), &json!(10)));
    // The login of the views reads the operator's table through the view alone.
    let direct = "SELECT * FROM sipwarden.sipwarden_operator_limit";
    let denied = platform.server.try_query_as("sipwarden", "shown", direct).unwrap_err();
    assert!(denied.contains("denied"), "{denied}");
}

#[test]
fn every_trap_of_the_data_is_read_as_the_platform_means_it() {
    let platform = small();
    platform.run(
        "SET FOREIGN_KEY_CHECKS = 0;
         INSERT INTO kam_users_address (companyId, ip_addr, mask, port) VALUES
            (1, '192.0.2.77', 24, 0), (1, '192.0.2.77', 24, 0), (1, ' 198.51.100.7 ', 32, 0),
            (1, '203.0.113.9', 0, 5060), (1, '0.0.0.0', 0, 0), (1, '203.0.113.10', NULL, 0),
            (1, '2001:DB8:0:1::5', 64, 0), (1, '2001:db8:5::1', 128, 0), (1, '2001:db8:6::1', 0, 0),
            (1, '2001:db8:7:8:9:a:b:c', 100, 0), (1, '2001:db8:8:ffff::1', 49, 0), (1, '2001:db8:9::1', 32, 0), (99, '127.9.9.9', 32, 0);
         INSERT INTO Countries VALUES (1, 'es'), (2, ' DE '), (3, 'FR');
         INSERT INTO CompaniesRelGeoIPCountries (companyId, countryId) VALUES (1, 1), (1, 1), (1, 2), (99, 3), (1, 99);
         INSERT INTO Terminals (id, name, domainId, companyId) VALUES
            (1, 'Alice', 1, 1), (2, 'bob', 1, 1), (3, 'carol', NULL, 1), (4, '', 1, 1),
            (5, 'dave', 1, 1), (6, 'erin', 2, 5), (7, 'frank', 1, 1), (8, 'gina', 1, 1);
         INSERT INTO Users (id, companyId, terminalId, active, externalIpCalls) VALUES
            (1, 1, 1, 0, '3'), (2, 1, 2, 1, '0'), (3, 1, 3, 1, '1'), (4, 1, 4, 1, '1'),
            (5, 1, 5, 0, '2'), (6, 5, 6, 1, '1'), (7, 1, 7, 1, ''), (8, 1, 8, 1, '2'),
            (9, 1, 8, 1, '1'), (10, 1, NULL, 1, '3'), (11, 99, 1, 1, '3'), (12, 1, 404, 1, '3');
         INSERT INTO RetailAccounts (id, companyId, name, domainId) VALUES (1, 3, 'rita', 1);
         UPDATE Users SET maxCalls = 1;",
    );
    let kamailio = platform.config("sipwarden_trusted_users").start();
    let told = |company: &str, ip: &str| reason(&kamailio, company, ip);

    // Filter: on, wholesale, NULL, 0, on with nothing listed, watched.
    assert_eq!(told("1", "198.18.0.1"), "denied_source");
    for unfiltered in ["2", "3", "4"] {
        assert_eq!(told(unfiltered, "198.18.0.1"), "filter_off");
    }
    assert_eq!(told("5", "198.18.0.1"), "denied_no_ranges");
    let watched = kamailio.rpc("sipwarden.company", json!(["6"]));
    assert_eq!(watched["ip_filter"], "monitor", "{watched}");
    // Limits beyond what is counted are as good as none.
    let company = kamailio.rpc("sipwarden.company", json!(["2"]));
    assert_eq!(company["max_calls"], i32::MAX, "{company}");

    // Host bits, spaces, mask 0, NULL, capitals, and the halves of an IPv6 mask.
    for (granted, not) in [
        ("192.0.2.200", "192.0.3.1"),
        ("198.51.100.7", "198.51.100.8"),
        ("203.0.113.9", "203.0.113.8"),
        ("203.0.113.10", "203.0.113.11"),
        ("0.0.0.0", "0.0.0.1"),
        ("2001:db8:0:1:ffff::9", "2001:db8:0:2::5"),
        ("2001:db8:5::1", "2001:db8:5::2"),
        ("2001:db8:6::1", "2001:db8:6::2"),
        ("2001:db8:7:8:9:a:bff:1", "2001:db8:7:8:9:a:100b:c"),
        ("2001:db8:8:8000::1", "2001:db8:8:7fff::1"),
        // mask 32 of the portal: one host, never 2^96
        ("2001:db8:9::1", "2001:db8:9::2"),
    ] {
        assert_eq!(told("1", granted), "granted_range", "{granted}");
        assert_eq!(told("1", not), "denied_source", "{not}");
    }
    let countries = kamailio.rpc("sipwarden.company", json!(["1"]))["countries"].clone();
    assert_eq!(countries, "DE ES");

    // Roadwarriors: AoR in lower case, with or without access to the portal; who has no
    // slot of his own is none.
    for (company, aor, expected) in [
        ("1", "alice@c1.example", "roadwarrior_counted"),
        ("5", "erin@c5.example", "roadwarrior_counted"),
        ("1", "gina@c1.example", "roadwarrior_counted"),
        ("1", "Alice@C1.example", "roadwarrior_none"),
        ("1", "bob@c1.example", "roadwarrior_none"),
        ("1", "carol@c1.example", "roadwarrior_none"),
        ("1", "@c1.example", "roadwarrior_none"),
        ("1", "dave@c1.example", "roadwarrior_counted"),
        ("1", "frank@c1.example", "roadwarrior_none"),
        ("1", "rita@c1.example", "roadwarrior_none"),
        ("1", "erin@c5.example", "roadwarrior_none"),
    ] {
        let verdict = roadwarrior(&kamailio, company, aor);
        assert_eq!(verdict["reason"], expected, "{aor}: {verdict}");
    }
    // One terminal, two users: the lower number; Users.maxCalls is about received calls.
    assert_eq!(roadwarrior(&kamailio, "1", "gina@c1.example")["user_limit"], 1);
    assert_eq!(roadwarrior(&kamailio, "1", "alice@c1.example")["user_limit"], 3);

    // The operator is told of each.
    let remarks = platform.server.query("SELECT * FROM sipwarden.sipwarden_remarks");
    for expected in [
        "192.0.2.77 mask 24\ttaken as 192.0.2.0/24, as today",
        "203.0.113.9 mask 0\tmask 0 or NULL is a single host",
        "203.0.113.9 port 5060\tthe port is not looked at",
        "2001:DB8:0:1::5 mask 64\ttaken as 2001:db8:0:1::/64",
        "kam_users_address\t99\t127.9.9.9\tleft out: no such company",
        "Users\t3\t1\tleft out: no terminal",
        "2001:db8:9::1 mask 32\ttaken as a single host",
        "Users\t11\t3\tleft out: no such company",
        "Users\t8,9\tgina@c1.example\tone AoR more than once",
    ] {
        assert!(remarks.contains(expected), "{expected}\n{remarks}");
    }
}

#[test]
fn rows_that_mean_nothing_are_refused_by_name_and_the_tables_stay() {
    let platform = small();
    platform.run("INSERT INTO kam_users_address (companyId, ip_addr) VALUES (1, '192.0.2.1');");
    let kamailio = platform.config("sipwarden_trusted_users").start();
    let address = |ip: &str, mask: &str| {
        let columns = "(id, companyId, ip_addr, mask)";
        format!("INSERT INTO kam_users_address {columns} VALUES (9999, 1, {ip}, {mask})")
    };
    let of_address = "DELETE FROM kam_users_address WHERE id = 9999";
    let of_users = "DELETE FROM Users; DELETE FROM Terminals";
    let range = "sipwarden_company_address row";
    let cases: [(String, &str, &str, &str); 17] = [
        (
            address("'2001:db8::1'", "31"),
            of_address,
            range,
            "ip_addr \"2001:db8::1\": mask \"31 on IPv6: 128 meant?\"",
        ),
        // Without a host bit it would be a proper range, of 2^104 addresses.
        (address("'2001:db8::'", "24"), of_address, range, "\"2001:db8::\": mask \"24 on IPv6"),
        (address("'::'", "1"), of_address, range, "ip_addr \"::\": mask \"1 on IPv6"),
        (address("'::ffff:192.0.2.9'", "31"), of_address, range, "mask \"31 on IPv6"),
        (
            address("'phone.example'", "32"),
            of_address,
            range,
            "ip_addr \"phone.example\" mask \"32\": is not an IP address (company \"1\")",
        ),
        (address("''", "32"), of_address, range, "ip_addr \"\""),
        (address("NULL", "32"), of_address, range, "ip_addr NULL"),
        (address("'192.0.2.0/24'", "32"), of_address, range, "\"192.0.2.0/24\""),
        (address("'192.0.2.5'", "33"), of_address, range, "mask 33 is larger than 32"),
        (address("'192.0.2.5'", "-1"), of_address, range, "mask \"-1\""),
        (
            "SET FOREIGN_KEY_CHECKS = 0; INSERT INTO Companies (id, brandId) VALUES (77, 99)".into(),
            "DELETE FROM Companies WHERE id = 77",
            "sipwarden_company row",
            "brand_id \"99\" is not a brand (company \"77\")",
        ),
        (
            "INSERT INTO Terminals (id, name, domainId, companyId) VALUES (71, 'x', 1, 1), (72, 'X', 1, 5);
             INSERT INTO Users (id, companyId, terminalId, externalIpCalls)
             VALUES (71, 1, 71, '1'), (72, 5, 72, '1')"
                .into(),
            of_users,
            "sipwarden_user row",
            "aor \"x@c1.example\" stands twice",
        ),
        (
            "INSERT INTO Terminals (id, name, domainId, companyId) VALUES (71, 'x', 1, 1);
             INSERT INTO Users (id, companyId, terminalId, externalIpCalls) VALUES (71, 1, 71, '4')"
                .into(),
            of_users,
            "sipwarden_user row",
            "external_calls \"4\" is not a number from 0 to 3 (user \"x@c1.example\")",
        ),
        (
            "INSERT INTO Countries VALUES (9, 'ESP');
             INSERT INTO CompaniesRelGeoIPCountries (companyId, countryId) VALUES (1, 9)"
                .into(),
            "DELETE FROM Countries; DELETE FROM CompaniesRelGeoIPCountries",
            "sipwarden_company_country row",
            "country \"ESP\" is not two capital letters",
        ),
        (
            "UPDATE Companies SET maxCalls = 0; UPDATE Brands SET maxCalls = 0;
             ALTER TABLE Companies MODIFY maxCalls INT NULL;
             ALTER TABLE Brands MODIFY maxCalls INT NULL;
             UPDATE Companies SET maxCalls = NULL WHERE id = 3; UPDATE Brands SET maxCalls = NULL;
             UPDATE Companies SET maxCalls = -1 WHERE id = 4"
                .into(),
            "UPDATE Companies SET maxCalls = 0 WHERE id = 4",
            "sipwarden_company row",
            "max_calls \"-1\" is not a number from 0 to 2147483647 (company \"4\")",
        ),
        (
            "INSERT INTO ApplicationServers VALUES (9, 'as.example', 'as')".into(),
            "DELETE FROM ApplicationServers",
            "sipwarden_trusted_users row",
            "ip_addr \"as.example\"",
        ),
        (
            "INSERT INTO ProxyTrunks VALUES (9, 'trunks', 'trunks.example')".into(),
            "DELETE FROM ProxyTrunks",
            "sipwarden_trusted_users row",
            "ip_addr \"trunks.example\"",
        ),
    ];
    for (spoil, repair, table, what) in &cases {
        platform.run(&format!("{spoil};"));
        let fault = kamailio.try_rpc("sipwarden.reload", json!([])).unwrap_err();
        let problems =
            kamailio.rpc("sipwarden.problems", json!([])).to_string().replace("\\\"", "\"");
        assert!(fault.contains(table), "{spoil}: {fault}");
        assert!(problems.contains(table) && problems.contains(what), "{spoil}: {problems}");
        assert_eq!(reason(&kamailio, "1", "192.0.2.1"), "granted_range");
        platform.run(&format!("{repair};"));
        kamailio.rpc("sipwarden.reload", json!([]));
    }
    // A first start says the same, and does not happen.
    platform.run(&cases[0].0);
    let log = platform.config("sipwarden_trusted_users").fail_to_start();
    assert!(log.contains(cases[0].3), "{log}");

    // Left out instead, if the operator wants that; all others hold.
    let skipping = platform
        .config("sipwarden_trusted_users")
        .settings("modparam(\"sipwarden\", \"reload_bad_rows\", \"skip\")\n")
        .start();
    assert_eq!(reason(&skipping, "1", "192.0.2.1"), "granted_range");
    assert_eq!(reason(&skipping, "1", "2001:db8::1"), "denied_source");
    assert!(
        skipping.log().contains("skipped: sipwarden_company_address row"),
        "{}",
        skipping.log()
    );

    // As the portal cannot write it, but SQL can.
    platform.run("UPDATE kam_users_address SET mask = 128 WHERE id = 9999;");
    kamailio.rpc("sipwarden.reload", json!([]));
    assert_eq!(reason(&kamailio, "1", "2001:db8::1"), "granted_range");
    assert_eq!(reason(&kamailio, "1", "2001:db8::2"), "denied_source");
}

#[test]
fn platform_servers_wholesale_and_carriers_are_spared_where_they_should_be() {
    let platform = small();
    platform.run(
        "INSERT INTO ApplicationServers VALUES (1, '192.0.2.1', 'as1'), (2, ' 2001:DB8::A ', 'as2'),
            (3, '198.51.100.20', 'also a carrier');
         INSERT INTO ProxyUsers VALUES (1, 'users', '192.0.2.2'), (2, 'none', NULL);
         INSERT INTO ProxyTrunks VALUES (1, 'trunks', '192.0.2.3'), (2, 'another', '2001:db8::b');
         INSERT INTO kam_trusted (src_ip, proto, tag, companyId) VALUES
            ('192.0.2.40', 'any', '2', 2), ('192.0.2.40', 'udp', 'no class', 2),
            ('any', 'any', '2', 2), ('host.example', 'any', '2', 2), (NULL, 'any', '2', 2), ('2001:db8::40', 'any', '2', 2);
         INSERT INTO kam_trunks_address (grp, ip_addr, mask, port, tag) VALUES
            (1, '198.51.100.0', 28, 5060, 'free text'), (1, '198.51.100.20', 32, 0, NULL),
            (2, 'sip.carrier.example', 32, 0, NULL), (2, '2001:db8:c::1', 32, 0, NULL),
            (3, '203.0.113.70', 0, 0, NULL), (3, '203.0.113.77', 28, 0, NULL), (3, '203.0.113.70', 32, 0, NULL);
         INSERT INTO sipwarden.sipwarden_operator_address VALUES
            ('192.0.2.90', 'exempt', 'monitoring'), ('198.18.7.0/24', 'carrier', 'names of DDI provider 2');
         INSERT INTO kam_users_address (companyId, ip_addr, mask) VALUES (1, '100.64.0.0', 24);",
    );
    let carrier =
        "modparam(\"sipwarden\", \"flood_class\", \"carrier=limit:2000;window:2;block:0\")\n";
    let start = |table: &str| platform.config(table).settings(carrier).start();
    let users = start("sipwarden_trusted_users");
    let trunks = start("sipwarden_trusted_trunks");
    let bounded = start("sipwarden_trusted_trunks_bounded");
    for (ip, by) in [
        // Application servers, on all of them.
        ("192.0.2.1", ["exempt", "exempt", "exempt"]),
        ("2001:db8::a", ["exempt", "exempt", "exempt"]),
        ("198.51.100.20", ["exempt", "exempt", "exempt"]),
        // Both proxies.
        ("192.0.2.2", ["exempt", "exempt", "exempt"]),
        ("192.0.2.3", ["exempt", "exempt", "exempt"]),
        ("2001:db8::b", ["exempt", "exempt", "exempt"]),
        // Wholesale companies, before the users' proxy only.
        ("192.0.2.40", ["exempt", "default", "default"]),
        ("2001:db8::40", ["exempt", "default", "default"]),
        // Carriers, on trunks only; hosts and ranges, IPv6 never more than a host.
        ("198.51.100.9", ["default", "exempt", "carrier"]),
        ("2001:db8:c::1", ["default", "exempt", "carrier"]),
        ("2001:db8:d::1", ["default", "default", "default"]),
        ("203.0.113.70", ["default", "exempt", "carrier"]),
        ("203.0.113.65", ["default", "exempt", "carrier"]),
        ("203.0.113.80", ["default", "default", "default"]),
        // The operator's own list.
        ("192.0.2.90", ["exempt", "exempt", "exempt"]),
        ("198.18.7.5", ["carrier", "carrier", "carrier"]),
        // A company's range.
        ("100.64.0.9", ["exempt", "exempt", "exempt"]),
        ("198.18.0.1", ["default", "default", "default"]),
    ] {
        assert_eq!([&users, &trunks, &bounded].map(|k| class(k, ip)), by, "{ip}");
    }
    let remarks = platform.server.query("SELECT * FROM sipwarden.sipwarden_remarks");
    for expected in [
        "ProxyUsers\t2\tNULL\tleft out: no address",
        "kam_trusted\t2\tany\tleft out",
        "kam_trunks_address\t2\tsip.carrier.example\tleft out: no IP address",
        "kam_trunks_address\t2\t2001:db8:c::1 mask 32\ttaken as a single host",
        "kam_trunks_address\t1\t198.51.100.0 port 5060\tthe port",
    ] {
        assert!(remarks.contains(expected), "{expected}\n{remarks}");
    }
}

#[test]
fn a_column_that_a_release_has_dropped_leaves_the_running_tables_and_stops_a_start() {
    let platform = small();
    platform.run("INSERT INTO kam_users_address (companyId, ip_addr) VALUES (1, '192.0.2.1');");
    let config = || {
        platform
            .config("sipwarden_trusted_users")
            .settings("modparam(\"sipwarden\", \"reload_bad_rows\", \"skip\")\n")
    };
    let kamailio = config().start();
    platform.run("ALTER TABLE Users DROP externalIpCalls;");
    let fault = kamailio.try_rpc("sipwarden.reload", json!([])).unwrap_err();
    assert!(fault.contains("sipwarden_user"), "{fault}");
    assert_eq!(reason(&kamailio, "1", "192.0.2.1"), "granted_range");
    let log = config().fail_to_start();
    assert!(log.contains("sipwarden_user"), "{log}");
}
