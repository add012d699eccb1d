//! Very many requests from very many sources: OPTIONS, of which each is answered.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::uninterrupted;
use crate::random::next;

/// Requests that a sender waits for at a time: what loopback keeps for one socket.
const WINDOW: u64 = 16;
/// What has no answer by then was lost.
const LOST_AFTER: Duration = Duration::from_secs(2);
/// Requests of one source after the other: few stay below a limit of 100, many do not.
const OF_A_SOURCE: [u64; 4] = [40, 80, 160, 320];

/// What the senders have seen, all together.
#[derive(Default)]
pub struct Tally {
    pub begun: AtomicU64,
    pub served: AtomicU64,
    pub refused: AtomicU64,
    pub lost: AtomicU64,
    pub sources: AtomicU64,
}

impl Tally {
    /// Requests that were answered.
    pub fn answered(&self) -> u64 {
        self.served.load(Relaxed) + self.refused.load(Relaxed)
    }
}

/// Sends until there were so many requests, of all senders; `header` makes a line of its own for
/// each. Sources are drawn from the loopback network, each sends from a socket of its own.
pub fn send(
    server: SocketAddr,
    random: &mut u64,
    tally: &Tally,
    last: u64,
    header: impl Fn(u64) -> String,
) {
    loop {
        let [_, _, a, b, c, d, ..] = next(random).to_be_bytes();
        // Not 127.0.x.y, from which calls and phones come.
        let ip = Ipv4Addr::new(127, 1 + a % 250, b, 1 + c % 250);
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.connect(server).unwrap();
        socket.set_read_timeout(Some(LOST_AFTER)).unwrap();
        tally.sources.fetch_add(1, Relaxed);
        let mut left = OF_A_SOURCE[usize::from(d) % OF_A_SOURCE.len()];
        while left > 0 {
            let first = tally.begun.fetch_add(WINDOW, Relaxed);
            if first >= last {
                return;
            }
            for number in first..first + WINDOW {
                socket.send(request(&socket, server, number, &header(number)).as_bytes()).unwrap();
            }
            receive(&socket, tally);
            left = left.saturating_sub(WINDOW);
        }
    }
}

/// The answers to a window.
fn receive(socket: &UdpSocket, tally: &Tally) {
    let mut buffer = [0u8; 2048];
    for came in 0..WINDOW {
        let Ok(length) = uninterrupted(|| socket.recv(&mut buffer)) else {
            tally.lost.fetch_add(WINDOW - came, Relaxed);
            return;
        };
        let served = buffer[..length].starts_with(b"SIP/2.0 2");
        let seen = if served { &tally.served } else { &tally.refused };
        seen.fetch_add(1, Relaxed);
    }
}

fn request(socket: &UdpSocket, server: SocketAddr, number: u64, header: &str) -> String {
    let me = socket.local_addr().unwrap();
    format!(
        "OPTIONS sip:{}@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bKs{number}\r\n\
         From: <sip:{}@c>;tag={number}\r\nTo: <sip:c@{server}>\r\nCall-ID: s{number}@{me}\r\n\
         CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n{header}Content-Length: 0\r\n\r\n",
        number % 40,
        number % 5000,
    )
}
