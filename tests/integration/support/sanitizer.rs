//! A Kamailio under the sanitizers. `make sanitize` names their runtimes: they must be there
//! before anything else of the process.

use std::fs;
use std::path::Path;
use std::process::Command;

/// The runtimes' files, with a space between them.
const RUNTIMES: &str = "SIPWARDEN_SANITIZER";

/// Leaks are not looked for: Kamailio gives nothing back when it stops. The soak looks for them.
const OPTIONS: &str =
    "detect_leaks=0:detect_stack_use_after_return=1:print_stacktrace=1:exitcode=99";

/// Whether there are any. Memory that is measured is theirs then, too.
pub fn is_there() -> bool {
    std::env::var_os(RUNTIMES).is_some()
}

/// Makes a Kamailio that is about to start load the runtimes, before other libraries that it is
/// to load, and write what they find into files of `folder`. Its own pools check for what was
/// written beside an allocation.
pub fn watch(command: &mut Command, folder: &Path) {
    if let Some(mut libraries) = std::env::var_os(RUNTIMES) {
        let options = format!("{OPTIONS}:log_path={}", folder.join("sanitizer").display());
        let others = command.get_envs().find(|(name, _)| *name == "LD_PRELOAD");
        if let Some(others) = others.and_then(|(_, libraries)| libraries) {
            libraries.push(" ");
            libraries.push(others);
        }
        command.env("LD_PRELOAD", libraries).env("ASAN_OPTIONS", &options);
        command.env("UBSAN_OPTIONS", &options).args(["-x", "qm"]);
    }
}

/// Nothing was found in any process of a Kamailio with this folder, and no panic caught that
/// nobody has injected: here overflows are panics too.
pub fn assert_silent(folder: &Path, log: &str) {
    if !is_there() || std::thread::panicking() {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok) {
        if entry.file_name().to_string_lossy().starts_with("sanitizer.") {
            let found = fs::read_to_string(entry.path()).unwrap_or_default();
            panic!("a sanitizer has found:\n{found}\n--- log\n{log}");
        }
    }
    // The runtime of undefined behaviour has no file of its own beside the other one.
    assert!(!log.contains(": runtime error: "), "a sanitizer has found:\n{log}");
    for caught in log.split("caught a panic in ").skip(1) {
        let said: Vec<_> = caught.lines().take(2).collect();
        assert!(said.join(" ").contains("injected into "), "{said:?}");
    }
}
