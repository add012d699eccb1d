//! Ends of calls that answer by themselves, over UDP or TCP, each in a way of its own.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

use super::call::{Message, answer, unique};
use super::uninterrupted;

/// A socket, or a connection and what came over it so far.
enum Wire {
    Udp(UdpSocket, SocketAddr),
    Tcp(TcpStream, Vec<u8>),
}

impl Wire {
    fn send(&mut self, text: &str, to: Option<SocketAddr>) {
        // Whoever has closed his connection says nothing more.
        let _ = match self {
            Wire::Udp(socket, proxy) => {
                socket.send_to(text.as_bytes(), to.unwrap_or(*proxy)).map(|_| ())
            }
            Wire::Tcp(stream, _) => stream.write_all(text.as_bytes()),
        };
    }

    /// The next message, if one is there, and its sender.
    fn next(&mut self) -> Option<(String, Option<SocketAddr>)> {
        let mut buffer = [0u8; 65536];
        match self {
            Wire::Udp(socket, _) => {
                let (len, from) = uninterrupted(|| socket.recv_from(&mut buffer)).ok()?;
                Some((String::from_utf8_lossy(&buffer[..len]).into_owned(), Some(from)))
            }
            Wire::Tcp(stream, seen) => {
                match uninterrupted(|| stream.read(&mut buffer)) {
                    Ok(len) => seen.extend_from_slice(&buffer[..len]),
                    Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
                }
                // No message here has a body.
                let end = seen.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
                let text: Vec<u8> = seen.drain(..end).collect();
                Some((String::from_utf8_lossy(&text).into_owned(), None))
            }
        }
    }

    fn transport(&self) -> &'static str {
        if matches!(self, Wire::Udp(..)) { "UDP" } else { "TCP" }
    }

    fn address(&self) -> SocketAddr {
        match self {
            Wire::Udp(socket, _) => socket.local_addr().unwrap(),
            Wire::Tcp(stream, _) => stream.local_addr().unwrap(),
        }
    }
}

/// What an end answers to the n-th keepalive; None is silence.
pub type Answers = fn(usize) -> Option<u16>;

/// One end of one call.
pub struct Side {
    /// The URI in its Contact; that of its socket if None.
    pub contact: Option<&'static str>,
    pub answers: Answers,
    /// Whether it sends each answer twice, as to a request that was repeated.
    pub repeats: bool,
    /// Keepalives that it got, repeats not counted.
    pub asked: usize,
    /// BYEs that it got.
    pub byes: usize,
}

impl Side {
    pub fn new(answers: Answers) -> Self {
        Side { contact: None, answers, repeats: false, asked: 0, byes: 0 }
    }

    pub fn with_contact(mut self, uri: &'static str) -> Self {
        self.contact = Some(uri);
        self
    }

    pub fn repeating(mut self) -> Self {
        self.repeats = true;
        self
    }
}

/// Callers, each with a wire of its own.
pub struct Party {
    wires: Vec<(Wire, Call)>,
    gateway: UdpSocket,
    listener: TcpListener,
    accepted: Vec<Wire>,
    /// Callees by Call-ID.
    pub callees: HashMap<String, Side>,
    seen: RefCell<HashSet<String>>,
    /// BYEs that nobody has answered so far: an answer in between may keep Kamailio from
    /// sending the other one.
    pub answer_byes: bool,
}

/// The caller's end.
pub struct Call {
    pub name: &'static str,
    pub call_id: String,
    pub side: Side,
    to: String,
    routes: Vec<String>,
    target: String,
    pub up: bool,
}

impl Party {
    pub fn new() -> Self {
        let gateway = UdpSocket::bind("127.0.0.1:0").unwrap();
        gateway.set_nonblocking(true).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Party {
            wires: Vec::new(),
            gateway,
            listener,
            accepted: Vec::new(),
            callees: HashMap::new(),
            seen: RefCell::default(),
            answer_byes: false,
        }
    }

    /// Where callees are reached over UDP.
    pub fn gateway(&self) -> SocketAddr {
        self.gateway.local_addr().unwrap()
    }

