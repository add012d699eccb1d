//! A process of its own for each scenario: what the module knows is one per process.

use std::env;
use std::process::Command;

const ALONE: &str = "SIPWARDEN_SCENARIO";

/// Runs a scenario in a new process of this test program. Its name is that of the test that
/// the closure is written in.
pub fn alone<F: FnOnce()>(scenario: F) {
    if env::var_os(ALONE).is_some() {
        return scenario();
    }
    let path = std::any::type_name::<F>().trim_end_matches("::{{closure}}");
    let (_, name) = path.split_once("::").unwrap();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let [out, err] =
        [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
    assert!(output.status.success() && out.contains("test result: ok. 1 passed"), "{out}{err}");
}
