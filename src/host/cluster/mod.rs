//! The broker: the one process of a node that talks to the server of shared limits.
#![forbid(unsafe_code)]

mod apply;
pub mod broker;
mod connection;
mod control;
mod herald;
mod kind;
pub mod link;
mod news;
mod post;
pub mod reader;
mod room;
mod sentinels;
pub mod tables;
