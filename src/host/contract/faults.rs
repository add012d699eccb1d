//! Builds of the tests only: panics on demand, to prove the guard.

use std::fmt::Debug;

use once_cell::sync::OnceCell;

/// Panics if the environment variable names this entry, as in
/// `SIPWARDEN_PANIC=CheckCompanyIp,Rpc`.
pub fn inject(entry: impl Debug) {
    static NAMED: OnceCell<String> = OnceCell::new();
    let named = NAMED.get_or_init(|| std::env::var("SIPWARDEN_PANIC").unwrap_or_default());
    if named.is_empty() {
        return;
    }
    let entry = format!("{entry:?}");
    #[allow(clippy::panic)]
    if named.split(',').any(|name| name == entry) {
        panic!("injected into {entry}");
    }
}
