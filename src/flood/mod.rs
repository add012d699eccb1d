//! The flood table: which sources send too many requests, and which are blocked.
//!
//! A table of fixed size in shared memory, keyed by source prefix: 64 bytes a source, each
//! with a lock of its own. An entry either counts requests in a sliding window or is
//! blocked. Nothing is allocated after start-up; a new source evicts the least useful one
//! where there is no room, never a blocked one. The host is called without any lock.
#![forbid(unsafe_code)]

mod blocked;
mod budget;
mod entry;
mod settings;
mod table;

pub use budget::{Budgets, PATIENCE, Spending};
pub use entry::{Block, Ended};
pub use settings::{
    ClassRule, ClassValues, Common, FloodSettings, LONGEST_BLOCK, MOST_BUDGET, ParsedClass, Rules,
    RulesCopy, SharedRules,
};
pub use table::{FloodCheck, FloodOutcome, FloodTable, Seen};
