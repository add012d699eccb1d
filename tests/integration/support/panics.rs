//! Panics that a test injects into entries from C, and that each of them has come.

use std::fs::OpenOptions;
use std::io::Write;

use super::config::Config;
use super::host::Host;
use super::running::Running;
use super::{project, wait_for};

/// Names a file that gets a line for each entry in which a panic was seen.
pub const NOTES: &str = "SIPWARDEN_INJECTED";

/// The names of `enum Entry`.
pub fn entries() -> Vec<String> {
    let text = std::fs::read_to_string(project().join("src/host/contract/guard.rs")).unwrap();
    let (_, from) = text.split_once("pub enum Entry {").unwrap();
    let (names, _) = from.split_once('}').unwrap();
    let names = names.lines().map(|line| line.trim().trim_end_matches(',').to_owned());
    names.filter(|name| !name.is_empty()).collect()
}

/// With panics in these entries, which have commas between them.
pub fn injected<H: Host>(mut config: Config<H>, names: &str) -> Config<H> {
    let known = entries();
    for name in names.split(',').filter(|name| !name.is_empty()) {
        assert!(known.iter().any(|entry| entry == name), "{name} is no entry");
    }
    config.module = H::faulty_module();
    config.environment.push(("SIPWARDEN_PANIC".into(), names.into()));
    config
}

fn reports(log: &str, entry: &str) -> usize {
    log.matches(&format!("caught a panic in {entry}: ")).count()
}

/// A panic in it comes, and is reported once, however often it comes.
pub fn assert_reported<H: Host>(server: &Running<H>, entry: &str) {
    wait_for(&format!("a panic in {entry}"), || (reports(&server.log(), entry) > 0).then_some(()));
    let log = server.log();
    assert_eq!(reports(&log, entry), 1, "{log}");
    assert_injected(&log, entry);
}

/// A panic in it came. Before the server's log is there, the runtime of Rust says so.
pub fn assert_injected(log: &str, entry: &str) {
    let words = format!("injected into {entry}");
    let mut rests = log.split(&words).skip(1);
    let whole = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric());
    assert!(rests.any(whole), "no panic in {entry}: {log}");
    note(entry);
}

fn note(entry: &str) {
    if let Some(file) = std::env::var_os(NOTES) {
        let mut file = OpenOptions::new().create(true).append(true).open(file).unwrap();
        // One write: other tests do the same.
        file.write_all(format!("{entry}\n").as_bytes()).unwrap();
    }
}
