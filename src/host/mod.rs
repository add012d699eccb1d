//! What runs in the host's processes. `contract` talks to the C shim; the rooms above it
//! read settings and state, answer scripts and operators, and run processes of their own.

mod change;
mod cluster;
mod contract;
mod files;
mod module;
mod process;
mod reload;
mod report;
mod rpc;
mod script;
mod settings;
mod state;
mod symbol;

pub use cluster::link::plain as plain_answer;
pub use contract::abi;
pub use contract::counters::OWN;
pub use contract::method::{Argument, Method};
pub use process::blocks_keeper::loaded_and_kept;
pub use rpc::methods as rpc_methods;
pub use script::variables::ATTRIBUTES;
pub use settings::{Kind, PARAMS, Param};
pub use state::gauges::names as statistic_names;
pub use symbol::sw_rust_module;
