//! What sipwarden is built from, against the policy in deny.toml: without a network, and without
//! cargo-deny. `UPDATE_DOCS=1 cargo test --profile checks --test core dependencies` writes the list of what is
//! brought along.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

const LIST: &str = "docs/dependencies.md";
/// Of a package that `make fuzz` builds, and `make test` does not.
const FUZZ: &str = "fuzz/Cargo.lock";
/// What stands at the end of a source that is cargo's own registry.
const CRATES_IO: &str = "/crates.io-index";
/// All packages for it are here; those for others may not be.
const TARGET: &str = "x86_64-unknown-linux-gnu";

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// What cargo knows of the packages that are built on Linux.
struct Packages {
    all: BTreeMap<String, Package>,
    root: String,
}

struct Package {
    name: String,
    version: String,
    licence: String,
    /// Ids, and whether the package itself needs them, not only its build or its tests.
    needs: Vec<(String, bool)>,
    /// It runs in the compiler.
    is_macro: bool,
}

impl Packages {
    fn read() -> Self {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let asked = Command::new(cargo)
            .args(["metadata", "--locked", "--offline", "--format-version", "1"])
            .args(["--filter-platform", TARGET])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stderr));
        let said: Value = serde_json::from_slice(&asked.stdout).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        let mut all = BTreeMap::new();
        for package in list(&said["packages"]) {
            let targets = list(&package["targets"]);
            let is_macro = targets.iter().any(|target| target["kind"][0] == "proc-macro");
            let (name, version) = (text(&package["name"]), text(&package["version"]));
            let licence = text(&package["license"]);
            let package = (name, version, licence, is_macro, text(&package["id"]));
            let (name, version, licence, is_macro, id) = package;
            all.insert(id, Package { name, version, licence, is_macro, needs: Vec::new() });
        }
        for node in list(&said["resolve"]["nodes"]) {
            let needs = list(&node["deps"]).into_iter().map(|need| {
                let kinds = list(&need["dep_kinds"]);
                (text(&need["pkg"]), kinds.iter().any(|kind| kind["kind"].is_null()))
            });
            let needs = needs.collect();
            all.get_mut(&text(&node["id"])).unwrap().needs = needs;
        }
        Packages { all, root: text(&said["resolve"]["root"]) }
    }

    /// What is part of the library.
    fn in_library(&self) -> BTreeSet<&str> {
        let mut found = BTreeSet::new();
        let mut next = vec![&*self.root];
        while let Some(id) = next.pop() {
            if !self.all[id].is_macro && found.insert(id) {
                next.extend(
                    self.all[id].needs.iter().filter(|(_, runs)| *runs).map(|(id, _)| &**id),
                );
            }
        }
        found
    }

    fn others(&self) -> impl Iterator<Item = (&str, &Package)> {
        self.all.iter().filter(|(id, _)| **id != self.root).map(|(id, package)| (&**id, package))
    }
}

