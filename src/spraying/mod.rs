//! Spraying: failed authentications of one source, over all AoRs.
//!
//! A table of fixed size in shared memory, keyed by source prefix, each entry with a lock of
//! its own. Nothing is kept of an AoR but a bit: how many different ones a source has tried is
//! estimated. A new source evicts the least suspicious one where there is no room.
#![forbid(unsafe_code)]

mod distinct;
mod entry;
mod halves;
mod table;

pub use entry::{Counts, Failure};
pub use table::{Measure, Passed, SprayCheck, SprayTable};
