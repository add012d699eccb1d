//! The flood table: which sources send too many requests, and which are blocked.
//!
//! A fixed table in shared memory, keyed by source prefix, eight entries to a
//! bucket of 512 bytes with a lock of its own. An entry either counts requests in
//! a sliding window or is blocked. Nothing is allocated after start-up; a new
//! source in a full bucket replaces the least useful one, never a blocked one.
//! No process holds two locks, and none while it calls into the host.
#![forbid(unsafe_code)]

mod blocked;
mod bucket;
mod entry;
mod key;
mod rules;
mod settings;
mod shared;
mod table;
mod window;

pub use entry::{Block, Reason};
pub use key::Key;
pub use rules::{ClassId, ClassRule, Rules};
pub use settings::{
    CompanySources, FloodSettings, LONGEST_BLOCK, MAX_CLASSES, ParsedClass, parse_class,
    parse_duration,
};
pub use shared::SharedRules;
pub use table::{Checked, Ended, FloodTable, Memory, NoRoom, Outcome, Seen};
pub use window::SLICES;
