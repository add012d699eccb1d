//! Arguments of the RPC methods, from kamcmd and as JSON: one that is there and cannot be
//! used is never taken for one that is missing.

use crate::support::kamailio::{Config, Kamailio};
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, project};
use serde_json::{Value, json};
use sipwarden::host::rpc_methods;

use crate::examples::METHODS;

/// The names of a method's arguments, and how many must be there.
fn arguments(method: &str) -> (Vec<&'static str>, usize) {
    let method = rpc_methods().find(|known| known.name.to_str() == Ok(method)).unwrap();
    let names = method.arguments.iter().map(|argument| argument.name.to_str().unwrap());
    (names.collect(), method.required)
}

fn start(settings: &str) -> (Kamailio, Folder) {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('7', 'b', 1, 0), ('office.example', 'b', 1, 0),
            ('007', 'b', 0, 0), ('3125551234', 'b', 0, 0);",
    );
    let mut config = Config::new(&db.url()).settings(settings);
    config.modules.push_str("loadmodule \"dialog.so\"\n");
    (config.start(), folder)
}

/// What a method that does something by mistake would change.
fn state(kamailio: &Kamailio) -> [Value; 4] {
    let stats = kamailio.rpc("sipwarden.stats", json!([]));
    let total = |method| kamailio.rpc(method, json!([]))["total"].clone();
    let ended = &stats["counters"]["auth_bans_ended"];
    let generation = stats["generation"].clone();
    [total("sipwarden.blocks"), total("sipwarden.bans"), ended.clone(), generation]
}

fn with_something_to_lose(kamailio: &Kamailio) {
    kamailio.rpc("sipwarden.ban", json!(["alice@example.com", "192.0.2.7"]));
    kamailio.rpc("sipwarden.block", json!(["198.51.100.1"]));
}

