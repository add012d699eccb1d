//! Why an RPC call fails.

use std::borrow::Cow;
use std::ffi::c_void;

use super::abi::{self, sw_host};
use crate::printable::{Printable, beginning};

/// Stands for what had no room.
const MORE: &str = " ...";

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
        let shown = whole_words(&reason, most.saturating_sub(hint.len()));
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
        let reason = fitting(&self.reason, abi::reason_bytes());
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

/// A reason as it reaches the operator.
fn fitting(reason: &str, most: usize) -> Cow<'_, str> {
    if reason.len() <= most {
        return reason.into();
    }
    let shown = whole_words(reason, most.saturating_sub(MORE.len()));
    (shown.to_owned() + MORE).into()
}

/// The beginning of a text, cut between words: half a value would be taken for another one. Only
/// a word that is longer than all others is cut itself.
fn whole_words(text: &str, most: usize) -> &str {
    let shown = beginning(text, most);
    match shown.rsplit_once(' ') {
        Some((words, cut)) if cut.len() <= Printable::SHORT => words,
        _ => shown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_is_too_long_is_cut_between_words_and_says_so() {
        let reason = "there are brand, company, carrier";
        assert_eq!(fitting(reason, reason.len()), reason);
        assert_eq!(fitting(reason, reason.len() - 1), "there are brand, company, ...");
        assert_eq!(fitting(reason, 28), "there are brand, ...");
        // A word without an end is shown as far as there is room.
        let long = format!("address \"{}\" is none", "x".repeat(90));
        assert_eq!(fitting(&long, 80), format!("address \"{} ...", "x".repeat(67)));
    }
}
