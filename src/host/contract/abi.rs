//! The contract as bindgen reads it from `c_shim/sipwarden.h`, and the host's
//! functions behind safe calls.
#![allow(non_camel_case_types, non_upper_case_globals, missing_docs, dead_code)]

use std::ffi::CStr;

use once_cell::sync::OnceCell;

include!(concat!(env!("OUT_DIR"), "/contract.rs"));

/// Set once in mod_init, before Kamailio forks.
static HOST: OnceCell<&'static sw_host> = OnceCell::new();

// SAFETY: the structure is constant and its functions may be called in any
// process; Kamailio runs script code in one thread per process.
unsafe impl Sync for sw_host {}

/// Keeps the host's functions.
pub fn attach(host: &'static sw_host) {
    // A second call (never made) would keep the first one, which is the same.
    let _ = HOST.set(host);
}

/// The host's functions; None before mod_init.
pub fn host() -> Option<&'static sw_host> {
    HOST.get().copied()
}

/// Version string of the Kamailio this was compiled for.
pub fn kamailio_version() -> &'static str {
    host()
        // SAFETY: a string literal of the shim.
        .map(|h| unsafe { CStr::from_ptr(h.kamailio_version) })
        .and_then(|s| s.to_str().ok())
        .unwrap_or("unknown")
}

impl sw_text {
    /// The bytes behind it.
    ///
    /// # Safety
    /// `s` is NULL or points to `len` bytes that stay as they are for `'a`.
    pub unsafe fn bytes<'a>(&self) -> &'a [u8] {
        if self.s.is_null() || self.len == 0 {
            return &[];
        }
        // SAFETY: as the caller guarantees.
        unsafe { std::slice::from_raw_parts(self.s.cast(), self.len) }
    }
}

impl From<&[u8]> for sw_text {
    fn from(bytes: &[u8]) -> Self {
        sw_text { s: bytes.as_ptr().cast(), len: bytes.len() }
    }
}
