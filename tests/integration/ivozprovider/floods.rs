//! Flood control on a platform: it counts what the platform counts.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use crate::support::account::Account;
use crate::support::call::Endpoint;
use crate::support::proxies::{Kind, Proxy};
use crate::support::world::{ELSEWHERE, GRANTED, World};
use crate::support::{PATIENCE, wait_for};

/// A NAT that no company has listed.
const NAT: &str = "127.61.0.1";
const PHONES: u32 = 60;

fn ask(endpoint: &Endpoint, method: &str, proxy: SocketAddr, n: u32) {
    let me = endpoint.address();
    let text = format!(
        "{method} sip:{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bK{n}-{}\r\n\
         From: <sip:x@x.example>;tag=1\r\nTo: <sip:x@x.example>\r\nCall-ID: {n}@{me}\r\n\
         CSeq: 1 {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        me.port()
    );
    endpoint.send(&text, proxy);
}

/// Whether what is asked next is answered.
fn is_answered(endpoint: &Endpoint, method: &str, proxy: &Proxy) -> bool {
    while endpoint.receive_within(Duration::from_millis(300)).is_some() {}
    ask(endpoint, method, proxy.address(), 999);
    endpoint.receive_within(Duration::from_secs(2)).is_some()
}

/// What counts, counts for the whole test.
fn long_window(world: &World) {
    for proxy in [&world.proxies.users, &world.proxies.trunks] {
        proxy.kamcmd(&["cfg.set_now_string", "sipwarden", "flood_window", "600s"]);
        proxy.wait_until(&["sipwarden.settings"], "window_ms: 600000");
    }
}

#[test]
fn phones_behind_one_nat_and_a_phone_with_many_subscriptions_are_never_blocked() {
    for kind in [Kind::Stock, Kind::Sipwarden] {
        let world = World::start(kind, &[]);
        if kind == Kind::Sipwarden {
            long_window(&world);
        }
        let rows =
            |values: &dyn Fn(u32) -> String| (0..PHONES).map(values).collect::<Vec<_>>().join(",");
        world.platform.run(&format!(
            "UPDATE Companies SET ipFilter = 0 WHERE id = 12;
             INSERT INTO Terminals (id, name, domainId, companyId, password) VALUES {};
             INSERT INTO Users (companyId, terminalId) VALUES {};",
            rows(&|n| format!("({}, 'p{n}', 12, 12, 'secret')", 50_000 + n)),
            rows(&|n| format!("(12, {})", 50_000 + n)),
        ));
        world.proxies.reload();
        let users = world.proxies.users.address();
        let phone = |n| Account::new(NAT, users, &format!("p{n}"), "c12.example");
        // The power is back: all at once, then all with their passwords.
        let phones: Vec<_> = (0..PHONES).map(phone).collect();
        let first: Vec<_> = phones.iter().map(|phone| phone.send("REGISTER", 1)).collect();
        let challenges = phones.iter().zip(&first).map(|(phone, id)| phone.answer(id));
        let challenges: Vec<_> = challenges.collect();
        let second: Vec<_> = phones
            .iter()
            .zip(&challenges)
            .map(|(phone, challenge)| {
                phone.send_with("REGISTER", 2, &phone.credentials("REGISTER", challenge))
            })
            .collect();
        let answers = phones.iter().zip(&second).map(|(phone, id)| phone.answer(id).status());
        let registered = answers.filter(|status| *status == Some(200)).count();
        assert_eq!(registered, PHONES as usize, "{kind:?}");

        // One phone with many keys.
        let phone = &phones[0];
        let challenge = phone.ask("SUBSCRIBE", 1, "").unwrap();
        let header = phone.credentials("SUBSCRIBE", &challenge);
        for n in 0..110 {
            phone.send_with("SUBSCRIBE", 2 + n, &header);
        }
        let mut came = HashSet::new();
        while came.len() < 110 {
            let next = world.server.receive_within(PATIENCE);
            let (request, _) = next.unwrap_or_else(|| panic!("{kind:?}: {}", came.len()));
            came.insert(request.header("Call-ID").unwrap().to_owned());
        }
        assert_eq!(phone.register().status(), Some(200));
    }
}

