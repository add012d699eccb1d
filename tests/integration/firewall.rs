//! The shipped firewall rules, in the kernel: what a machine at the other end of a
//! cable reaches and what it does not.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use crate::support::netns::{Namespace, run};
use crate::support::nft::{Rules, counter, elements, nft};
use crate::support::{project, wait_for, wait_up_to};

const V4: &str = "10.77.0.1";
const V6: &str = "fd77:1::1";

/// Ports of the platform, and neighbours of them that nobody may reach.
const OPEN_TCP: [u16; 14] =
    [22, 80, 443, 1443, 2443, 3443, 5060, 5061, 7060, 7061, 9090, 10080, 10081, 22];
const CLOSED_TCP: [u16; 14] =
    [21, 23, 25, 81, 1444, 3306, 5059, 5062, 7059, 7062, 8060, 9091, 10082, 13000];
const OPEN_UDP: [u16; 6] = [5060, 7060, 13000, 15001, 18999, 19000];
const CLOSED_UDP: [u16; 10] = [53, 80, 5059, 5061, 5062, 7061, 9090, 10080, 12999, 19001];

/// The namespaces, the rules loaded in the first one, in which this thread is now.
fn platform(rules: &Rules) -> (Namespace, Namespace) {
    let (server, client) = Namespace::pair();
    server.enter();
    // "Port unreachable" is how an open port without a program answers.
    fs::write("/proc/sys/net/ipv4/icmp_ratelimit", "0").unwrap();
    fs::write("/proc/sys/net/ipv6/icmp/ratelimit", "0").unwrap();
    rules.load();
    (server, client)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    /// The machine has answered, if only that no program listens there.
    Open,
    /// Its firewall has dropped the packet, and counted it.
    Dropped,
}
use Probe::{Dropped, Open};

/// Sends one packet to a port until it is answered or counted by `drops`.
fn probe(client: &Namespace, from: &str, to: (&str, u16), tcp: bool, drops: &str) -> Probe {
    let before = counter(drops);
    let (from, to): (IpAddr, SocketAddr) =
        (from.parse().unwrap(), (to.0.parse::<IpAddr>().unwrap(), to.1).into());
    let answered: Box<dyn Fn() -> bool + Send> = match tcp {
        false => client.run(move || {
            let socket = UdpSocket::bind((from, 0)).unwrap();
            socket.connect(to).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket.send(b"?").unwrap();
            let refused = |e: std::io::Error| e.kind() == std::io::ErrorKind::ConnectionRefused;
            Box::new(move || socket.recv(&mut [0; 16]).map_or_else(refused, |_| true)) as _
        }),
        true => client.run(move || {
            let socket = connecting(from, to);
            Box::new(move || {
                let error = socket.take_error().unwrap();
                error.is_some_and(|e| e.kind() == std::io::ErrorKind::ConnectionRefused)
                    || socket.peer_addr().is_ok()
            }) as _
        }),
    };
    wait_for(&format!("{to} to answer or drop"), || {
        if answered() {
            return Some(Open);
        }
        (counter(drops) > before && !answered()).then_some(Dropped)
    })
}

/// A TCP socket that connects.
fn connecting(from: IpAddr, to: SocketAddr) -> TcpStream {
    use std::os::fd::FromRawFd;
    let family = if to.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
    // SAFETY: a system call without memory; the descriptor is new and nobody else's.
    let socket = unsafe {
        let fd = libc::socket(family, libc::SOCK_STREAM | libc::SOCK_NONBLOCK, 0);
        assert!(fd >= 0);
        TcpStream::from_raw_fd(fd)
    };
    let call = |call: unsafe extern "C" fn(i32, *const libc::sockaddr, u32) -> i32, at| {
        use std::os::fd::AsRawFd;
        let address = Sockaddr::from(at);
        // SAFETY: the address is of its family and outlives the call.
        unsafe { call(socket.as_raw_fd(), (&raw const address).cast(), address.len()) }
    };
    assert_eq!(call(libc::bind, (from, 0).into()), 0);
    call(libc::connect, to);
    socket
}

