//! The sanitizers find what is planted for them, in Rust and in the shim, and the tests are told
//! of it. Only in a build with sanitizers: `make sanitize` runs it first.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::support::kamailio::{Config, Kamailio, faulty_module};
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, sanitizer, wait_for};
use serde_json::json;

/// What is planted, and what is said of it.
const PLANTED: [(&str, &str); 5] = [
    ("rust overrun", "heap-buffer-overflow"),
    ("rust freed", "heap-use-after-free"),
    ("rust overflow", "attempt to add with overflow"),
    ("shim overrun", "heap-buffer-overflow"),
    ("shim overflow", "signed integer overflow"),
];

#[test]
#[ignore = "make sanitize"]
fn what_is_planted_is_found() {
    for (planted, said) in PLANTED {
        let folder = Folder::new();
        let db = Sqlite::create(folder.join("tables.sqlite"));
        let mut config = Config::new(&db.url());
        config.module = faulty_module();
        config.environment = vec![("SIPWARDEN_PLANTED".into(), planted.into())];
        let kamailio = config.start();
        // The process that answers ends, or answers with a fault.
        let answer = kamailio.try_rpc("sipwarden.stats", json!([]));
        assert!(answer.is_err(), "{planted}: {answer:?}");
        let told = wait_for(planted, || what_is_told(&kamailio));
        assert!(told.contains(said), "{planted}: {told}");
        forget(kamailio);
    }
}

/// What a test of this Kamailio would fail with.
fn what_is_told(kamailio: &Kamailio) -> Option<String> {
    let (folder, log) = (kamailio.folder(), kamailio.log());
    let told = catch_unwind(AssertUnwindSafe(|| sanitizer::assert_silent(folder, &log))).err()?;
    told.downcast::<String>().ok().map(|text| *text)
}

/// Ends it without a word of what was found.
fn forget(mut kamailio: Kamailio) {
    if kamailio.runs() {
        kamailio.stop(libc::SIGKILL);
    }
    fs::write(kamailio.folder().join("log"), "").unwrap();
    for entry in fs::read_dir(kamailio.folder()).unwrap().map(Result::unwrap) {
        if entry.file_name().to_string_lossy().starts_with("sanitizer.") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}
