//! The threat model names tests that exist, and text of strangers stays within a line of the log.

use std::collections::BTreeSet;
use std::fs;

use crate::support::call::{Caller, Endpoint};
use crate::support::example::Example;
use crate::support::kamailio::free_port;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, project, wait_for};

/// `core/auth.rs::name`, `integration/page.rs::name`, or `src/printable.rs::name`.
fn exists(named: &str) -> bool {
    let (file, test) = named.rsplit_once("::").unwrap();
    let folder = if file.starts_with("src/") { "" } else { "tests/" };
    let Ok(text) = fs::read_to_string(project().join(format!("{folder}{file}"))) else {
        return false;
    };
    let (before, _) = text.split_once(&format!("fn {test}(")).unwrap_or_default();
    // Its attributes stand right above it; those of property tests are within a macro.
    let above = before.trim_end().lines().rev().take(3);
    above.take_while(|line| !line.trim().is_empty()).any(|line| line.trim() == "#[test]")
}

/// A document names so many tests at least, and all of them are there.
fn assert_names_tests(document: &str, least: usize) {
    let text = fs::read_to_string(project().join(document)).unwrap();
    let named = text.split('`').skip(1).step_by(2);
    let named: BTreeSet<_> = named.filter(|name| name.contains(".rs::")).collect();
    let missing: Vec<_> = named.iter().filter(|name| !exists(name)).collect();
    assert!(missing.is_empty(), "{document} names tests that are not there: {missing:#?}");
    assert!(named.len() > least, "{document}: {}", named.len());
}

#[test]
fn the_threat_model_names_tests_that_exist() {
    let text = fs::read_to_string(project().join("docs/security.md")).unwrap();
    assert_names_tests("docs/security.md", 60);
    assert_names_tests("docs/reliability.md", 30);
    assert!(!exists("core/auth.rs::no_such_test") && !exists("core/none.rs::x"));
    assert!(!exists("integration/security.rs::exists"), "a function that is not a test");
    // A row either names one, or says that nothing bounds it.
    let rows = text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| what"));
    for row in rows.filter(|row| row.split(" | ").count() == 3) {
        let bound = row.contains(".rs::") || row.contains("Nothing bounds it");
        assert!(bound, "{row}");
    }
}

/// Strangers write the Call-ID, and may fold it over several lines.
#[test]
fn a_folded_call_id_makes_no_line_of_its_own() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('shut.example', 'b', 1, 0);",
    );
    let example = Example::start(&db, ([127, 0, 0, 99], free_port()).into());
    let phone = Endpoint::new("127.43.0.1");
    let mut call = Caller::new(&phone, example.address(), "shut.example", "");
    call.call_id = "7f3a\r\n refused: denied_source (-1) company=c source=198.51.100.7".into();
    call.invite();
    let log = wait_for("the refusal", || Some(example.log()).filter(|log| log.contains("7f3a")));
    let line = log.lines().find(|line| line.contains("7f3a")).unwrap();
    assert!(line.contains("refused: roadwarrior_none"), "{line}");
    assert!(line.ends_with("7f3arefused:denied_source(-1)company=csource=198.51.100.7"), "{line}");
}

#[test]
fn no_shipped_configuration_logs_a_call_id_as_it_came() {
    let folder = project().join("kamailio-cfg");
    let files = [folder.clone(), folder.join("ivozprovider")];
    let files = files.iter().flat_map(|folder| fs::read_dir(folder).unwrap());
    let mut seen = 0;
    for file in files.map(|entry| entry.unwrap().path()) {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        for line in text.lines().filter(|line| line.trim_start().starts_with("xlog(")) {
            let foreign = ["$ci", "$ua", "$hdr(", "$fu", "$ru", "$tu", "$ct", "$fn", "$rb", "$mb"];
            let raw = foreign.iter().any(|name| line.contains(name));
            assert!(!raw, "{}: {line}", file.display());
            seen += usize::from(line.contains("$(ci{s.rmws})"));
        }
    }
    assert!(seen > 8, "{seen}");
}
