//! What a victim keeps while its address is forged: its live calls, and its connections.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::forger::{forge, start};
use super::*;
use crate::support::call::Message;

/// Runs `meanwhile` while somebody sends in the name of `victim` far above its limit.
fn while_forged(
    victim: &str,
    server: SocketAddr,
    refused: impl Fn() -> bool + Sync,
    meanwhile: impl FnOnce(),
) {
    let going = Going::begin();
    std::thread::scope(|scope| {
        scope.spawn(|| forge(victim, server, &going));
        let _ends = going.while_held();
        wait_for("the limit to be passed", || refused().then_some(()));
        meanwhile();
    });
}

/// A gateway that waits for a request of this call, which the phone repeats as phones do.
fn arrives(gateway: &Endpoint, call_id: &str, method: &str, mut send: impl FnMut()) -> usize {
    for sent in 1..=10 {
        send();
        let until = Instant::now() + Duration::from_millis(500);
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            let Some(heard) = gateway.receive_within(left) else { break };
            if heard.0.method() == method && heard.0.header("Call-ID") == Some(call_id) {
                gateway.reply(&heard, 200, "t");
                return sent;
            }
        }
    }
    panic!("no {method} of {call_id} has arrived");
}

#[test]
fn live_calls_of_a_victim_are_served_with_the_shipped_configuration() {
    const CALLS: usize = 20;
    let network = Namespace::new();
    network.run(|| {
        let folder = Folder::new();
        let db = Sqlite::create(folder.join("tables.sqlite"));
        db.run(
            "INSERT INTO sipwarden_brand VALUES ('b', 0);
            INSERT INTO sipwarden_company VALUES ('c.example', 'b', 0, 0);
            INSERT INTO sipwarden_trusted VALUES ('127.0.0.99', NULL, 'exempt');",
        );
        let gateway = Endpoint::new("127.0.0.99");
        let example = Example::start(&db, gateway.address());
        let phone = Endpoint::new("127.70.0.3");
        let calls = (0..CALLS).map(|_| {
            let mut call = Caller::new(&phone, example.address(), "c.example", "");
            call.invite();
            gateway.reply(&gateway.request("INVITE"), 200, "t");
            assert_eq!(call.final_reply().status(), Some(200));
            call.ack();
            gateway.request("ACK");
            call
        });
        let calls: Vec<_> = calls.collect();
        let refused = || {
            let stats = example.kamcmd(&["sipwarden.stats"]);
            let line = stats.lines().find(|line| line.trim().starts_with("flood_unproven: "));
            line.unwrap().rsplit(' ').next().unwrap().parse::<u32>().unwrap() > 100
        };
        while_forged("127.70.0.3", example.address(), refused, || {
            let mut at_once = 0;
            for mut call in calls {
                let id = call.call_id.clone();
                let sent = arrives(&gateway, &id, "BYE", || call.within("BYE"));
                at_once += usize::from(sent == 1);
            }
            println!("{at_once} of {CALLS} BYE have arrived at the first try");
            assert!(at_once * 100 >= CALLS * 90, "{at_once}");
        });
        let left = || example.kamcmd(&["sipwarden.calls"]).contains("total: 0").then_some(());
        wait_for("the end of all calls", left);
    });
}

/// Asks over a connection; whether it was answered.
fn asked_over(connection: &mut TcpStream, n: usize) -> bool {
    let local = connection.local_addr().unwrap();
    let text =
        options(local, connection.peer_addr().unwrap(), n).replace("SIP/2.0/UDP", "SIP/2.0/TCP");
    connection.write_all(text.as_bytes()).unwrap();
    let (mut reply, mut byte) = (Vec::new(), [0u8]);
    while !reply.ends_with(b"\r\n\r\n") {
        if connection.read_exact(&mut byte).is_err() {
            return false;
        }
        reply.push(byte[0]);
    }
    Message::parse(&reply).and_then(|reply| reply.status()) == Some(200)
}

#[test]
fn connections_of_a_victim_are_served() {
    const REQUESTS: usize = 40;
    let network = Namespace::new();
    network.run(|| {
        let folder = Folder::new();
        let kamailio = start(&folder, "");
        // Requests over connections come from here: from the address that is forged.
        let mut connection = TcpStream::connect(kamailio.address()).unwrap();
        connection.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let refused =
            || kamailio.counter("flood_unproven") + kamailio.counter("flood_blocked") > 100;
        assert!(asked_over(&mut connection, 0));
        while_forged("127.0.0.1", kamailio.address(), refused, || {
            let answered = (1..=REQUESTS).filter(|n| asked_over(&mut connection, *n)).count();
            println!("{answered} of {REQUESTS} requests over TCP are answered");
            assert_eq!(answered, REQUESTS);
        });
        assert_eq!(kamailio.rpc("sipwarden.blocks", json!([]))["total"], 0);
    });
}
