//! What the shipped library exports, and what is not in it.

use std::process::Command;

use crate::support::kamailio::{faulty_module, module};

#[test]
fn it_exports_what_kamailio_looks_up_and_the_contract() {
    let out = Command::new("nm").args(["-D", "--defined-only"]).arg(module()).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    let mut names: Vec<_> = text.lines().filter_map(|l| l.split(' ').next_back()).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        [
            "exports",
            "mod_register",
            "module_flags",
            "module_interface_ver",
            "module_version",
            "sw_rust_module",
        ]
    );
}

#[test]
fn it_lacks_nothing_of_its_own() {
    let out = Command::new("nm").args(["-D", "--undefined-only"]).arg(module()).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    assert!(text.contains(" U pkg_free") || text.contains("_pkg_root"), "no symbols in {text}");
    let ours: Vec<_> = text.lines().filter(|l| l.contains(" sw_")).collect();
    assert!(ours.is_empty(), "{ours:?}");
}

#[test]
fn no_test_double_is_in_it() {
    let contains = |path, needle: &[u8]| {
        let bytes: Vec<u8> = std::fs::read(path).unwrap();
        bytes.windows(needle.len()).any(|w| w == needle)
    };
    assert!(contains(faulty_module(), b"SIPWARDEN_PANIC"), "the search finds nothing");
    assert!(!contains(module(), b"SIPWARDEN_PANIC"));
}

#[test]
fn a_module_for_another_kamailio_is_refused_with_both_strings() {
    let folder = crate::support::Folder::new();
    let mut bytes = std::fs::read(module()).unwrap();
    let at = bytes.windows(10).position(|w| w == b"USE_TCP, U").unwrap();
    bytes[at..at + 7].copy_from_slice(b"USE_XYZ");
    let other = folder.join("other.so");
    std::fs::write(&other, bytes).unwrap();
    let script = crate::support::project().join("tools/check-abi.sh");
    let check = |a, b| Command::new(&script).arg(a).arg(b).output().unwrap();
    assert!(check(module(), module()).status.success());
    let refused = check(other, module());
    assert!(!refused.status.success());
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("USE_XYZ, ") && said.contains("USE_TCP, "), "{said}");
}
