//! SIP messages of all shapes, from a seed: nearly right ones, and what is done to them.

use crate::random::next;

const METHODS: [&str; 16] = [
    "INVITE",
    "INVITE",
    "INVITE",
    "ACK",
    "ACK",
    "BYE",
    "CANCEL",
    "REGISTER",
    "OPTIONS",
    "SUBSCRIBE",
    "UPDATE",
    "PRACK",
    "REFER",
    "MESSAGE",
    "invite",
    "X-UNKNOWN-METHOD",
];
/// Numbers where one is due.
const NUMBERS: [&str; 10] = [
    "0",
    "1",
    "-1",
    "70",
    "255",
    "4294967296",
    "18446744073709551616",
    "99999999999999999999999",
    "0x10",
    "",
];
const URIS: [&str; 22] = [
    "sip:",
    "sip:@",
    "sip::5060",
    "sip:a@",
    "sip:@127.0.0.1",
    "sip:a@127.0.0.1:99999",
    "sip:a@127.0.0.1:-1",
    "sips:a@127.0.0.1;transport=nothing",
    "tel:+34",
    "tel:",
    "http://127.0.0.1/",
    "sip:a:b:c@127.0.0.1",
    "sip:%00%ff%zz@127.0.0.1",
    "sip:a@[::1]",
    "sip:a@[::1",
    "sip:a@]",
    "sip:a@127.0.0.1;;;;=;lr;lr=on",
    "sip:a@127.0.0.1?X=%0d%0aY: z",
    "sip:a@256.300.1.2",
    "urn:service:sos",
    "sip:112@127.0.0.1",
    "<sip:a@127.0.0.1>",
];
const VIAS: [&str; 12] = [
    "",
    "SIP/2.0/UDP",
    "SIP/2.0/UDP 127.0.0.1",
    "SIP/2.0/UDP 127.0.0.1:99999;branch=z9hG4bK",
    "SIP/2.0/XYZ 127.0.0.1;branch=1",
    "SIP/9.9/UDP 127.0.0.1;rport;rport=5;received=x",
    "SIP/2.0/UDP [::1]:5060;branch=z9hG4bK=;i=9",
    "SIP / 2.0 / UDP 127.0.0.1 ; branch = z9hG4bK7",
    ",,,",
    "SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1,SIP/2.0/TCP 127.0.0.2",
    "SIP/2.0/UDP ;branch=",
    "SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK\"unclosed",
];
const BODIES: [&[u8]; 6] = [
    b"", b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n",
    b"v=0\r\nm=audio 99999999999 RTP/AVP\r\nc=IN IP9 \xff\r\n", b"\0\0\0\0", b"--x\r\n\r\n--x--\r\n",
    b"\r\n\r\n\r\nINVITE sip:a@127.0.0.1 SIP/2.0\r\n\r\n",
];

/// Draws messages; the same seed draws the same ones.
pub struct Generator(u64);

type Header = (Vec<u8>, Vec<u8>);

