//! What `make fuzz` feeds its targets with, once more: the files in fuzz/corpus. They are seeds,
//! what has found something, and some of what has reached the most.

#[path = "../../fuzz/src/targets/mod.rs"]
pub mod targets;

use std::fs;
use std::path::Path;

use crate::host::alone::alone;
use targets::{HOSTED, PURE, Target};

/// Feeds a target with its corpus; how many files that is.
fn replay((name, run): Target) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    for file in &files {
        println!("{}", file.display());
        run(&fs::read(file).unwrap());
    }
    files.len()
}

#[test]
fn corpora_of_targets_without_a_host() {
    for target in PURE {
        assert!(replay(target) >= 3, "{}", target.0);
    }
}

#[test]
fn corpora_of_targets_with_a_host() {
    alone(|| {
        for target in HOSTED {
            assert!(replay(target) >= 3, "{}", target.0);
        }
    });
}

/// Each target is a program in fuzz, and the corpora are small.
#[test]
fn targets_and_corpora_belong_together() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    let programs = manifest.lines().filter_map(|line| line.strip_prefix("path = \"fuzz_targets/"));
    let mut programs: Vec<_> = programs.filter_map(|path| path.strip_suffix(".rs\"")).collect();
    let mut targets: Vec<_> = PURE.iter().chain(&HOSTED).map(|(name, _)| *name).collect();
    programs.sort_unstable();
    targets.sort_unstable();
    assert_eq!(programs, targets);
    let mut bytes = 0;
    for target in targets {
        for file in fs::read_dir(fuzz.join("corpus").join(target)).unwrap() {
            bytes += file.unwrap().metadata().unwrap().len();
        }
    }
    assert!(bytes < 100_000, "{bytes}");
}
