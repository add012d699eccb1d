//! Test builds only: panics on demand, to prove the guard.

use super::entry::Entry;

/// Panics if the environment variable names this entry, as in
/// `SIPWARDEN_PANIC=CheckCompanyIp,Rpc`.
pub fn inject(entry: Entry) {
    let named = std::env::var("SIPWARDEN_PANIC").unwrap_or_default();
    let name = format!("{entry:?}");
    #[allow(clippy::panic)]
    if named.split(',').any(|n| n == name) {
        panic!("injected into {name}");
    }
}
