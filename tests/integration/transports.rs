//! The same checks over UDP, TCP, TLS and WebSocket: of the address that the connection comes
//! from, and a limit that each call gives back.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::call::{Message, unique};
use crate::support::callee::AutoCallee;
use crate::support::kamailio::{Config, free_port};
use crate::support::kamailio_scripts::TIMERS;
use crate::support::proxy::{assert_nothing_left, wait_for_calls};
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, uninterrupted};

const PATIENCE: Duration = Duration::from_secs(20);

const ROUTES: &str = r#"
request_route {
    if (!flood_check()) { exit; }
    if (has_totag()) {
        if (loose_route()) { t_relay(); }
        exit;
    }
    if (!is_method("INVITE")) { exit; }
    if (!check_company_ip("$fd") || !cc_limit("$fd", "o")) {
        sl_send_reply("403", "Refused: $swd(reason) $swd(ip)");
        exit;
    }
    record_route();
    $du = "sip:CALLEE";
    t_relay();
}
event_route[xhttp:request] {
    if ($hdr(Upgrade) =~ "websocket") {
        ws_handle_handshake();
        exit;
    }
    jsonrpc_dispatch();
}
"#;

/// How messages travel.
enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream),
    /// A client of OpenSSL, which carries what it is given.
    Tls(Child),
    WebSocket(TcpStream),
}

