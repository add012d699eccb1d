//! The lines of the guide for a tunnel between the proxies and Redis, as it shows them.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::cluster::Stage;
use crate::support::guide::block;
use crate::support::kamailio::free_port;
use crate::support::{Folder, uninterrupted, wait_for};

const TENANTS: &str = "INSERT INTO sipwarden_brand VALUES ('b', 0);
    INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 1);";
/// The guide's Redis, seen from its own machine and from elsewhere.
const INSIDE: &str = "127.0.0.1:6379";
const OUTSIDE: &str = "10.0.0.5:6380";

/// One end of a tunnel.
struct Stunnel(Child);

impl Stunnel {
    /// By the guide's lines, with these addresses and the key in `folder`.
    fn start(folder: &Folder, end: &str, inside: SocketAddr, outside: SocketAddr) -> Self {
        let lines = block("cluster.md", end);
        for address in [INSIDE, OUTSIDE] {
            assert_eq!(lines.matches(address).count(), 1, "{lines}");
        }
        let lines = lines.replace(INSIDE, &inside.to_string());
        let lines = at_home(&lines.replace(OUTSIDE, &outside.to_string()), folder);
        let file = folder.join(&format!("{end}.conf"));
        fs::write(&file, format!("foreground = yes\nsyslog = no\n{lines}")).unwrap();
        let mut command = Command::new("stunnel4");
        command.arg(file).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("stunnel4 is installed: make test installs it");
        let accepts = if end == "tunnel-proxy" { inside } else { outside };
        wait_for("the tunnel", || TcpStream::connect(accepts).ok());
        Stunnel(child)
    }
}

impl Drop for Stunnel {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn at_home(lines: &str, folder: &Folder) -> String {
    assert!(lines.contains("/etc/stunnel/"), "{lines}");
    lines.replace("/etc/stunnel/", &format!("{}/", folder.path().display()))
}

/// A folder with a new key.
fn with_key() -> Folder {
    let folder = Folder::new();
    let lines = at_home(&block("cluster.md", "tunnel-key"), &folder);
    assert!(Command::new("sh").args(["-ec", &lines]).status().unwrap().success());
    folder
}

fn local() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, free_port()).into()
}

/// What Redis says, if anything, before the connection ends.
fn ping(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut told = [0; 64];
    let _ = stream.write_all(b"PING\r\n");
    let length = uninterrupted(|| stream.read(&mut told)).unwrap_or(0);
    String::from_utf8_lossy(&told[..length]).into_owned()
}

#[test]
fn proxies_share_a_limit_through_the_tunnel_of_the_guide() {
    let mut stage = Stage::new(0, TENANTS);
    let (folder, outside, redis) = (with_key(), local(), stage.redis.address());
    let server = Stunnel::start(&folder, "tunnel-redis", redis, outside);
    let inside = [local(), local()];
    let folders = [with_key(), with_key()];
    let _ends: Vec<_> = folders
        .iter()
        .zip(inside)
        .map(|(own, inside)| {
            fs::copy(folder.join("cluster.psk"), own.join("cluster.psk")).unwrap();
            Stunnel::start(own, "tunnel-proxy", inside, outside)
        })
        .collect();
    for (node, inside) in inside.iter().enumerate() {
        stage.start_by(&format!("node{node}"), &format!("redis://{inside}/0"));
    }
    stage.wait_for_members(2);
    let call = stage.call(0, "c", "").unwrap();
    assert_eq!(stage.call(1, "c", "").err().unwrap(), "company_limit");

    // Nobody else comes in: without TLS, and with another key.
    assert_eq!(ping(inside[0]), "+PONG\r\n");
    assert_eq!(ping(outside), "");
    let (other, elsewhere) = (with_key(), local());
    let _wrong = Stunnel::start(&other, "tunnel-proxy", elsewhere, outside);
    assert_eq!(ping(elsewhere), "");

    // A tunnel that breaks is a Redis that is away.
    drop(server);
    for proxy in &stage.proxies {
        wait_for("the end of trust", || (proxy.counter("cluster_exact") == 0).then_some(()));
    }
    let _server = Stunnel::start(&folder, "tunnel-redis", redis, outside);
    stage.wait_for_members(2);
    assert_eq!(stage.call(1, "c", "").err().unwrap(), "company_limit");
    stage.hang_up(call);
    let next = stage.call_in_the_end(1, "c");
    stage.hang_up(next);
}