#[repr(C)]
union Sockaddr {
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

impl Sockaddr {
    fn len(&self) -> u32 {
        // SAFETY: the family comes first in both.
        let v4 = i32::from(unsafe { self.v4.sin_family }) == libc::AF_INET;
        if v4 { size_of::<libc::sockaddr_in>() as u32 } else { size_of::<Self>() as u32 }
    }
}

impl From<SocketAddr> for Sockaddr {
    fn from(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(address) => Sockaddr {
                v4: libc::sockaddr_in {
                    sin_family: libc::AF_INET as u16,
                    sin_port: address.port().to_be(),
                    sin_addr: libc::in_addr { s_addr: u32::from(*address.ip()).to_be() },
                    sin_zero: [0; 8],
                },
            },
            SocketAddr::V6(address) => Sockaddr {
                v6: libc::sockaddr_in6 {
                    sin6_family: libc::AF_INET6 as u16,
                    sin6_port: address.port().to_be(),
                    sin6_flowinfo: 0,
                    sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
                    sin6_scope_id: 0,
                },
            },
        }
    }
}

/// An echo over TCP.
fn echo_server(at: (&str, u16)) {
    let listener = TcpListener::bind((at.0.parse::<IpAddr>().unwrap(), at.1)).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            std::thread::spawn(move || {
                let mut byte = [0];
                while stream.read_exact(&mut byte).is_ok() && stream.write_all(&byte).is_ok() {}
            });
        }
    });
}

fn echoes(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut byte = [0];
    stream.write_all(b"x").is_ok() && stream.read_exact(&mut byte).is_ok() && byte == *b"x"
}

#[test]
fn each_port_is_open_or_closed_as_stated() {
    let (_server, client) = platform(&Rules::new());
    for (from, to) in [("10.77.0.2", V4), ("fd77:1::2", V6)] {
        for (ports, tcp, expected) in [
            (&OPEN_TCP[..], true, Open),
            (&CLOSED_TCP[..], true, Dropped),
            (&OPEN_UDP[..], false, Open),
            (&CLOSED_UDP[..], false, Dropped),
        ] {
            for port in ports {
                let found = probe(&client, from, (to, *port), tcp, "refused");
                assert_eq!(found, expected, "{to} port {port}, tcp {tcp}");
            }
        }
        // Necessary control messages.
        client.run(|| run("ping", &["-c", "1", "-W", "5", to]));
    }
    // Loopback is not filtered.
    echo_server(("127.0.0.1", 3306));
    assert!(echoes(&mut TcpStream::connect("127.0.0.1:3306").unwrap()));
}

#[test]
fn lists_may_be_empty_and_nothing_else_is_touched() {
    let rules = Rules::new();
    let (_server, client) = platform(&rules);
    nft("add table inet other");
    nft("add set inet other keep { type ipv4_addr; elements = { 192.0.2.1 }; }");
    let other = nft("list table inet other");
    for list in ["platform4", "users_udp", "users_tcp", "web_tcp", "optional_tcp", "media_udp"] {
        rules.set(list, "{ }");
    }
    rules.set("management4", "{ 10.77.0.3, 10.77.0.9 }").set("management_tcp", "{ 22, 8022 }");
    rules.set("optional_udp", "{ 4500-4510 }").set("platform6", "{ fd77:1::5 }").load();
    for (from, port, tcp, expected) in [
        ("10.77.0.2", 22, true, Dropped),
        ("10.77.0.3", 22, true, Open),
        ("10.77.0.3", 8022, true, Open),
        ("10.77.0.3", 443, true, Dropped),
        ("10.77.0.2", 9090, true, Dropped),
        ("10.77.0.2", 5060, true, Dropped),
        ("10.77.0.2", 5060, false, Dropped),
        ("10.77.0.2", 13000, false, Dropped),
        ("10.77.0.2", 4505, false, Open),
        ("10.77.0.2", 7060, false, Open),
    ] {
        let found = probe(&client, from, (V4, port), tcp, "refused");
        assert_eq!(found, expected, "{from} to port {port}, tcp {tcp}");
    }
    assert_eq!(probe(&client, "fd77:1::5", (V6, 3306), true, "refused"), Open);
    assert_eq!(probe(&client, "fd77:1::2", (V6, 3306), true, "refused"), Dropped);
    assert_eq!(nft("list table inet other"), other);
}

