//! The Rust side of the contract, from its one header.

use std::env;
use std::path::PathBuf;

use crate::{fail, project};

/// Writes it to where the build looks for it.
pub fn generate() {
    let header = project("c_shim/sipwarden.h");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("contract.rs");
    let bindings = bindgen::Builder::default()
        .header(header.to_string_lossy())
        .allowlist_type("sw_.*")
        .allowlist_var("SW_.*")
        .blocklist_var("sw_rust_module")
        .prepend_enum_name(false)
        .layout_tests(false)
        .generate();
    match bindings {
        Ok(b) => {
            if let Err(e) = b.write_to_file(&out) {
                fail(&format!("cannot write {}: {e}", out.display()));
            }
        }
        Err(e) => fail(&format!(
            "bindgen failed on {}: {e}; it needs libclang (`make setup` installs it)",
            header.display()
        )),
    }
}
