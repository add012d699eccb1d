//! Why an RPC call fails.

use std::ffi::c_void;

use super::abi::{self, sw_host};
use crate::printable::beginning;

/// Why a call fails.
pub struct Fault {
    code: i32,
    reason: String,
}

impl Fault {
    /// The caller's fault: an argument is missing or unusable.
    pub fn argument(reason: impl Into<String>) -> Self {
        Fault { code: 400, reason: reason.into() }
    }

    /// As [`Fault::internal`]; a reason that has to be cut ends with where all of it
    /// stands.
    pub fn cut(reason: String, whole: &str) -> Self {
        let most = abi::reason_bytes();
        if reason.len() <= most {
            return Fault::internal(reason);
        }
        let hint = format!(" ...; all of it: {whole}");
        let shown = beginning(&reason, most.saturating_sub(hint.len()));
        // Between words: half a value would be taken for another one.
        let shown = shown.rsplit_once(' ').map_or(shown, |(words, _)| words);
        Fault::internal(shown.to_owned() + &hint)
    }

    /// What was asked for is not there.
    pub fn unknown(reason: impl Into<String>) -> Self {
        Fault { code: 404, reason: reason.into() }
    }

    /// Anything else.
    pub fn internal(reason: impl Into<String>) -> Self {
        Fault { code: 500, reason: reason.into() }
    }

    /// Ends a call.
    ///
    /// # Safety
    /// `handle` is that of a call that has not ended.
    pub(super) unsafe fn send(&self, host: &sw_host, handle: *mut c_void) {
        let reason = beginning(&self.reason, abi::reason_bytes());
        if let Some(send) = host.rpc_fault {
            // SAFETY: as the caller guarantees; the text is valid during the call.
            unsafe { send(handle, self.code, reason.as_bytes().into()) };
        }
    }

    #[cfg(test)]
    pub(super) fn reason(&self) -> &str {
        &self.reason
    }
}
