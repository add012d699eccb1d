//! Compiles the benchmarks' own Kamailio module, with the flags of the shim.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::support::project;

/// The built module, in a folder of its own, so that it can be found as `bench.so`.
pub fn module() -> PathBuf {
    let folder = project().join("target/bench");
    fs::create_dir_all(&folder).unwrap();
    let sources = project().join("benches/kamailio/module");
    let mut files: Vec<PathBuf> =
        fs::read_dir(sources).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "c"));
    files.sort();
    let library = folder.join("bench.so");
    // Put there by build.rs: the compiler, then its flags.
    let mut words = env!("SIPWARDEN_SHIM_COMPILER").split('\t');
    let status = Command::new(words.next().unwrap())
        .args(words)
        .args(["-UMOD_NAME", "-UMOD_NAMEID", "-DMOD_NAME=\"bench\"", "-DMOD_NAMEID=bench"])
        .args(["-shared", "-o"])
        .arg(&library)
        .args(&files)
        .status()
        .unwrap();
    assert!(status.success(), "the module for benchmarks does not compile");
    library
}