impl Generator {
    pub fn new(seed: u64) -> Self {
        Generator(seed | 1)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (next(&mut self.0) >> 16) as usize % end
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    fn junk(&mut self, most: usize) -> Vec<u8> {
        (0..self.below(most)).map(|_| next(&mut self.0) as u8).collect()
    }

    /// A message of a user of a domain, at a proxy of that address.
    pub fn message(&mut self, proxy: &str, domain: &str) -> Vec<u8> {
        if self.one_in(40) {
            return self.junk(2000);
        }
        // Few calls, so that messages meet in them.
        let (call, leg) = (self.below(200), self.below(3));
        let method = self.of(&METHODS);
        let callee = self.of(&["bob", "112", "+34600000000", "a%20b", ""]);
        let mut line = match self.below(24) {
            0 => format!("SIP/2.0 {} Test", self.of(&["100", "180", "200", "486", "999", "x"])),
            1 => format!("{method} {} SIP/2.0", self.of(&URIS)),
            2 => format!("{method}  sip:{callee}@{proxy}  SIP/3.0 x"),
            3 => "GET / HTTP/1.1".to_owned(),
            _ => format!("{method} sip:{callee}@{proxy} SIP/2.0"),
        }
        .into_bytes();
        let mut headers = self.headers(method, callee, [proxy, domain], (call, leg));
        let mut body = if self.one_in(4) { self.of(&BODIES).to_vec() } else { Vec::new() };
        let mut end = "\r\n";
        let changes = if self.one_in(4) { 0 } else { 1 + self.below(4) };
        for _ in 0..changes {
            match self.below(12) {
                0 => end = self.of(&["\n", "\r", "\r\n\r\n", "\0"]),
                1 => line.extend(self.junk(40)),
                2 => body = self.junk(3000),
                _ => self.change(&mut headers),
            }
        }
        let length = match self.below(16) {
            0 => self.of(&NUMBERS).to_owned(),
            _ => body.len().to_string(),
        };
        if !self.one_in(16) {
            headers.push((b"Content-Length".to_vec(), length.into_bytes()));
        }
        let mut message = line;
        message.extend(end.bytes());
        for (name, value) in headers {
            message.extend(name);
            message.extend(if self.one_in(30) { &b" \t:"[..] } else { b": " });
            message.extend(value);
            message.extend(end.bytes());
        }
        message.extend(end.bytes());
        message.extend(body);
        self.damage(&mut message);
        message.truncate(65_000);
        message
    }

    fn headers(
        &mut self,
        method: &str,
        callee: &str,
        [proxy, domain]: [&str; 2],
        (call, leg): (usize, usize),
    ) -> Vec<Header> {
        let to_tag = match method {
            "ACK" | "BYE" | "UPDATE" | "PRACK" => ";tag=t",
            _ if self.one_in(8) => self.of(&[";tag=t", ";tag=", ";tag", ";tag=t;tag=u", ";x=\"y"]),
            _ => "",
        };
        let user = self.of(&["alice", "alice", "bob", "1001", "\"x\""]);
        let mut all = vec![
            ("Via", format!("SIP/2.0/UDP 127.0.0.1:9;rport;branch=z9hG4bK{call}.{leg}")),
            ("From", format!("<sip:{user}@{domain}>;tag=f{call}")),
            ("To", format!("<sip:{callee}@{domain}>{to_tag}")),
            ("Call-ID", format!("noise-{call}@test")),
            ("CSeq", format!("{} {method}", leg + 1)),
            ("Max-Forwards", "70".to_owned()),
            ("Contact", format!("<sip:{user}@127.0.0.1:9>")),
        ];
        if !to_tag.is_empty() && self.one_in(2) {
            all.push(("Route", format!("<sip:{proxy};lr>")));
        }
        match self.below(10) {
            0 => all.push(("Authorization", self.digest(user, domain))),
            1 => all.push(("Proxy-Authorization", self.digest(user, domain))),
            2 => all.push(("Content-Type", "application/sdp".to_owned())),
            3 => all.push(("User-Agent", "friendly-scanner".to_owned())),
            _ => {}
        }
        all.into_iter().map(|(name, value)| (name.into(), value.into_bytes())).collect()
    }

    fn digest(&mut self, user: &str, domain: &str) -> String {
        let long = "a".repeat(self.below(3000));
        let odd = self.of(&["", ",", ",,,=", "\"", " algorithm=MD5,qop=\"auth", "nc=zzzzzzzzz"]);
        format!(
            "Digest username=\"{user}\",realm=\"{domain}\",nonce=\"{long}\",uri=\"sip:{domain}\",\
             response=\"0123456789abcdef0123456789abcdef\"{odd}"
        )
    }

    /// Something is done to a header, or to all.
    fn change(&mut self, headers: &mut Vec<Header>) {
        if headers.is_empty() {
            return;
        }
        let at = self.below(headers.len());
        match self.below(15) {
            0 => drop(headers.remove(at)),
            1 => headers.insert(at, headers[at].clone()),
            2 => headers[at].1 = self.of(&URIS).into(),
            3 => headers[at].1 = self.of(&VIAS).into(),
            4 => headers[at].1 = format!("{} {}", self.of(&NUMBERS), self.of(&METHODS)).into(),
            5 => headers[at].1 = self.of(&NUMBERS).into(),
            6 => headers[at].1 = self.junk(300),
            // Folded.
            7 => {
                let half = headers[at].1.len() / 2;
                headers[at].1.splice(half..half, *b"\r\n \r\n\t");
            }
            // Giant.
            8 => {
                let more = self.of(&[10, 1000, 9000, 60_000]);
                let sign = self.of(b"aA;,<\"\\% \xff");
                headers[at].1.extend(vec![sign; more]);
            }
            9 => {
                let many = self.of(&[2, 70, 300]);
                let via = format!("SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK{many}").into_bytes();
                headers.extend((0..many).map(|_| (b"Via".to_vec(), via.clone())));
            }
            10 => {
                headers[at].0 = self.of(&["v", "f", "t", "i", "m", "l", "", "\u{fc}", "X Y"]).into()
            }
            11 => headers.swap(0, at),
            12 => {
                let uri = self.of(&URIS);
                headers.push((b"Route".to_vec(), format!("<{uri};lr>, <{uri}").into_bytes()));
            }
            13 => headers.push((b"X".to_vec(), vec![0; 1 + self.below(20)])),
            _ => headers.truncate(at),
        }
    }

    /// Bytes are changed, wherever they are; or the end is missing.
    fn damage(&mut self, message: &mut Vec<u8>) {
        if !self.one_in(4) || message.is_empty() {
            return;
        }
        for _ in 0..1 + self.below(6) {
            let at = self.below(message.len());
            message[at] = match self.below(3) {
                0 => self.of(b"\0\r\n\"<>;:=,@ \xff\x80"),
                _ => next(&mut self.0) as u8,
            };
        }
        if self.one_in(4) {
            message.truncate(self.below(message.len()));
        }
    }
}
