//! A server of shared limits, for one test.

use std::cell::RefCell;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};

use super::kamailio::free_port;
use super::wire::Wire;
use super::{Folder, signal, wait_for};

/// Redis without persistence, which ends with the test.
pub struct Redis {
    child: RefCell<Child>,
    folder: Folder,
    port: u16,
}

impl Redis {
    pub fn start() -> Self {
        let (folder, port) = (Folder::new(), free_port());
        let redis = Redis { child: RefCell::new(spawn(&folder, port)), folder, port };
        redis.wait();
        redis
    }

    fn wait(&self) {
        wait_for("Redis to answer", || (self.cli(&["PING"]) == "PONG").then_some(()));
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub fn pid(&self) -> u32 {
        self.child.borrow().id()
    }

    /// A number that it tells of itself.
    pub fn number(&self, section: &str, name: &str) -> f64 {
        let info = self.cli(&["INFO", section]);
        let of = |line: &str| line.trim().strip_prefix(name)?.strip_prefix(':')?.parse().ok();
        info.lines().find_map(of).unwrap_or_else(|| panic!("no {name} in {info}"))
    }

    /// What redis-cli prints.
    pub fn cli(&self, arguments: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.args(["-h", "127.0.0.1", "-p", &self.port.to_string()]).args(arguments);
        let out = command.output().unwrap();
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    /// Claims of all nodes in all scopes: field and value, without the incarnation.
    pub fn claims(&self) -> Vec<u64> {
        let keys = self.cli(&["--raw", "KEYS", "*:s:*"]);
        let mut claims = Vec::new();
        for key in keys.lines() {
            let fields = self.cli(&["--raw", "HGETALL", key]);
            let fields: Vec<_> = fields.lines().collect();
            for pair in fields.chunks(2).filter(|pair| pair[0] != "inc") {
                claims.push(pair[1].parse().unwrap());
            }
        }
        claims
    }

    pub fn freeze(&self) {
        signal(self.child.borrow().id() as i32, libc::SIGSTOP);
    }

    pub fn resume(&self) {
        signal(self.child.borrow().id() as i32, libc::SIGCONT);
    }

    /// Becomes a replica.
    pub fn follow(&self, primary: SocketAddr) {
        let (ip, port) = (primary.ip().to_string(), primary.port().to_string());
        self.cli(&["REPLICAOF", &ip, &port]);
    }

    /// Is a replica no more.
    pub fn lead(&self) {
        self.cli(&["REPLICAOF", "NO", "ONE"]);
    }

    /// Until one replica has all that it has.
    pub fn wait_for_replica(&self) {
        wait_for("the replica", || {
            self.cli(&["INFO", "replication"]).contains("state=online").then_some(())
        });
    }

    /// Ends it as a crash does.
    pub fn kill(&self) {
        let mut child = self.child.borrow_mut();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts it again, empty.
    pub fn restart(&self) {
        // The one before has ended.
        let _ = self.child.replace(spawn(&self.folder, self.port)).wait();
        self.wait();
    }
}

/// A server that follows another one over a wire.
pub struct Replica {
    pub redis: Redis,
    pub wire: Wire,
}

impl Replica {
    pub fn of(primary: &Redis) -> Self {
        let replica = Replica { redis: Redis::start(), wire: Wire::to(primary.address()) };
        replica.redis.follow(replica.wire.address);
        primary.wait_for_replica();
        replica
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let mut child = self.child.borrow_mut();
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn spawn(folder: &Folder, port: u16) -> Child {
    Command::new("redis-server")
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction", "--dir"])
        .arg(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .expect("redis-server is installed: make test installs it")
}
