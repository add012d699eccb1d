//! The lines of the guide "Behind a balancer", as it shows them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::guide::block;
use crate::support::kamailio::{Config, Kamailio};
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, uninterrupted};
use serde_json::{Value, json};

/// The guide's edge, and ours.
const SHOWN: &str = "192.0.2.10";
const EDGE: &str = "127.0.0.9";

fn shown(name: &str) -> String {
    block("balancers.md", name).replace(SHOWN, EDGE)
}

/// With the tables of an office, the edge's own entry, and a limit of five requests.
fn config(folder: &Folder, routes: &str) -> Config {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('office', 'b', 1, 0);
        INSERT INTO sipwarden_company_address VALUES ('office', '203.0.112.0', 23);",
    );
    db.run(&shown("trusted"));
    let mut config = Config::new(&db.url()).routes(routes).settings(
        "modparam(\"sipwarden\", \"flood_limit\", 5)\nmodparam(\"sipwarden\", \"flood_window\", \"600s\")\n\
         modparam(\"sipwarden\", \"flood_company_sources\", \"default\")\n",
    );
    config.modules.push_str("loadmodule \"dialog.so\"\n");
    config
}

fn blocks(kamailio: &Kamailio) -> Vec<Value> {
    kamailio.rpc("sipwarden.blocks", json!([]))["blocks"].as_array().unwrap().clone()
}

