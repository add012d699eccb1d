//! What `check` and `limits` tell of limits of your own, before a call meets them.

use serde_json::{Value, json};

use super::{ROUTES, Stage};
use crate::Here;
use crate::hosts::Config;
use crate::support::Folder;
use crate::support::host::Host;
use crate::support::sqlite::Sqlite;

/// What `check` says of a call that would count: the line of cc_limit, and its fields.
fn told(stage: &Stage, [company, scopes, flags]: [&str; 3]) -> (String, Value) {
    let asked = json!([company, "127.0.0.1", "", scopes, flags]);
    let answer = stage.server.ask("check", asked);
    let mut steps = answer["steps"].as_array().unwrap().iter().map(|step| step.as_str().unwrap());
    let line = steps.find(|step| step.starts_with("cc_limit: ")).unwrap();
    let (_, line) = line.split_once("a new call would be counted: ").unwrap();
    (line.to_owned(), answer["cc_limit"].clone())
}

/// Kind, id, direction, and these numbers of each limit that is told.
fn rows(fields: &Value, names: [&str; 3]) -> Vec<(String, [u64; 3])> {
    let row = |row: &Value| {
        let [kind, id, direction] =
            ["kind", "id", "direction"].map(|name| row[name].as_str().unwrap());
        let numbers = names.map(|name| row[name].as_u64().unwrap());
        (format!("{kind} {id} {direction}"), numbers)
    };
    fields["scopes"].as_array().unwrap().iter().map(row).collect()
}

#[test]
fn a_check_tells_the_rows_of_company_and_brand_before_they_refuse() {
    let stage = Stage::with(
        "INSERT INTO sipwarden_company VALUES ('own', 'x', 0, 0);
         INSERT INTO sipwarden_limit (kind, id, direction, max_calls) VALUES
             ('company', '*', 'in', 20), ('brand', 'x', 'out', 9), ('company', 'a', 'any', 120),
             ('carrier', 'north', 'any', 6);
         INSERT INTO sipwarden_limit (kind, id, max_new, window_seconds, max_ringing, longest)
             VALUES ('company', '*', 5, 3600, 8, 7200);",
        ROUTES,
        |config| config,
    );
    let up = stage.call(&[("X-Company", "own"), ("X-Flags", "i")]).unwrap();
    let all = "1 calls of at most 7200 s, 0 of 8 ringing calls, 1 of 5 new calls within 3600 s";
    let (line, fields) = told(&stage, ["own", "carrier=north", "i"]);
    let brand = "brand \"x\" has 1 calls, without a limit";
    let north = "; carrier \"north\" has 0 of 6 calls";
    assert_eq!(line, format!("the company has {all}, 1 of 20 inbound calls, {brand}{north}"));
    // No limit is for all its calls: what there is stands among the scopes, behind the named ones.
    assert_eq!((&fields["company_calls"], &fields["company_limit"]), (&json!(1), &json!(0)));
    assert_eq!(
        rows(&fields, ["calls", "max_calls", "max_new"]),
        [
            ("carrier north any".into(), [0, 6, 0]),
            ("brand x out".into(), [0, 9, 0]),
            ("company own any".into(), [1, 0, 5]),
            ("company own in".into(), [1, 20, 0]),
        ]
    );
    let more = rows(&fields, ["new_calls", "max_ringing", "longest"]);
    assert_eq!(more[2], ("company own any".into(), [1, 8, 7200]));

    // Only those of the call's direction are in the words.
    let (line, _) = told(&stage, ["own", "", "o"]);
    let brand = "brand \"x\" has 0 of 9 outbound calls";
    assert_eq!(line, format!("the company has {all}, {brand}"));
    let (line, _) = told(&stage, ["own", "", ""]);
    assert!(
        line.starts_with(&format!("the company has {all}, brand \"x\" has 1 calls,")),
        "{line}"
    );
    assert!(line.contains("the limits of brand \"x\" for one direction are not asked"), "{line}");

    // The lower one of two numbers holds, in the words and in the row.
    let (line, fields) = told(&stage, ["a", "", "i"]);
    assert!(line.starts_with("the company has 0 of 100 calls, 0 of 20 inbound calls, "), "{line}");
    assert_eq!(fields["company_limit"], 100);
    let of_company = rows(&fields, ["calls", "max_calls", "max_new"]);
    assert!(of_company.contains(&("company a any".into(), [0, 100, 0])), "{fields}");
    stage.hang_up(up);
    stage.end(vec![]);
}

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