#[test]
fn trunks_and_countries_may_be_restricted() {
    let rules = Rules::new();
    let (_server, client) = platform(&rules);
    rules.set("trunks", "trunks_carriers").set("carriers4", "{ 10.77.0.3 }");
    rules.set("carriers6", "{ fd77:1::5 }").load();
    for tcp in [true, false] {
        for (from, to, expected) in [
            ("10.77.0.2", V4, Dropped),
            ("10.77.0.3", V4, Open),
            ("fd77:1::2", V6, Dropped),
            ("fd77:1::5", V6, Open),
        ] {
            let found = probe(&client, from, (to, 7060), tcp, "other_carriers");
            assert_eq!(found, expected, "{from}");
            assert_eq!(probe(&client, from, (to, 5060), tcp, "other_carriers"), Open, "{from}");
        }
    }
    // A trunk proxy with an address of its own, on the usual port.
    rules.set("trunks_at4", "{ 10.77.0.1 }").set("trunks_udp", "{ 5060 }").load();
    assert_eq!(probe(&client, "10.77.0.2", (V4, 5060), false, "other_carriers"), Dropped);
    assert_eq!(probe(&client, "10.77.0.3", (V4, 5060), false, "other_carriers"), Open);

    let rules = Rules::new();
    rules.countries("countries-a.nft", "add element inet sipwarden countries4 { 10.77.0.2/31 }\n");
    rules.countries("countries-b.nft", "add element inet sipwarden countries6 { fd77:1::2 }\n");
    rules.set("carriers4", "{ 10.77.0.4 }").set("trunks", "trunks_carriers");
    for (mode, listed, others) in [
        ("countries_only", Open, Dropped),
        ("countries_never", Dropped, Open),
        ("countries_all", Open, Open),
    ] {
        rules.set("countries", mode).load();
        for (from, to, expected) in [
            ("10.77.0.3", V4, listed),
            ("10.77.0.4", V4, others),
            ("fd77:1::2", V6, listed),
            ("fd77:1::5", V6, others),
        ] {
            for (port, tcp) in [(5060, false), (5061, true), (443, true), (9090, true)] {
                let found = probe(&client, from, (to, port), tcp, "other_countries");
                assert_eq!(found, expected, "{mode}: {from} to {port}");
            }
            // Neither media nor management is bound to a country.
            assert_eq!(probe(&client, from, (to, 13000), false, "other_countries"), Open);
            assert_eq!(probe(&client, from, (to, 22), true, "other_countries"), Open);
        }
        // Nor are carriers.
        assert_eq!(probe(&client, "10.77.0.4", (V4, 7060), false, "other_countries"), Open);
    }
}

