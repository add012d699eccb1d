//! A server of shared limits, for one test.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use sipwarden::cluster::read_scope;

use super::kamailio::free_port;
use super::wire::Wire;
use super::{Folder, preload, signal, wait_for};

const SOCKET: &str = "socket";

/// Redis without persistence, which ends with the test.
pub struct Redis {
    child: RefCell<Child>,
    folder: Folder,
    port: u16,
    has_clock: bool,
}

impl Redis {
    pub fn start() -> Self {
        Redis::with(false)
    }

    /// With a clock of its own, which [`Redis::set_clock`] sets.
    pub fn with_clock() -> Self {
        Redis::with(true)
    }

    fn with(has_clock: bool) -> Self {
        let (folder, port) = (Folder::new(), free_port());
        fs::write(folder.join("clock"), "+0\n").unwrap();
        let child = RefCell::new(spawn(&folder, port, has_clock));
        let redis = Redis { child, folder, port, has_clock };
        redis.wait();
        redis
    }

    /// Sets its clock so many seconds before or behind the machine's.
    pub fn set_clock(&self, seconds: i64) {
        assert!(self.has_clock);
        let new = self.folder.join("clock.new");
        fs::write(&new, format!("{seconds:+}\n")).unwrap();
        fs::rename(new, self.folder.join("clock")).unwrap();
        let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
        let told = self.cli(&["--raw", "TIME"]);
        let told: i64 = told.lines().next().and_then(|line| line.parse().ok()).unwrap();
        assert!((told - now - seconds).abs() < 5, "its clock says {told}, {seconds} from {now}");
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

    /// Its socket in the file system.
    pub fn socket(&self) -> PathBuf {
        self.folder.join(SOCKET)
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

    /// Claims of all members in all scopes. Others are void, and removed when a scope is full.
    pub fn claims(&self) -> Vec<u64> {
        let members = self.hash("sw:{sipwarden}:m");
        let keys = self.cli(&["--raw", "KEYS", "*:s:*"]);
        let mut claims = Vec::new();
        for key in keys.lines() {
            let text = self.cli(&["GET", key]);
            if text.is_empty() {
                // Gone since then.
                continue;
            }
            let (incarnation, scope) = read_scope(&text).expect(&text);
            if members.get("inc") == Some(&incarnation.to_string()) {
                let is_theirs =
                    |(number, _): &(u64, _)| members.contains_key(&format!("s:{number}"));
                claims
                    .extend(scope.into_iter().filter(is_theirs).map(|(_, slots)| u64::from(slots)));
            }
        }
        claims
    }

    fn hash(&self, key: &str) -> BTreeMap<String, String> {
        let fields = self.cli(&["--raw", "HGETALL", key]);
        let fields: Vec<_> = fields.lines().map(str::to_owned).collect();
        fields.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
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
        let _ = self.child.replace(spawn(&self.folder, self.port, self.has_clock)).wait();
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

/// The server's program. `SIPWARDEN_REDIS_SERVER`: another one, for example `valkey-server`.
pub fn program() -> String {
    std::env::var("SIPWARDEN_REDIS_SERVER").unwrap_or_else(|_| "redis-server".into())
}

fn spawn(folder: &Folder, port: u16, has_clock: bool) -> Child {
    let mut command = Command::new(program());
    command
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction", "--dir"])
        .arg(folder.path())
        .arg("--unixsocket")
        .arg(folder.join(SOCKET))
        .stdout(Stdio::null());
    if has_clock {
        // libfaketime hangs with its allocator.
        let library = preload::library(folder.path(), "clock.c");
        command.env("LD_PRELOAD", library).env("CLOCK_FILE", folder.join("clock"));
    }
    command.spawn().expect("redis-server is installed: make test installs it")
}
