//! From the tables to the current snapshot.
#![forbid(unsafe_code)]

pub mod answers;
pub mod compile;
pub mod fallback;
pub mod feeds;
pub mod geoip;
pub mod names;
pub mod problems;
pub mod tables;
pub mod tables_file;
