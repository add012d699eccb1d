//! Host names in the place of addresses.

use std::thread::sleep;
use std::time::Duration;

use serde_json::{Value, json};
use sipwarden::tables::Table;

use super::alone::alone;
use super::door;
use super::request::Request;
use super::start::{Folder, start};
use super::world::{events, logged, rows, tenants, world};
use crate::fork::Child;

const NAME: &str = "office.dyn.example";

fn resolves_to(name: &str, addresses: &[&str]) {
    let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
    world().names.insert(name.into(), (addresses, 1));
}

/// Company 7 is at a name, a carrier at another.
fn named_tenants() {
    tenants();
    rows(Table::CompanyAddress, &[&["7", "Office.DYN.example.", "NULL"], &["7", "10.0.0.0", "24"]]);
    rows(
        Table::Trusted,
        &[&["sip.carrier.example", "NULL", "carrier"], &["198.51.100.1", "NULL", "exempt"]],
    );
}

fn named(more: &[(&str, Value)]) -> Vec<(&'static str, Value)> {
    let mut all = vec![
        ("host_names", json!(4)),
        ("host_name_min_ttl", json!(1)),
        ("flood_class", json!("carrier=limit:2000")),
    ];
    for (name, value) in more {
        all.push((Box::leak(name.to_string().into_boxed_str()), value.clone()));
    }
    all
}

fn check(address: &str) -> i32 {
    door::check_company_ip(&Request::from(address), "7")
}

/// Lets the resolver's process run until something is so.
fn resolve_until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..2000 {
        door::resolve();
        if is_so() {
            return;
        }
        sleep(Duration::from_millis(5));
    }
    panic!("{what}: {:#?}", world().log);
}

fn means() -> Value {
    door::ask("names", json!([]))["names"][0]["means"].clone()
}

fn resolve_until_it_means(what: &str) {
    resolve_until(what, || means() == what);
}

#[test]
fn a_name_is_a_bad_row_unless_they_are_allowed() {
    alone(|| {
        named_tenants();
        let classes = ("flood_class", json!("carrier=limit:2000"));
        assert!(!start(&[classes]));
        assert!(logged(
            "ip_addr \"Office.DYN.example.\": is not an IP address; host_names allows names (company \"7\")"
        ));
        assert!(!door::can_resolve());
        // What is not a name gets no such advice.
        rows(Table::Trusted, &[]);
        rows(Table::CompanyAddress, &[&["7", "192.0.2.700", "NULL"]]);
        assert!(!start(&[]));
        assert!(logged("\"192.0.2.700\": is not an IP address (company \"7\")"));
    });
}

#[test]
fn a_mask_or_one_name_too_many_or_two_tags_are_bad_rows() {
    alone(|| {
        named_tenants();
        rows(
            Table::CompanyAddress,
            &[
                &["7", "a.example", "32"],
                &["7", "a.example/24", "NULL"],
                &["7", "b.example", "NULL"],
            ],
        );
        rows(
            Table::Trusted,
            &[
                &["c.example", "NULL", "carrier"],
                &["C.example", "NULL", "exempt"],
                &["d.example", "NULL", "none"],
                &["e.example", "NULL", "carrier"],
            ],
        );
        assert!(!start(&[("host_names", json!(3)), ("flood_class", json!("carrier=limit:2000"))]));
        for bad in [
            "ip_addr \"a.example\": a host name has no mask (company \"7\")",
            "ip_addr \"a.example/24\": a host name has no mask (company \"7\")",
            "\"c.example\" stands twice, with different tags",
            "\"d.example\": tag \"none\" is not one of",
            "ip_addr \"e.example\": one name too many, host_names is 3",
        ] {
            assert!(logged(bad), "{bad}: {:#?}", world().log);
        }
    });
}

