//! Libraries that a server loads before all others: `LD_PRELOAD`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The library of a C file in `tests/integration/support`, compiled into `folder`.
pub fn library(folder: &Path, file: &str) -> PathBuf {
    compiled(folder, &super::project().join("tests/integration/support").join(file))
}

/// The library of a C text.
pub fn library_of(folder: &Path, text: &str) -> PathBuf {
    let source = folder.join("preloaded.c");
    std::fs::write(&source, text).unwrap();
    compiled(folder, &source)
}

fn compiled(folder: &Path, source: &Path) -> PathBuf {
    let library = folder.join(source.file_name().unwrap()).with_extension("so");
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]);
    assert!(compiler.args([&*library, source]).status().unwrap().success());
    library
}
