//! What is told to other nodes besides slots.

use crate::host::settings::at;
use crate::host::state::State;

/// What is told to other nodes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Block,
    Ban,
    Grant,
}

impl Kind {
    pub const ALL: [Kind; 3] = [Kind::Block, Kind::Ban, Kind::Grant];

    /// The kind of a name, and the rest of it.
    pub fn of(name: &str) -> Option<(Self, &str)> {
        let (word, rest) = name.split_once(' ')?;
        Some((Self::ALL.into_iter().find(|kind| kind.word() == word)?, rest))
    }

    /// As names begin.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Block => "block",
            Kind::Ban => "ban",
            Kind::Grant => "grant",
        }
    }

    /// Whether this node tells and hears of it.
    pub fn is_shared(self, state: &State) -> bool {
        let index = match self {
            Kind::Block => at::CLUSTER_BLOCKS,
            Kind::Ban => at::CLUSTER_BANS,
            Kind::Grant => at::CLUSTER_GRANTS,
        };
        state.values.int(index) != 0
    }

    /// Raised when one of them begins or ends.
    pub fn changes(self, state: &State) -> u64 {
        match self {
            Kind::Block => state.flood.changes(),
            Kind::Ban => state.auth.changes(),
            Kind::Grant => state.grants.changes(),
        }
    }
}
