//! What runs beside the SIP workers.
#![forbid(unsafe_code)]

pub mod audit;
pub mod blocklist;
pub mod blocks_keeper;
pub mod child;
pub mod feeder;
pub mod feeds_keeper;
pub mod loader;
pub mod longest;
pub mod reaper;
pub mod recorder;
pub mod resolver;
pub mod revision;
pub mod route;
pub mod tables_keeper;
pub mod trouble;
pub mod usage;
pub mod uses_keeper;
pub mod warden;