#[test]
fn requests_that_fail_are_answered_exactly_a_hundred_times() {
    let world = World::start(Kind::Sipwarden, &[]);
    long_window(&world);
    let users = world.proxies.users.address();
    let nobody = Account::new(ELSEWHERE, users, "nobody", "c8.example");
    let mut answered = 0;
    while answered <= 200 && nobody.try_ask("REGISTER", answered + 1) {
        answered += 1;
    }
    assert_eq!(answered, 100);
    // Blocked means everything, but for calls that are up; see below.
    assert!(!nobody.try_ask("OPTIONS", 1));
    world.proxies.users.wait_until(&["sipwarden.blocks"], &format!("source: {ELSEWHERE}"));
    wait_for("the portal's list", || {
        world.banned().contains(&format!("{ELSEWHERE} antiflood")).then_some(())
    });
    // Wrong passwords count as well; to be challenged does not.
    let thief = Account { password: "guess".into(), ..world.phone("127.60.0.7", 8) };
    let mut answered = 0;
    while answered <= 200 && thief.try_register() {
        answered += 1;
    }
    assert_eq!(answered, 100);
}

#[test]
fn a_block_spares_calls_that_are_up_and_emergencies() {
    let world = World::start(Kind::Sipwarden, &[]);
    long_window(&world);
    let users = &world.proxies.users;
    let phone = world.phone(ELSEWHERE, 7);
    let up = world.answered(&phone);
    users.kamcmd(&["sipwarden.block", ELSEWHERE, "600"]);
    assert!(!phone.try_ask("REGISTER", 1));
    let mut emergency = phone.call("112", &phone.domain, "");
    let invite = world.server.request("INVITE");
    world.server.reply(&invite, 486, "a");
    assert_eq!(emergency.final_reply().status(), Some(486));
    world.hang_up(up, &world.server);
    users.wait_until(&["sipwarden.calls"], "total: 0");
    assert!(!phone.try_ask("REGISTER", 1));
}

#[test]
fn the_inside_and_carriers_are_never_blocked() {
    let world = World::start(Kind::Sipwarden, &[]);
    long_window(&world);
    let (users, trunks) = (&world.proxies.users, &world.proxies.trunks);
    let at = |ip: std::net::Ipv4Addr| Endpoint::at((ip, 0).into());
    // Other ports than those by which the proxies' scripts know each other.
    let (of_users, of_trunks) = (at(world.inside.users), at(world.inside.trunks));
    let server = at(world.inside.server);
    let carrier = Endpoint::new("127.70.0.9");
    let office = Endpoint::new(GRANTED);
    let stranger = Endpoint::new("127.60.0.9");
    // A method that no proxy supports counts on users, anything on trunks.
    for n in 0..140 {
        for (endpoint, proxy) in [
            (&of_users, trunks),
            (&of_trunks, users),
            (&server, users),
            (&server, trunks),
            (&carrier, trunks),
            (&office, users),
            (&stranger, users),
            (&stranger, trunks),
        ] {
            ask(endpoint, "MESSAGE", proxy.address(), n);
        }
    }
    for proxy in [users, trunks] {
        proxy.wait_until(&["sipwarden.blocks"], "source: 127.60.0.9");
        proxy.wait_until(&["sipwarden.blocks"], "total: 1");
    }
    for (endpoint, proxy) in [
        (&of_users, trunks),
        (&of_trunks, users),
        (&server, users),
        (&server, trunks),
        (&carrier, trunks),
        (&office, users),
    ] {
        assert!(is_answered(endpoint, "OPTIONS", proxy), "{}", endpoint.address());
        let ip = endpoint.address().ip().to_string();
        let shown = proxy.kamcmd(&["sipwarden.source", &ip]);
        assert!(shown.contains("class: exempt"), "{shown}");
    }
    assert!(!is_answered(&stranger, "OPTIONS", users));
    assert!(!is_answered(&stranger, "OPTIONS", trunks));
}
