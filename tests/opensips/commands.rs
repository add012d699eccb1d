//! MI commands: their arguments by position and by name, faults, settings, statistics.

use std::collections::HashMap;

use serde_json::{Value, json};

use crate::host::Config;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, project};

fn start(folder: &Folder) -> crate::host::OpenSips {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('7', 'b', 1, 0);
         INSERT INTO sipwarden_company_address VALUES ('7', '192.0.2.0', 24);",
    );
    Config::new(&db.url()).start()
}

#[test]
fn arguments_go_by_position_and_by_name() {
    let folder = Folder::new();
    let opensips = start(&folder);
    let by_position = opensips.rpc("sipwarden_check", json!(["7", "192.0.2.9"]));
    let by_name = opensips.rpc("sipwarden_check", json!({"company": "7", "ip": "192.0.2.9"}));
    let as_number = opensips.rpc("sipwarden_check", json!([7, "192.0.2.9"]));
    for answer in [by_position, by_name, as_number] {
        assert_eq!(answer["reason"], "granted_range", "{answer}");
    }
    // What comes before may be left empty.
    let page = opensips.rpc("sipwarden_grants", json!({"page": "", "company": "7"}));
    assert_eq!(page["total"], 0, "{page}");
}

#[test]
fn faults_name_the_usage_and_the_argument() {
    let folder = Folder::new();
    let opensips = start(&folder);
    let fault = |params| opensips.try_rpc("sipwarden_check", params).unwrap_err();
    let usage = "400 usage: sipwarden_check <company> <ip>";
    assert!(fault(json!([])).starts_with(usage), "{}", fault(json!([])));
    let short = fault(json!(["7"]));
    assert!(short.starts_with(usage) && short.ends_with("ip is missing"), "{short}");
    assert!(fault(json!([true, "x"])).contains("company is neither text nor a whole number"));
    let many = fault(json!(["1", "2", "3", "4", "5", "6"]));
    assert!(many.contains("Too few or too many parameters"), "{many}");
    let long = opensips.try_rpc("sipwarden_block", json!(["x".repeat(200)])).unwrap_err();
    assert!(long.starts_with("400 "), "{long}");
}

#[test]
fn settings_change_at_once() {
    let folder = Folder::new();
    let opensips = start(&folder);
    let shown = || opensips.rpc("sipwarden_settings", json!([])).to_string();
    assert!(shown().contains("\"flood_limit\":100"), "{}", shown());
    opensips.rpc("sipwarden_set", json!(["flood_limit", 7]));
    assert!(shown().contains("\"flood_limit\":7"), "{}", shown());
    let fault = opensips.try_rpc("sipwarden_set", json!(["flood_limit", "none"])).unwrap_err();
    assert!(fault.contains("flood_limit"), "{fault}");
    assert!(shown().contains("\"flood_limit\":7"));
}

#[test]
fn statistics_are_counted_by_all_processes() {
    let folder = Folder::new();
    let opensips = start(&folder);
    let phone = crate::support::sip::Phone::new("127.0.0.1", opensips.address());
    (0..40).for_each(|_| assert_eq!(phone.ask("7").code, -1));
    let all = opensips.rpc("get_statistics", json!([["sipwarden:"]]));
    assert_eq!(all["sipwarden:check_denied_source"], 40, "{all}");
    assert_eq!(opensips.counter("check_denied_source"), 40);
    assert!(all.as_object().unwrap().len() > 100);
    // Gauges are not counted: the host and the module's own command compute them.
    assert!(opensips.counter("calls_room") > 0);
    assert_eq!(all["sipwarden:calls_room"], opensips.counter("calls_room"), "{all}");
}

/// As opensips-cli sends it: by name if all of them have one.
fn sent(line: &str) -> (String, Value) {
    let mut words = line.split_whitespace().skip(3);
    let method = words.next().unwrap().to_owned();
    let words: Vec<&str> = words.collect();
    let named: Option<Vec<_>> = words.iter().map(|word| word.split_once('=')).collect();
    match named.filter(|named| !named.is_empty()) {
        Some(named) => (method, json!(named.into_iter().collect::<HashMap<_, _>>())),
        None => (method, json!(words)),
    }
}

#[test]
fn commands_of_the_reference_are_taken() {
    let folder = Folder::new();
    let opensips = start(&folder);
    let page = std::fs::read_to_string(project().join("docs/reference.md")).unwrap();
    let lines: Vec<&str> = page.lines().filter(|l| l.starts_with("opensips-cli -x mi ")).collect();
    assert!(lines.len() > 40, "{lines:?}");
    for line in lines {
        let (method, params) = sent(line);
        // It need not find what the example names.
        if let Err(fault) = opensips.try_rpc(&method, params) {
            assert!(fault.starts_with("404 ") || fault.starts_with("500 "), "{line}: {fault}");
        }
    }
}