/// Each place of each method, and one place too many: arguments up to it, its name, what
/// may follow.
fn places() -> impl Iterator<Item = (&'static str, &'static [&'static str], &'static str)> {
    METHODS.into_iter().flat_map(|(method, good)| {
        let (names, _) = arguments(method);
        assert_eq!(names.len(), good.len(), "{method}");
        (0..=good.len()).map(move |place| {
            (method, &good[..place], names.get(place).map_or("too many", |name| name))
        })
    })
}

#[test]
fn all_methods_are_tried() {
    let methods: Vec<_> = rpc_methods().map(|method| method.name.to_str().unwrap()).collect();
    assert_eq!(methods, METHODS.map(|(method, _)| method));
}

#[test]
fn what_is_missing_or_too_many_is_answered_with_the_usage() {
    let (kamailio, _folder) = start("");
    for method in rpc_methods() {
        let (usage, method) = (method.usage(), method.name.to_str().unwrap());
        let help = kamailio.kamcmd(&["help", &format!("sipwarden.{method}")]);
        assert!(help.trim_end().ends_with(&format!(" Usage: sipwarden.{usage}")), "{help}");
        let (names, required) = arguments(method);
        let good = METHODS.iter().find(|(name, _)| *name == method).unwrap().1;
        let line = format!("sipwarden.{method}");
        let usage = format!("error: 400 - usage: sipwarden.{usage}");
        for (given, name) in names[..required].iter().enumerate() {
            let said = kamailio.kamcmd(&[&[line.as_str()], &good[..given]].concat());
            assert_eq!(said.trim_end(), format!("{usage}; {name} is missing"), "{line}");
        }
        let said = kamailio.kamcmd(&[&[line.as_str()], good, &["please"]].concat());
        assert_eq!(said.trim_end(), format!("{usage}; one argument too many: \"please\""));
    }
}

#[test]
fn what_is_no_argument_is_a_fault_over_json_and_nothing_is_done() {
    let (kamailio, _folder) = start("");
    with_something_to_lose(&kamailio);
    let before = state(&kamailio);
    let unusable = [
        json!(192.5),
        json!(-7),
        json!(1e300),
        json!(null),
        json!(true),
        json!(false),
        json!([]),
        json!(["192.0.2.7"]),
        json!({}),
        json!({"address": "192.0.2.7"}),
    ];
    for (method, good, name) in places() {
        for bad in &unusable {
            let mut params: Vec<Value> = good.iter().map(|text| json!(text)).collect();
            params.push(bad.clone());
            let fault = kamailio.try_rpc(&format!("sipwarden.{method}"), params.clone().into());
            let fault = fault.expect_err(&format!("{method} {params:?}"));
            let expected = format!("400 argument {name} is neither text nor a whole number");
            assert!(fault.starts_with(&expected), "{method} {params:?}: {fault}");
        }
    }
    // So it is where they have names.
    for (method, good, name) in places().filter(|(_, _, name)| *name != "too many") {
        let (names, _) = arguments(method);
        for bad in &unusable {
            let mut params: serde_json::Map<String, Value> =
                names.iter().zip(good).map(|(name, text)| ((*name).into(), json!(text))).collect();
            params.insert(name.into(), bad.clone());
            let fault = kamailio.try_rpc(&format!("sipwarden.{method}"), params.clone().into());
            let fault = fault.expect_err(&format!("{method} {params:?}"));
            let expected = format!("400 argument {name} is neither text nor a whole number");
            assert!(fault.starts_with(&expected), "{method} {params:?}: {fault}");
        }
    }
    for (method, _) in METHODS {
        let fault = kamailio.try_rpc(&format!("sipwarden.{method}"), json!({"who": 1}));
        let fault = fault.expect_err(method);
        assert!(fault.ends_with("; there is no argument \"who\""), "{method}: {fault}");
    }
    assert_eq!(state(&kamailio), before);
    assert!(!kamailio.log().contains("jsonrpc_scan"), "{}", kamailio.log());

    // Whole numbers are texts, as large as JSON has them.
    for (id, is) in [(json!(7), "7"), (json!(3_125_551_234u64), "3125551234")] {
        assert_eq!(kamailio.rpc("sipwarden.company", json!([id]))["company"], is);
    }
    assert!(kamailio.try_rpc("sipwarden.company", json!([0])).unwrap_err().contains("\"0\""));
    // No arguments at all, in each way that clients say so.
    for none in [json!([]), json!({})] {
        assert_eq!(kamailio.rpc("sipwarden.bans", none)["total"], 1);
    }
}

/// By name they are the same, in any order.
#[test]
fn json_gives_arguments_by_position_or_by_name() {
    let (kamailio, _folder) = start("");
    let by_name =
        |method: &str, params: Value| kamailio.rpc(&format!("sipwarden.{method}"), params);
    let ban = json!({"seconds": 60, "ip": "192.0.2.7", "aor": "alice@example.com"});
    assert_eq!(by_name("ban", ban)["aor"], "alice@example.com");
    assert_eq!(by_name("bans", json!({}))["total"], 1);
    assert_eq!(by_name("blocks", json!({"text": "192.0.2"}))["total"], 0);
    assert_eq!(by_name("company", json!({"company": 7}))["company"], "7");
    assert_eq!(by_name("unban", json!({"address": "192.0.2.7", "aor": "all"}))["lifted"], 1);
    // What may be left out is; what must be there is named.
    let said = |params| kamailio.try_rpc("sipwarden.check", params).unwrap_err();
    let usage = "400 usage: sipwarden.check <company> <ip> [<aor> [<scopes> [<flags>]]]; ";
    assert_eq!(said(json!({"company": "7", "aor": "a@b"})), format!("{usage}ip is missing"));
    assert_eq!(said(json!({"ip": "192.0.2.7"})), format!("{usage}company is missing"));
    let checked = json!({"ip": "192.0.2.7", "company": "7"});
    assert_eq!(by_name("check", checked)["company"], "7");
}

fn refuses_numbers_of_kamcmd(settings: &str) {
    let (kamailio, _folder) = start(settings);
    with_something_to_lose(&kamailio);
    let before = state(&kamailio);
    for (method, good, name) in places() {
        // A double, one more, wrapped to below zero, an empty text, and larger ones.
        for bad in ["192.0", "1e5", "nan", "3125551234", "", "0", "1000000000"] {
            let method = format!("sipwarden.{method}");
            let mut line = vec![method.as_str()];
            line.extend_from_slice(good);
            line.push(bad);
            let said = kamailio.kamcmd(&line);
            let expected =
                format!("error: 400 - argument {name} is neither text nor a whole number");
            assert!(said.starts_with(&expected), "{line:?}: {said}");
            assert!(said.contains("write s: before it"), "{line:?}: {said}");
        }
    }
    assert_eq!(state(&kamailio), before);
    // What follows such an argument is not taken for it.
    let said = kamailio.kamcmd(&["sipwarden.unban", "all", "192.0", "192.0.2.0/24"]);
    assert!(
        said.starts_with("error: 400 - argument address is neither text nor a whole number"),
        "{said}"
    );
    assert_eq!(state(&kamailio), before);
}

#[test]
fn what_kamcmd_has_turned_into_another_number_is_a_fault_and_nothing_is_done() {
    refuses_numbers_of_kamcmd("");
}

#[test]
fn so_it_is_where_ctl_turns_all_into_what_is_asked_for() {
    refuses_numbers_of_kamcmd("modparam(\"ctl\", \"autoconversion\", 1)\n");
}

#[test]
fn kamcmd_takes_ids_that_are_numbers_and_keeps_texts() {
    let (kamailio, _folder) = start("");
    for (typed, is) in [("7", "7"), ("s:7", "7"), ("s:007", "007"), ("s:3125551234", "3125551234")]
    {
        let said = kamailio.kamcmd(&["sipwarden.company", typed]);
        assert!(said.contains(&format!("company: {is}\n")), "{typed}: {said}");
    }
    kamailio.kamcmd(&["sipwarden.ban", "s:+34600000000", "192.0.2.7"]);
    let listed = kamailio.rpc("sipwarden.bans", json!([]));
    assert_eq!(listed["bans"][0]["aor"], "+34600000000");
    let said = kamailio.kamcmd(&["sipwarden.unban", "s:+34600000000", "192.0.2.7"]);
    assert!(said.contains("aor: +34600000000\n") && said.contains("lifted: 1\n"), "{said}");
    // All companies, and a page of them.
    for line in [&["sipwarden.calls", "s:"][..], &["sipwarden.calls", "s:", "1"]] {
        assert!(kamailio.kamcmd(line).starts_with("{\n\ttotal: 0\n"), "{}", kamailio.kamcmd(line));
    }
}

/// The examples of the reference, as an operator types them.
#[test]
fn the_examples_of_the_reference_work() {
    let (kamailio, _folder) = start("");
    let reference = std::fs::read_to_string(project().join("docs/reference.md")).unwrap();
    let (_, methods) = reference.split_once("\n## RPC\n").unwrap();
    let (methods, _) = methods.split_once("\n## ").unwrap();
    let mut tried = std::collections::HashSet::new();
    for line in methods.lines().filter(|line| line.starts_with("kamcmd sipwarden.")) {
        let words: Vec<_> = line.split(' ').skip(1).collect();
        let said = kamailio.kamcmd(&words);
        // There is no call whose Call-ID this is.
        let release = words[0] == "sipwarden.release";
        let expected = if release { "error: 404 - no live call" } else { "{" };
        assert!(said.starts_with(expected), "{line}: {said}");
        tried.insert(words[0].to_owned());
    }
    let missing: Vec<_> =
        METHODS.iter().filter(|m| !tried.contains(&format!("sipwarden.{}", m.0))).collect();
    assert!(missing.is_empty(), "without an example: {missing:?}");
}
