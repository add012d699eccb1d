//! What is typed wrong, and what is said of it: the thing, its value, the remedy. Mistakes in
//! parameters and tables are in tests/hosts, arguments of RPC methods in `arguments.rs`.

use std::fs;
use std::process::Command;

use crate::hosts::mistakes::{running, tables};
use crate::support::host::Host;
use crate::support::kamailio::{Config, OfKamailio, module};
use crate::support::server::{program, which};
use crate::support::{Folder, project};

/// Lines for kamcmd, and all that is said.
type Typed = (&'static [&'static str], &'static [&'static str]);

fn typed() -> Vec<Typed> {
    vec![
        (
            &["sipwarden.check", "office", "300.1.1.1"],
            &["error: 400 - ip \"300.1.1.1\" is not an IP address"],
        ),
        (
            &["sipwarden.check", "Office", "127.0.1.1"],
            &["there is no company \"Office\"; \"office\" differs in case or blanks only"],
        ),
        (
            &["sipwarden.company", "Office"],
            &["error: 404 - write \"office\": company \"Office\" is not known"],
        ),
        (
            &["sipwarden.suggest", "office "],
            &["error: 404 - write \"office\": company \"office \" is not known"],
        ),
        (
            &["sipwarden.calls", "OFFICE"],
            &["hint: write \"office\": company \"OFFICE\" is not known"],
        ),
        (
            &["sipwarden.denied", "OFFICE"],
            &["hint: write \"office\": company \"OFFICE\" is not known"],
        ),
        (&["sipwarden.suggest", "shop"], &["error: 404 - company \"shop\" is not known"]),
        (
            &["sipwarden.ban", "alice", "192.0.2.7"],
            &["\"alice\" has no domain: ban user@domain if the script asks for that"],
        ),
    ]
}

#[test]
fn what_is_typed_wrong_is_told_with_its_remedy() {
    let folder = Folder::new();
    let db = tables(&folder);
    let kamailio = running(&db);
    for (line, said) in typed() {
        let text = kamailio.kamcmd(line);
        let fits = text.len() < OfKamailio::FAULT_BYTES + 20;
        assert!(!text.starts_with("error") || fits, "{text}");
        assert!(said.iter().all(|part| text.contains(part)), "{line:?}: {said:?} in {text}");
    }
    // A fault that is longer than kamcmd shows.
    let long = "x".repeat(128);
    db.run(&format!("INSERT INTO sipwarden_user VALUES ('{long}', '{long}', 4);"));
    let text = kamailio.kamcmd(&["sipwarden.reload"]);
    let (_, reason) = text.trim_end().split_once("error: 500 - ").unwrap();
    assert!(reason.len() <= OfKamailio::FAULT_BYTES, "{} bytes", reason.len());
    assert!(reason.contains("...; all of it: sipwarden.problems"), "{reason}");
}

#[test]
fn attributes_are_read_only() {
    let folder = Folder::new();
    let routes = "request_route { $swd(reason) = \"granted\"; exit; }\n";
    let log = Config::new(&tables(&folder).url()).routes(routes).fail_to_start();
    assert!(log.contains("read only pvar"), "{log}");
}

#[test]
fn kamcmd_of_another_user_is_refused_and_the_guide_says_how_to_let_it_in() {
    let folder = Folder::new();
    let kamailio = running(&tables(&folder));
    let socket = format!("unix:{}/ctl", kamailio.folder().display());
    let out = Command::new("setpriv")
        .args([
            "--reuid=65534",
            "--clear-groups",
            &which("kamcmd"),
            "-s",
            &socket,
            "sipwarden.version",
        ])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("Permission denied"), "{said}");
    let guide = fs::read_to_string(project().join("docs/first-day.md")).unwrap();
    let (_, remedy) = guide.split_once("`Permission denied`").unwrap();
    assert!(remedy.contains("modparam(\"ctl\""), "{remedy}");
}

#[test]
fn a_module_of_another_version_is_refused_with_both() {
    let folder = Folder::new();
    let db = tables(&folder);
    let out = program("kamailio").arg("-v").output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let (_, version) = text.lines().next().unwrap().split_once("version: ").unwrap();
    let version = version.trim();
    // As many bytes, so that the library stays whole.
    let other = version.replacen('.', "_", 1);
    let [from, to] = [version, &other].map(|v| format!("{v}\0").into_bytes());
    let mut bytes = fs::read(module()).unwrap();
    let places: Vec<_> =
        (0..bytes.len() - from.len()).filter(|at| bytes[*at..].starts_with(&from)).collect();
    assert!(!places.is_empty(), "{version}");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(&to);
    }
    let library = folder.join("sipwarden.so");
    fs::write(&library, bytes).unwrap();
    let mut config = Config::new(&db.url());
    config.module = library;
    let log = config.fail_to_start();
    let said = ["module version mismatch".to_owned(), format!("core: {version}")];
    assert!(said.iter().all(|part| log.contains(part)) && log.contains(&other), "{log}");
}
