//! A small SIP client: single requests from any loopback address.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use super::uninterrupted;

/// Asks one server from one source address.
pub struct Phone {
    socket: UdpSocket,
    server: SocketAddr,
}

/// A reply.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub text: String,
}

/// What `ANSWER_VERDICT` told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub code: i32,
    pub reason: String,
    pub worker: u32,
}

impl Phone {
    pub fn new(source: &str, server: SocketAddr) -> Self {
        let ip: IpAddr = source.parse().unwrap();
        Phone::at((ip, 0).into(), server)
    }

    /// With a port of its own.
    pub fn at(source: SocketAddr, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind(source).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        Phone { socket, server }
    }

    /// Sends a request of the method to `user` at the server and waits for the
    /// final reply, 5 s at most.
    pub fn request(&self, method: &str, user: &str, headers: &str) -> Option<Reply> {
        let call_id = self.send(method, user, headers);
        self.final_reply(&call_id)
    }

    fn final_reply(&self, call_id: &str) -> Option<Reply> {
        let mut buffer = [0u8; 65536];
        loop {
            let (len, _) = uninterrupted(|| self.socket.recv_from(&mut buffer)).ok()?;
            let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
            let status = text.split(' ').nth(1).and_then(|s| s.parse().ok()).unwrap_or(0);
            if text.contains(call_id) && status >= 200 {
                return Some(Reply { status, text });
            }
        }
    }

    /// OPTIONS to the server itself, as a monitoring system asks.
    pub fn options_to_the_server(&self) -> Option<Reply> {
        let me = self.socket.local_addr().unwrap();
        let (server, id) = (self.server, super::call::unique());
        let message = format!(
            "OPTIONS sip:{server} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bK{id}\r\n\
             From: <sip:monitor@{me}>;tag={id}\r\nTo: <sip:{server}>\r\nCall-ID: {id}\r\n\
             CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        self.socket.send_to(message.as_bytes(), server).unwrap();
        self.final_reply(&id)
    }

    /// Whether a final reply to a request comes within this time.
    pub fn hears(&self, call_id: &str, within: Duration) -> bool {
        self.reply_within(call_id, within).is_some()
    }

    /// The final reply to a request, if it comes within this time.
    pub fn reply_within(&self, call_id: &str, within: Duration) -> Option<Reply> {
        self.socket.set_read_timeout(Some(within)).unwrap();
        let reply = self.final_reply(call_id);
        self.socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        reply
    }

    /// Whether nothing at all has come.
    pub fn heard_nothing(&self) -> bool {
        self.socket.set_nonblocking(true).unwrap();
        let nothing = self.socket.recv_from(&mut [0u8; 16]).is_err();
        self.socket.set_nonblocking(false).unwrap();
        nothing
    }

    /// Sends a request and does not wait; its Call-ID.
    pub fn send(&self, method: &str, user: &str, headers: &str) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let n = NEXT.fetch_add(1, Relaxed);
        let me = self.socket.local_addr().unwrap();
        let server = self.server;
        let call_id = format!("{n}-{}@{}", std::process::id(), me.port());
        let message = format!(
            "{method} sip:{user}@{server} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bK{n}-{}\r\n\
             From: <sip:phone@test.invalid>;tag={n}\r\nTo: <sip:{user}@{server}>\r\n\
             Call-ID: {call_id}\r\nCSeq: 1 {method}\r\nContact: <sip:phone@{me}>\r\n\
             Max-Forwards: 70\r\n{headers}Content-Length: 0\r\n\r\n",
            me.port()
        );
        self.socket.send_to(message.as_bytes(), server).unwrap();
        call_id
    }

    /// The verdict on `company` as an OPTIONS request is told it.
    pub fn ask(&self, company: &str) -> Told {
        let reply = self.request("OPTIONS", company, "").expect("a reply");
        reply.told().unwrap_or_else(|| panic!("no verdict in {}", reply.text))
    }
}

impl Reply {
    pub fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.text.lines().find_map(|line| line.strip_prefix(&prefix)).map(str::trim)
    }

    pub fn told(&self) -> Option<Told> {
        let mut words = self.header("X-Verdict")?.split(' ');
        let code = words.next()?.parse().ok()?;
        let reason = words.next()?.to_owned();
        let worker = words.next()?.parse().ok()?;
        Some(Told { code, reason, worker })
    }
}
