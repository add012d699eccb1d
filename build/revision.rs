//! The revision of the sources.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::project;

/// The revision of the sources, for `sipwarden.version` and the log. A build of the module
/// follows each commit; those of tests do not, as no test looks at it.
pub fn tell() {
    println!("cargo:rerun-if-env-changed=SIPWARDEN_REVISION");
    let git = |arguments: &[&str]| {
        let out = Command::new("git").args(arguments).current_dir(project("")).output().ok()?;
        let text = String::from_utf8(out.stdout).ok().filter(|_| out.status.success())?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    if out.components().any(|part| part.as_os_str() == "release") {
        let log = git(&["rev-parse", "--git-path", "logs/HEAD"]).map(|log| project(&log));
        if let Some(log) = log.filter(|log| log.exists()) {
            println!("cargo:rerun-if-changed={}", log.display());
        }
    }
    let given = env::var("SIPWARDEN_REVISION").ok().filter(|given| !given.is_empty());
    let revision = given.or_else(|| git(&["rev-parse", "--short=12", "HEAD"]));
    println!("cargo:rustc-env=SIPWARDEN_REVISION={}", revision.as_deref().unwrap_or("unknown"));
}
