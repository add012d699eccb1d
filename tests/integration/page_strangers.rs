//! What strangers can do to the operators' web page, in a real browser and over HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::support::browser::Browser;
use crate::support::page::Server;
use crate::support::{uninterrupted, wait_for};

/// Answers with a page that tries what a stranger can, until the test ends.
fn hostile_site() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            // Browsers open connections ahead that they may never use.
            std::thread::spawn(move || {
                let _ = uninterrupted(|| stream.read(&mut [0; 4096]));
                let body = "<title>win a prize</title><iframe name=f></iframe>";
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    body.len()
                );
            });
        }
    });
    address
}

#[test]
fn no_other_page_can_unblock() {
    let server = Server::start("INSERT INTO sipwarden_brand VALUES ('b', 0);");
    server.example.kamcmd(&["sipwarden.block", "127.60.0.1", "600"]);
    let is_blocked = || server.blocks().contains("source: 127.60.0.1\n");
    assert!(is_blocked());
    let rpc = format!("http://127.0.0.1:{}/RPC", server.http);
    let body = r#"{"jsonrpc":"2.0","method":"sipwarden.unblock","params":["127.60.0.1"],"id":1}"#;
    let browser = Browser::open(800, 600);
    let site = hostile_site();
    for host in ["127.0.0.1", "localhost"] {
        browser.go(&format!("http://{host}:{}/", site.port()));
        for kind in ["application/json", "text/plain"] {
            for mode in ["cors", "no-cors"] {
                let said = browser.wait_script(&format!(
                    "const a = await fetch('{rpc}', {{method: 'POST', mode: '{mode}', body: '{body}', \
                     headers: {{'Content-Type': '{kind}'}}}}); return a.type + a.status;"
                ));
                // Nothing can be read; what was sent at all has come to nothing.
                assert_ne!(said, "cors200", "{host} {kind} {mode}");
                assert!(is_blocked(), "{host} {kind} {mode}: {said}");
            }
        }
        // A form whose field makes the body look like JSON.
        let (name, value) = body.split_at(body.len() - 2);
        browser.wait_script(&format!(
            "const f = document.createElement('form'); f.action = '{rpc}'; f.method = 'post'; \
             f.enctype = 'text/plain'; f.target = 'f'; const i = document.createElement('input'); \
             i.name = '{name}'; i.value = '{value}'; f.append(i); document.body.append(f); \
             const frame = document.querySelector('iframe'); \
             const loaded = new Promise(done => frame.onload = done); f.submit(); await loaded;"
        ));
        assert!(is_blocked(), "{host}: a form");
        // The page in a frame, under which a click could be stolen.
        let seen = browser.wait_script(&format!(
            "const frame = document.querySelector('iframe'); \
             const loaded = new Promise(done => frame.onload = done); \
             frame.src = '{}'; await loaded; return frame.contentDocument === null;",
            server.page()
        ));
        assert_eq!(seen, true);
    }
    let complaints = browser.complaints().join("\n");
    assert!(complaints.contains("frame-ancestors"), "{complaints}");

    // The page itself can.
    browser.go(&server.page());
    wait_for("the block", || browser.row("#blocks", "127.60.0.1"));
    browser.click("#blocks button");
    browser.click("#ask-yes");
    wait_for("the block to go", || (!is_blocked()).then_some(()));
}

