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

use std::time::Duration;

use redis::{Client, Connection, IntoConnectionInfo, RedisError};

/// What went wrong, in one line.
fn told(error: RedisError) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().chars().filter(|sign| !sign.is_control()).collect()
}

/// Connects. `patience`: for that, and for each answer.
fn connect(to: impl IntoConnectionInfo, patience: [Duration; 2]) -> Result<Connection, String> {
    let [connecting, answering] = patience;
    let client = Client::open(to).map_err(told)?;
    let connection = client.get_connection_with_timeout(connecting).map_err(told)?;
    connection.set_read_timeout(Some(answering)).map_err(told)?;
    connection.set_write_timeout(Some(answering)).map_err(told)?;
    Ok(connection)
}
