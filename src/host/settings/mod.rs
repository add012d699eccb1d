//! Parameters and their values: data only; asks no disk and no host.
#![forbid(unsafe_code)]

pub mod at;
mod cluster;
mod configured;
mod params;
mod values;

pub use cluster::{ClusterSettings, policies};
pub use configured::{Settings, configure};
pub use params::{Kind, PARAMS, Param, Value};
pub use values::Values;