/// The texts in quotes between `name = [` and its end in deny.toml.
fn policy(name: &str) -> Vec<String> {
    let text = read("deny.toml");
    let (_, list) = text.split_once(&format!("\n{name} = [\n")).unwrap();
    let list = list.split("\n]").next().unwrap();
    list.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Packages that may have a licence of their own, with it.
fn exceptions() -> Vec<(String, String)> {
    policy("exceptions").chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

/// Whether one of the ways to license a package is allowed.
fn is_allowed(licence: &str, allowed: &dyn Fn(&str) -> bool) -> bool {
    let licence = licence.replace('/', " OR ");
    let all = |way: &str| way.split(" AND ").all(|part| is_allowed(part, allowed));
    match licence.split_once('(').and_then(|(_, rest)| rest.split_once(')')) {
        // One pair of brackets is what there is: (a OR b) AND c.
        Some((within, rest)) => {
            let rest = rest.strip_prefix(" AND ").unwrap_or("nothing else is understood");
            licence.starts_with('(') && is_allowed(within, allowed) && is_allowed(rest, allowed)
        }
        None if licence.contains(" OR ") => licence.split(" OR ").any(all),
        None if licence.contains(" AND ") => all(&licence),
        None => allowed(licence.trim()),
    }
}

#[test]
fn licences_are_read_as_they_are_written() {
    let mit = |licence: &str| is_allowed(licence, &|one| one == "MIT");
    for yes in ["MIT", "Apache-2.0 OR MIT", "MIT/Apache-2.0", "(MIT OR Zlib) AND MIT"] {
        assert!(mit(yes), "{yes}");
    }
    for no in ["", "Apache-2.0", "MIT AND Zlib", "(MIT OR Zlib) AND Zlib", "(MIT) OR GPL-3.0"] {
        assert!(!mit(no), "{no}");
    }
}

/// A package as a lock file has it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Locked {
    name: String,
    version: String,
    source: String,
    checksum: String,
}

/// All packages of a lock file but our own.
fn locked(file: &str) -> Vec<Locked> {
    let text = read(file);
    let packages = text.split("[[package]]\n").skip(1).map(|package| {
        let of = |name: &str| {
            let begin = format!("{name} = \"");
            let line = package.lines().find_map(|line| line.strip_prefix(&begin));
            line.map_or_else(String::new, |text| text.trim_end_matches('"').to_owned())
        };
        let [name, version] = [of("name"), of("version")];
        Locked { name, version, source: of("source"), checksum: of("checksum") }
    });
    packages.filter(|of| !["sipwarden", "sipwarden-fuzz"].contains(&&*of.name)).collect()
}

/// Each version in a lock file is of crates.io, with a checksum.
#[test]
fn all_comes_from_one_registry() {
    let mut sources = BTreeSet::new();
    for file in ["Cargo.lock", FUZZ] {
        let all = locked(file);
        assert!(all.len() > 50, "{file}: {}", all.len());
        for Locked { name, source, checksum, .. } in all {
            assert!(source.starts_with("registry+"), "{file}: {name} is of \"{source}\"");
            assert!(source.ends_with(CRATES_IO), "{file}: {name} is of \"{source}\"");
            assert_eq!(checksum.len(), 64, "{file}: {name} has the checksum \"{checksum}\"");
            sources.insert(source);
        }
    }
    assert_eq!(sources.len(), 1, "{sources:?}");
    assert!(policy("exceptions").len() >= 2 && read("deny.toml").contains("\nallow-git = []\n"));
}

/// What `make fuzz` builds are the packages of the library and of its tests, in the same versions,
/// and the few that the page names, whose licences are in the policy. So none is there twice but
/// those that the policy names.
#[test]
fn what_is_fuzzed_is_built_from_the_same_packages() {
    let ours = locked("Cargo.lock");
    let more: BTreeMap<_, _> = locked(FUZZ)
        .into_iter()
        .filter(|of| !ours.contains(of))
        .map(|of| (of.name, of.version))
        .collect();
    for (name, version) in &more {
        let other = ours.iter().find(|of| of.name == *name);
        let other = other.map_or("", |of| &*of.version);
        assert_eq!(other, "", "{FUZZ} has {name} {version}, and Cargo.lock another one");
    }
    let (allowed, exceptions) = (policy("allow"), exceptions());
    let rows = rows_of("\n## For make fuzz alone\n");
    for [name, _, licence, _] in &rows {
        let fits = |one: &str| {
            let by_name = (name.clone(), one.to_owned());
            allowed.iter().any(|known| known == one) || exceptions.contains(&by_name)
        };
        assert!(is_allowed(licence, &fits), "{name}: {licence}");
    }
    let named: BTreeSet<_> = rows.iter().map(|[name, ..]| name).collect();
    assert_eq!(named, more.keys().collect::<BTreeSet<_>>());
}

/// In the library only what goes with GPL-2.0; beside it what is allowed by name.
#[test]
fn each_licence_is_in_the_policy() {
    let (packages, allowed, exceptions) = (Packages::read(), policy("allow"), exceptions());
    let library = packages.in_library();
    assert!((20..60).contains(&library.len()), "{}", library.len());
    for (id, package) in packages.others() {
        let by_name = |one: &str| {
            exceptions.iter().any(|(name, licence)| *name == package.name && licence == one)
        };
        let fits = |one: &str| {
            allowed.iter().any(|known| known == one) || !library.contains(id) && by_name(one)
        };
        assert!(is_allowed(&package.licence, &fits), "{id}: {}", package.licence);
    }
}

#[test]
fn no_package_is_there_twice_but_those_that_the_policy_names() {
    let packages = Packages::read();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (_, package) in packages.others() {
        versions.entry(&package.name).or_default().insert(&package.version);
    }
    versions.retain(|_, versions| versions.len() > 1);
    let skipped = policy("skip");
    let skipped: Vec<_> = skipped.iter().step_by(2).map(|of| of.split_once('@').unwrap()).collect();
    for (name, versions) in &versions {
        let named = |version: &&&str| {
            let has = |prefix: &str| format!("{version}.").starts_with(&format!("{prefix}."));
            skipped.iter().any(|(of, prefix)| of == name && has(prefix))
        };
        assert!(versions.iter().filter(|v| !named(v)).count() <= 1, "{name}: {versions:?}");
    }
    let library = packages.in_library();
    let names: BTreeSet<_> = library.iter().map(|id| &packages.all[*id].name).collect();
    assert_eq!(names.len(), library.len(), "a package is in the library twice");
}

/// Rows of the table below a heading: package, what for, licence, reason.
fn rows_of(heading: &str) -> Vec<[String; 4]> {
    let text = read(LIST);
    let (_, table) = text.split_once(heading).unwrap_or_else(|| panic!("no {heading}"));
    let rows = table.split("\n## ").next().unwrap().lines().filter(|row| row.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        assert!(cells.len() == 4 && cells[3].len() > 15, "{row}");
        let [name, what, licence, reason] = [0, 1, 2, 3].map(|n| cells[n].to_owned());
        [name.trim_matches('`').to_owned(), what, licence, reason]
    })
    .collect()
}

