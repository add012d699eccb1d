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
mod rules;
mod settings;
mod shared;
mod table;

pub use entry::{Block, Ended, Reason};
pub use rules::{ClassRule, Rules};
pub use settings::{FloodSettings, LONGEST_BLOCK, ParsedClass, parse_class};
pub(crate) use settings::{INHERIT, parse_keys};
pub use shared::SharedRules;
pub use table::{Checked, FloodTable, Memory, NoRoom, Outcome, Seen};