#[test]
fn a_name_means_what_the_resolver_says_at_its_ttl() {
    alone(|| {
        named_tenants();
        resolves_to(NAME, &["192.0.2.7", "2001:db8::7"]);
        resolves_to("sip.carrier.example", &["203.0.113.5", "198.51.100.1"]);
        assert!(start(&named(&[])), "{:#?}", world().log);
        assert!(door::can_resolve());
        // Not before it is resolved; and something is listed.
        assert_eq!(check("192.0.2.7"), -1);
        assert!(
            door::ask("company", json!(["7"]))["names"][0].to_string().contains("not resolved yet")
        );
        resolve_until_it_means("192.0.2.7 2001:db8::7");
        assert_eq!(["192.0.2.7", "2001:db8::7", "10.0.0.9", "192.0.2.8"].map(check), [1, 1, 1, -1]);
        assert!(logged(
            "host name office.dyn.example of company \"7\" means 192.0.2.7 2001:db8::7 from now on, nothing before"
        ));
        while door::record() {}
        let told = events("name");
        let told = told.iter().find(|told| told.get("company") == Some(&json!("7"))).unwrap();
        assert_eq!(told["event"], "name_changed");
        assert_eq!(told["text"], "office.dyn.example 192.0.2.7 2001:db8::7");
        assert_eq!(told["ip"], "192.0.2.7");

        let company = door::ask("company", json!(["7"]));
        assert_eq!((&company["range_count"], &company["name_count"]), (&json!(3), &json!(1)));
        let line = company["names"][0].as_str().unwrap();
        assert!(line.starts_with("office.dyn.example means 192.0.2.7 2001:db8::7 (resolved at "));
        let found = door::ask("check", json!(["7", "192.0.2.7"]));
        assert_eq!((&found["host_name"], &found["range"]), (&json!(NAME), &json!("192.0.2.7/32")));
        assert!(found.to_string().contains("host name office.dyn.example means 192.0.2.7"));
        let refused = door::ask("check", json!(["7", "192.0.2.8"])).to_string();
        assert!(refused.contains("office.dyn.example means 192.0.2.7"), "{refused}");
        assert_eq!(door::ask("lint", json!([]))["total"], 0);

        // A carrier by name has its class; a row of its own comes first.
        let class = |address: &str| door::ask("source", json!([address]))["class"].clone();
        assert_eq!(["203.0.113.5", "198.51.100.1"].map(class), ["carrier", "exempt"]);
        let trusted = door::ask("trusted", json!({"text": "carrier"}));
        assert_eq!(trusted["total"], 1);
        assert_eq!(trusted["list"][0]["host_name"], "sip.carrier.example");

        resolves_to(NAME, &["192.0.2.8"]);
        resolve_until_it_means("192.0.2.8");
        assert_eq!(
            ["192.0.2.7", "2001:db8::7", "10.0.0.9", "192.0.2.8"].map(check),
            [-1, -1, 1, 1]
        );
        assert!(logged("means 192.0.2.8 from now on, 192.0.2.7 2001:db8::7 before"));
        // A reload keeps it, and rows are counted as the database has them.
        door::ask("reload", json!([]));
        assert_eq!(check("192.0.2.8"), 1);
        resolves_to(NAME, &[]);
        resolve_until_it_means("nothing");
        assert!(logged("means nothing from now on, 192.0.2.8 before: it has no address"));
        let stats = door::ask("stats", json!([]));
        assert_eq!((&stats["rows"]["ranges"], &stats["rows"]["trusted"]), (&json!(2), &json!(2)));
    });
}

#[test]
fn a_row_of_its_own_outlives_the_name_with_the_same_address() {
    alone(|| {
        named_tenants();
        rows(Table::CompanyAddress, &[&["7", NAME, "NULL"], &["7", "192.0.2.7", "NULL"]]);
        resolves_to(NAME, &["192.0.2.7", "192.0.2.8"]);
        assert!(start(&named(&[])));
        resolve_until_it_means("192.0.2.7 192.0.2.8");
        resolves_to(NAME, &["192.0.2.9"]);
        resolve_until_it_means("192.0.2.9");
        assert_eq!(["192.0.2.7", "192.0.2.8", "192.0.2.9"].map(check), [1, -1, 1]);
    });
}

