//! What this node has claimed, as far as it knows.

use std::collections::BTreeMap;

use super::key::Key;

/// The node's claims. A key stays as long as the server may have a claim for it: from before
/// a request names it until an answer says that it is 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mirror {
    claims: BTreeMap<Key, u32>,
}

impl Mirror {
    /// The claim for a scope.
    pub fn claimed(&self, key: Key) -> u32 {
        self.claims.get(&key).copied().unwrap_or(0)
    }

    /// The server may have a claim for this key from now on.
    pub fn touch(&mut self, key: Key) {
        self.claims.entry(key).or_default();
    }

    /// The server's answer. Whether it is what was expected.
    pub fn note(&mut self, key: Key, expected: u32, claim: u32) -> bool {
        self.claims.insert(key, claim);
        expected == claim
    }

    /// Forgets a key whose claim is known to be 0.
    pub fn forget(&mut self, key: Key) {
        if self.claimed(key) == 0 {
            self.claims.remove(&key);
        }
    }

    /// All keys for which the server may have a claim.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        self.claims.keys().copied()
    }

    /// Number of these keys.
    pub fn len(&self) -> usize {
        self.claims.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.claims.is_empty()
    }
}
