//! Throws messages at a proxy, and sees to it that nothing has come of it.

use std::collections::{BTreeSet, VecDeque};
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use super::generator::Generator;
use crate::support::call::Endpoint;
use crate::support::{Going, own_memory};

/// Where the messages go, and what they claim.
pub struct Target<'a> {
    pub udp: SocketAddr,
    pub tcp: Option<SocketAddr>,
    pub domain: &'a str,
}

/// How many messages; a test that is long by `NOISE`, as `make fuzz` sets it.
pub fn count(short: usize) -> usize {
    std::env::var("NOISE").ok().and_then(|count| count.parse().ok()).unwrap_or(short)
}

/// The seed: that of `NOISE_SEED`, or always the same.
fn seed() -> u64 {
    std::env::var("NOISE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1126)
}

/// Every fourth message goes over TCP. `still` is asked again and again whether to go on.
pub fn throw(target: &Target<'_>, count: usize, mut still: impl FnMut()) {
    let mut generator = Generator::new(seed());
    println!("{count} messages of seed {}", seed());
    let sources: Vec<_> = (1..=64u8)
        .map(|last| {
            let socket = UdpSocket::bind((Ipv4Addr::new(127, 33, 0, last), 0)).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        })
        .collect();
    let (proxy, mut stream) = (target.udp.to_string(), None);
    let mut buffer = [0; 65_536];
    for n in 0..count {
        let message = generator.message(&proxy, target.domain);
        match target.tcp.filter(|_| n % 4 == 3) {
            Some(tcp) => {
                // Once the proxy has closed it, or after some messages, a new one.
                let open = stream.take().filter(|_| !generator.one_in(8));
                stream = open.or_else(|| connect(tcp)).filter(|mut open: &TcpStream| {
                    open.write_all(&message).is_ok() && !matches!(open.read(&mut buffer), Ok(0))
                });
            }
            None => {
                let source = &sources[generator.below(sources.len())];
                let _ = source.send_to(&message, target.udp);
                while source.recv(&mut buffer).is_ok() {}
            }
        }
        if n % 64 == 63 {
            still();
        }
    }
}

fn connect(tcp: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&tcp, Duration::from_secs(5)).ok()?;
    stream.set_read_timeout(Some(Duration::from_millis(1))).ok()?;
    stream.set_write_timeout(Some(Duration::from_secs(1))).ok()?;
    Some(stream)
}

/// The gateway: answers what reaches it, so that no transaction stays open, and ends the calls
/// that it has taken.
pub fn answer_all(gateway: &Endpoint, going: &Going) {
    let mut taken = VecDeque::new();
    loop {
        let is_on = going.is_on();
        let most = if is_on { 20 } else { 0 };
        while taken.len() > most {
            gateway.hang_up(&taken.pop_front().unwrap());
        }
        if !is_on {
            return;
        }
        let Some(request) = gateway.receive_within(Duration::from_millis(200)) else {
            taken.drain(..).for_each(|call| gateway.hang_up(&call));
            continue;
        };
        match request.0.method() {
            "ACK" | "SIP/2.0" => {}
            // Only such calls can be ended from here.
            "INVITE" if request.0.header("Contact").is_some_and(is_whole) => {
                gateway.reply(&request, 200, "t");
                taken.push_back(request);
            }
            "INVITE" => gateway.reply(&request, 486, "t"),
            _ => gateway.reply(&request, 200, "t"),
        }
    }
}

/// Whether this is a Contact as the generator makes it.
fn is_whole(contact: &str) -> bool {
    contact.starts_with("<sip:") && contact.ends_with("@127.0.0.1:9>")
}

/// All processes of a Kamailio, by their main one.
pub fn processes(main: u32) -> BTreeSet<u32> {
    let children = fs::read_to_string(format!("/proc/{main}/task/{main}/children")).unwrap();
    children.split_whitespace().map(|pid| pid.parse().unwrap()).chain([main]).collect()
}

/// Bytes of their own that they have beside Kamailio's pools of private memory. Of such a pool each
/// page that was in use once stays, until all 8 MiB are there: what counts is how much is in use.
pub fn memory(processes: &BTreeSet<u32>) -> u64 {
    processes.iter().map(|pid| own_memory(u64::from(*pid)) - pool(*pid)).sum()
}

/// Bytes that a process has of the pool, its largest mapping without a name.
fn pool(pid: u32) -> u64 {
    let maps = fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
    let (mut largest, mut nameless, mut size) = ((0, 0), false, 0);
    for line in maps.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let bytes = || words[1].parse::<u64>().unwrap() << 10;
        match words[0] {
            "Size:" => size = bytes(),
            "Anonymous:" if nameless => largest = largest.max((size, bytes())),
            word if !word.ends_with(':') => nameless = words.len() == 5,
            _ => {}
        }
    }
    assert!(largest.0 >= 8 << 20, "{pid} has no pool: {maps}");
    largest.1
}

/// What kamcmd says of a name, once or several times.
pub fn values<'a>(said: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let of_name = move |line: &'a str| line.trim().strip_prefix(name)?.strip_prefix(':');
    said.lines().filter_map(of_name).map(str::trim)
}

/// The sum of a number that kamcmd says several times.
pub fn sum(said: &str, name: &str) -> u64 {
    values(said, name).map(|value| value.parse::<u64>().unwrap()).sum()
}

/// A number in what kamcmd says.
pub fn number(said: &str, name: &str) -> u64 {
    let value = values(said, name).next().and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| panic!("no {name}: {said}"))
}
