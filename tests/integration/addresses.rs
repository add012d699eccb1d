//! Which address is judged where a balancer stands in front, and where nobody has sent anything.
//! What is of each host is in tests/hosts.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::hosts::addresses::{Edge, config};
use crate::support::kamailio::Kamailio;
use crate::support::sip::Phone;
use crate::support::{Folder, uninterrupted, wait_for};
use serde_json::json;

/// One SIP request in a TCP connection that begins with a line of the PROXY protocol.
fn over_proxy(kamailio: &Kamailio, line: &str) -> String {
    let mut stream = TcpStream::connect(kamailio.address()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let server = kamailio.address();
    let request = format!(
        "{line}OPTIONS sip:plain@{server} SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKp\r\n\
         From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: {}\r\nCSeq: 1 OPTIONS\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        crate::support::call::unique()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let (mut text, mut buffer) = (String::new(), [0u8; 4096]);
    while !text.contains("\r\n\r\n") {
        let len = uninterrupted(|| stream.read(&mut buffer)).unwrap();
        assert!(len > 0, "closed: {text}");
        text.push_str(&String::from_utf8_lossy(&buffer[..len]));
    }
    text
}

#[test]
fn a_client_behind_the_proxy_protocol_is_told_from_the_balancer() {
    let folder = Folder::new();
    let config = config(&folder).settings("tcp_accept_haproxy=yes\n");
    let edge = Edge::new(config.start());
    let kamailio = &edge.server;
    for line in [
        "PROXY TCP4 203.0.113.5 192.0.2.1 4000 5060\r\n",
        "PROXY TCP6 2001:db8:1::5 2001:db8::1 4000 5060\r\n",
    ] {
        let source = line.split(' ').nth(2).unwrap();
        let text = over_proxy(kamailio, line);
        assert!(text.contains(&format!("X-Judged: {source} proxy\r\n")), "{text}");
    }
    for line in ["PROXY UNKNOWN\r\n", ""] {
        let text = over_proxy(kamailio, line);
        assert!(text.contains("X-Judged: 127.0.0.1 packet\r\n"), "{text}");
    }
    let line = "PROXY TCP4 203.0.113.5 192.0.2.1 4000 5060\r\n";
    for _ in 0..5 {
        over_proxy(kamailio, line);
    }
    let text = over_proxy(kamailio, line);
    assert!(text.contains("X-Verdict: -2 flood_blocked"), "{text}");
    let blocks = edge.blocks();
    assert_eq!(blocks.len(), 1, "{blocks:?}");
    let shown = (&blocks[0]["source"], &blocks[0]["learnt"]);
    assert_eq!(shown, (&json!("203.0.113.5"), &json!("proxy")));
}

/// Fake messages are an OPTIONS from 1.0.0.127 or 127.0.0.1, which nobody has sent.
#[test]
fn what_nobody_has_sent_has_no_source() {
    let folder = Folder::new();
    let routes = r#"
route[ASK] {
    flood_check();
    xlog("L_NOTICE", "$var(where): flood $swd(code) $swd(reason) $swd(ip)\n");
    check_company_ip("office");
    xlog("L_NOTICE", "$var(where): check $swd(code) $swd(reason) $swd(ip)\n");
    check_country("ES");
    xlog("L_NOTICE", "$var(where): country $swd(code) $swd(reason) $swd(country)\n");
    auth_check("alice@office");
    xlog("L_NOTICE", "$var(where): auth $swd(code) $swd(reason) $swd(ip)\n");
    roadwarrior_acquire("two@office", "office");
    xlog("L_NOTICE", "$var(where): roadwarrior $swd(code) $swd(reason) $swd(ip)\n");
    flood_check("", "203.0.113.5");
    xlog("L_NOTICE", "$var(where): given $swd(code) $swd(reason) $swd(ip)\n");
}
route[TIMER] { $var(where) = "rtimer"; route(ASK); }
event_route[htable:expired:things] { $var(where) = "expired"; route(ASK); }
event_route[dialog:failed] { $var(where) = "dialog"; route(ASK); }
event_route[tm:local-request] { $var(where) = "local"; route(ASK); }
request_route {
    if (is_method("INVITE")) {
        dlg_manage();
        t_set_fr(1000, 1000);
        t_on_failure("BUSY");
        $du = "sip:127.0.0.1:9";
        t_relay();
        exit;
    }
    $sht(things=>x) = 1;
    $uac_req(method) = "OPTIONS";
    $uac_req(ruri) = "sip:x@127.0.0.1:9";
    $uac_req(furi) = "sip:y@127.0.0.1";
    $uac_req(turi) = "sip:x@127.0.0.1:9";
    uac_req_send();
    sl_send_reply("200", "OK");
}
failure_route[BUSY] { exit; }
"#;
    let mut config = config(&folder).routes(routes).settings(
        "loadmodule \"rtimer.so\"\nloadmodule \"htable.so\"\nloadmodule \"uac.so\"\n\
         modparam(\"rtimer\", \"timer\", \"name=t;interval=1;mode=1;\")\n\
         modparam(\"rtimer\", \"exec\", \"timer=t;route=TIMER\")\n\
         modparam(\"htable\", \"htable\", \"things=>size=4;autoexpire=1\")\n\
         modparam(\"htable\", \"timer_interval\", 1)\n",
    );
    config.workers = 2;
    let kamailio = config.start();
    let phone = Phone::new("127.0.0.8", kamailio.address());
    assert_eq!(phone.request("OPTIONS", "x", "").unwrap().status, 200);
    phone.send("INVITE", "x", "");
    for place in ["rtimer", "expired", "dialog", "local"] {
        for line in [
            "flood 3 flood_untracked <null>",
            "check -9 internal_error <null>",
            "country -9 internal_error <null>",
            "auth 3 auth_untracked <null>",
            "roadwarrior -9 internal_error <null>",
            "given 1 under_limit 203.0.113.5",
        ] {
            let line = format!("{place}: {line}");
            wait_for(&line, || kamailio.log().contains(&line).then_some(()));
        }
    }
    let denied = kamailio.rpc("sipwarden.denied", json!([]));
    for d in denied["denied"].as_array().unwrap() {
        assert_eq!((&d["source"], &d["learnt"]), (&json!(""), &json!("")), "{denied}");
    }
    for fake in ["1.0.0.127", "127.0.0.1"] {
        assert_eq!(kamailio.rpc("sipwarden.source", json!([fake]))["requests"], 0, "{fake}");
    }
    let log = kamailio.log();
    assert!(log.contains("flood_check has no source to judge: nobody has sent this"), "{log}");
}
