//! The man page sipwarden(7), made of the code's own tables and the headings of the reference.
//! `UPDATE_DOCS=1 cargo test --test integration manual::` writes it.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use sipwarden::host::{ATTRIBUTES, PARAMS, rpc_methods};
use sipwarden::verdict::FUNCTIONS;

const PAGE: &str = "docs/sipwarden.7";

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// A text of the reference as man pages have it: code in bold, links without their address.
fn plain(markdown: &str) -> String {
    let mut text = markdown.replace('\\', "\\e").replace('-', "\\-").replace("\n\n", "\n.PP\n");
    while let Some((before, rest)) = text.split_once("](") {
        let (_, after) = rest.split_once(')').unwrap();
        let (before, shown) = before.rsplit_once('[').unwrap();
        text = format!("{before}{shown}{after}");
    }
    let parts: Vec<_> = text.split('`').collect();
    let mut out = String::new();
    for (n, part) in parts.iter().enumerate() {
        out += if n == 0 {
            ""
        } else if n % 2 == 1 {
            "\\fB"
        } else {
            "\\fP"
        };
        out += part;
    }
    out.replace("**", "")
}

/// An item of a list.
fn item(out: &mut String, name: &str, meaning: &str) {
    let meaning = if meaning.is_empty() { "\\&" } else { &plain(meaning) };
    writeln!(out, ".TP\n.B \"{}\"\n{meaning}", plain(name)).unwrap();
}

/// The headings of the reference that name a function, and the first paragraph of each.
fn functions(reference: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for section in reference.split("\n### ").skip(1) {
        let (heading, text) = section.split_once("\n\n").unwrap();
        if let Some((name, _)) = heading.split_once('(') {
            let known = FUNCTIONS.iter().any(|function| function.name == name);
            let first = text.split("\n\n").next().unwrap().replace('\n', " ");
            let meaning = if first.starts_with('#') || first.starts_with('|') {
                String::new()
            } else {
                first
            };
            if known || name.starts_with("flood_") || name.starts_with("auth_") {
                found.push((heading.to_owned(), meaning));
            }
        }
    }
    found
}

fn manual() -> String {
    let reference = read("docs/reference.md");
    let mut out = format!(
        ".\\\" Made by tests/integration/manual.rs.\n.TH SIPWARDEN 7 \"\" \"sipwarden {}\" \"Kamailio\"\n.nh\n",
        env!("CARGO_PKG_VERSION")
    );
    out += ".SH NAME\nsipwarden \\- Kamailio module that guards multi\\-tenant SIP platforms\n";
    out += ".SH SYNOPSIS\n.nf\nloadmodule \"sipwarden.so\"\nmodparam(\"sipwarden\", \"db_url\", \"sqlite:////var/lib/kamailio/sipwarden.sqlite\")\n\n.B kamcmd sipwarden.reload\n.fi\n";
    out += ".SH DESCRIPTION\n";
    out += &plain(
        "It says from which addresses and countries a company's users may send, how many calls a company, its \
         brand and a roadwarrior may have at a time, which sources send too much, and who guesses passwords. \
         This page is the short form of the reference in \
         `/usr/share/doc/kamailio-sipwarden-module/docs/reference.md`.",
    );
    out += "\n.SH FUNCTIONS\n";
    for (heading, meaning) in functions(&reference) {
        item(&mut out, &heading, &meaning);
    }
    out +=
        ".SH VERDICTS\nThe codes that functions return, and the reasons in\n.BR $swd(reason) .\n";
    for function in FUNCTIONS {
        let verdicts = function.verdicts.iter().map(|(verdict, _)| {
            let row = verdict.entry();
            format!("{} {}", row.reason, row.code)
        });
        item(&mut out, function.name, &verdicts.collect::<Vec<_>>().join(", "));
    }
    out += ".SH PARAMETERS\n";
    for param in &PARAMS {
        item(&mut out, param.name.to_str().unwrap(), param.meaning.to_str().unwrap());
    }
    out += ".SH VARIABLES\n";
    for attribute in &ATTRIBUTES {
        item(&mut out, &format!("$swd({})", attribute.name), attribute.meaning);
    }
    out += ".SH RPC\nWith\n.BR kamcmd (8),\nor over JSON\\-RPC.\n";
    for method in rpc_methods() {
        let usage = format!("sipwarden.{}", method.usage());
        item(&mut out, usage.trim_end(), method.meaning.to_str().unwrap());
    }
    out += ".SH FILES\n";
    for (file, meaning) in [
        (
            "/etc/kamailio/sipwarden.cfg",
            "Two routes, to be included by `kamailio.cfg` and changed.",
        ),
        ("/usr/share/sipwarden/kamailio-cfg", "SQL, whole configurations, rules of a firewall."),
        ("/var/lib/kamailio", "The tables, if they are in SQLite; what outlives a restart."),
    ] {
        item(&mut out, file, meaning);
    }
    out += ".SH SEE ALSO\n.BR kamailio (8),\n.BR kamailio.cfg (5),\n.BR kamcmd (8)\n";
    out
}

#[test]
fn it_says_what_the_code_says() {
    let manual = manual();
    if read_or_none() == Some(manual.clone()) {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE), manual).unwrap();
        return;
    }
    panic!("{PAGE} is of another code: run UPDATE_DOCS=1 cargo test --test integration manual::");
}

fn read_or_none() -> Option<String> {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)).ok()
}

#[test]
fn each_function_of_the_reference_is_in_it() {
    let found = functions(&read("docs/reference.md"));
    for function in FUNCTIONS {
        let described = found.iter().filter(|(heading, meaning)| {
            heading.starts_with(&format!("{}(", function.name)) && !meaning.is_empty()
        });
        assert!(described.count() > 0, "{}", function.name);
    }
}

/// As a terminal shows it, where there is a formatter.
#[test]
fn it_can_be_shown() {
    let shown = Command::new("groff").args(["-man", "-Tutf8", "-P-cbou", "-ww", PAGE]).output();
    let Ok(shown) = shown else { return println!("no groff here") };
    let warnings = String::from_utf8_lossy(&shown.stderr);
    assert!(shown.status.success() && warnings.is_empty(), "{warnings}");
    let text = String::from_utf8_lossy(&shown.stdout);
    assert!(text.contains("sipwarden.check") && text.contains("flood_persist"), "{text}");
}

/// What the contributor's guide names is there.
#[test]
fn the_contributors_guide_names_what_is_there() {
    let guide = read("docs/contributing.md");
    let mut seen = 0;
    for named in guide.split('`').skip(1).step_by(2) {
        let folders = ["src", "c_shim", "kamailio-cfg", "docs", "tests", "tools", "benches"];
        if folders.iter().any(|folder| named.split('/').next() == Some(folder)) {
            assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(named).exists(), "{named}");
            seen += 1;
        }
    }
    let makefile = read("Makefile");
    for target in guide.split("`make ").skip(1).map(|rest| rest.split('`').next().unwrap()) {
        assert!(makefile.contains(&format!("\n{target}:")), "make {target}");
        seen += 1;
    }
    assert!(seen > 30, "{seen}");
}
