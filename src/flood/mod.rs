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
mod key;
mod lines;
mod names;
mod rules;
mod settings;
mod shared;
mod table;
pub(crate) mod window;

pub use entry::{Block, Reason};
pub use key::Key;
pub use names::ClassNames;
pub use rules::{ClassId, ClassRule, Rules};
pub use settings::{
    FloodSettings, LONGEST_BLOCK, MAX_CLASSES, ParsedClass, parse_class, parse_duration,
};
pub(crate) use settings::{INHERIT, Parse, parse_keys, parse_limit, parse_within};
pub use shared::SharedRules;
pub use table::{Checked, Ended, FloodTable, Memory, NoRoom, Outcome, Seen};
pub use window::SLICES;