/// Package, what for, licence.
fn asked_for() -> Vec<[String; 3]> {
    let rows = rows_of("\n## Asked for\n").into_iter();
    rows.map(|[name, what, licence, _]| [name, what, licence]).collect()
}

/// Each package that Cargo.toml asks for has a reason, and no other one.
#[test]
fn each_dependency_has_a_reason() {
    let manifest = read("Cargo.toml");
    let mut wanted = BTreeSet::new();
    for section in manifest.split("\n[").skip(1) {
        let (head, rows) = section.split_once("]\n").unwrap();
        let what = match head {
            "dependencies" => "library",
            "build-dependencies" => "build",
            _ if head.ends_with("dependencies") => "tests",
            _ => continue,
        };
        let rows = rows.lines().filter(|row| !row.starts_with('#'));
        for (name, how) in rows.filter_map(|row| row.split_once(" = ")) {
            let what = if how.contains("optional = true") { "tests" } else { what };
            wanted.insert((name.to_owned(), what.to_owned()));
        }
    }
    let rows = asked_for();
    let told: BTreeSet<_> =
        rows.iter().map(|[name, what, _]| (name.clone(), what.clone())).collect();
    assert_eq!(told, wanted);
    let packages = Packages::read();
    for [name, what, licence] in rows {
        let is = |package: &&Package| package.name == name && package.licence == licence;
        // The scheduler of interleavings is a feature of its own.
        let known = packages.all.values().any(|package| is(&package)) || name == "shuttle";
        assert!(known, "{name} for {what}: {licence}");
    }
}

/// A package that comes along is a line that a reviewer sees.
#[test]
fn what_is_brought_along_is_listed() {
    let packages = Packages::read();
    let (library, asked) = (packages.in_library(), asked_for());
    let mut rows =
        String::from("| package | in the library | licence | for |\n|---|---|---|---|\n");
    let mut sorted: Vec<_> = packages.others().collect();
    sorted.sort_by_key(|(id, package)| (!library.contains(id), &package.name, &package.version));
    for (id, package) in sorted {
        if asked.iter().any(|[name, ..]| *name == package.name) {
            continue;
        }
        let needs = |of: &Package| of.needs.iter().any(|(need, _)| need == id);
        let by: BTreeSet<_> =
            packages.all.values().filter(|of| needs(of)).map(|of| &*of.name).collect();
        let by: Vec<_> = by.into_iter().collect();
        let place = if library.contains(id) { "yes" } else { "no" };
        let Package { name, licence, .. } = package;
        writeln!(rows, "| `{name}` | {place} | {licence} | {} |", by.join(", ")).unwrap();
    }
    let text = read(LIST);
    let (begin, end) = ("<!-- begin brought -->\n", "<!-- end brought -->");
    let from = text.find(begin).unwrap() + begin.len();
    let to = from + text[from..].find(end).unwrap();
    if text[from..to] == rows {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(LIST);
        return fs::write(path, format!("{}{rows}{}", &text[..from], &text[to..])).unwrap();
    }
    panic!(
        "{LIST}: it differs from Cargo.lock; run UPDATE_DOCS=1 cargo test --test core dependencies"
    );
}
