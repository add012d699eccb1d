//! Parts of the answer that several steps have.

use crate::host::contract::rpc::Node;
use crate::printable::Printable;
use crate::tables;
use crate::verdict::Verdict;

/// An id that differs from one of these in case or blanks only.
pub fn alike<'a>(id: &[u8], known: impl Iterator<Item = &'a [u8]>) -> String {
    tables::alike(id, known).map_or_else(String::new, |other| {
        format!("; \"{}\" differs in case or blanks only", Printable::full(other))
    })
}

/// Code and reason of a verdict.
pub fn tell_verdict(node: &Node<'_>, verdict: Verdict) {
    node.int(c"code", verdict.code());
    node.text(c"reason", verdict.reason());
}
