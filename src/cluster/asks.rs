//! Calls that wait for slots, and what they are told.

use super::key::Key;

/// A scope that a call shall count in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Want {
    /// The scope.
    pub key: Key,
    /// Its limit.
    pub limit: u32,
}

/// A call that waits: its worker has raised `waiting` in each of these scopes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Ask {
    /// Names it among those of this node.
    pub id: u64,
    /// The scopes, none of them twice.
    pub wants: Vec<Want>,
}

impl Ask {
    /// A scope that is named twice counts once, with the smaller limit.
    pub fn new(id: u64, wants: impl IntoIterator<Item = Want>) -> Self {
        let mut distinct: Vec<Want> = Vec::new();
        for want in wants {
            match distinct.iter_mut().find(|other| other.key == want.key) {
                Some(other) => other.limit = other.limit.min(want.limit),
                None => distinct.push(want),
            }
        }
        Ask { id, wants: distinct }
    }

    pub(super) fn names(&self, key: Key) -> bool {
        self.wants.iter().any(|want| want.key == key)
    }
}

/// What a worker that waits is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Slots were granted: look whether the call is covered, else ask again.
    Look,
    /// A scope is full. Look once more: a worker that left may have left a slot.
    Full {
        /// The scope.
        key: Key,
        /// Calls of all nodes in it.
        total: u32,
    },
    /// Nothing is granted to anybody for a while: the policy judges.
    Busy,
    /// The session is over.
    Down,
}
