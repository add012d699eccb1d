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

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use redis::{Client, Connection, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisError};

/// What went wrong, in one line.
fn told(error: RedisError) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().chars().filter(|sign| !sign.is_control()).collect()
}

/// A connection, and the address that it leads to; None: a socket in the file system.
type Connected = (Connection, Option<SocketAddr>);

/// Connects, and asks for the address of a host name before, for as long as the resolver
/// takes. `patience`: for the connection, and for each answer.
fn connect(to: impl IntoConnectionInfo, patience: [Duration; 2]) -> Result<Connected, String> {
    let info = to.into_connection_info().map_err(told)?;
    let ConnectionAddr::Tcp(host, port) = info.addr() else {
        return Ok((connect_to(info, None, patience)?, None));
    };
    let found = (host.as_str(), *port).to_socket_addrs();
    let found = found.map_err(|error| format!("host \"{}\": {error}", host.escape_debug()))?;
    let mut why = format!("host \"{}\" has no address", host.escape_debug());
    for address in found {
        match connect_to(info.clone(), Some(address), patience) {
            Ok(connection) => return Ok((connection, Some(address))),
            Err(error) => why = error,
        }
    }
    Err(why)
}

/// Connects to an address, in place of the host of `info`.
fn connect_to(
    info: ConnectionInfo,
    address: Option<SocketAddr>,
    patience: [Duration; 2],
) -> Result<Connection, String> {
    let [connecting, answering] = patience;
    let info = match address {
        Some(at) => info.set_addr(ConnectionAddr::Tcp(at.ip().to_string(), at.port())),
        None => info,
    };
    // A user with few rights may not tell which library it uses: the server would log each try.
    let silent = info.redis_settings().clone().set_skip_set_lib_name();
    let info = info.set_redis_settings(silent);
    let client = Client::open(info).map_err(told)?;
    let connection = client.get_connection_with_timeout(connecting).map_err(told)?;
    connection.set_read_timeout(Some(answering)).map_err(told)?;
    connection.set_write_timeout(Some(answering)).map_err(told)?;
    Ok(connection)
}