    /// And over TCP.
    pub fn gateway_tcp(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Calls from an address over UDP, or over TCP without one.
    pub fn call(
        &mut self,
        name: &'static str,
        user: &str,
        proxy: SocketAddr,
        udp: Option<&str>,
        (caller, callee): (Side, Side),
    ) {
        let wire = match udp {
            Some(ip) => {
                let socket = UdpSocket::bind((ip, 0)).unwrap();
                socket.set_nonblocking(true).unwrap();
                Wire::Udp(socket, proxy)
            }
            None => {
                let stream = TcpStream::connect(proxy).unwrap();
                stream.set_nonblocking(true).unwrap();
                Wire::Tcp(stream, Vec::new())
            }
        };
        let call_id = format!("{name}-{}", unique());
        self.callees.insert(call_id.clone(), callee);
        let call = Call {
            name,
            call_id,
            side: caller,
            to: format!("<sip:{user}@{proxy}>"),
            routes: Vec::new(),
            target: format!("sip:{user}@{proxy}"),
            up: false,
        };
        self.wires.push((wire, call));
        let (wire, call) = self.wires.last_mut().unwrap();
        let text = call.request(wire, "INVITE", 1);
        wire.send(&text, None);
    }

    pub fn calls(&self) -> impl Iterator<Item = &Call> {
        self.wires.iter().map(|(_, call)| call)
    }

    /// Hangs a call up, as its caller.
    pub fn hang_up(&mut self, name: &str) {
        let (wire, call) = self.wires.iter_mut().find(|(_, call)| call.name == name).unwrap();
        let text = call.request(wire, "BYE", 2);
        wire.send(&text, None);
    }

    /// The caller's phone dies.
    pub fn kill(&mut self, name: &str) {
        let (wire, _) = self.wires.iter_mut().find(|(_, call)| call.name == name).unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        *wire = Wire::Udp(socket, ([127, 0, 0, 1], 9).into());
    }

    /// Answers all that has come.
    pub fn serve(&mut self) {
        for (wire, call) in &mut self.wires {
            while let Some((text, from)) = wire.next() {
                let message = Message::parse(text.as_bytes()).unwrap();
                if message.status().is_some() {
                    call.learn(wire, &message);
                } else {
                    let contact = call.contact(wire);
                    let status =
                        judge(&self.seen, &mut call.side, "caller", &message, self.answer_byes);
                    let times = 1 + usize::from(call.side.repeats);
                    for status in status.into_iter().cycle().take(times) {
                        wire.send(&answer(&message, status, "f", &contact), from);
                    }
                }
            }
        }
        while let Ok((stream, _)) = self.listener.accept() {
            stream.set_nonblocking(true).unwrap();
            self.accepted.push(Wire::Tcp(stream, Vec::new()));
        }
        let socket = self.gateway.try_clone().unwrap();
        let mut udp = [Wire::Udp(socket, ([127, 0, 0, 1], 9).into())];
        let tcp_contact = format!("<sip:gateway@{};transport=tcp>", self.gateway_tcp());
        let udp_contact = format!("<sip:gateway@{}>", self.gateway());
        for wire in udp.iter_mut().chain(&mut self.accepted) {
            while let Some((text, from)) = wire.next() {
                let message = Message::parse(text.as_bytes()).unwrap();
                let call_id = message.header("Call-ID").unwrap();
                let side = self.callees.get_mut(call_id).unwrap();
                let status = judge(&self.seen, side, "callee", &message, self.answer_byes);
                let own = if wire.transport() == "UDP" { &udp_contact } else { &tcp_contact };
                let contact = side.contact.map_or(own.clone(), |uri| format!("<{uri}>"));
                if let Some(status) = status {
                    wire.send(&answer(&message, status, "t", &contact), from);
                }
            }
        }
    }
}

/// What to answer to a request.
fn judge(
    seen: &RefCell<HashSet<String>>,
    side: &mut Side,
    who: &str,
    message: &Message,
    answer_byes: bool,
) -> Option<u16> {
    let branch = format!("{who} {:?} {}", message.header("Via"), message.method());
    let fresh = seen.borrow_mut().insert(branch);
    match message.method() {
        "ACK" => None,
        "OPTIONS" => {
            side.asked += usize::from(fresh);
            (side.answers)(side.asked)
        }
        "BYE" => {
            side.byes += usize::from(fresh);
            answer_byes.then_some(200)
        }
        _ => Some(200),
    }
}

impl Call {
    fn contact(&self, wire: &Wire) -> String {
        match (self.side.contact, wire.transport()) {
            (Some(uri), _) => format!("<{uri}>"),
            (None, "TCP") => format!("<sip:alice@{};transport=tcp>", wire.address()),
            (None, _) => format!("<sip:alice@{}>", wire.address()),
        }
    }

    fn request(&self, wire: &Wire, method: &str, cseq: u32) -> String {
        let mut text = format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/{} {};branch=z9hG4bK{};rport\r\n\
             From: <sip:alice@c.example>;tag=f\r\nTo: {}\r\nCall-ID: {}\r\n\
             CSeq: {cseq} {method}\r\nContact: {}\r\nMax-Forwards: 70\r\n",
            self.target,
            wire.transport(),
            wire.address(),
            unique(),
            self.to,
            self.call_id,
            self.contact(wire),
        );
        for route in &self.routes {
            text.push_str(&format!("Route: {route}\r\n"));
        }
        text + "Content-Length: 0\r\n\r\n"
    }

    fn learn(&mut self, wire: &mut Wire, reply: &Message) {
        let invite = reply.header("CSeq").is_some_and(|cseq| cseq.ends_with("INVITE"));
        assert!(reply.status() < Some(300), "{}: {}", self.call_id, reply.line);
        if !invite || reply.status() < Some(200) {
            return;
        }
        reply.header("To").unwrap().clone_into(&mut self.to);
        self.routes = reply.all("Record-Route").map(str::to_owned).collect();
        // Lines of one header may hold several values.
        self.routes =
            self.routes.iter().flat_map(|line| line.split(',')).map(str::to_owned).collect();
        self.routes.reverse();
        let contact = reply.header("Contact").unwrap();
        contact.trim_matches(['<', '>']).clone_into(&mut self.target);
        let text = self.request(wire, "ACK", 1);
        wire.send(&text, None);
        self.up = true;
    }
}