#[test]
fn new_connections_of_one_source_are_limited_and_established_ones_kept() {
    let rules = Rules::new();
    let (_server, client) = platform(&rules);
    echo_server((V4, 443));
    echo_server((V6, 443));
    let mut kept: Vec<_> = [V4, V6]
        .into_iter()
        .map(|to| {
            client.run(move || TcpStream::connect((to.parse::<IpAddr>().unwrap(), 443)).unwrap())
        })
        .collect();
    for (from, neighbour, to) in [("10.77.0.2", "10.77.0.3", V4), ("fd77:1::2", "fd77:2::2", V6)] {
        let before = counter("too_many_new");
        // Nobody answers that nobody listens: the kernel limits how often it does.
        let _sink = UdpSocket::bind((to.parse::<IpAddr>().unwrap(), 5060)).unwrap();
        // Each socket is a flow of its own.
        let flows = || {
            let one = |_| {
                let socket = UdpSocket::bind((from.parse::<IpAddr>().unwrap(), 0)).unwrap();
                socket.send_to(b"?", (to.parse::<IpAddr>().unwrap(), 5060)).unwrap();
                socket
            };
            (0..600).map(one).collect::<Vec<_>>().len()
        };
        wait_for("too many new flows", || {
            client.run(flows);
            (counter("too_many_new") > before).then_some(())
        });
        // RTP comes in as many flows as there are calls.
        let media = probe(&client, from, (to, 13000), false, "too_many_new");
        assert_eq!(media, Open);
        assert_eq!(probe(&client, neighbour, (to, 5061), true, "too_many_new"), Open);
    }
    for stream in &mut kept {
        assert!(echoes(stream), "an established connection");
    }
    // A port that is closed now: who is connected stays so.
    rules.set("web_tcp", "{ }").load();
    for stream in &mut kept {
        assert!(echoes(stream), "an established connection after a reload");
    }
    assert_eq!(probe(&client, "10.77.0.3", (V4, 443), true, "refused"), Dropped);
}

#[test]
fn a_reload_keeps_who_is_blocked_and_a_bad_file_changes_nothing() {
    let rules = Rules::new();
    let (_server, client) = platform(&rules);
    nft("add element inet sipwarden blocked4 { 10.77.0.2 timeout 1000s }");
    nft("add element inet sipwarden blocked6 { fd77:1::/64 timeout 1000s }");
    rules.set("optional_tcp", "{ }").load();
    assert_eq!(elements("blocked4")[0].0, "10.77.0.2");
    assert_eq!(elements("blocked6")[0].0, "fd77:1::/64");
    for (from, to) in [("10.77.0.2", V4), ("fd77:1::2", V6)] {
        for (port, tcp) in
            [(5060, false), (7060, false), (5060, true), (5061, true), (7061, true), (10081, true)]
        {
            assert_eq!(probe(&client, from, (to, port), tcp, "blocked"), Dropped, "{from} {port}");
        }
        // Media of calls that are up, the web, and above all SSH.
        for (port, tcp) in [(13000, false), (443, true), (22, true)] {
            assert_eq!(probe(&client, from, (to, port), tcp, "blocked"), Open, "{from} {port}");
        }
    }
    assert_eq!(probe(&client, "10.77.0.3", (V4, 5060), false, "blocked"), Open);
    let table = || run("nft", &["-s", "list", "table", "inet", "sipwarden"]);
    let before = table();
    rules.set("users_udp", "{ 5060, many }");
    let loading = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rules.load()));
    assert!(loading.is_err(), "a port that is none");
    assert_eq!(table(), before);
}

#[test]
fn the_unit_gives_one_right_only() {
    let file = "kamailio-cfg/firewall/kamailio.service.d/sipwarden-firewall.conf";
    let text = fs::read_to_string(project().join(file)).unwrap();
    let rights: Vec<_> = text.lines().filter(|line| line.contains("CAP_")).collect();
    let expected = ["AmbientCapabilities=CAP_NET_ADMIN", "CapabilityBoundingSet=CAP_NET_ADMIN"];
    let rights: Vec<_> = rights.into_iter().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(rights, expected);
    // systemd reads it, where there is one.
    let version = Command::new("systemd-analyze").arg("--version").output();
    if version.is_ok_and(|out| out.status.success()) {
        let folder = crate::support::Folder::new();
        let unit = folder.join("kamailio.service");
        let base = "[Service]\nType=forking\nExecStart=/bin/true\n";
        fs::write(&unit, base).unwrap();
        fs::create_dir(folder.join("kamailio.service.d")).unwrap();
        fs::write(folder.join("kamailio.service.d/x.conf"), &text).unwrap();
        let out = wait_up_to(Duration::from_secs(60), "systemd-analyze", || {
            Command::new("systemd-analyze").arg("verify").arg(&unit).output().ok()
        });
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(!said.contains("x.conf"), "{said}");
    }
}
