//! The only place that talks to the C shim: turns its contract into safe types,
//! guards every entry, and maps verdicts to script codes.

mod abi;
mod address;
mod audit;
mod auth;
mod bans;
mod call;
mod calls;
mod changes;
mod child;
mod clock;
mod complaint;
mod database;
mod dialogs;
mod entry;
mod events;
mod fallback;
#[cfg(feature = "fault-injection")]
mod faults;
mod files;
mod firewall;
mod flood;
mod functions;
mod gauges;
mod geoip;
mod log;
mod memory;
mod module;
mod params;
mod persist;
mod process;
mod reaper;
mod recorder;
mod reload;
mod report;
mod revision;
mod rpc;
mod settings;
mod source;
mod state;
mod statistics;
mod tables_file;
mod values;
mod variables;
mod warden;

pub use params::{Kind, PARAMS, Param};
pub use statistics::{OWN, names as statistic_names};
pub use variables::ATTRIBUTES;
