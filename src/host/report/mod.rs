//! Reports to operators: log lines, counters and events.
#![forbid(unsafe_code)]

pub mod bans;
pub mod blocks;
pub mod complaint;
pub mod events;
pub mod grants;
pub mod lines;
pub mod names;
