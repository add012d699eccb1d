//! What users read is plain: habits of speech that made readers stop do not come back.

use std::fs;
use std::path::{Path, PathBuf};

use sipwarden::host::rpc_methods;

/// Documents, configurations, scripts and the page: read as they are. Sources: what their
/// literals say.
const READ: [&str; 11] = [
    "README.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "Makefile",
    "docs",
    "kamailio-cfg",
    "opensips-cfg",
    "tools",
    "web",
    "src",
    "c_shim",
];

fn files(of: &Path, found: &mut Vec<PathBuf>) {
    if of.is_dir() {
        fs::read_dir(of).unwrap().for_each(|entry| files(&entry.unwrap().path(), found));
    } else {
        found.push(of.to_owned());
    }
}

/// The literals of a source in C or Rust, up to its unit tests.
fn literals(source: &str) -> String {
    let code = source.split("#[cfg(test)]").next().unwrap().replace("'\"'", "' '");
    let (mut rest, mut said) = (code.as_str(), String::new());
    while let Some(at) = ["\"", "//", "/*"].iter().filter_map(|mark| rest.find(mark)).min() {
        let (mark, after) = rest[at..].split_at(1);
        if mark == "/" {
            let end = if after.starts_with('*') { "*/" } else { "\n" };
            rest = after.split_once(end).map_or("", |(_, rest)| rest);
            continue;
        }
        let mut escaped = false;
        let length = after.find(|c| {
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        let (literal, after) = after.split_at(length.unwrap_or(after.len()));
        said.push_str(&literal.replace("\\n", " ").replace('\\', ""));
        said.push('\n');
        rest = after.get(1..).unwrap_or("");
    }
    said
}

/// Each habit that a text has, with the words around it.
fn habits(text: &str) -> Vec<String> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let bare = |i: usize| {
        let word = words.get(i).copied().unwrap_or_default();
        word.trim_matches(|c: char| !c.is_alphanumeric() && !"-_".contains(c)).to_lowercase()
    };
    let is_habit = |i: usize| {
        let before = |n: usize| i.checked_sub(n).map(bare).unwrap_or_default();
        let (word, one, two, next) = (bare(i), before(1), before(2), bare(i + 1));
        let is = ["is", "are", "was", "were"].contains(&one.as_str());
        let follows_mark = i > 0 && words[i - 1].ends_with([':', ';']);
        match word.as_str() {
            // One asks with it, and says "a user who is banned"; it is no subject.
            "whoever" => true,
            "who" => follows_mark || words[i] == "Who" && next != "may",
            "lie" | "lies" | "holds" => true,
            "hold" => one != "apt-mark",
            // Live, reached and over are three things.
            "up" => (is || one == "all") && next != "to",
            "none" => is && two != "there",
            "no" => is && two != "there" && next != "longer",
            "on" => one == "tried" && words[i].ends_with([',', ';', '.', ')']),
            _ => false,
        }
    };
    let around = |i: usize| words[i.saturating_sub(5)..words.len().min(i + 4)].join(" ");
    (0..words.len()).filter(|i| is_habit(*i)).map(around).collect()
}

#[test]
fn what_users_read_is_plain() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    READ.iter().for_each(|name| files(&project.join(name), &mut all));
    let mut found = Vec::new();
    for file in &all {
        let Ok(text) = fs::read_to_string(file) else { continue };
        let extension = file.extension().unwrap_or_default();
        let text = if extension == "rs" || extension == "c" { literals(&text) } else { text };
        let is_text = !["svg", "png", "h"].iter().any(|other| extension == *other);
        let habits = if is_text { habits(&text) } else { Vec::new() };
        found.extend(habits.iter().map(|said| format!("{}: {said}", file.display())));
    }
    assert!(all.len() > 150, "{}", all.len());
    assert!(found.is_empty(), "say it plainly:\n{}", found.join("\n"));
}

/// The methods that a text names with a prefix: each host has another one.
fn spelled(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_alphanumeric() && !"._".contains(c));
    let methods: Vec<&str> = rpc_methods().map(|method| method.name.to_str().unwrap()).collect();
    let is_method = |word: &&str| {
        let name = word.trim_end_matches('.').strip_prefix("sipwarden.");
        name.is_some_and(|name| methods.contains(&name))
    };
    words.filter(is_method).map(Into::into).collect()
}

#[test]
fn sources_leave_the_prefix_of_methods_to_the_host() {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    ["src", "c_shim/common", "c_shim/opensips"]
        .iter()
        .for_each(|name| files(&project.join(name), &mut all));
    let found: Vec<String> = all
        .iter()
        .flat_map(|file| spelled(&literals(&fs::read_to_string(file).unwrap())))
        .collect();
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(
        spelled("run sipwarden.reload_all; see sipwarden.stats."),
        ["sipwarden.reload_all", "sipwarden.stats."]
    );
    assert!(spelled("sipwarden.so, sipwarden_company").is_empty());
}

#[test]
fn habits_are_found() {
    for said in [
        "Who keeps to the limit is never refused",
        "the tag: whoever adds it",
        "dropped; who is worth it",
        "\"keep\" is none of fail, skip",
        "the address that was given is none",
        "this is no file of tables",
        "all calls of the company are up",
        "2 of 2, all up",
        "the value holds from now on",
        "ranges that lie in it",
        "(tried on, said once a minute)",
    ] {
        assert_eq!(habits(said).len(), 1, "{said}");
    }
    for said in [
        "there is no company",
        "it is no longer blocked",
        "## Who may run kamcmd",
        "a user who is banned",
        "apt-mark hold kamailio",
        "a class is up to you",
        "call_held, and replies",
    ] {
        assert!(habits(said).is_empty(), "{said}");
    }
    let source =
        "let a = \"one \\\"two\\\"\"; // \"three\"\n/* \"four\" */ f('\"', \"five \\\n six\");";
    assert_eq!(
        literals(source).split_whitespace().collect::<Vec<_>>().join(" "),
        "one \"two\" five six"
    );
}
