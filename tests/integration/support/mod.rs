//! What the integration tests share: a real Kamailio, SIP clients, databases.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

pub mod account;
pub mod browser;
pub mod call;
pub mod callee;
pub mod config;
pub mod digest;
pub mod dns;
pub mod example;
pub mod footprint;
pub mod guide;
pub mod host;
pub mod kamailio;
pub mod kamailio_scripts;
pub mod login;
pub mod machine;
pub mod merge;
pub mod mixture;
pub mod mmdb;
pub mod netns;
pub mod nft;
pub mod page;
pub mod panics;
pub mod party;
pub mod platform;
pub mod preload;
pub mod prometheus;
pub mod proxies;
pub mod proxy;
pub mod redis;
pub mod running;
pub mod sanitizer;
pub mod scripts;
pub mod sender;
pub mod server;
pub mod servers;
pub mod sip;
pub mod sipp;
pub mod sqlite;
pub mod stage;
pub mod stock;
pub mod wire;
pub mod world;

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A folder that goes when the value is dropped, unless the test panics.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let n = NEXT.fetch_add(1, Relaxed);
            let path = std::env::temp_dir().join(format!("sipwarden-{}-{n}", std::process::id()));
            match std::fs::create_dir(&path) {
                Ok(()) => return Folder(path),
                // Of a process that was killed, with the same id.
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => panic!("{}: {error}", path.display()),
            }
        }
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("kept for a look: {}", self.0.display());
        } else {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}

/// What another thread goes on for, also in a test that fails: it ends all the same.
pub struct Going(AtomicBool);

impl Going {
    pub fn begin() -> Self {
        Going(AtomicBool::new(true))
    }

    pub fn is_on(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// Ends it when what this returns is dropped.
    pub fn while_held(&self) -> impl Drop + '_ {
        struct End<'a>(&'a Going);
        impl Drop for End<'_> {
            fn drop(&mut self) {
                self.0.0.store(false, Relaxed);
            }
        }
        End(self)
    }
}

/// How long is waited for what must come: the machine may have much else to do.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until `ready` answers; panics with `what` after 60 s, so that a slow machine fails no
/// test.
pub fn wait_for<T>(what: &str, ready: impl FnMut() -> Option<T>) -> T {
    wait_up_to(PATIENCE, what, ready)
}

/// As [`wait_for`], for what takes its time.
pub fn wait_up_to<T>(limit: Duration, what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(started.elapsed() < limit, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Reads from a socket. One with a time limit is interrupted without any signal handler, when
/// a child is started for instance.
pub fn uninterrupted<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match read() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

/// Bytes of its own that a process has.
pub fn own_memory(pid: u64) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    1024 * line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
}

/// Sends a signal to a process, or with a negative pid to a process group.
pub fn signal(pid: i32, signal: i32) {
    // SAFETY: a system call without memory.
    let rc = unsafe { libc::kill(pid, signal) };
    assert_eq!(rc, 0, "signal {signal} to {pid}: {}", std::io::Error::last_os_error());
}

/// The top folder of the project.
pub fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
