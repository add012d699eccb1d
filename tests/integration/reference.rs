//! The reference names just what the code has: nothing is missing, and nothing is left of what
//! is gone. `docs` tests the parts that are made of the code's tables.

use std::collections::BTreeSet;
use std::fs;

use crate::support::project;
use sipwarden::events::EventKind;
use sipwarden::host::rpc_methods;

fn read(file: &str) -> String {
    fs::read_to_string(project().join(file)).unwrap()
}

/// The text of a chapter, without what follows it.
fn chapter(name: &str) -> String {
    let reference = read("docs/reference.md");
    let (_, rest) = reference.split_once(&format!("\n## {name}\n")).unwrap();
    rest.split("\n## ").next().unwrap().to_owned()
}

fn headings(chapter: &str) -> BTreeSet<String> {
    chapter.lines().filter_map(|line| line.strip_prefix("### ")).map(str::to_owned).collect()
}

fn set<T: Into<String>>(items: impl IntoIterator<Item = T>) -> BTreeSet<String> {
    items.into_iter().map(Into::into).collect()
}

/// What stands in code marks and begins so, up to the first character that is in no name.
fn named(text: &str, begin: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(begin)
        .skip(1)
        .map(|rest| rest.split(|c| !is_part(c)).next().unwrap().into())
        .collect()
}

/// Name, number of arguments and routes of each exported function, in C.
pub fn exported_functions() -> BTreeSet<(String, usize, bool)> {
    let shim = read("c_shim/kamailio/functions.c");
    let (_, table) = shim.split_once("cmd_export_t sw_functions[] = {").unwrap();
    let (table, _) = table.split_once("{0, 0, 0").unwrap();
    let mut found = BTreeSet::new();
    for entry in table.split("\n\t\t").filter(|entry| !entry.trim().is_empty()) {
        if entry.starts_with("SW_MISPLACED") || !entry.contains(',') || entry.starts_with('\t') {
            continue;
        }
        let words: Vec<_> = entry.split([',', '(', '{', ')', '}', '"', ' ', '\n', '\t']).collect();
        let name = words.iter().find(|w| w.starts_with(|c: char| c.is_ascii_lowercase())).unwrap();
        let count = words.iter().find_map(|word| word.parse().ok()).unwrap();
        found.insert(((*name).to_owned(), count, table_says_calls(&shim, name)));
    }
    found
}

fn table_says_calls(shim: &str, name: &str) -> bool {
    shim.contains(&format!("SW_MISPLACED(\"{name}\""))
}

#[test]
fn functions_and_their_routes() {
    let functions = chapter("Functions");
    let described: BTreeSet<_> = headings(&functions)
        .iter()
        .filter_map(|heading| heading.split_once('('))
        .map(|(name, rest)| {
            let arguments = rest.trim_end_matches(')').split(", ").filter(|a| !a.is_empty());
            (name.to_owned(), arguments.count())
        })
        .collect();
    let exports = exported_functions();
    assert!(exports.len() > 20, "{exports:?}");
    assert_eq!(described, exports.iter().map(|(name, count, _)| (name.clone(), *count)).collect());
    // Each has an example or shares that of the section before, and its name in KEMI.
    let head = functions.lines().find(|line| line.starts_with("| route |")).unwrap();
    let columns: Vec<_> = head.split('|').collect();
    let calls = exports.iter().filter(|(_, _, calls)| *calls).map(|(name, ..)| name.clone());
    let named: BTreeSet<_> = columns[3].split('`').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(named, calls.collect());
    for (name, ..) in &exports {
        let sections = functions.split("\n### ").filter(|s| s.starts_with(&format!("{name}(")));
        assert!(sections.clone().any(|section| section.contains("\n```\n")), "{name}: no example");
    }
}

#[test]
fn functions_of_kemi() {
    let shim = read("c_shim/kamailio/functions.c");
    let exported: BTreeSet<_> = shim
        .lines()
        .filter_map(|line| line.trim().strip_prefix("SW_KEMI("))
        .map(|line| line.split(',').next().unwrap().to_owned())
        .collect();
    assert!(exported.len() > 20, "{exported:?}");
    assert_eq!(named(&read("docs/reference.md"), "KSR.sipwarden."), exported);
}

#[test]
fn methods() {
    let described = headings(&chapter("RPC"));
    let methods = rpc_methods();
    let methods = methods.map(|m| format!("sipwarden.{}", m.name.to_str().unwrap()));
    assert_eq!(described, methods.collect());
    for section in chapter("RPC").split("\n### ").skip(1) {
        let name = section.lines().next().unwrap();
        assert!(section.contains(&format!("\n```\nkamcmd {name}")), "{name}: no example");
    }
}

#[test]
fn events_and_their_routes() {
    let events = chapter("Events");
    let (mut route, mut described) = (String::new(), BTreeSet::new());
    for row in
        events.lines().filter(|line| line.starts_with("| `event_route") || line.starts_with("| | "))
    {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        if let Some(rest) = cells[1].strip_prefix("`event_route[sipwarden:") {
            route = rest.trim_end_matches("]`").to_owned();
        }
        for event in cells[2].split('`').skip(1).step_by(2) {
            described.insert((route.clone(), event.to_owned()));
        }
    }
    let mut known: BTreeSet<_> = EventKind::ALL
        .iter()
        .map(|kind| (kind.route().to_owned(), kind.name().to_owned()))
        .collect();
    // Made for those that watch, not for what has happened.
    known.insert(("gauge".into(), "near_limit".into()));
    assert_eq!(described, known);
    let variables = chapter("Variables");
    let row = variables.lines().find(|line| line.starts_with("| `$swd(event)` |")).unwrap();
    let (_, names) = row.split_once("event: ").unwrap();
    let names = set(names.split('`').skip(1).step_by(2));
    assert_eq!(names, set(EventKind::ALL.map(EventKind::name)));
}

#[test]
fn gauges_of_the_metrics_page() {
    let config = read("kamailio-cfg/http.cfg");
    let served: BTreeSet<_> = config
        .lines()
        .filter_map(|line| line.split("name=").nth(1)?.split(';').next())
        .map(|name| format!("kamailio_{name}"))
        .collect();
    let text = chapter("Web page, JSON-RPC and metrics");
    let rows = text.lines().filter(|line| line.starts_with("| `kamailio_sipwarden_"));
    let described: BTreeSet<_> = rows
        .flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect();
    assert_eq!(described, served);
}
