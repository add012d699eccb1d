//! Parameters and their values: data only; asks no disk and no host.
#![forbid(unsafe_code)]

pub mod at;
mod configured;
mod feed_file;
mod params;
mod values;

pub use configured::{Settings, configure};
pub use feed_file::FeedFile;
pub use params::{Kind, PARAMS, Param, Value};
pub use values::Values;
