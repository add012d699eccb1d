//! A connection to the server. After any error it is over: an answer that comes late would
//! be taken for that of another request.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use redis::{ConnectionAddr, IntoConnectionInfo, Value, cmd};

use super::connection::{Connected, Connection, connect, told};
use super::sentinels::primary;
use crate::cluster::{self, Key, Reply, Request, SCRIPT, Times, decode, encode};
use crate::cluster::{read_scope, scope_name};
use crate::host::settings::Server;
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
    /// Where it is; None: at a socket in the file system.
    pub address: Option<SocketAddr>,
}

/// A hash of the server.
type Fields = BTreeMap<String, String>;

/// A node as the server knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSeen {
    pub name: String,
    /// Ms since its last beat.
    pub silent: u64,
    /// It has told all its calls.
    pub is_published: bool,
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
    pub fn open(server: &Server, key: &str) -> Result<Self, String> {
        Self::open_with(server, key, SCRIPT)
    }

    /// Connects to the address of another link, for questions alone. No name is resolved, and
    /// no Sentinel asked: that may take long. `patience`: for the connection, and for each
    /// answer.
    pub fn open_at(
        server: &Server,
        key: &str,
        address: Option<SocketAddr>,
        patience: Duration,
    ) -> Result<Self, String> {
        let info = server.url.as_str().into_connection_info().map_err(told)?;
        if address.is_none() && matches!(info.addr(), ConnectionAddr::Tcp(..)) {
            return Err("its address is not known yet".into());
        }
        Self::of((Connection::open(&info, address, [patience; 2])?, address), key)
    }

    /// The same, with the script.
    pub fn open_known(
        server: &Server,
        key: &str,
        address: Option<SocketAddr>,
    ) -> Result<Self, String> {
        let mut link = Self::open_at(server, key, address, CONNECTING)?;
        link.load(SCRIPT)?;
        Ok(link)
    }

    fn of((connection, address): Connected, key: &str) -> Result<Self, String> {
        let (script, server) = (String::new(), String::new());
        let mut link = Link { connection, script, key: key.to_owned(), server, address };
        let role = link.role()?;
        if !role.is_primary {
            return Err("it is a replica".into());
        }
        link.server = role.server;
        Ok(link)
    }

    fn open_with(server: &Server, key: &str, script: &str) -> Result<Self, String> {
        let connected = connect(primary(server, CONNECTING)?, [CONNECTING, DEAD])?;
        let mut link = Self::of(connected, key)?;
        link.load(script)?;
        Ok(link)
    }

    fn load(&mut self, script: &str) -> Result<(), String> {
        let load = cmd("SCRIPT").arg("LOAD").arg(script).to_owned();
        self.script = load.query(&mut self.connection).map_err(told)?;
        Ok(())
    }

    /// Sends a request and waits for its answer.
    pub fn run(&mut self, request: &Request, times: &Times) -> Result<Reply, String> {
        let mut command = cmd("EVALSHA");
        command.arg(&self.script).arg(encode(request, times, &self.key));
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

    /// Which nodes have slots of scopes, and how many: for each scope by their names.
    pub fn claims(&mut self, keys: &[Key]) -> Result<Vec<Vec<(String, u32)>>, String> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let prefix = self.prefix();
        let names: Vec<String> = keys.iter().map(|key| scope_name(prefix, *key)).collect();
        let mut asked = redis::pipe();
        asked.hgetall(&self.key).mget(names);
        let (members, texts): (Fields, Vec<Option<String>>) =
            asked.query(&mut self.connection).map_err(told)?;
        let named = |text: Option<String>| {
            // One of another incarnation is void, and so are claims of numbers without a record.
            let scope = text.as_deref().and_then(read_scope);
            let is_void = |of: u64| members.get("inc") != Some(&of.to_string());
            let claims = scope.filter(|(of, _)| !is_void(*of)).unwrap_or_default().1;
            let name =
                |(number, slots)| Some((members.get(&format!("n:{number}"))?.clone(), slots));
            claims.into_iter().filter_map(name).collect()
        };
        Ok(texts.into_iter().map(named).collect())
    }

    /// The server's clock, in us.
    pub fn time(&mut self) -> Result<u64, String> {
        let (seconds, us): (u64, u64) = cmd("TIME").query(&mut self.connection).map_err(told)?;
        Ok(seconds.saturating_mul(1_000_000).saturating_add(us))
    }

    /// All nodes with a record, by their names.
    pub fn nodes(&mut self) -> Result<Vec<NodeSeen>, String> {
        let now = self.time()? / 1000;
        let asked = cmd("HGETALL").arg(&self.key).to_owned();
        let members: Fields = asked.query(&mut self.connection).map_err(told)?;
        let nodes = members.iter().filter_map(|(field, name)| {
            let number = field.strip_prefix("n:")?;
            let beat: u64 = members.get(&format!("b:{number}"))?.parse().ok()?;
            let is_published = members.contains_key(&format!("p:{number}"));
            Some(NodeSeen { name: name.clone(), silent: now.saturating_sub(beat), is_published })
        });
        let mut nodes: Vec<_> = nodes.collect();
        nodes.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(nodes)
    }

    /// Notices by their names, as far as the server has them.
    pub fn notices(&mut self, names: &[String], seal: Seal) -> Result<Vec<Option<Notice>>, String> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let key = format!("{}v", self.prefix());
        let asked = cmd("HMGET").arg(key).arg(names).to_owned();
        let texts: Vec<Option<String>> = asked.query(&mut self.connection).map_err(told)?;
        let read = |(name, text): (&String, Option<String>)| Notice::read(name, &text?, seal);
        Ok(names.iter().zip(texts).map(read).collect())
    }

    fn prefix(&self) -> &str {
        self.key.strip_suffix('m').unwrap_or(&self.key)
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
    pub fn open(server: &Server, key: &str) -> Result<Self, String> {
        let prefix = key.strip_suffix('m').unwrap_or(key);
        let keys = ["v", "vs", "ve", "vn"].map(|name| format!("{prefix}{name}"));
        Ok(NoticesLink { link: Link::open_with(server, key, notices::SCRIPT)?, keys })
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

/// An answer of the server as the protocol of shared limits has it.
pub fn plain(value: Value) -> Option<cluster::Value> {
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
