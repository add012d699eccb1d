//! What a host compares when it loads a module, read from one that is installed.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::fail;

/// The strings, taken apart.
pub struct Reference {
    pub name: String,
    pub version: String,
    pub arch: String,
    pub os: String,
    pub flags: Vec<String>,
    /// Kind and name of the revision; Kamailio compares none.
    pub revision: [String; 2],
}

impl Reference {
    /// Of `kamailio 5.6.3 (x86_64/linux)` and the list of flags beside it.
    pub fn new(version: &str, flags: &str, revision: [String; 2]) -> Option<Self> {
        let (head, tail) = version.split_once(" (")?;
        let (name, version) = head.split_once(' ')?;
        let (arch, os) = tail.strip_suffix(')')?.split_once('/')?;
        version.starts_with(|c: char| c.is_ascii_digit()).then(|| Reference {
            name: name.into(),
            version: version.into(),
            arch: arch.into(),
            os: os.into(),
            flags: flags.split(", ").map(|f| f.trim().to_owned()).collect(),
            revision,
        })
    }
}

/// A file's bytes.
pub fn read(path: &Path) -> Vec<u8> {
    fs::read(path).unwrap_or_else(|e| fail(&format!("cannot read {}: {e}", path.display())))
}

/// The folder of the installed modules: the variable's, or the first of these that has one.
pub fn modules_dir(host: &str, variable: &str, candidates: &[String]) -> PathBuf {
    if let Some(dir) = env::var_os(variable) {
        let dir = PathBuf::from(dir);
        if !dir.join("sl.so").exists() {
            fail(&format!("{variable}={}: no sl.so in it", dir.display()));
        }
        return dir;
    }
    let found = candidates.iter().map(PathBuf::from).find(|d| d.join("sl.so").exists());
    found.unwrap_or_else(|| {
        let setup = if host == "Kamailio" { "run `make setup`, or " } else { "" };
        fail(&format!(
            "no installed {host} module sl.so in {}; {setup}set {variable}",
            candidates.join(", ")
        ))
    })
}

/// Folders in which a host's modules usually are.
pub fn usual_dirs(host: &str) -> Vec<String> {
    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let libs = [
        format!("/usr/lib/{arch}-linux-gnu"),
        "/usr/lib64".into(),
        "/usr/lib".into(),
        "/usr/local/lib64".into(),
        "/usr/local/lib".into(),
    ];
    libs.iter().map(|lib| format!("{lib}/{host}/modules")).collect()
}
