//! Asks Sentinels which server is the primary, before each connection.

use std::time::Duration;

use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, cmd};

use super::connection::{connect, told};
use crate::host::settings::Server;

/// Where to connect to. `patience`: for each of the Sentinels.
pub fn primary(server: &Server, patience: Duration) -> Result<ConnectionInfo, String> {
    let info = server.url.as_str().into_connection_info().map_err(told)?;
    let name = match info.addr() {
        ConnectionAddr::Tcp(name, _) if !server.sentinels.is_empty() => name.clone(),
        _ => return Ok(info),
    };
    let mut why = String::new();
    for sentinel in &server.sentinels {
        match ask(sentinel, &name, patience) {
            Ok(Some((host, port))) => return Ok(info.set_addr(ConnectionAddr::Tcp(host, port))),
            Ok(None) => why = format!("they know no server \"{}\"", name.escape_debug()),
            Err(error) => why = error,
        }
    }
    Err(format!("no Sentinel tells which server is the primary: {why}"))
}

/// None: it knows no server of this name.
fn ask(sentinel: &str, name: &str, patience: Duration) -> Result<Option<(String, u16)>, String> {
    let (mut connection, _) = connect(sentinel, [patience; 2])?;
    let asked = cmd("SENTINEL").arg("get-master-addr-by-name").arg(name).to_owned();
    asked.query(&mut connection).map_err(told)
}
