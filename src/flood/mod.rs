//! The flood table: which sources send too many requests, and which are blocked.
//!
//! A fixed table in shared memory, keyed by source prefix: 64 bytes a source, each
//! with a lock of its own. An entry either counts requests in a sliding window or
//! is blocked. Nothing is allocated after start-up; a new source for which there
//! is no room replaces the least useful one, never a blocked one. No lock is held
//! while the host is called.
#![forbid(unsafe_code)]

mod blocked;
mod entry;
mod settings;
mod table;

pub use entry::{Block, Ended, Reason};
pub use settings::{
    ClassRule, ClassValues, Common, FloodSettings, LONGEST_BLOCK, ParsedClass, Rules, RulesCopy,
    SharedRules, parse_class,
};
pub use table::{Checked, FloodTable, Memory, NoRoom, Outcome, Seen};
