//! Parts of the answer that several steps have.

use crate::host::contract::rpc::Node;
use crate::printable::Printable;
use crate::verdict::Verdict;

/// An id that differs from one of these in case or blanks only.
pub fn alike<'a>(id: &[u8], mut known: impl Iterator<Item = &'a [u8]>) -> String {
    let id = id.trim_ascii();
    match known.find(|other| other.trim_ascii().eq_ignore_ascii_case(id)) {
        Some(other) => {
            format!("; \"{}\" differs in case or blanks only", Printable::full(other))
        }
        None => String::new(),
    }
}

/// Code and reason of a verdict.
pub fn tell_verdict(node: &Node<'_>, verdict: Verdict) {
    node.int(c"code", verdict.code());
    node.text(c"reason", verdict.reason());
}
