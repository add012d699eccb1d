//! A connection to the server. After any error it is over: an answer that comes late would
//! be taken for that of another request.

use std::collections::BTreeMap;
use std::time::Duration;

use redis::{Client, Connection, RedisError, Value, cmd};

use crate::cluster::{self, Key, Reply, Request, SCRIPT, Times, decode, encode};
use crate::notices::{self, Heard, Notice, Seal};

/// How long it may take to connect.
const CONNECTING: Duration = Duration::from_millis(500);
/// After so long without an answer a connection is dead.
const DEAD: Duration = Duration::from_secs(1);

pub struct Link {
    connection: Connection,
    script: String,
    key: String,
    /// The server's run and its history.
    pub server: String,
}

/// What the server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Role {
    /// Its run and its history.
    pub server: String,
    pub is_primary: bool,
    pub replicas: u32,
}

impl Link {
    /// Connects, and makes the script known.
    pub fn open(url: &str, key: &str) -> Result<Self, String> {
        Self::open_with(url, key, SCRIPT)
    }

    fn open_with(url: &str, key: &str, script: &str) -> Result<Self, String> {
        let client = Client::open(url).map_err(told)?;
        let connection = client.get_connection_with_timeout(CONNECTING).map_err(told)?;
        connection.set_read_timeout(Some(DEAD)).map_err(told)?;
        connection.set_write_timeout(Some(DEAD)).map_err(told)?;
        let mut link =
            Link { connection, script: String::new(), key: key.to_owned(), server: String::new() };
        let load = cmd("SCRIPT").arg("LOAD").arg(script).to_owned();
        link.script = load.query(&mut link.connection).map_err(told)?;
        let role = link.role()?;
        if !role.is_primary {
            return Err("it is a replica".into());
        }
        link.server = role.server;
        Ok(link)
    }

    /// Sends a request and waits for its answer.
    pub fn run(&mut self, request: &Request, times: &Times) -> Result<Reply, String> {
        let mut command = cmd("EVALSHA");
        command.arg(&self.script).arg(1).arg(&self.key).arg(encode(request, times));
        let value: Value = command.query(&mut self.connection).map_err(told)?;
        let reply = plain(value).as_ref().and_then(decode);
        reply.ok_or_else(|| "it answers what the script never says".to_owned())
    }

    /// How many replicas have all that this connection has written, within half a second.
    pub fn replicated(&mut self, replicas: u32) -> Result<u32, String> {
        cmd("WAIT").arg(replicas).arg(500).query(&mut self.connection).map_err(told)
    }

    pub fn role(&mut self) -> Result<Role, String> {
        let asked = cmd("INFO").arg("server").arg("replication").to_owned();
        let info: String = asked.query(&mut self.connection).map_err(told)?;
        Ok(role_in(&info))
    }

    /// Which nodes have slots of a scope, and how many: by their names.
    pub fn claims(&mut self, key: Key) -> Result<Vec<(String, u32)>, String> {
        let prefix = self.key.strip_suffix('m').unwrap_or(&self.key);
        let (members, scope) = (self.key.clone(), format!("{prefix}s:{:032x}", key.0));
        let members = self.hash(&members)?;
        let scope = self.hash(&scope)?;
        // One of another incarnation is void, and so are claims of numbers without a record.
        if scope.get("inc") != members.get("inc") {
            return Ok(Vec::new());
        }
        let named = scope.iter().filter_map(|(number, slots)| {
            let name = members.get(&format!("n:{number}"))?;
            Some((name.clone(), slots.parse().ok()?))
        });
        Ok(named.collect())
    }

    fn hash(&mut self, key: &str) -> Result<BTreeMap<String, String>, String> {
        cmd("HGETALL").arg(key).query(&mut self.connection).map_err(told)
    }

    /// Whether the server may forget claims when its memory is full; None: it does not say.
    pub fn evicts(&mut self) -> Option<String> {
        let asked = cmd("CONFIG").arg("GET").arg("maxmemory-policy").to_owned();
        let pair: Vec<String> = asked.query(&mut self.connection).ok()?;
        pair.into_iter().nth(1).filter(|policy| policy != "noeviction")
    }
}

/// A connection for notices.
pub struct NoticesLink {
    link: Link,
    keys: [String; 4],
}

impl NoticesLink {
    /// Connects, and makes the script known. `key` is that of the members.
    pub fn open(url: &str, key: &str) -> Result<Self, String> {
        let prefix = key.strip_suffix('m').unwrap_or(key);
        let keys = ["v", "vs", "ve", "vn"].map(|name| format!("{prefix}{name}"));
        Ok(NoticesLink { link: Link::open_with(url, key, notices::SCRIPT)?, keys })
    }

    /// Tells notices, and hears those after change number `from`.
    pub fn exchange(
        &mut self,
        id: &str,
        from: u64,
        told: &[Notice],
        seal: Seal,
    ) -> Result<Heard, String> {
        let mut command = cmd("EVALSHA");
        command.arg(&self.link.script).arg(self.keys.len()).arg(&self.keys);
        command.arg(notices::arguments(id, from, told, seal));
        let answer = command.query(&mut self.link.connection).map_err(self::told)?;
        let (id, change, reached, now, left, told): (String, String, String, String, u64, _) =
            answer;
        let left = left.to_string();
        notices::heard([&id, &change, &reached, &now, &left], told)
            .ok_or_else(|| "it answers what the script never says".to_owned())
    }
}

fn role_in(info: &str) -> Role {
    let of = |name: &str| {
        let mut lines = info.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(key, _)| *key == name).map_or("", |(_, value)| value.trim())
    };
    Role {
        server: format!("{} {}", of("run_id"), of("master_replid")),
        is_primary: of("role") == "master",
        replicas: of("connected_slaves").parse().unwrap_or(0),
    }
}

/// What went wrong, in one line.
fn told(error: RedisError) -> String {
    let text = error.to_string();
    text.lines().next().unwrap_or_default().chars().filter(|sign| !sign.is_control()).collect()
}

fn plain(value: Value) -> Option<cluster::Value> {
    Some(match value {
        Value::Int(number) => cluster::Value::Number(number),
        Value::BulkString(text) => cluster::Value::Text(text),
        Value::SimpleString(text) => cluster::Value::Text(text.into_bytes()),
        Value::Array(items) => {
            cluster::Value::List(items.into_iter().map(plain).collect::<Option<_>>()?)
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_role_is_read() {
        let info = "# Server\r\nrun_id:abc\r\n# Replication\r\nrole:master\r\n\
                    connected_slaves:1\r\nmaster_replid:def\r\nmaster_replid2:000\r\n";
        let role = Role { server: "abc def".into(), is_primary: true, replicas: 1 };
        assert_eq!(role_in(info), role);
        assert!(!role_in("role:slave").is_primary);
    }
}
