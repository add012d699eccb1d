//! The views under every collation that the platform's tables may have.

use std::fs;

use super::tables::{roadwarrior, small};
use crate::support::project;

/// Every table that the views read; all their texts get another collation.
const TABLES: [&str; 13] = [
    "ApplicationServers",
    "BannedAddresses",
    "Companies",
    "CompaniesRelGeoIPCountries",
    "Countries",
    "Domains",
    "ProxyTrunks",
    "ProxyUsers",
    "Terminals",
    "Users",
    "kam_trunks_address",
    "kam_trusted",
    "kam_users_address",
];

#[test]
fn views_hold_under_every_collation_and_accents_make_two_of_one() {
    let collations = [
        "utf8mb3_general_ci",
        "utf8mb3_unicode_ci",
        "utf8mb4_general_ci",
        "utf8mb4_unicode_ci",
        "utf8mb4_unicode_520_ci",
        "utf8mb4_bin",
        "latin1_swedish_ci",
    ];
    let platform = small();
    platform.run(
        "INSERT INTO Terminals (id, name, domainId, companyId) VALUES (1, 'jose', 1, 1), (2, 'jos\u{e9}', 1, 5);
         INSERT INTO Users (companyId, terminalId, externalIpCalls) VALUES (1, 1, '1'), (5, 2, '2');
         INSERT INTO kam_users_address (companyId, ip_addr, mask) VALUES (1, '192.0.2.77', 24), (1, 'x', 32);
         INSERT INTO kam_trunks_address (grp, ip_addr, mask) VALUES (1, 'sip.carrier.example', 32), (1, '198.51.100.1', 32);
         INSERT INTO kam_trusted (src_ip, proto, tag, companyId) VALUES ('any', 'any', '2', 2), ('192.0.2.40', 'any', '2', 2);
         INSERT INTO ApplicationServers VALUES (1, '192.0.2.1', 'as1');
         INSERT INTO ProxyUsers VALUES (1, 'users', '192.0.2.2'), (2, 'none', NULL);
         INSERT INTO Countries VALUES (1, 'es'); INSERT INTO CompaniesRelGeoIPCountries (companyId, countryId) VALUES (1, 1);",
    );
    let views = fs::read_to_string(project().join("kamailio-cfg/ivozprovider/views.sql")).unwrap();
    let all = |nth: usize, table: usize| match nth.checked_sub(collations.len()) {
        None => collations[nth],
        // Mixed: each table another one, twice in different order.
        Some(step) => collations[(table * (step + 1)) % collations.len()],
    };
    for nth in 0..collations.len() + 2 {
        let alter = TABLES.iter().enumerate().map(|(at, table)| {
            let collation = all(nth, at);
            let charset = collation.split('_').next().unwrap();
            format!("ALTER TABLE {table} CONVERT TO CHARACTER SET {charset} COLLATE {collation};")
        });
        platform.run(&("SET FOREIGN_KEY_CHECKS = 0;".to_owned() + &alter.collect::<String>()));
        platform.server.run_script(&views);
        let names = platform.server.query(
            "SELECT table_name FROM information_schema.views WHERE table_schema = 'sipwarden'",
        );
        assert_eq!(names.lines().count(), 15, "{names}");
        for view in names.lines() {
            platform.server.query(&format!("SELECT * FROM sipwarden.{view}"));
        }
        let users = platform
            .server
            .query("SELECT CONCAT_WS(' ', aor, company_id, external_calls) FROM sipwarden.sipwarden_user ORDER BY 1");
        assert_eq!(users, "jose@c1.example 1 1\njos\u{e9}@c1.example 5 2", "{nth}");
        let remarks = platform.server.query("SELECT * FROM sipwarden.sipwarden_remarks");
        for expected in
            ["kam_users_address\t1\tx\trefused", "kam_trusted\t2\tany", "sip.carrier.example"]
        {
            assert!(remarks.contains(expected), "{nth}: {remarks}");
        }
        assert!(!remarks.contains("more than once"), "{remarks}");
    }
    // The module reads them, too.
    let kamailio = platform
        .config("sipwarden_trusted_users")
        .settings("modparam(\"sipwarden\", \"reload_bad_rows\", \"skip\")\n")
        .start();
    for (company, aor) in [("1", "jose@c1.example"), ("5", "jos\u{e9}@c1.example")] {
        let told = roadwarrior(&kamailio, company, aor);
        assert_eq!(told["reason"], "roadwarrior_counted", "{told}");
    }
}
