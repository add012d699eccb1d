//! Builds of the tests only: panics on demand, to prove the guard.

/// Panics if the environment variable names this entry, as in
/// `SIPWARDEN_PANIC=CheckCompanyIp,Rpc`.
pub fn inject(entry: &str) {
    let named = std::env::var("SIPWARDEN_PANIC").unwrap_or_default();
    #[allow(clippy::panic)]
    if named.split(',').any(|name| name == entry) {
        panic!("injected into {entry}");
    }
}
