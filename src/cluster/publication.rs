//! A new session tells all claims.

use std::collections::BTreeSet;

use super::batch::MOST;
use super::books::Books;
use super::key::Key;
use super::message::Claim;

/// What is still to be told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Publication {
    left: BTreeSet<Key>,
}

impl Publication {
    /// Of all that the server may have a claim for, and all that has calls.
    pub fn new(keys: impl Iterator<Item = Key>) -> Self {
        Publication { left: keys.collect() }
    }

    /// The next portion; empty when all is told.
    pub fn portion(&mut self, books: &mut impl Books) -> Vec<Claim> {
        let mut claims = Vec::new();
        while claims.len() < MOST {
            let Some(key) = self.left.pop_first() else { break };
            let slots = books.with(key, |counts| counts.calls);
            claims.push(Claim { key, slots });
        }
        claims
    }
}
