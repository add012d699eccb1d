//! Network namespaces, joined by a cable. Needs root: without it the tests fail.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Addresses of the first namespace, and the prefix lengths of its links.
pub const SERVER: [&str; 3] = ["10.77.0.1/24", "fd77:1::1/64", "fd77:2::1/64"];
/// Addresses of the second one.
pub const CLIENT: [&str; 6] = [
    "10.77.0.2/24",
    "10.77.0.3/24",
    "10.77.0.4/24",
    "fd77:1::2/64",
    "fd77:1::5/64",
    "fd77:2::2/64",
];

/// A network of its own; gone when dropped.
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// With its loopback interface.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Relaxed);
        let name = format!("sipwarden-{}-{n}", std::process::id());
        run("ip", &["netns", "add", &name]);
        let namespace = Namespace { name };
        namespace.ip(&["link", "set", "lo", "up"]);
        namespace
    }

    /// Two of them, at the two ends of a cable, with [`SERVER`] and [`CLIENT`].
    pub fn pair() -> (Self, Self) {
        let (server, client) = (Self::new(), Self::new());
        server.ip(&[
            "link",
            "add",
            "cable",
            "type",
            "veth",
            "peer",
            "name",
            "cable",
            "netns",
            &client.name,
        ]);
        for (namespace, addresses) in [(&server, &SERVER[..]), (&client, &CLIENT[..])] {
            for address in addresses {
                let nodad = if address.contains(':') { &["nodad"][..] } else { &[] };
                let add = ["address", "add", address, "dev", "cable"];
                namespace.ip(&[&add[..], nodad].concat());
            }
            namespace.ip(&["link", "set", "cable", "up"]);
        }
        (server, client)
    }

    /// Makes all addresses of a network its own.
    pub fn owns(&self, network: &str) {
        self.ip(&["route", "add", "local", network, "dev", "lo"]);
    }

    /// One more address at its end of the cable, with the length of the link.
    pub fn at_cable(&self, address: &str) {
        self.ip(&["address", "add", address, "dev", "cable"]);
    }

    fn ip(&self, arguments: &[&str]) {
        run("ip", &[&["-n", &self.name][..], arguments].concat());
    }

    /// Moves the calling thread, and the programs that it starts, into it for good.
    pub fn enter(&self) {
        let file = File::open(format!("/run/netns/{}", self.name)).unwrap();
        // SAFETY: a system call without memory; the descriptor is open.
        let rc = unsafe { libc::setns(file.as_raw_fd(), libc::CLONE_NEWNET) };
        assert_eq!(rc, 0, "{}", std::io::Error::last_os_error());
    }

    /// Runs `f` in it, in another thread. Sockets that it returns stay in it.
    pub fn run<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter();
                f()
            });
            thread.join().unwrap()
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.name]).status();
    }
}

/// Runs a program that must succeed; what it prints.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let out = Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("{program} is installed by make test: {e}"));
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{program} {arguments:?} (needs root): {errors}");
    String::from_utf8_lossy(&out.stdout).into_owned()
}
