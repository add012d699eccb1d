//! The contract with the host: its C types, its functions as safe ones, the guarded
//! entries from C. The only unsafe code towards C.

pub mod abi;
mod arguments;
pub mod audit;
pub mod counters;
pub mod database;
pub mod dialogs;
pub mod entries;
mod fault;
#[cfg(debug_assertions)]
mod faults;
pub mod guard;
pub mod log;
pub mod message;
pub mod method;
pub mod module;
#[cfg(feature = "planted")]
mod planted;
pub mod process;
pub mod resolver;
pub mod rpc;
pub mod values;
