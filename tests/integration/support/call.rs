//! Both ends of calls, as plain sockets that say exactly what a test wants.

use std::cell::RefCell;
use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::{PATIENCE, uninterrupted};

/// A SIP message as it came.
#[derive(Clone, Debug)]
pub struct Message {
    pub line: String,
    pub headers: Vec<(String, String)>,
}

impl Message {
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (head, _) = text.split_once("\r\n\r\n")?;
        let mut lines = head.split("\r\n");
        let line = lines.next()?.to_owned();
        let header = |l: &str| l.split_once(": ").map(|(n, v)| (n.to_owned(), v.to_owned()));
        Some(Message { line, headers: lines.filter_map(header).collect() })
    }

    /// Status of a reply, None for a request.
    pub fn status(&self) -> Option<u16> {
        self.line.strip_prefix("SIP/2.0 ")?.get(..3)?.parse().ok()
    }

    pub fn method(&self) -> &str {
        self.line.split(' ').next().unwrap_or_default()
    }

    pub fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let name = name.to_owned();
        self.headers.iter().filter(move |(n, _)| *n == name).map(|(_, v)| v.as_str())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

/// A socket that speaks SIP.
pub struct Endpoint {
    socket: UdpSocket,
    /// Top Via and CSeq of requests that [`Endpoint::request`] gave out.
    seen: RefCell<HashSet<(String, String)>>,
}

impl Endpoint {
    pub fn new(ip: &str) -> Self {
        Endpoint::at((ip.parse::<std::net::IpAddr>().unwrap(), 0).into())
    }

    /// With a port of its own.
    pub fn at(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        Endpoint { socket, seen: RefCell::default() }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// Sends a whole message.
    pub fn send(&self, text: &str, to: SocketAddr) {
        self.socket.send_to(text.as_bytes(), to).unwrap();
    }

    /// The next message, None if there is none within the time, or something else.
    pub fn receive_within(&self, time: Duration) -> Option<(Message, SocketAddr)> {
        self.socket.set_read_timeout(Some(time)).unwrap();
        let mut buffer = [0u8; 65536];
        let (len, from) = uninterrupted(|| self.socket.recv_from(&mut buffer)).ok()?;
        Some((Message::parse(&buffer[..len])?, from))
    }

    /// The next request of this method; others and retransmissions are passed over.
    #[track_caller]
    pub fn request(&self, method: &str) -> (Message, SocketAddr) {
        for _ in 0..50 {
            let Some((message, from)) = self.receive_within(PATIENCE) else { break };
            let header = |name| message.header(name).unwrap_or_default().to_owned();
            if message.status().is_none()
                && message.method() == method
                && self.seen.borrow_mut().insert((header("Via"), header("CSeq")))
            {
                return (message, from);
            }
        }
        panic!("no {method} came");
    }

    /// Answers a request. The tag is added to To for statuses above 100.
    pub fn reply(&self, (request, from): &(Message, SocketAddr), status: u16, tag: &str) {
        let contact = format!("<sip:callee@{}>", self.address());
        let text = answer(request, status, tag, &contact);
        let sent = self.socket.send_to(text.as_bytes(), from);
        // The answer to one that only just fits into UDP may not fit.
        let why = sent.err().and_then(|error| error.raw_os_error());
        assert!(why.is_none_or(|why| why == libc::EMSGSIZE), "{why:?}");
    }
}

/// The text of a reply, as [`Endpoint::reply`] sends it.
pub fn answer(request: &Message, status: u16, tag: &str, contact: &str) -> String {
    let mut text = format!("SIP/2.0 {status} Test\r\n");
    for (name, value) in &request.headers {
        match name.as_str() {
            "Via" | "Record-Route" | "From" | "Call-ID" | "CSeq" => {
                text.push_str(&format!("{name}: {value}\r\n"));
            }
            "To" if value.contains(";tag=") || status == 100 => {
                text.push_str(&format!("To: {value}\r\n"));
            }
            "To" => text.push_str(&format!("To: {value};tag={tag}\r\n")),
            _ => {}
        }
    }
    text + &format!("Contact: {contact}\r\nContent-Length: 0\r\n\r\n")
}

impl Endpoint {
    /// Ends, as the callee, the call of an INVITE or ACK that came over the proxy;
    /// the callee's tag is `t`.
    pub fn hang_up(&self, call: &(Message, SocketAddr)) {
        self.within(call, "BYE", 1);
    }

