//! Compiles the C shim against the headers of one version of one host, links it into the
//! cdylib only, and generates the Rust side of the contract.
//!
//! SIPWARDEN_HOST names the host (cargo itself sets HOST): kamailio, unless it is set. Flags come
//! from an installed module, never from `kamailio -v`: the binary prints flags that its own
//! modules do not have.

#[path = "build/contract.rs"]
mod contract;
#[path = "build/elf.rs"]
mod elf;
#[path = "build/kamailio.rs"]
mod kamailio;
#[path = "build/opensips.rs"]
mod opensips;
#[path = "build/reference.rs"]
mod reference;
#[path = "build/revision.rs"]
mod revision;
#[path = "build/shim.rs"]
mod shim;

use std::env;
use std::path::{Path, PathBuf};
use std::process::exit;

use reference::Reference;

/// What is known of a host.
struct Host {
    /// Its folder in `c_shim`.
    name: &'static str,
    /// Files there.
    files: &'static [&'static str],
    /// Environment variables that say where it is.
    variables: [&'static str; 2],
    /// Where its modules are.
    modules_dir: fn() -> PathBuf,
    /// Where its headers are.
    headers_dir: fn() -> PathBuf,
    /// What it compares when it loads a module, as an installed one has it.
    reference: fn(&Path) -> Reference,
    /// Defines what its own modules are compiled with, and finds its headers.
    configure: fn(&mut cc::Build, &Reference, &Path),
}

fn main() {
    let host = host();
    for var in host.variables {
        println!("cargo:rerun-if-env-changed={var}");
    }
    println!("cargo:rerun-if-changed=c_shim");
    // Of the library, its tests too.
    println!("cargo:rustc-check-cfg=cfg(shuttle)");
    if env::var_os("CARGO_FEATURE_SHUTTLE").is_some() {
        println!("cargo:rustc-cfg=shuttle");
    }

    revision::tell();
    contract::generate();
    let reference = (host.modules_dir)().join("sl.so");
    println!("cargo:rerun-if-changed={}", reference.display());
    shim::compile(host, &(host.reference)(&reference), &(host.headers_dir)());

    // GNU's linker takes no list of symbols beside rustc's own, which has none of the shim's.
    // From Rust 1.90 on lld is the default.
    println!("cargo:rustc-cdylib-link-arg=-fuse-ld=lld");
    let map = shim::dir(host).join("exports.map");
    println!("cargo:rustc-cdylib-link-arg=-Wl,--version-script={}", map.display());
}

fn host() -> &'static Host {
    println!("cargo:rerun-if-env-changed=SIPWARDEN_HOST");
    match env::var("SIPWARDEN_HOST").as_deref() {
        Err(_) | Ok("" | "kamailio") => &kamailio::HOST,
        Ok("opensips") => &opensips::HOST,
        Ok(other) => fail(&format!("SIPWARDEN_HOST={other}: neither kamailio nor opensips")),
    }
}

/// A path of the project.
fn project(path: impl AsRef<Path>) -> PathBuf {
    PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join(path)
}

fn fail(message: &str) -> ! {
    eprintln!("sipwarden: {message}");
    exit(1)
}
