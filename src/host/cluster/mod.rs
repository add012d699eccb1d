//! The broker: the one process of a node that talks to the server of shared limits.
#![forbid(unsafe_code)]

pub mod broker;
mod control;
pub mod link;
mod room;