    /// A request of the callee within the call of an INVITE or ACK.
    pub fn within(&self, (request, from): &(Message, SocketAddr), method: &str, cseq: u32) {
        let header = |name| request.header(name).unwrap_or_default();
        let tag = if header("To").contains(";tag=") { "" } else { ";tag=t" };
        let contact = header("Contact").trim_matches(['<', '>']);
        let text = format!(
            "{method} {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{}\r\nFrom: {}\r\nTo: {}\r\n\
             Call-ID: {}\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\nRoute: <sip:{from};lr>\r\n\
             Contact: <sip:callee@{}>\r\nContent-Length: 0\r\n\r\n",
            self.address(),
            unique(),
            header("To").to_owned() + tag,
            header("From"),
            header("Call-ID"),
            self.address(),
        );
        self.socket.send_to(text.as_bytes(), from).unwrap();
    }
}

/// The caller's side of one call.
pub struct Caller<'a> {
    endpoint: &'a Endpoint,
    proxy: SocketAddr,
    pub call_id: String,
    from: String,
    to: String,
    branch: String,
    /// What in-dialog requests need, from the answer.
    routes: Vec<String>,
    target: String,
    cseq: u32,
    headers: String,
    /// The URI in its Contact; that of its socket if None.
    pub contact: Option<String>,
    /// The address in its Via; that of its socket if None.
    pub sent_by: Option<String>,
}

pub fn unique() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Relaxed))
}

impl<'a> Caller<'a> {
    /// A call of a user of `domain`; `headers` are whole lines for the INVITE.
    pub fn new(endpoint: &'a Endpoint, proxy: SocketAddr, domain: &str, headers: &str) -> Self {
        let id = unique();
        Caller {
            endpoint,
            proxy,
            call_id: format!("{id}@test"),
            from: format!("<sip:alice@{domain}>;tag=f{id}"),
            to: format!("<sip:bob@{proxy}>"),
            branch: format!("z9hG4bK{id}"),
            routes: Vec::new(),
            target: format!("sip:bob@{proxy}"),
            cseq: 1,
            headers: headers.into(),
            contact: None,
            sent_by: None,
        }
    }

    /// Calls as nobody of a domain: its From names no user.
    pub fn nameless(&mut self, domain: &str) {
        self.from = format!("<sip:{domain}>;tag=f{}", unique());
    }

    /// Calls somebody else than bob.
    pub fn dial(&mut self, user: &str) {
        self.to = format!("<sip:{user}@{}>", self.proxy);
        self.target = format!("sip:{user}@{}", self.proxy);
    }

    /// Calls a user of a domain.
    pub fn dial_at(&mut self, user: &str, domain: &str) {
        self.to = format!("<sip:{user}@{domain}>");
        self.target = format!("sip:{user}@{domain}");
    }

    fn send(&self, method: &str, branch: &str, cseq: u32, headers: &str) {
        let me = self.endpoint.address();
        let contact = self.contact.clone().unwrap_or_else(|| format!("sip:alice@{me}"));
        let sent_by = self.sent_by.clone().unwrap_or_else(|| me.to_string());
        let mut text = format!(
            "{method} {} SIP/2.0\r\nVia: SIP/2.0/UDP {sent_by};branch={branch}\r\nFrom: {}\r\nTo: {}\r\n\
             Call-ID: {}\r\nCSeq: {cseq} {method}\r\nContact: <{contact}>\r\nMax-Forwards: 70\r\n",
            self.target, self.from, self.to, self.call_id
        );
        for route in &self.routes {
            text.push_str(&format!("Route: {route}\r\n"));
        }
        text.push_str(headers);
        text.push_str("Content-Length: 0\r\n\r\n");
        self.endpoint.socket.send_to(text.as_bytes(), self.proxy).unwrap();
    }

    /// Sends the INVITE; again and unchanged if called again.
    pub fn invite(&self) {
        self.send("INVITE", &self.branch, self.cseq, &self.headers);
    }

    /// Adds a header line to the INVITEs to come.
    pub fn add_header(&mut self, line: &str) {
        self.headers.push_str(line);
    }

    /// A new INVITE of the same call: next CSeq, new branch.
    pub fn invite_again(&mut self) {
        self.cseq += 1;
        self.branch = format!("z9hG4bK{}", unique());
        self.invite();
    }

    pub fn cancel(&self) {
        self.send("CANCEL", &self.branch, self.cseq, "");
    }

