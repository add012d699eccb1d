//! Parameters and their values: data only; asks no disk and no host.
#![forbid(unsafe_code)]

pub mod at;
mod cluster;
mod configured;
mod feed_file;
mod kind;
mod params;
mod values;

pub use cluster::{ClusterSettings, policies};
pub use configured::{Settings, configure};
pub use feed_file::FeedFile;
pub use kind::Kind;
pub use params::{PARAMS, Param, Value};
pub use values::Values;
