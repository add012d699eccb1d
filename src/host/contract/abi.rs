//! The contract as bindgen reads it from `c_shim/sipwarden.h`, and the host's
//! functions behind safe calls.
#![allow(non_camel_case_types, non_upper_case_globals, missing_docs, dead_code)]

use std::ffi::{CStr, c_char};

use once_cell::sync::OnceCell;

include!(concat!(env!("OUT_DIR"), "/contract.rs"));

/// Set once, before the host forks.
static HOST: OnceCell<&'static sw_host> = OnceCell::new();

// SAFETY: the structure is constant and its functions may be called in any
// process; a host runs script code in one thread per process.
unsafe impl Sync for sw_host {}

/// Keeps the host's functions.
pub fn attach(host: &'static sw_host) {
    // A second call (never made) would keep the first one, which is the same.
    let _ = HOST.set(host);
}

/// The host's functions; None before the start.
pub fn host() -> Option<&'static sw_host> {
    HOST.get().copied()
}

/// A text of the host's; `otherwise` before there is one.
fn constant(text: fn(&sw_host) -> *const c_char, otherwise: &'static CStr) -> &'static CStr {
    let text = host().map(text).filter(|text| !text.is_null());
    // SAFETY: a string literal of the shim.
    text.map_or(otherwise, |text| unsafe { CStr::from_ptr(text) })
}

/// The host's name, as operators write it.
pub fn host_name() -> &'static str {
    constant(|host| host.name, c"the host").to_str().unwrap_or_default()
}

/// Its version.
pub fn host_version() -> &'static str {
    constant(|host| host.version, c"unknown").to_str().unwrap_or_default()
}

/// The host's flags that the shim was compiled with.
pub fn host_flags() -> &'static str {
    constant(|host| host.build_flags, c"unknown").to_str().unwrap_or_default()
}

/// Where the tables are unless the operator says so.
pub fn default_db_url() -> &'static CStr {
    constant(|host| host.db_url, c"")
}

/// What operators write before the name of an RPC method.
pub fn method_prefix() -> &'static str {
    constant(|host| host.method_prefix, c"sipwarden.").to_str().unwrap_or_default()
}

/// An RPC method, as operators write it.
pub fn command(method: &str) -> String {
    format!("{}{method}", method_prefix())
}

/// What is said of an argument that is there and cannot be used.
pub fn unusable_argument() -> &'static str {
    constant(|host| host.unusable_argument, c"cannot be used").to_str().unwrap_or_default()
}

/// Bytes of a fault's reason that reach the operator.
pub fn reason_bytes() -> usize {
    host().map(|host| host.reason_bytes as usize).filter(|most| *most > 0).unwrap_or(usize::MAX)
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