#[test]
fn of_two_clients_behind_one_edge_the_flooder_is_blocked_and_the_other_served() {
    let folder = Folder::new();
    let kamailio = config(&folder, &(shown("header") + &shown("functions"))).start();
    let edge = Phone::new(EDGE, kamailio.address());
    let of = |client: &str| format!("X-Client-IP: {client}\r\n");
    let (flooder, honest) = (of("203.0.113.5"), of("203.0.113.6"));
    for _ in 0..5 {
        assert_eq!(edge.request("OPTIONS", "x", &flooder).unwrap().status, 200);
    }
    edge.send("OPTIONS", "x", &flooder);
    edge.send("OPTIONS", "x", &flooder);
    for _ in 0..3 {
        assert_eq!(edge.request("OPTIONS", "x", &honest).unwrap().status, 200);
    }
    crate::support::wait_for("two refusals", || {
        (kamailio.counter("flood_started") + kamailio.counter("flood_blocked") == 2).then_some(())
    });
    let found = blocks(&kamailio);
    assert_eq!(found.len(), 1, "{found:?}");
    let told = ["source", "learnt", "in_firewall"].map(|name| &found[0][name]);
    assert_eq!(told, [&json!("203.0.113.5"), &json!("script"), &json!(0)]);
    // The filter judges the client, and refuses what is no address.
    let elsewhere = edge.request("OPTIONS", "x", &of("198.51.100.1")).unwrap();
    assert_eq!(elsewhere.status, 403);
    for bad in
        ["X-Client-IP: 203.0.113.6, 203.0.113.5\r\n", "X-Client-IP: 203.0.113.6:5060\r\n", ""]
    {
        assert_eq!(edge.request("OPTIONS", "x", bad).unwrap().status, 403, "{bad}");
    }
    assert_eq!(kamailio.counter("check_bad_address"), 3);
    // Nobody else may tell: the sender is judged.
    let liar = Phone::new("127.0.0.8", kamailio.address());
    assert_eq!(liar.request("OPTIONS", "x", &honest).unwrap().status, 403);
    let log = kamailio.log();
    for line in [
        "refused: denied_source, client 198.51.100.1",
        "refused: denied_source, client 127.0.0.8",
        "refused: bad_address, client <null>",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
    let own = kamailio.rpc("sipwarden.source", json!([EDGE]));
    assert_eq!((&own["class"], &own["requests"]), (&json!("exempt"), &json!(0)));
}

#[test]
fn the_proxy_protocol_tells_the_client() {
    let folder = Folder::new();
    let routes =
        "request_route {\n if (!flood_check()) { exit; }\n sl_send_reply(\"200\", \"OK\");\n}\n";
    let kamailio = config(&folder, routes).settings(&shown("proxy")).start();
    for client in ["203.0.113.5", "203.0.113.6"] {
        let mut stream = TcpStream::connect(kamailio.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        // In one piece: Kamailio reads this header once.
        let header = format!("PROXY TCP4 {client} 192.0.2.1 4000 5060\r\n");
        stream.write_all(header.as_bytes()).unwrap();
        for n in 0..if client.ends_with('5') { 6 } else { 2 } {
            stream.write_all(options(kamailio.address(), "TCP").as_bytes()).unwrap();
            if n < 5 {
                assert!(read(&mut stream, "\r\n\r\n").starts_with("SIP/2.0 200"));
            }
        }
    }
    crate::support::wait_for("the block", || (blocks(&kamailio).len() == 1).then_some(()));
    let found = blocks(&kamailio);
    assert_eq!(
        (&found[0]["source"], &found[0]["learnt"]),
        (&json!("203.0.113.5"), &json!("proxy"))
    );
}

fn options(server: std::net::SocketAddr, transport: &str) -> String {
    let id = crate::support::call::unique();
    format!(
        "OPTIONS sip:x@{server} SIP/2.0\r\nVia: SIP/2.0/{transport} c.invalid;branch=z9hG4bK{id}\r\n\
         From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: {id}\r\nCSeq: 1 OPTIONS\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

/// What comes, up to a text.
fn read(stream: &mut TcpStream, end: &str) -> String {
    let (mut text, mut buffer) = (String::new(), [0u8; 4096]);
    while !text.contains(end) {
        let len = uninterrupted(|| stream.read(&mut buffer)).unwrap();
        assert!(len > 0, "closed: {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..len]));
    }
    text
}

/// A masked text frame of less than 64 KiB; the mask is zero.
fn frame(text: &str) -> Vec<u8> {
    let len = u16::try_from(text.len()).unwrap().to_be_bytes();
    let head = [0x81, 0x80 | 126, len[0], len[1], 0, 0, 0, 0];
    [&head[..], text.as_bytes()].concat()
}

/// A WebSocket connection from the edge.
fn websocket(server: std::net::SocketAddr, client: &str) -> (TcpStream, String) {
    let socket = std::net::TcpStream::connect(server).unwrap();
    let mut stream = socket;
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    write!(
        stream,
        "GET / HTTP/1.1\r\nHost: x\r\nVia: SIP/2.0/TCP 127.0.0.1:1\r\nUpgrade: websocket\r\n\
         Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Sec-WebSocket-Protocol: sip\r\nSec-WebSocket-Version: 13\r\nX-Client-IP: {client}\r\n\
         Content-Length: 0\r\n\r\n"
    )
    .unwrap();
    let answer = read(&mut stream, "\r\n\r\n");
    (stream, answer)
}

#[test]
fn a_websocket_keeps_the_client_that_its_balancer_has_told() {
    let folder = Folder::new();
    // The balancer is 127.0.0.1 here, since that is where connections come from; what asks
    // over RPC stays outside.
    let lines = block("balancers.md", "websocket").replace(SHOWN, "127.0.0.1");
    let lines = lines.replace(
        "event_route[xhttp:request] {\n",
        "event_route[xhttp:request] {\n\tif ($hu =~ \"^/RPC\") { jsonrpc_dispatch(); exit; }\n",
    );
    let mut config = config(&folder, &lines).settings(&shown("websocket modules"));
    config.http = false;
    let kamailio = config.start();
    let (mut flooder, answer) = websocket(kamailio.address(), "203.0.113.5");
    assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
    let (mut honest, _) = websocket(kamailio.address(), "203.0.113.6");
    let request = || frame(&options(kamailio.address(), "WS"));
    for _ in 0..5 {
        flooder.write_all(&request()).unwrap();
        assert!(read(&mut flooder, "\r\n\r\n").contains("SIP/2.0 200"));
    }
    flooder.write_all(&request()).unwrap();
    crate::support::wait_for("the block", || (blocks(&kamailio).len() == 1).then_some(()));
    honest.write_all(&request()).unwrap();
    assert!(read(&mut honest, "\r\n\r\n").contains("SIP/2.0 200"));
    let found = blocks(&kamailio);
    assert_eq!(
        (&found[0]["source"], &found[0]["learnt"]),
        (&json!("203.0.113.5"), &json!("script"))
    );
    // A connection that ends takes its client along.
    let clients = || kamailio.try_rpc("htable.dump", json!(["client"])).map(|t| t.to_string());
    assert!(clients().is_ok_and(|text| text.contains("203.0.113.6")));
    let goodbye = [0x88, 0x80, 0, 0, 0, 0];
    honest.write_all(&goodbye).unwrap();
    crate::support::wait_for("the client to be forgotten", || {
        clients().map_or(true, |text| !text.contains("203.0.113.6")).then_some(())
    });
}
