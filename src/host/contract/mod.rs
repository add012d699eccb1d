//! The contract with the host: the only `unsafe` towards C.

pub mod abi;
pub mod counters;
pub mod database;
pub mod dialogs;
#[cfg(feature = "fault-injection")]
pub mod faults;
pub mod guard;
pub mod log;
pub mod message;
pub mod rpc;
