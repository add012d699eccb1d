//! What is loaded, listed and searched; ranges that look like a mistake.

use crate::support::Folder;
use crate::support::kamailio::Config;
use crate::support::sqlite::Sqlite;
use serde_json::{Value, json};

fn column(answer: &Value, list: &str, name: &str) -> Vec<String> {
    let items = answer[list].as_array().unwrap_or_else(|| panic!("{answer}"));
    items.iter().map(|item| item[name].as_str().unwrap().to_owned()).collect()
}

#[test]
fn companies_users_and_trusted_ranges_are_listed_and_searched() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    let companies: Vec<_> = (10..55).map(|n| format!("('C{n}.example', 'red', 1, {n})")).collect();
    db.run(&format!(
        "INSERT INTO sipwarden_brand VALUES ('red', 0), ('blue', 0);
        INSERT INTO sipwarden_company VALUES {}, ('sky', 'blue', 0, 0);
        INSERT INTO sipwarden_company_address VALUES ('C10.example', '192.0.2.0/24', NULL);
        INSERT INTO sipwarden_user VALUES ('alice@sky', 'sky', 3), ('bob@x', 'C10.example', 0);
        INSERT INTO sipwarden_trusted VALUES ('192.0.2.0', 24, 'exempt'), ('2001:db8::/32', NULL, 'default');",
        companies.join(",")
    ));
    let kamailio = Config::new(&db.url()).start();
    let ask = |what: &str, params: Value| kamailio.rpc(&format!("sipwarden.{what}"), params);

    let first = ask("companies", json!([]));
    assert_eq!((&first["total"], &first["pages"]), (&json!(46), &json!(3)));
    let pages =
        (1..=3).flat_map(|page| column(&ask("companies", json!([page])), "list", "company"));
    let mut all: Vec<_> = pages.collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 46);
    let found = ask("companies", json!([1, "c10"]));
    assert_eq!(column(&found, "list", "company"), ["C10.example"]);
    assert_eq!(found["list"][0]["ranges"], 1);
    assert_eq!(column(&ask("companies", json!([1, "BLUE"])), "list", "company"), ["sky"]);
    let fault = kamailio.try_rpc("sipwarden.companies", json!([4])).unwrap_err();
    assert!(fault.contains("page 4: the last one is 3"), "{fault}");

    assert_eq!(column(&ask("users", json!([1, "sky"])), "list", "aor"), ["alice@sky"]);
    assert_eq!(ask("users", json!([]))["total"], 2);
    let around = ask("trusted", json!([1, "192.0.2.7"]));
    assert_eq!(column(&around, "list", "range"), ["192.0.2.0/24"]);
    assert_eq!(column(&around, "list", "class"), ["exempt"]);
    assert_eq!(ask("trusted", json!([1, "2001:db8:1::/48"]))["total"], 1);
    assert_eq!(ask("trusted", json!([1, "203.0.113.1"]))["total"], 0);
}

#[test]
fn ranges_that_companies_share_are_found() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('one', 'b', 1, 0), ('two', 'b', 1, 0), ('all', 'b', 1, 0);
        INSERT INTO sipwarden_company_address VALUES
            ('one', '192.0.2.0/24', NULL), ('two', '192.0.2.0/24', NULL), ('one', '198.51.100.0/24', NULL),
            ('two', '203.0.113.0/28', NULL), ('one', '203.0.113.4', NULL), ('all', '10.0.0.0/7', NULL)",
    );
    let kamailio = Config::new(&db.url()).start();
    let found = kamailio.rpc("sipwarden.lint", json!([]));
    let what = column(&found, "findings", "finding");
    assert_eq!((what.len(), &found["total"]), (3, &json!(3)), "{found}");
    let of = |kind: &str| {
        let at = what.iter().position(|what| what == kind).unwrap_or_else(|| panic!("{found}"));
        found["findings"][at].clone()
    };
    assert_eq!(of("broad")["company"], "all");
    assert_eq!(of("shared")["range"], "192.0.2.0/24");
    let within = of("within");
    assert_eq!(within["range"], "203.0.113.4/32");
    assert_eq!((&within["company"], &within["of_company"]), (&json!("one"), &json!("two")));
}
