//! `check_company_ip` on SIP requests over sockets, in every worker.

use std::collections::HashSet;

use super::Config;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for};
use serde_json::json;

const TENANTS: &str = "
INSERT INTO sipwarden_brand VALUES ('b', 0);
INSERT INTO sipwarden_company VALUES ('open', 'b', 0, 0), ('office', 'b', 1, 0),
    ('six', 'b', 1, 0), ('closed', 'b', 1, 0), ('abroad', 'b', 1, 0);
INSERT INTO sipwarden_company_address VALUES ('office', '127.0.1.0', 24),
    ('office', '127.0.2.7/32', NULL), ('six', '2001:db8::/32', NULL),
    ('six', '::ffff:127.0.3.0', 120);
INSERT INTO sipwarden_company_country VALUES ('abroad', 'ES');
";

/// Companies with and without ranges and countries.
pub fn tenants(folder: &Folder) -> Sqlite {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(TENANTS);
    db
}

#[test]
fn each_verdict_reaches_the_script_in_every_worker() {
    let folder = Folder::new();
    let server = Config::new(&tenants(&folder).url()).start();
    let cases = [
        ("127.0.9.9", "open", 2, "filter_off"),
        ("127.0.1.0", "office", 1, "granted_range"),
        ("127.0.1.255", "office", 1, "granted_range"),
        ("127.0.2.0", "office", -1, "denied_source"),
        ("127.0.2.7", "office", 1, "granted_range"),
        ("127.0.2.8", "office", -1, "denied_source"),
        ("127.0.3.9", "six", 1, "granted_range"),
        ("127.0.4.9", "six", -1, "denied_source"),
        ("127.0.1.1", "closed", -2, "denied_no_ranges"),
        ("127.0.1.1", "abroad", -1, "denied_source"),
        ("127.0.1.1", "Office", -3, "unknown_company"),
        ("127.0.1.1", "office%20", -3, "unknown_company"),
    ];
    for (source, company, code, reason) in cases {
        let phone = Phone::new(source, server.address());
        let mut workers = HashSet::new();
        wait_for("two workers to answer", || {
            let told = phone.ask(company);
            assert_eq!((told.code, told.reason.as_str()), (code, reason), "{source} {company}");
            workers.insert(told.worker);
            (workers.len() >= 2).then_some(())
        });
        if !company.contains('%') {
            let explained = server.ask("check", json!([company, source]));
            assert_eq!(explained["code"], code, "{explained}");
            assert_eq!(explained["reason"], reason, "{explained}");
        }
    }
}

#[test]
fn a_company_is_shown_with_its_ranges_page_by_page() {
    let folder = Folder::new();
    let db = tenants(&folder);
    let many: Vec<_> = (0..120).map(|n| format!("('closed', '10.0.{n}.0/24', NULL)")).collect();
    db.run(&format!("INSERT INTO sipwarden_company_address VALUES {};", many.join(",")));
    let server = Config::new(&db.url()).start();
    let mut seen = Vec::new();
    for page in 1..=3 {
        let shown = server.ask("company", json!(["closed", page]));
        assert_eq!((&shown["pages"], &shown["range_count"]), (&json!(3), &json!(120)));
        seen.extend(shown["ranges"].as_array().unwrap().clone());
    }
    let expected: Vec<_> = (0..120).map(|n| json!(format!("10.0.{n}.0/24"))).collect();
    assert_eq!(seen, expected);
    assert!(server.try_ask("company", json!(["closed", 4])).is_err());
    // Numbers are text too, and two of them do not mix.
    let unknown = server.try_ask("company", json!([77, 1])).unwrap_err();
    assert!(unknown.contains("\"77\""), "{unknown}");
    let abroad = server.ask("company", json!(["abroad"]));
    assert_eq!(abroad["countries"], "ES");
    let unknown = server.try_ask("company", json!(["nobody"])).unwrap_err();
    assert!(unknown.contains("nobody") && unknown.contains("404"), "{unknown}");
}