fn tcp(to: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(to).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// All up to and including the bytes that end it.
fn read_until(from: &mut impl Read, end: &[u8]) -> Vec<u8> {
    let (mut out, mut byte) = (Vec::new(), [0u8]);
    while !out.ends_with(end) {
        from.read_exact(&mut byte).unwrap_or_else(|e| panic!("{e} after {out:?}"));
        out.push(byte[0]);
    }
    out
}

/// The next message of a stream; those here have no body.
fn next_of(from: &mut impl Read) -> Vec<u8> {
    let head = read_until(from, b"\r\n\r\n");
    let text = String::from_utf8_lossy(&head).to_lowercase();
    assert!(text.contains("content-length: 0"), "{text}");
    head
}

impl Wire {
    fn tls(to: SocketAddr) -> Self {
        let client = Command::new("openssl")
            .args(["s_client", "-quiet", "-connect", &to.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        Wire::Tls(client.expect("openssl is installed by make test"))
    }

    fn web_socket(to: SocketAddr) -> Self {
        let mut stream = tcp(to);
        write!(
            stream,
            "GET / HTTP/1.1\r\nHost: {to}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: sip\r\n\
             Sec-WebSocket-Version: 13\r\nOrigin: http://127.0.0.1\r\nContent-Length: 0\r\n\r\n"
        )
        .unwrap();
        let answer = String::from_utf8(read_until(&mut stream, b"\r\n\r\n")).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        Wire::WebSocket(stream)
    }

    fn name(&self) -> &'static str {
        match self {
            Wire::Udp(_) => "UDP",
            Wire::Tcp(_) => "TCP",
            Wire::Tls(_) => "TLS",
            Wire::WebSocket(_) => "WS",
        }
    }

    fn send(&mut self, text: &str) {
        match self {
            Wire::Udp(socket) => drop(socket.send(text.as_bytes()).unwrap()),
            Wire::Tcp(stream) => stream.write_all(text.as_bytes()).unwrap(),
            Wire::Tls(client) => {
                let input = client.stdin.as_mut().unwrap();
                input.write_all(text.as_bytes()).and_then(|()| input.flush()).unwrap();
            }
            Wire::WebSocket(stream) => {
                // One text frame, with a mask of zeros.
                let length = u16::try_from(text.len()).unwrap();
                let mut frame = vec![0x81];
                match length {
                    ..126 => frame.push(0x80 | length as u8),
                    _ => {
                        frame.push(0x80 | 126);
                        frame.extend(length.to_be_bytes());
                    }
                }
                frame.extend([0; 4]);
                frame.extend(text.as_bytes());
                stream.write_all(&frame).unwrap();
            }
        }
    }

    fn receive(&mut self) -> Message {
        let bytes = match self {
            Wire::Udp(socket) => {
                let mut buffer = [0u8; 65536];
                let length = uninterrupted(|| socket.recv(&mut buffer)).unwrap();
                buffer[..length].to_vec()
            }
            Wire::Tcp(stream) => next_of(stream),
            Wire::Tls(client) => next_of(client.stdout.as_mut().unwrap()),
            Wire::WebSocket(stream) => {
                let mut head = [0u8; 2];
                stream.read_exact(&mut head).unwrap();
                let length = match head[1] {
                    126 => {
                        let mut long = [0u8; 2];
                        stream.read_exact(&mut long).unwrap();
                        u16::from_be_bytes(long).into()
                    }
                    short => usize::from(short),
                };
                let mut text = vec![0u8; length];
                stream.read_exact(&mut text).unwrap();
                text
            }
        };
        Message::parse(&bytes).unwrap()
    }

    /// The final answer to a request.
    fn answer(&mut self) -> Message {
        loop {
            let message = self.receive();
            if message.status().is_some_and(|status| status >= 200) {
                return message;
            }
        }
    }

    /// A request of a call; in the dialog of an answer, if there is one.
    fn request(&mut self, method: &str, call_id: &str, company: &str, dialog: Option<&Message>) {
        let via = self.name();
        let transport = via.to_lowercase();
        let to = dialog.and_then(|answer| answer.header("To")).unwrap_or("<sip:bob@x.example>");
        let contact = dialog.and_then(|answer| answer.header("Contact"));
        let target = contact.map_or("sip:bob@x.example", |to| to.trim_matches(['<', '>']));
        // The last one is the first to pass.
        let mut routes: Vec<_> =
            dialog.iter().flat_map(|answer| answer.all("Record-Route")).collect();
        routes.reverse();
        let routes: String = routes.iter().map(|route| format!("Route: {route}\r\n")).collect();
        let number = if method == "BYE" { 2 } else { 1 };
        self.send(&format!(
            "{method} {target} SIP/2.0\r\nVia: SIP/2.0/{via} 127.0.0.1:9;rport;branch=z9hG4bK{}\r\n\
             {routes}Max-Forwards: 70\r\nFrom: <sip:alice@{company}>;tag=a\r\nTo: {to}\r\nCall-ID: {call_id}\r\n\
             CSeq: {number} {method}\r\nContact: <sip:alice@127.0.0.1:9;transport={transport}>\r\n\
             Content-Length: 0\r\n\r\n",
            unique()
        ));
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Wire::Tls(client) = self {
            let _ = client.kill();
            let _ = client.wait();
        }
    }
}

/// A certificate of this machine, which nobody checks.
fn certificate(folder: &Folder) -> [String; 2] {
    let [key, certificate] =
        ["key.pem", "cert.pem"].map(|name| folder.join(name).display().to_string());
    let made = Command::new("openssl")
        .args([
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
        ])
        .args(["-keyout", &key, "-out", &certificate])
        .output()
        .expect("openssl is installed by make test");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    [key, certificate]
}

#[test]
fn each_transport_is_judged_and_counted_alike() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('here.example', 'b', 1, 1), ('away.example', 'b', 1, 0);
        INSERT INTO sipwarden_company_address VALUES ('here.example', '127.0.0.1', NULL),
            ('away.example', '192.0.2.0/24', NULL)",
    );
    let callee = AutoCallee::start("127.0.0.1");
    let secure: SocketAddr = ([127, 0, 0, 1], free_port()).into();
    let [key, certificate] = certificate(&folder);
    let settings = format!(
        "{TIMERS}listen=tls:{secure}\nmodparam(\"tls\", \"tls_method\", \"TLSv1.2+\")\nmodparam(\"tls\", \"private_key\", \"{key}\")\n\
         modparam(\"tls\", \"certificate\", \"{certificate}\")\n"
    );
    let routes = ROUTES.replace("CALLEE", &callee.address.to_string());
    let mut config = Config::new(&db.url()).settings(&settings).routes(&routes);
    config.http = false;
    config
        .modules
        .insert_str(0, "enable_tls=yes\nloadmodule \"tls.so\"\nloadmodule \"nathelper.so\"\n");
    config.modules.push_str("loadmodule \"dialog.so\"\nloadmodule \"websocket.so\"\n");
    let kamailio = config.start();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.connect(kamailio.address()).unwrap();
    udp.set_read_timeout(Some(PATIENCE)).unwrap();
    let wires = [
        Wire::Udp(udp),
        Wire::Tcp(tcp(kamailio.address())),
        Wire::tls(secure),
        Wire::web_socket(kamailio.address()),
    ];
    for mut wire in wires {
        let name = wire.name();
        wire.request("INVITE", &unique(), "away.example", None);
        assert_eq!(wire.answer().line, "SIP/2.0 403 Refused: denied_source 127.0.0.1", "{name}");
        let call_id = unique();
        wire.request("INVITE", &call_id, "here.example", None);
        let answer = wire.answer();
        assert_eq!(answer.status(), Some(200), "{name}: {}", kamailio.log());
        wire.request("ACK", &call_id, "here.example", Some(&answer));
        wait_for_calls(&kamailio, "here.example", 1);
        wire.request("INVITE", &unique(), "here.example", None);
        assert_eq!(wire.answer().line, "SIP/2.0 403 Refused: company_limit 127.0.0.1", "{name}");
        wire.request("BYE", &call_id, "here.example", Some(&answer));
        // The answer may have been repeated before its ACK.
        let ended = std::iter::repeat_with(|| wire.answer())
            .find(|message| message.header("CSeq").is_some_and(|cseq| cseq.ends_with("BYE")));
        assert_eq!(ended.and_then(|message| message.status()), Some(200), "{name}");
        wait_for_calls(&kamailio, "here.example", 0);
    }
    assert_nothing_left(&kamailio);
}
