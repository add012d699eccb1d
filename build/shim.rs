//! Compiles the shim.

use std::path::{Path, PathBuf};

use crate::reference::Reference;
use crate::{Host, project};

/// What the shims of all hosts share: it includes the headers of the host in question.
const COMMON: [&str; 8] = [
    "host.c",
    "log.c",
    "params.c",
    "message.c",
    "variables.c",
    "database.c",
    "audit.c",
    "remembered.c",
];

/// Everything that only this host's shim has.
pub fn dir(host: &Host) -> PathBuf {
    project("c_shim").join(host.name)
}

/// Hands the compiler and its flags to the benchmarks, which compile a module
/// of their own.
fn export_flags(compiler: &cc::Tool) {
    let words =
        std::iter::once(compiler.path().as_os_str()).chain(compiler.args().iter().map(|a| &**a));
    let words: Vec<_> = words.map(|w| w.to_string_lossy()).collect();
    println!("cargo:rustc-env=SIPWARDEN_SHIM_COMPILER={}", words.join("\t"));
}

/// Compiles it and links it into the cdylib.
pub fn compile(host: &Host, reference: &Reference, headers: &Path) {
    let mut build = cc::Build::new();
    build
        .cargo_metadata(false)
        .std("gnu11")
        .warnings(true)
        .extra_warnings(true)
        .warnings_into_errors(true);
    (host.configure)(&mut build, reference, headers);
    let common = project("c_shim/common");
    build.include(project("c_shim")).include(&common).include(dir(host));

    // Log lines name files; not where they lay on the build machine.
    build.flag(format!("-ffile-prefix-map={}=", project("").display()));

    export_flags(&build.get_compiler());
    for file in host.files {
        build.file(dir(host).join(file));
    }
    for file in COMMON {
        build.file(common.join(file));
    }
    if std::env::var_os("CARGO_FEATURE_PLANTED").is_some() {
        build.file(common.join("planted.c"));
    }
    for object in build.compile_intermediates() {
        println!("cargo:rustc-cdylib-link-arg={}", object.display());
    }
}