#[test]
fn only_local_requests_for_methods_of_sipwarden_are_answered() {
    let server = Server::start("INSERT INTO sipwarden_brand VALUES ('b', 0);");
    let ask = |line: &str, headers: &str, body: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", server.http)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let length = body.len();
        let head = format!("{line} HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = [0u8; 65536];
        let read = uninterrupted(|| stream.read(&mut answer)).unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    };
    let status = |answer: &str| answer.split(' ').nth(1).unwrap_or_default().to_owned();
    let host = format!("Host: 127.0.0.1:{}\r\n", server.http);
    let own = format!("{host}Content-Type: application/json\r\n");
    let call = |method: &str, params: &str| {
        format!("{{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":[{params}],\"id\":1}}")
    };
    let version = call("sipwarden.version", "");

    let page = ask("GET /", &host, "");
    assert_eq!(status(&page), "200");
    for header in [
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; script-src \
         'unsafe-inline'; connect-src 'self';",
        "X-Content-Type-Options: nosniff\r\n",
        "Referrer-Policy: no-referrer\r\n",
        "X-Frame-Options: DENY\r\n",
        "Content-Type: text/html; charset=utf-8\r\n",
    ] {
        assert!(page.contains(header), "{header}: {page}");
    }

    let cases = [
        ("200", "POST /RPC", own.clone(), version.clone()),
        ("200", "POST /RPC", own.clone(), call("sipwarden.calls", r#""", 1"#)),
        ("200", "POST /RPC", own.clone(), call("sipwarden.reload_all", "")),
        ("403", "GET /", "Host: attacker.example\r\n".into(), String::new()),
        ("403", "GET /", String::new(), String::new()),
        ("404", "GET /etc/passwd", host.clone(), String::new()),
        ("405", "POST /", own.clone(), version.clone()),
        ("405", "GET /RPC", own.clone(), String::new()),
        ("405", "OPTIONS /RPC", own.clone(), String::new()),
        ("415", "POST /RPC", host.clone(), version.clone()),
        ("415", "POST /RPC", format!("{host}Content-Type: text/plain\r\n"), version.clone()),
        ("403", "POST /RPC", format!("{own}Origin: http://127.0.0.1:1\r\n"), version.clone()),
        ("403", "POST /RPC", format!("{own}Origin: null\r\n"), version.clone()),
        ("403", "POST /RPC", format!("{own}Sec-Fetch-Site: same-site\r\n"), version.clone()),
        (
            "403",
            "POST /RPC",
            "Host: a.example\r\nOrigin: http://a.example\r\nContent-Type: application/json\r\n"
                .into(),
            version.clone(),
        ),
        ("403", "POST /RPC", own.clone(), call("sipwarden.set", r#""monitor", 1"#)),
        ("403", "POST /RPC", own.clone(), call("core.version", "")),
        ("403", "POST /RPC", own.clone(), call("core.v\\u0065rsion", "")),
        (
            "403",
            "POST /RPC",
            own.clone(),
            call("sipwarden.version\",\"method\":\"core.version", ""),
        ),
        (
            "403",
            "POST /RPC",
            own.clone(),
            call("sipwarden.version", r#""x"],"method":"core.version","y":["z""#),
        ),
        ("403", "POST /RPC", own.clone(), format!("[{}]", call("core.version", ""))),
        ("403", "POST /RPC", own.clone(), format!("{version}{}", call("core.version", ""))),
    ];
    for (expected, line, headers, body) in cases {
        let answer = ask(line, &headers, &body);
        assert_eq!(status(&answer), expected, "{line}\n{headers}{body}\n{answer}");
    }
    // By IPv6 too, and there for those only who may by IPv4.
    let ask6 = |host: &str| {
        let mut stream = TcpStream::connect(("::1", server.http)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n").unwrap();
        let mut answer = [0u8; 12];
        stream.read_exact(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    assert_eq!(ask6(&format!("[::1]:{}", server.http)), "HTTP/1.1 200");
    assert_eq!(ask6("[::1].attacker.example"), "HTTP/1.1 403");
    // SIP is not spoken here.
    let mut stream = TcpStream::connect(("127.0.0.1", server.http)).unwrap();
    let options = "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKx\r\n\
        From: <sip:a@b>;tag=1\r\nTo: <sip:x@b>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n\
        Max-Forwards: 70\r\nX-Company: c\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(options.as_bytes()).unwrap();
    stream.write_all(format!("GET / HTTP/1.1\r\n{host}\r\n").as_bytes()).unwrap();
    let mut answer = [0u8; 16];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK\r");
}
