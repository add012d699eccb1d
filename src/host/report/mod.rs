//! What operators are told: log lines, counters and events.

pub mod bans;
pub mod blocks;
pub mod complaint;
pub mod events;
