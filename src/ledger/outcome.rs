//! What an attempt to count a call says.

use super::limit::{Calls, Exceeded};
use super::scope::SCOPES;

/// How an attempt to count a call ended. But for the first, no count and no rate has
/// changed; where a call counts already, that it is an emergency is noted whatever the outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It counts in all wanted scopes now; it may have counted in some before.
    Counted,
    /// It counted in all of them already; now it may count in more directions of them.
    Held,
    /// It counts for another roadwarrior already.
    HeldByOther,
    /// Another INVITE with the same Call-ID and From tag counts.
    Duplicate,
    /// A limit does not admit it; [`Taken::exceeded`] says which.
    Refused,
    /// No room for another call.
    Full,
    /// No room for another scope.
    ScopesFull,
    /// With these the call would have more than [`SCOPES`] scopes.
    TooMany,
    /// It lacks slots that this node has to ask other nodes for.
    Ask,
    /// Nobody can say what other nodes have, and this one admits no more by itself.
    Down,
}

/// An outcome, and what was seen right then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// How it ended.
    pub outcome: Outcome,
    /// The limit that refused the call, or that it exceeds although it was counted.
    pub exceeded: Option<Exceeded>,
    /// Live calls in the order of what was wanted, for the scopes that it counts against.
    pub counts: [Option<Calls>; SCOPES],
    /// Bits of the places in what was wanted where a count rose.
    pub added: u16,
    /// It counts for a company, and did not before.
    pub first_company: bool,
    /// It counts for a company, and did for another one before.
    pub second_company: bool,
    /// It counted before, and is an emergency from now on.
    pub became_emergency: bool,
    /// It counted before, and is an emergency.
    pub is_emergency: bool,
    /// It was counted without knowing what other nodes have.
    pub alone: bool,
}

impl Taken {
    /// Nothing was looked at.
    pub const fn nothing(outcome: Outcome) -> Self {
        Taken {
            outcome,
            exceeded: None,
            counts: [None; SCOPES],
            added: 0,
            first_company: false,
            second_company: false,
            became_emergency: false,
            is_emergency: false,
            alone: false,
        }
    }

    /// The live calls of the wanted scopes whose count rose, with their places.
    pub fn raised(&self) -> impl Iterator<Item = (usize, &Calls)> {
        let all = self.counts.iter().enumerate().take_while(|(at, _)| self.added >> at != 0);
        all.filter(|(at, _)| self.added & 1 << at != 0)
            .filter_map(|(at, calls)| Some((at, calls.as_ref()?)))
    }
}
