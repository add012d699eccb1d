//! What `check` and `limits` tell of limits of your own, before a call meets them.

use serde_json::json;

use super::Stage;
use crate::Here;
use crate::hosts::Config;
use crate::support::Folder;
use crate::support::host::Host;
use crate::support::sqlite::Sqlite;

#[test]
fn without_limit_table_what_asks_for_its_rows_says_so() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('x', 0);
         INSERT INTO sipwarden_company VALUES ('a', 'x', 0, 7);",
    );
    let server = Config::new(&db.url()).start();
    let unset = "limit_table is not set";
    for asked in [json!([]), json!(["user"]), json!(["company", "b"])] {
        let listed = server.ask("limits", asked.clone());
        assert_eq!(listed["total"], 0, "{asked}: {listed}");
        assert!(listed["hint"].as_str().is_some_and(|hint| hint.contains(unset)), "{listed}");
    }
    // A company has a limit of its own all the same.
    let company = server.ask("limits", json!(["company", "a"]));
    assert_eq!((&company["total"], company.get("hint")), (&json!(1), None), "{company}");
    let fault = server.try_ask("limits", json!(["carrier"])).unwrap_err();
    assert!(fault.contains(unset), "{fault}");
    assert!(!fault.contains("there are"), "{fault}");
    let told = server.ask("check", json!(["a", "127.0.0.1", "", "carrier=north"])).to_string();
    assert!(told.contains(unset) && !told.contains("has no row"), "{told}");
}

#[test]
fn a_kind_without_rows_is_answered_with_those_that_have_some() {
    let stage = Stage::new("", "");
    let server = &stage.server;
    let fault = || server.try_ask("limits", json!(["nosuch"])).unwrap_err();
    assert!(fault().ends_with("limit_table has no row of kind \"nosuch\""), "{}", fault());
    let empty = server.ask("limits", json!([]));
    assert_eq!((&empty["total"], empty.get("hint")), (&json!(0), None), "{empty}");

    let add = "INSERT INTO sipwarden_limit (kind, id, max_calls) VALUES";
    stage.db.run(&format!("{add} ('trunk', 'x', 1), ('company', 'a', 1), ('did', '*', 1);"));
    server.ask("reload", json!([]));
    assert!(fault().ends_with("\"nosuch\"; there are company, trunk, did"), "{}", fault());
    // A word keeps its place when its rows are gone, and is none to ask for.
    stage.db.run("DELETE FROM sipwarden_limit WHERE kind = 'trunk';");
    server.ask("reload", json!([]));
    assert!(fault().ends_with("\"nosuch\"; there are company, did"), "{}", fault());

    // More words than fit are cut between two of them.
    let words: Vec<_> = (0..9).map(|n| format!("kind-of-many-letters-{n}")).collect();
    words.iter().for_each(|word| stage.db.run(&format!("{add} ('{word}', '*', 1);")));
    server.ask("reload", json!([]));
    let fault = fault();
    let (_, shown) = fault.split_once("; there are ").unwrap();
    let all = format!("company, did, {}", words.join(", "));
    match shown.strip_suffix(" ...") {
        Some(some) => {
            assert!(shown.len() < all.len() && some.ends_with(','), "{fault}");
            assert!(all.starts_with(some), "{fault}");
            assert!(fault.len() + words[0].len() > Here::FAULT_BYTES, "more would fit: {fault}");
        }
        None => assert_eq!(shown, all),
    }
}
