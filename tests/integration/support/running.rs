//! A server that a test has started.

use std::fs;
use std::marker::PhantomData;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use serde_json::{Value, json};

use super::host::Host;
use super::{Folder, sanitizer, signal, wait_for};

/// A server in a folder of its own, where its log is; stopped when dropped.
pub struct Running<H: Host> {
    child: Child,
    folder: Folder,
    port: u16,
    /// Where it listens for commands.
    pub commands: SocketAddr,
    of: PhantomData<H>,
}

impl<H: Host> Running<H> {
    pub fn start(command: &mut Command, folder: Folder, port: u16, commands: SocketAddr) -> Self {
        let log = fs::File::create(folder.join("log")).unwrap();
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        sanitizer::watch(command, folder.path());
        let child =
            command.spawn().unwrap_or_else(|error| panic!("{} is not installed: {error}", H::NAME));
        Running { child, folder, port, commands, of: PhantomData }
    }

    /// Waits until commands are answered.
    pub fn wait_until_ready(&mut self) {
        wait_for(&format!("{} to answer", H::NAME), || {
            if let Some(status) = self.ended() {
                panic!("{} stopped ({status}):\n{}", H::NAME, self.log());
            }
            H::call(self, H::VERSION, &json!([])).ok()
        });
    }

    /// Waits until commands are answered, or it has stopped by itself: false.
    pub fn answers_or_stops(&mut self) -> bool {
        wait_for(&format!("{} to answer or to stop", H::NAME), || match self.runs() {
            true => H::call(self, H::VERSION, &json!([])).ok().map(|_| true),
            false => Some(false),
        })
    }

    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Folders in /proc of all its processes.
    pub fn proc_folders(&self) -> Vec<PathBuf> {
        let of_group = |folder: &PathBuf| {
            let stat = fs::read_to_string(folder.join("stat")).unwrap_or_default();
            // pid (name) state ppid pgrp
            let after_name = stat.rsplit_once(')').map(|(_, rest)| rest);
            after_name.and_then(|r| r.split_whitespace().nth(2)) == Some(&self.pid().to_string())
        };
        let entries = fs::read_dir("/proc").unwrap().flatten();
        entries.map(|entry| entry.path()).filter(of_group).collect()
    }

    /// Those of them that have not ended, also after the main process has.
    pub fn live_processes(&self) -> Vec<PathBuf> {
        let lives = |folder: &PathBuf| {
            // Of one that has ended, and that nobody has asked for, nothing is left to read.
            fs::read(folder.join("cmdline")).is_ok_and(|words| !words.is_empty())
        };
        self.proc_folders().into_iter().filter(lives).collect()
    }

    /// CPU time of all its processes, in ns.
    pub fn cpu_time(&self) -> f64 {
        let time = |folder: PathBuf| {
            let text = fs::read_to_string(folder.join("schedstat")).ok()?;
            text.split(' ').next()?.parse::<f64>().ok()
        };
        self.proc_folders().into_iter().filter_map(time).sum()
    }

    /// Its main process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// All it has written to its log.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.folder.join("log")).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until it says so in its log.
    pub fn wait_for_line(&self, line: &str) {
        wait_for(line, || self.log().contains(line).then_some(()));
    }

    /// Sends TERM to the main process, or KILL to all of them, and waits.
    pub fn stop(&mut self, how: i32) -> ExitStatus {
        let main = self.child.id() as i32;
        signal(if how == libc::SIGKILL { -main } else { main }, how);
        self.wait()
    }

    /// Waits until the main process has ended by itself.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for(&format!("{} to stop", H::NAME), || self.ended())
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Whether the main process still runs.
    pub fn runs(&mut self) -> bool {
        self.ended().is_none()
    }

    /// Pids of its processes with these words in what they are.
    pub fn processes(&self, words: &str) -> Vec<u32> {
        let all = H::processes(self).into_iter();
        all.filter(|(what, _)| what.contains(words)).map(|(_, pid)| pid).collect()
    }

    /// The first of them.
    pub fn process(&self, words: &str) -> u32 {
        let found = self.processes(words);
        *found.first().unwrap_or_else(|| panic!("no {words}"))
    }

    /// A method of the server or the module, by its whole name.
    pub fn try_rpc(&self, method: &str, params: Value) -> Result<Value, String> {
        H::call(self, method, &params)
    }

    /// As [`Running::try_rpc`]; panics on a fault.
    pub fn rpc(&self, method: &str, params: Value) -> Value {
        self.try_rpc(method, params.clone())
            .unwrap_or_else(|e| panic!("{method} {params}: {e}\n{}", self.log()))
    }

    /// A method of the module, by its name without what the host writes before it.
    pub fn try_ask(&self, method: &str, params: Value) -> Result<Value, String> {
        self.try_rpc(&format!("{}{method}", H::PREFIX), params)
    }

    /// As [`Running::try_ask`]; panics on a fault.
    pub fn ask(&self, method: &str, params: Value) -> Value {
        self.rpc(&format!("{}{method}", H::PREFIX), params)
    }

    /// Value of one of the module's statistics.
    pub fn counter(&self, name: &str) -> u64 {
        self.ask("stats", json!([]))["counters"][name]
            .as_u64()
            .unwrap_or_else(|| panic!("no counter {name}"))
    }
}

impl<H: Host> Drop for Running<H> {
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            signal(self.child.id() as i32, libc::SIGTERM);
            for _ in 0..250 {
                if self.child.try_wait().ok().flatten().is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        // Children that a killed main process has left behind.
        // SAFETY: a system call without memory; the group is this server's own.
        unsafe { libc::kill(-(self.child.id() as i32), libc::SIGKILL) };
        if std::thread::panicking() {
            eprintln!("--- log of {}\n{}", H::NAME, self.log());
        }
        sanitizer::assert_silent(self.folder.path(), &self.log());
    }
}

/// A port that is free for UDP and TCP on 127.0.0.1 now, and that no other test gets: until its
/// server listens nothing else keeps it. The system gives out none of these by itself.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    wait_for("a free port", || {
        let number = std::process::id().wrapping_mul(541).wrapping_add(NEXT.fetch_add(1, Relaxed));
        let port = 10_000 + (number % 20_000) as u16;
        let _tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?;
        UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).ok().map(|_| port)
    })
}
