//! Parameters and their values: data only; asks no disk and no host.
#![forbid(unsafe_code)]

pub mod at;
mod cluster;
mod cluster_params;
mod configured;
mod feed_file;
mod kind;
mod param;
mod params;
mod values;

pub use cluster::{ClusterSettings, Server, doubts, policies};
pub use configured::{Settings, configure};
pub use feed_file::FeedFile;
pub use kind::Kind;
pub use param::{Param, Value};
pub use params::PARAMS;
pub use values::Values;
