//! A small name server of the test's own: dnsmasq on a loopback address, with the names of a
//! file. A server that is started by its `wrapper` asks it: the two share a mount namespace,
//! in which `/etc/resolv.conf` is another one. Needs root.

use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use super::{Folder, signal, uninterrupted, wait_for};

/// A name server, and the address that it has also while it is stopped.
pub struct Dns {
    folder: Folder,
    address: Ipv4Addr,
    server: Option<Child>,
}

impl Dns {
    /// With these names; each has a TTL of a second.
    pub fn start(names: &[(&str, &str)]) -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(0);
        let [.., a, b] = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, 53 + NEXT.fetch_add(1, Relaxed), a, b.max(1));
        let mut dns = Dns { folder: Folder::new(), address, server: None };
        // One attempt of a second.
        let resolver = format!("nameserver {address}\noptions timeout:1 attempts:1\n");
        fs::write(dns.folder.join("resolv.conf"), resolver).unwrap();
        dns.write(names);
        dns.serve();
        dns
    }

    fn write(&self, names: &[(&str, &str)]) {
        let lines = names.iter().fold(String::new(), |mut lines, (name, address)| {
            writeln!(lines, "{address} {name}").unwrap();
            lines
        });
        fs::write(self.folder.join("hosts"), lines).unwrap();
    }

    /// Replaces its names.
    pub fn set(&self, names: &[(&str, &str)]) {
        self.write(names);
        // It reads its file anew.
        signal(self.server.as_ref().expect("it runs").id() as i32, libc::SIGHUP);
    }

    /// Starts it, or starts it again.
    pub fn serve(&mut self) {
        let (folder, address) = (self.folder.path().display(), self.address);
        let server = Command::new("dnsmasq")
            .args(["--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"])
            .args(["--bind-interfaces", "--pid-file", "--user=root", "--local-ttl=1"])
            .arg(format!("--listen-address={address}"))
            .arg(format!("--addn-hosts={folder}/hosts"))
            .args(["--local=/example/", "--log-facility=-"])
            .stdin(Stdio::null())
            .stderr(fs::File::create(self.folder.join("log")).unwrap())
            .spawn()
            .expect("dnsmasq is installed by make test-setup");
        self.server = Some(server);
        wait_for("dnsmasq to answer", || self.answers().then_some(()));
    }

    fn answers(&self) -> bool {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(std::time::Duration::from_millis(100))).unwrap();
        // The root's A record: it is asked for, whatever the answer is.
        let question = [0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1];
        let _ = socket.send_to(&question, (self.address, 53));
        uninterrupted(|| socket.recv(&mut [0; 512])).is_ok()
    }

    /// Ends it; whether its port then refuses or takes questions and never answers, is the
    /// caller's choice.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    /// A socket in its place that takes questions and answers none.
    pub fn stop_and_listen(&mut self) -> UdpSocket {
        self.stop();
        UdpSocket::bind((self.address, 53)).unwrap()
    }

    /// What starts a program so that it asks this server.
    pub fn wrapper(&self) -> Vec<String> {
        let script = format!(
            "mount --bind {}/resolv.conf /etc/resolv.conf && exec \"$@\"",
            self.folder.path().display()
        );
        ["unshare", "--mount", "sh", "-c", &script, "sh"].map(str::to_owned).into()
    }
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.stop();
    }
}
