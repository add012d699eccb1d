//! Which file of a crate imports from which: enough of Rust's syntax for this one.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

type Names = Vec<String>;

/// A module: one file.
#[derive(Default)]
struct Module {
    file: String,
    words: Names,
    /// What it exports from elsewhere: name and full path.
    exports: BTreeMap<String, Names>,
    /// What it imports: name and full path.
    imports: Vec<(String, Names)>,
}

/// The source files of a crate, without what is compiled for unit tests only.
pub struct Crate {
    /// By their paths; that of the root is empty.
    modules: BTreeMap<Names, Module>,
    known: BTreeSet<Names>,
}

impl Crate {
    /// Reads a folder with `lib.rs`.
    pub fn read(folder: &Path) -> Self {
        let mut modules = BTreeMap::new();
        let mut only_tests = BTreeSet::new();
        for file in files_in(folder) {
            let text = fs::read_to_string(folder.join(&file)).unwrap();
            let mut path: Names =
                file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            if matches!(path.last().map(String::as_str), Some("mod" | "lib")) {
                path.pop();
            }
            let mut words = words(&text);
            only_tests.extend(without_tests(&mut words).into_iter().map(|name| child(&path, name)));
            modules.insert(path, Module { file, words, ..Module::default() });
        }
        modules.retain(|path, _| !only_tests.contains(path));
        let known: BTreeSet<Names> = modules.keys().cloned().collect();
        for (path, module) in &mut modules {
            module.find_imports(path, &known);
        }
        Crate { modules, known }
    }

    /// All files.
    pub fn files(&self) -> Names {
        let mut files: Names = self.modules.values().map(|module| module.file.clone()).collect();
        files.sort();
        files
    }

    /// Each file and its words.
    pub fn words(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.modules.values().map(|module| (module.file.as_str(), module.words.as_slice()))
    }

    /// Each file, and the others in which something is that it uses.
    pub fn imports(&self) -> BTreeMap<String, BTreeSet<String>> {
        let used = |(path, module): (&Names, &Module)| {
            let mut used: BTreeSet<String> = self
                .paths_in(path, module)
                .iter()
                .filter_map(|path| self.file_of(path, 0))
                .collect();
            used.remove(&module.file);
            (module.file.clone(), used)
        };
        self.modules.iter().map(used).collect()
    }

    /// Sets of files that reach each other.
    pub fn circles(&self) -> Vec<Vec<String>> {
        let imports = self.imports();
        let reached = |from: &String| {
            let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
            while let Some(file) = next.pop() {
                next.extend(imports[file].iter().filter(|used| seen.insert((*used).clone())));
            }
            seen
        };
        let all: BTreeMap<&String, BTreeSet<String>> =
            imports.keys().map(|file| (file, reached(file))).collect();
        let mut circles: Vec<Vec<String>> = Vec::new();
        for (file, reached) in &all {
            if reached.contains(*file) && !circles.iter().any(|circle| circle.contains(file)) {
                let back = reached.iter().filter(|other| all[*other].contains(*file));
                circles.push(back.cloned().collect());
            }
        }
        circles
    }

    /// The full paths that a module imports or writes out.
    fn paths_in(&self, path: &[String], module: &Module) -> Vec<Names> {
        let mut paths: Vec<Names> = module.imports.iter().map(|(_, path)| path.clone()).collect();
        let mut at = 0;
        while at < module.words.len() {
            let written = path_at(&module.words[at..]);
            if written.len() > 1 {
                let imported = module.imports.iter().find(|(name, _)| *name == written[0]);
                match imported {
                    Some((_, whole)) => {
                        paths.push([whole.as_slice(), &written[1..]].concat());
                    }
                    None => paths.extend(full_path(path, &written, &self.known)),
                }
            }
            at += (2 * written.len()).saturating_sub(1).max(1);
        }
        paths
    }

    /// Where what a path names is defined; None for a folder as a whole. The first `plain`
    /// names are folders and files, also where an export has the same name.
    fn file_of(&self, path: &[String], plain: usize) -> Option<String> {
        let mut here: Names = Vec::new();
        for (place, name) in path.iter().enumerate() {
            let module = self.modules.get(&here)?;
            if let Some(target) = module.exports.get(name).filter(|_| place >= plain) {
                let whole = [target.as_slice(), &path[place + 1..]].concat();
                return self.file_of(&whole, place + 1);
            }
            let inner = child(&here, name.clone());
            if !self.modules.contains_key(&inner) {
                return Some(module.file.clone());
            }
            here = inner;
        }
        let file = &self.modules.get(&here)?.file;
        (!file.ends_with("mod.rs")).then(|| file.clone())
    }
}

impl Module {
    /// A folder's own file hands on what is inside; that is no use of it.
    fn find_imports(&mut self, path: &[String], known: &BTreeSet<Names>) {
        let is_front = self.file.ends_with("mod.rs") || self.file == "lib.rs";
        let starts: Vec<usize> =
            (0..self.words.len()).filter(|at| self.words[*at] == "use").collect();
        for at in starts {
            let end = at + self.words[at..].iter().position(|word| word == ";").unwrap_or(0);
            let before = self.words[..at]
                .iter()
                .rev()
                .find(|word| !matches!(word.as_str(), ")" | "(" | "super" | "crate" | "in" | "::"));
            let is_public = before.is_some_and(|word| word == "pub");
            let mut found = Vec::new();
            tree(&self.words[at + 1..end], &[], &mut found);
            for (name, written) in found {
                let Some(whole) = full_path(path, &written, known) else { continue };
                if is_public {
                    self.exports.insert(name.clone(), whole.clone());
                }
                if !(is_public && is_front) {
                    self.imports.push((name, whole));
                }
            }
            // Read once: what is left are the paths that are written out.
            self.words[at..end].iter_mut().for_each(|word| word.clear());
        }
    }
}

