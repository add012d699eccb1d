//! The broker: the one process of a node that talks to the server of shared limits.
#![forbid(unsafe_code)]

mod apply;
pub mod broker;
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

use redis::RedisError;

/// What went wrong, in one line.
fn told(error: RedisError) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().chars().filter(|sign| !sign.is_control()).collect()
}
