//! What the protocol needs of the node's ledger.

use std::collections::BTreeSet;

use super::counts::Counts;
use super::key::Key;

/// The scopes of the node that are shared.
pub trait Books {
    /// Changes the numbers of a scope under its lock. A scope that is not there has none, and
    /// what becomes of them is lost.
    fn with<R>(&mut self, key: Key, change: impl FnOnce(&mut Counts) -> R) -> R;
    /// Adds the scopes that are marked. False: there are more, so all have to be looked at.
    fn marked(&mut self, into: &mut BTreeSet<Key>) -> bool;
    /// All that have calls, or workers that wait.
    fn all(&self) -> Vec<Key>;
}