fn child(path: &[String], name: String) -> Names {
    [path, &[name]].concat()
}

fn files_in(folder: &Path) -> Names {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let inside = path.strip_prefix(folder).unwrap();
                files.push(inside.to_str().unwrap().to_owned());
            }
        }
    }
    files
}

/// A path from the root on; None for one of another crate.
fn full_path(here: &[String], written: &[String], known: &BTreeSet<Names>) -> Option<Names> {
    let (mut base, mut rest) = (here, written);
    match written.first()?.as_str() {
        "crate" => (base, rest) = (&[], &rest[1..]),
        "self" => rest = &rest[1..],
        "super" => {}
        first if known.contains(&child(here, first.to_owned())) => {}
        _ => return None,
    }
    while rest.first().is_some_and(|word| word == "super") {
        (base, rest) = (&base[..base.len() - 1], &rest[1..]);
    }
    Some([base, rest].concat())
}

/// The paths of a `use`, each with the name that it has here.
fn tree(words: &[String], before: &[String], found: &mut Vec<(String, Names)>) {
    let path = path_at(words);
    let whole = [before, &path].concat();
    let rest = &words[(2 * path.len()).saturating_sub(1).min(words.len())..];
    match rest.first().map(String::as_str) {
        Some("as") => found.push((rest[1].clone(), whole)),
        None => {
            let is_self = whole.last().is_some_and(|word| word == "self");
            let whole = if is_self { whole[..whole.len() - 1].to_vec() } else { whole };
            found.extend(whole.last().cloned().map(|name| (name, whole)));
        }
        _ => {
            let inside = rest
                .iter()
                .position(|word| word == "{")
                .map(|open| &rest[open + 1..rest.len() - 1]);
            let (mut depth, mut from) = (0, 0);
            let inside = inside.unwrap_or_default();
            for (at, word) in inside.iter().enumerate() {
                match word.as_str() {
                    "{" => depth += 1,
                    "}" => depth -= 1,
                    "," if depth == 0 => {
                        tree(&inside[from..at], &whole, found);
                        from = at + 1;
                    }
                    _ => {}
                }
            }
            if from < inside.len() {
                tree(&inside[from..], &whole, found);
            }
        }
    }
}

/// The path with which some words begin.
fn path_at(words: &[String]) -> Names {
    let is_name = |word: &String| word.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let mut path = Vec::new();
    let mut at = 0;
    while words.get(at).is_some_and(is_name) {
        path.push(words[at].clone());
        if words.get(at + 1).is_none_or(|word| word != "::")
            || !words.get(at + 2).is_some_and(is_name)
        {
            break;
        }
        at += 2;
    }
    path
}

/// Takes out what is compiled for unit tests only; the names of such files.
fn without_tests(words: &mut Names) -> Names {
    let mark = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    let mut files = Vec::new();
    while let Some(at) = words.windows(mark.len()).position(|found| found == mark) {
        let name = words[at + mark.len()].clone();
        let mut end = at + mark.len() + 1;
        if words[end] == ";" {
            files.push(name);
        } else {
            let mut depth = 0;
            loop {
                match words.get(end).map(String::as_str) {
                    Some("{") => depth += 1,
                    Some("}") => depth -= 1,
                    None => break,
                    _ => {}
                }
                if depth == 0 {
                    break;
                }
                end += 1;
            }
        }
        words.drain(at..(end + 1).min(words.len()));
    }
    files
}

/// Names, `::` and signs of a text, without comments and literals.
fn words(text: &str) -> Names {
    let mut words = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            '"' => text_length(rest),
            '\'' => sign_length(rest),
            'r' if rest.starts_with("r\"") => 2 + rest[2..].find('"').unwrap() + 1,
            'r' if rest.starts_with("r#\"") => 3 + rest[3..].find("\"#").unwrap() + 2,
            ':' if rest.starts_with("::") => {
                words.push("::".into());
                2
            }
            c if c.is_alphanumeric() || c == '_' => {
                let is_part = |c: char| c.is_alphanumeric() || c == '_';
                let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
                // The letter before a literal belongs to it.
                if !rest[end..].starts_with(['"', '\'']) {
                    words.push(rest[..end].into());
                }
                end
            }
            c => {
                if !c.is_whitespace() {
                    words.push(c.into());
                }
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    words
}

fn text_length(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// Of a character like `'a'`, or of the quote before a lifetime.
fn sign_length(text: &str) -> usize {
    let mut signs = text.char_indices().skip(1);
    match (signs.next(), signs.next()) {
        (Some((_, '\\')), Some(_)) => 3 + text[3..].find('\'').map_or(0, |end| end + 1),
        (Some(_), Some((at, '\''))) => at + 1,
        _ => 1,
    }
}
