//! Files of blocks, bans and grants that somebody has written: lines are loaded or left out, and
//! what is kept of them is loaded again.

use std::collections::BTreeSet;

use serde_json::json;
use sipwarden::host::loaded_and_kept;

use super::hosted;
use crate::host::door;

/// What a line is about, without times and numbers.
fn about(text: &str) -> BTreeSet<String> {
    let lines = text.lines().skip(2).map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["ban", source, .., aor] => format!("ban {source} {aor}"),
            ["grant", source, .., company, _] => format!("grant {source} {company}"),
            words => words[0].to_owned(),
        }
    });
    lines.collect()
}

pub fn run(data: &[u8]) {
    hosted::begin();
    let text = [b"sipwarden blocks 1\n", data].concat();
    let kept = loaded_and_kept(&text).unwrap();
    assert!(kept.starts_with("sipwarden blocks 1\nseed "), "{kept}");
    hosted::check();
    door::ask("unblock", json!(["all"]));
    door::ask("unban", json!(["all"]));
    let again = loaded_and_kept(kept.as_bytes()).unwrap();
    let left_out = crate::host::world::logged("is left out");
    assert!(!left_out, "a line of our own is no line: {kept}");
    assert!(about(&again).is_subset(&about(&kept)), "{again}{kept}");
    door::ask("unblock", json!(["all"]));
    door::ask("unban", json!(["all"]));
    hosted::check();
}