#[test]
fn an_absurd_answer_grants_nothing_and_is_told_once() {
    alone(|| {
        named_tenants();
        resolves_to(NAME, &["192.0.2.7"]);
        assert!(start(&named(&[])));
        resolve_until_it_means("192.0.2.7");
        for (absurd, what) in [
            ("127.0.0.1", "a loopback address"),
            ("0.0.0.0", "no host's address"),
            ("::1", "a loopback address"),
            ("::ffff:127.0.0.1", "a loopback address"),
        ] {
            resolves_to(NAME, &["192.0.2.7", absurd]);
            resolve_until_it_means("nothing");
            resolve_until(what, || logged(what));
            assert_eq!([check("192.0.2.7"), check(absurd)], [-1, -1], "{absurd}");
        }
        assert!(logged(
            "means nothing from now on, 192.0.2.7 before: it resolves to 127.0.0.1, a loopback address, so it grants nothing"
        ));
        let many: Vec<String> = (0..20).map(|n| format!("192.0.2.{}", 100 + n)).collect();
        resolves_to(NAME, &many.iter().map(String::as_str).collect::<Vec<_>>());
        resolve_until("the first ones", || check("192.0.2.100") == 1);
        assert_eq!(["192.0.2.115", "192.0.2.116"].map(check), [1, -1]);
        assert!(logged("it has 20 addresses, of which the first 16 count"));
    });
}

#[test]
fn the_last_answer_is_good_for_a_time_while_the_resolver_is_silent() {
    alone(|| {
        named_tenants();
        resolves_to(NAME, &["192.0.2.7"]);
        assert!(start(&named(&[("host_name_keep", json!(1))])));
        resolve_until_it_means("192.0.2.7");
        world().has_resolver = false;
        resolve_until("silence", || logged("the resolver does not answer for 2 host names"));
        assert_eq!(check("192.0.2.7"), 1);
        let line = door::ask("company", json!(["7"]))["names"][0].to_string();
        assert!(line.contains("means 192.0.2.7 (no answer since ") && line.contains("good until"));
        resolve_until_it_means("nothing");
        assert_eq!(check("192.0.2.7"), -1);
        assert!(logged("192.0.2.7 before: the resolver does not answer"));
        world().has_resolver = true;
        resolve_until_it_means("192.0.2.7");
        assert!(logged("the resolver answers for all host names again"));
    });
}

/// A start without database and resolver serves names as they were.
#[test]
fn what_names_meant_is_kept_with_the_tables() {
    alone(|| {
        let folder = Folder::new();
        let settings = named(&[("tables_file", json!(folder.0.join("tables")))]);
        let writer = Child::start(|| {
            named_tenants();
            resolves_to(NAME, &["192.0.2.7"]);
            assert!(start(&settings));
            resolve_until_it_means("192.0.2.7");
            let is_kept = || door::ask("stats", json!([]))["counters"]["tables_kept"] == 1;
            resolve_until("kept", || {
                door::tick();
                is_kept()
            });
            0
        });
        writer.wait();
        world().has_database = false;
        world().has_resolver = false;
        assert!(start(&settings), "{:#?}", world().log);
        assert_eq!(["192.0.2.7", "10.0.0.9", "192.0.2.8"].map(check), [1, 1, -1]);
        door::resolve();
        assert_eq!(check("192.0.2.7"), 1);
        // The resolver is back, the database is not.
        world().has_resolver = true;
        resolves_to(NAME, &["192.0.2.8"]);
        resolve_until_it_means("192.0.2.8");
        assert_eq!(["192.0.2.7", "10.0.0.9", "192.0.2.8"].map(check), [-1, 1, 1]);
        let stats = door::ask("stats", json!([]));
        assert_eq!(
            (&stats["tables_from_file"], &stats["counters"]["tables_kept"]),
            (&json!(1), &json!(1))
        );
    });
}
