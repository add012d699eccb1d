//! What is loaded, listed and searched; ranges that look like a mistake.

use super::{Config, Server};
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for};
use serde_json::{Value, json};
use sipwarden::snapshot::{Mark, View, compile, uses};
use sipwarden::tables::{BadRows, Loader, Table};

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
    let server = Config::new(&db.url()).start();
    let ask = |what: &str, params: Value| server.ask(what, params);

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
    let fault = server.try_ask("companies", json!([4])).unwrap_err();
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
    let server = Config::new(&db.url()).start();
    let found = server.ask("lint", json!([]));
    let what = column(&found, "findings", "finding");
    assert_eq!((what.len(), &found["total"]), (3, &json!(3)), "{found}");
    let of = |kind: &str| {
        let at = what.iter().position(|what| what == kind).unwrap_or_else(|| panic!("{found}"));
        found["findings"][at].clone()
    };
    assert_eq!(of("broad")["company"], "all");
    assert_eq!(of("shared")["range"], "192.0.2.0/24");
    // What one of them has grants nothing to another one.
    for (source, companies) in [
        ("192.0.2.7", &["one", "two"][..]),
        ("198.51.100.7", &["one"]),
        ("203.0.113.4", &["one", "two"]),
        ("203.0.113.5", &["two"]),
        ("10.1.2.3", &["all"]),
    ] {
        for company in ["one", "two", "all"] {
            let told = server.ask("check", json!([company, source]));
            let granted = companies.contains(&company);
            assert_eq!(told["code"].as_i64().unwrap() > 0, granted, "{source}: {told}");
        }
    }
    let within = of("within");
    assert_eq!(within["range"], "203.0.113.4/32");
    assert_eq!((&within["company"], &within["of_company"]), (&json!("one"), &json!("two")));
}

/// The file of uses of a company with these ranges, as a run would leave it that was in force
/// so many days ago; the first range was used then.
fn uses_of(company: &str, ranges: &[&str], days_ago: u64) -> Vec<u8> {
    let mut loader = Loader::new(Table::ALL.map(|t| t.short_name().into()), BadRows::Fail);
    loader.row(Table::Brand, &[Some(b"b"), None]);
    loader.row(Table::Company, &[Some(company.as_bytes()), Some(b"b"), Some(b"1"), None]);
    for range in ranges {
        let range = Some(range.as_bytes());
        loader.row(Table::CompanyAddress, &[Some(company.as_bytes()), range, None]);
    }
    let Ok((config, _)) = loader.finish() else { panic!("bad rows") };
    let blob = compile(config, [1, 2], 0).unwrap();
    let view = View::new(blob.bytes()).unwrap();
    let then = sipwarden::clock::seconds() - days_ago * 86_400;
    let mut marks = vec![Mark::known(then).bits(); view.range_count()];
    let used = view.company(company.as_bytes()).unwrap();
    let first = sipwarden::address::Prefix::parse(ranges[0], None).unwrap().first();
    marks[used.locate(first).unwrap().0 as usize] = Mark::used(then).bits();
    uses::file(&view, &marks)
}

#[test]
fn ranges_that_nobody_uses_are_found() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    let ranges = ["192.0.2.0/24", "127.0.1.0/24", "2001:db8::/48"];
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('one', 'b', 1, 0), ('off', 'b', 0, 0), ('late', 'b', 1, 0);
        INSERT INTO sipwarden_company_address VALUES ('one', '192.0.2.0/24', NULL),
            ('one', '127.0.1.0/24', NULL), ('one', '2001:db8::/48', NULL), ('off', '198.51.100.0/24', NULL),
            ('late', '203.0.113.0/24', NULL)",
    );
    let kept = folder.join("tables");
    let config = Config::new(&db.url())
        .settings(&format!("modparam(\"sipwarden\", \"tables_file\", \"{}\")\n", kept.display()));
    let file = folder.join("tables.uses");
    std::fs::write(&file, uses_of("one", &ranges, 120)).unwrap();
    let unused = |server: &Server, params: Value| {
        let found = server.ask("lint", params);
        assert!(found["findings"].as_array().unwrap().iter().all(|one| one["finding"] == "unused"));
        column(&found, "findings", "range")
    };
    let server = config.start();
    let found = server.ask("lint", json!([1, 119]));
    assert_eq!(
        column(&found, "findings", "range"),
        ["127.0.1.0/24", "192.0.2.0/24", "2001:db8::/48"]
    );
    assert_eq!(
        (&found["findings"][0]["last_used"], &found["findings"][0]["days"]),
        (&json!("never"), &json!(120))
    );
    assert_eq!(found["findings"][1]["last_used"], found["counted_since"]);
    assert_eq!(found["findings"][1]["company"], "one");
    assert_eq!(unused(&server, json!([])).len(), 3);
    assert_eq!(unused(&server, json!([1, 120])).len(), 0);
    let fault = server.try_ask("lint", json!([1, 0])).unwrap_err();
    assert!(fault.contains("days \"0\" is not a number from 1 to 3650"), "{fault}");

    // Who asks does not use it, a request does: in any worker, once a day.
    server.ask("check", json!(["one", "127.0.1.1"]));
    assert_eq!(unused(&server, json!([])).len(), 3);
    let phone = Phone::new("127.0.1.1", server.address());
    (0..20).for_each(|_| assert_eq!(phone.ask("one").reason, "granted_range"));
    assert_eq!(unused(&server, json!([])), ["192.0.2.0/24", "2001:db8::/48"]);

    // Over a reload in which places move, and over a restart.
    db.run("INSERT INTO sipwarden_company VALUES ('a', 'b', 1, 0);
        INSERT INTO sipwarden_company_address VALUES ('a', '127.0.2.0/24', NULL), ('one', '10.0.0.0/24', NULL);");
    let before = std::fs::read(&file).unwrap();
    server.ask("reload", json!([]));
    assert_eq!(unused(&server, json!([])), ["192.0.2.0/24", "2001:db8::/48"]);
    wait_for("the uses to be kept", || (std::fs::read(&file).unwrap() != before).then_some(()));
    drop(server);
    let server = config.start();
    assert!(server.log().contains("uses of 6 ranges loaded from"), "{}", server.log());
    assert_eq!(unused(&server, json!([])), ["192.0.2.0/24", "2001:db8::/48"]);
    drop(server);

    // Without a file that can be used, counting begins.
    std::fs::write(&file, b"sipwarden uses 1\n???????????").unwrap();
    let server = config.start();
    assert!(server.log().contains("it is damaged or cut off"), "{}", server.log());
    assert_eq!(unused(&server, json!([1, 1])).len(), 0);
}
