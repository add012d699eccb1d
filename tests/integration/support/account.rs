//! A phone with an account: it registers and calls, and answers challenges.

use std::net::SocketAddr;
use std::time::Duration;

use super::PATIENCE;
use super::call::{Caller, Endpoint, Message, unique};

/// Name, domain and password of a phone, and where it is.
pub struct Account {
    pub endpoint: Endpoint,
    pub proxy: SocketAddr,
    pub user: String,
    pub domain: String,
    pub password: String,
}

impl Account {
    pub fn new(ip: &str, proxy: SocketAddr, user: &str, domain: &str) -> Self {
        Account {
            endpoint: Endpoint::new(ip),
            proxy,
            user: user.into(),
            domain: domain.into(),
            password: "secret".into(),
        }
    }

    /// Registers; the final reply.
    pub fn register(&self) -> Message {
        self.request("REGISTER")
    }

    /// A request outside of dialogs, again with credentials if challenged.
    pub fn request(&self, method: &str) -> Message {
        let first = self.ask(method, 1, "").expect("a reply");
        match first.status() {
            Some(401 | 407) => {
                let header = self.credentials(method, &first);
                self.ask(method, 2, &header).expect("a reply")
            }
            _ => first,
        }
    }

    /// Sends a request outside of dialogs with credentials and does not wait; its Call-ID.
    pub fn send_authorized(&self, method: &str) -> String {
        let challenge = self.ask(method, 1, "").expect("a challenge");
        self.send_with(method, 2, &self.credentials(method, &challenge))
    }

    /// The final reply to what was sent.
    pub fn answer(&self, call_id: &str) -> Message {
        self.reply_to(call_id, PATIENCE).expect("a reply")
    }

    /// Sends a request; the final reply, if one comes within 3 s.
    pub fn ask(&self, method: &str, cseq: u32, headers: &str) -> Option<Message> {
        let id = self.send_with(method, cseq, headers);
        self.reply_to(&id, Duration::from_secs(3))
    }

    /// Whether registering is answered within a second, with credentials too.
    pub fn try_register(&self) -> bool {
        let id = self.send("REGISTER", 1);
        let Some(challenge) = self.reply_to(&id, Duration::from_secs(1)) else { return false };
        let header = self.credentials("REGISTER", &challenge);
        let id = self.send_with("REGISTER", 2, &header);
        self.reply_to(&id, Duration::from_secs(1)).is_some()
    }

    /// Whether a request is answered within a second.
    pub fn try_ask(&self, method: &str, cseq: u32) -> bool {
        let id = self.send(method, cseq);
        self.reply_to(&id, Duration::from_secs(1)).is_some()
    }

    /// Sends a request and does not wait; its Call-ID.
    pub fn send(&self, method: &str, cseq: u32) -> String {
        self.send_with(method, cseq, "")
    }

    pub fn send_with(&self, method: &str, cseq: u32, headers: &str) -> String {
        let (me, id) = (self.endpoint.address(), unique());
        let Account { user, domain, .. } = self;
        // A state is published of the user itself, or the proxy takes it for another one's.
        let of = if method == "PUBLISH" { format!("{user}@") } else { String::new() };
        let text = format!(
            "{method} sip:{of}{domain} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bK{id}\r\n\
             From: <sip:{user}@{domain}>;tag={id}\r\nTo: <sip:{user}@{domain}>\r\nCall-ID: {id}@phone\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:{user}@{me}>\r\nMax-Forwards: 70\r\n\
             Expires: 600\r\nUser-Agent: Phone's 1.0\r\n{headers}Content-Length: 0\r\n\r\n"
        );
        self.endpoint.send(&text, self.proxy);
        format!("{id}@phone")
    }

    fn reply_to(&self, call_id: &str, time: Duration) -> Option<Message> {
        loop {
            let (reply, _) = self.endpoint.receive_within(time)?;
            let ours = reply.header("Call-ID") == Some(call_id);
            if ours && reply.status().is_some_and(|status| status >= 200) {
                return Some(reply);
            }
        }
    }

    /// The header that answers a challenge.
    pub fn credentials(&self, method: &str, challenge: &Message) -> String {
        let (asked, header) = match challenge.status() {
            Some(401) => ("WWW-Authenticate", "Authorization"),
            _ => ("Proxy-Authenticate", "Proxy-Authorization"),
        };
        let field = challenge.header(asked).expect("a challenge");
        let nonce = field.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap();
        let hash = |text: String| format!("{:x}", md5::compute(text));
        let Account { user, domain, password, .. } = self;
        let uri = format!("sip:{domain}");
        let secret = hash(format!("{user}:{domain}:{password}"));
        let response = hash(format!("{secret}:{nonce}:{}", hash(format!("{method}:{uri}"))));
        format!(
            "{header}: Digest username=\"{user}\", realm=\"{domain}\", nonce=\"{nonce}\", \
             uri=\"{uri}\", response=\"{response}\"\r\n"
        )
    }

    /// Calls a user of a domain, up to where the challenge is answered. Callers are
    /// always named alice.
    pub fn call(&self, user: &str, domain: &str, headers: &str) -> Caller<'_> {
        assert_eq!(self.user, "alice");
        let mut caller = Caller::new(&self.endpoint, self.proxy, &self.domain, headers);
        caller.dial_at(user, domain);
        caller.invite();
        let challenge = caller.final_reply();
        assert_eq!(challenge.status(), Some(407), "{challenge:?}");
        caller.add_header(&self.credentials("INVITE", &challenge));
        caller.invite_again();
        caller
    }
}