    /// As [`Caller::final_reply`], None if there is none within the time.
    pub fn final_reply_within(&mut self, time: Duration) -> Option<Message> {
        let reply = self.answer_within("INVITE", time)?;
        match reply.status() {
            Some(..300) => self.answered(&reply),
            _ => self.refused(&reply),
        }
        Some(reply)
    }

    /// The final reply to a request of this method, None if there is none within the time.
    pub fn answer_within(&mut self, method: &str, time: Duration) -> Option<Message> {
        let until = Instant::now() + time;
        loop {
            let left = until.checked_duration_since(Instant::now())?;
            let left = left.max(Duration::from_millis(1));
            let Some((reply, _)) = self.endpoint.receive_within(left) else { continue };
            let is_to_it = reply.header("CSeq").is_some_and(|cseq| cseq.ends_with(method));
            let is_ours = reply.header("Call-ID") == Some(self.call_id.as_str());
            if is_ours && is_to_it && reply.status() >= Some(200) {
                return Some(reply);
            }
        }
    }

    /// The final reply to the INVITE; acknowledged unless it is a 2xx.
    #[track_caller]
    pub fn final_reply(&mut self) -> Message {
        loop {
            let (reply, _) = self
                .endpoint
                .receive_within(PATIENCE)
                .unwrap_or_else(|| panic!("no final reply to {}", self.call_id));
            let of_invite = reply.header("CSeq").is_some_and(|c| c.ends_with("INVITE"));
            let ours = reply.header("Call-ID") == Some(self.call_id.as_str());
            match reply.status() {
                Some(status) if ours && of_invite && status >= 200 => {
                    if status < 300 {
                        self.answered(&reply);
                    } else {
                        self.refused(&reply);
                    }
                    return reply;
                }
                _ => {}
            }
        }
    }

    /// Learns the dialog from a 2xx; the route set is that of the first one.
    pub fn answered(&mut self, reply: &Message) {
        reply.header("To").unwrap().clone_into(&mut self.to);
        if self.routes.is_empty() {
            self.routes = reply.all("Record-Route").map(str::to_owned).collect();
        }
        let contact = reply.header("Contact").unwrap();
        contact.trim_matches(['<', '>']).clone_into(&mut self.target);
    }

    /// Speaks as if a call to `far` were up: a To tag and a Route are what anybody can write.
    pub fn pretend_to_be_up(&mut self, far: &Endpoint) {
        let header = |name: &str, value: String| (name.to_owned(), value);
        let headers = vec![
            header("To", format!("<sip:900@{}>;tag=t", self.proxy)),
            header("Record-Route", format!("<sip:{};lr>", self.proxy)),
            header("Contact", format!("<sip:900@{}>", far.address())),
        ];
        self.answered(&Message { line: "SIP/2.0 200 OK".into(), headers });
    }

    /// Whether it was answered.
    pub fn is_up(&self) -> bool {
        self.to.contains(";tag=")
    }

    /// A reply to a request that the proxy has never sent within this call, as the caller.
    pub fn reply_unasked(&self, status: u16, method: &str) {
        let text = format!(
            "SIP/2.0 {status} Test\r\nVia: SIP/2.0/UDP {};branch=z9hG4bK{}\r\nFrom: {}\r\n\
             To: {}\r\nCall-ID: {}\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n",
            self.proxy,
            unique(),
            self.to,
            self.from,
            self.call_id
        );
        self.endpoint.send(&text, self.proxy);
    }

    /// Acknowledges a final error.
    pub fn refused(&mut self, reply: &Message) {
        let to = reply.header("To").unwrap().to_owned();
        let fresh = std::mem::replace(&mut self.to, to);
        self.send("ACK", &self.branch, self.cseq, "");
        self.to = fresh;
    }

    /// As [`Caller::ack`], with header lines.
    pub fn ack_with(&self, headers: &str) {
        self.send("ACK", &format!("z9hG4bK{}", unique()), self.cseq, headers);
    }

    pub fn ack(&self) {
        self.ack_with("");
    }

    /// A request within the dialog.
    pub fn within(&mut self, method: &str) {
        self.within_with(method, "");
    }

    /// As [`Caller::within`], with header lines.
    pub fn within_with(&mut self, method: &str, headers: &str) {
        self.cseq += 1;
        let branch = format!("z9hG4bK{}", unique());
        self.send(method, &branch, self.cseq, headers);
        // The ACK of an error has the branch of its INVITE.
        if method == "INVITE" {
            self.branch = branch;
        }
    }
}
