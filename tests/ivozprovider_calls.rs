//! Both proxies of an IvozProvider platform at once, with real calls between them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

use std::net::SocketAddr;

use support::account::Account;
use support::call::{Caller, Endpoint};
use support::mmdb::Mmdb;
use support::world::{ELSEWHERE, GRANTED, World};
use support::{Folder, wait_for};

#[test]
fn phones_register_and_call_from_where_they_may() {
    let world = World::start(&[]);
    let granted = world.phone(GRANTED, 7);
    assert_eq!(granted.register().status(), Some(200));

    // Elsewhere: company 8's user has no call of its own, 7's has three.
    let stranger = world.phone(ELSEWHERE, 8);
    let refused = stranger.register();
    assert_eq!(refused.line, "SIP/2.0 403 Forbidden (invalid IP)");
    let roadwarrior = world.phone(ELSEWHERE, 7);
    assert_eq!(roadwarrior.register().status(), Some(200));

    // The announcement: vpbx and residential; retail is told.
    for company in [8, 10] {
        let phone = world.phone(ELSEWHERE, company);
        let mut caller = phone.call("+34600000000", &phone.domain, "");
        let invite = world.server.request("INVITE");
        assert!(invite.0.line.starts_with("INVITE sip:ipnotallowed@"), "{}", invite.0.line);
        world.server.reply(&invite, 480, "a");
        assert_eq!(caller.final_reply().status(), Some(480));
    }
    let retail = world.phone(ELSEWHERE, 9);
    let mut caller = retail.call("+34600000000", &retail.domain, "");
    assert_eq!(caller.final_reply().line, "SIP/2.0 403 Forbidden (invalid IP)");

    // A wrong password is challenged again.
    let mut thief = world.phone(GRANTED, 7);
    thief.password = "guess".into();
    assert_eq!(thief.register().status(), Some(401));

    // Internal: to the phone that is registered; nothing is counted on trunks.
    let bob = Account::new("127.50.7.2", world.proxies.users.address(), "bob", "c7.example");
    assert_eq!(bob.register().status(), Some(200));
    let mut internal = granted.call("bob", "c7.example", "X-Info-CompanyId: 8\r\n");
    let invite = bob.endpoint.request("INVITE");
    assert_eq!(invite.0.header("X-Info-CompanyId"), None);
    bob.endpoint.reply(&invite, 200, "b");
    assert_eq!(internal.final_reply().status(), Some(200));
    internal.ack();
    internal.within("BYE");
    let bye = bob.endpoint.request("BYE");
    bob.endpoint.reply(&bye, 200, "b");
    world.proxies.trunks.wait_until(&["sipwarden.calls"], "total: 0");

    // Wholesale: known by the address, without filter and password.
    let wholesale = Endpoint::new("127.80.0.1");
    let mut caller = Caller::new(
        &wholesale,
        world.proxies.users.address(),
        "any.example",
        "X-Info-CompanyId: 7\r\n",
    );
    caller.dial("+34600000000");
    caller.invite();
    let invite = world.carrier.request("INVITE");
    world.calls_of_company_are("11", 1);
    world.calls_of_company_are("7", 0);
    world.carrier.reply(&invite, 486, "c");
    assert_eq!(caller.final_reply().status(), Some(486));
    world.calls_of_company_are("11", 0);
}

#[test]
fn a_roadwarrior_has_so_many_calls_and_no_more_and_gets_calls_without_counting() {
    let world = World::start(&[]);
    world.platform.run("UPDATE Users SET externalIpCalls = '2' WHERE companyId = 7;");
    world.proxies.reload();
    let phone = world.phone(ELSEWHERE, 7);
    assert_eq!(phone.register().status(), Some(200));
    let (first, second) = (world.external(&phone), world.external(&phone));
    let mut third = phone.call("+34600000000", &phone.domain, "");
    let invite = world.server.request("INVITE");
    assert!(invite.0.line.starts_with("INVITE sip:ipnotallowed@"), "{}", invite.0.line);
    world.server.reply(&invite, 480, "a");
    assert_eq!(third.final_reply().status(), Some(480));

    // A call that it gets is none of its own.
    let mut incoming = world.carrier_call(&world.carrier);
    world.platform.run("UPDATE DDIs SET DDIE164 = 'alice';");
    incoming.dial_at("alice", "c7.example");
    incoming.invite();
    let ringing = phone.endpoint.request("INVITE");
    phone.endpoint.reply(&ringing, 200, "p");
    assert_eq!(incoming.final_reply().status(), Some(200));
    incoming.ack();
    let check =
        world.proxies.users.kamcmd(&["sipwarden.check", "7", ELSEWHERE, "alice@c7.example"]);
    assert!(check.contains("user_calls: 2"), "{check}");
    incoming.within("BYE");
    let bye = phone.endpoint.request("BYE");
    phone.endpoint.reply(&bye, 200, "p");

    // From a granted address it needs none.
    let office = world.phone(GRANTED, 7);
    let granted = world.external(&office);
    // One ends, and another one may be placed.
    world.hang_up(first);
    world.proxies.users.wait_until(&["sipwarden.calls"], "total: 1");
    let fourth = world.external(&phone);
    for caller in [second, granted, fourth] {
        world.hang_up(caller);
    }
    world.proxies.users.wait_until(&["sipwarden.calls"], "total: 0");
    world.proxies.trunks.wait_until(&["sipwarden.calls"], "total: 0");
}

#[test]
fn limits_of_company_and_brand_hold_for_calls_out_and_in_with_todays_replies() {
    let world = World::start(&[]);
    world.platform.run("UPDATE Companies SET maxCalls = 2 WHERE id = 7;");
    world.proxies.reload();
    let phone = world.phone(GRANTED, 7);
    let first = world.external(&phone);
    world.calls_of_company_are("7", 1);
    let second = world.external(&phone);

    let mut third = phone.call("+34600000000", &phone.domain, "");
    assert_eq!(third.final_reply().line, "SIP/2.0 403 Maxcalls exceeded");
    let mut inbound = world.carrier_call(&world.carrier);
    inbound.invite();
    assert_eq!(inbound.final_reply().line, "SIP/2.0 486 Busy");

    // The carrier is in no range of the company, and gets through as a call ends.
    world.hang_up(first);
    world.calls_of_company_are("7", 1);
    assert_eq!(phone.register().status(), Some(200));
    world.platform.run("UPDATE DDIs SET DDIE164 = 'alice';");
    let mut inbound = world.carrier_call(&world.carrier);
    inbound.dial_at("alice", "c7.example");
    inbound.invite();
    let ringing = phone.endpoint.request("INVITE");
    assert_eq!(ringing.0.header("X-Info-CompanyId"), None);
    phone.endpoint.reply(&ringing, 200, "p");
    assert_eq!(inbound.final_reply().status(), Some(200));
    inbound.ack();
    world.calls_of_company_are("7", 2);
    inbound.within("BYE");
    let bye = phone.endpoint.request("BYE");
    phone.endpoint.reply(&bye, 200, "p");
    world.calls_of_company_are("7", 1);

    // The brand's limit is its own.
    world.platform.run("UPDATE Companies SET maxCalls = 0; UPDATE Brands SET maxCalls = 1;");
    world.proxies.reload();
    let mut over = phone.call("+34600000000", &phone.domain, "");
    assert_eq!(over.final_reply().line, "SIP/2.0 403 Maxcalls exceeded");
    world.hang_up(second);
    world.calls_of_company_are("7", 0);
    let again = world.external(&phone);
    world.hang_up(again);
    world.calls_of_company_are("7", 0);

    // A company that the tables do not know.
    world.platform.run("UPDATE DDIs SET companyId = 99999;");
    let mut unknown = world.carrier_call(&world.carrier);
    unknown.dial_at("alice", "c7.example");
    unknown.invite();
    assert_eq!(unknown.final_reply().status(), Some(500));
    // Who is no carrier places no calls, and says of no company that it is his.
    let outsider = Endpoint::new(ELSEWHERE);
    let header = "X-Info-CompanyId: 7\r\n";
    let mut caller = Caller::new(&outsider, world.proxies.trunks.address(), "x.example", header);
    caller.invite();
    assert_eq!(caller.final_reply().status(), Some(403));
}

#[test]
fn a_companys_countries_grant_where_its_ranges_do_not() {
    let folder = Folder::new();
    let file = folder.join("countries.mmdb");
    let networks = [("127.60.0.0/24", "ES"), ("127.61.0.0/24", "FR")];
    std::fs::write(&file, Mmdb::new(6, 28).with(&networks).bytes()).unwrap();
    let world = World::start(&[("GEOIP_DB", &format!("\"{}\"", file.display()))]);
    let (spain, france) = (world.phone("127.60.0.1", 8), world.phone("127.61.0.1", 8));
    assert_eq!(spain.register().status(), Some(403));
    world.platform.run(
        "INSERT INTO Countries VALUES (68, 'ES'), (75, 'FR');
         INSERT INTO CompaniesRelGeoIPCountries VALUES (8, 68), (9, 75);",
    );
    world.proxies.reload();
    assert_eq!(spain.register().status(), Some(200));
    assert_eq!(france.register().status(), Some(403));
}

#[test]
fn what_the_portal_changes_holds_without_a_word_to_the_proxies() {
    let timer = [("RELOAD_TIMER", "\"name=reload;interval=1;mode=1;\"")];
    let world = World::start(&timer);
    let phone = world.phone(ELSEWHERE, 8);
    assert_eq!(phone.register().status(), Some(403));
    world
        .platform
        .run("INSERT INTO kam_users_address (companyId, ip_addr) VALUES (8, '127.60.0.1');");
    wait_for("the range to hold", || (phone.register().status() == Some(200)).then_some(()));
    for proxy in [&world.proxies.users, &world.proxies.trunks] {
        proxy.wait_until(&["sipwarden.company", "8"], "range_count: 2");
    }
}

#[test]
fn of_many_calls_at_once_exactly_so_many_get_through_as_the_limit_says() {
    let world = World::start(&[]);
    world.platform.run("UPDATE Companies SET maxCalls = 5 WHERE id = 11;");
    world.proxies.reload();
    let proxy = world.proxies.users.address();
    let wholesale: Vec<_> = (0..20).map(|_| Endpoint::new("127.80.0.1")).collect();
    let mut callers: Vec<_> =
        wholesale.iter().map(|phone| Caller::new(phone, proxy, "any.example", "")).collect();
    for caller in &mut callers {
        caller.dial("+34600000000");
        caller.invite();
    }
    for _ in 0..5 {
        let invite = world.carrier.request("INVITE");
        world.carrier.reply(&invite, 200, "c");
    }
    let replies: Vec<_> = callers.iter_mut().map(|caller| caller.final_reply().line).collect();
    let answered = replies.iter().filter(|line| *line == "SIP/2.0 200 Test").count();
    let refused = replies.iter().filter(|line| *line == "SIP/2.0 403 Maxcalls exceeded").count();
    assert_eq!(refused, 15, "{replies:?}");
    assert_eq!(answered, 5);
    world.calls_of_company_are("11", 5);
    // Every slot comes back.
    let up = callers.into_iter().filter(|caller| caller.is_up());
    for caller in up {
        caller.ack();
        world.hang_up(caller);
    }
    world.calls_of_company_are("11", 0);
}

#[test]
fn floods_are_dropped_and_platform_and_carriers_are_never_checked() {
    let world = World::start(&[("BANNED_ADDRESSES", "")]);
    let ask = |endpoint: &Endpoint, proxy: SocketAddr, n: u32| {
        let me = endpoint.address();
        let text = format!(
            "OPTIONS sip:{proxy} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bK{n}-{}\r\n\
             From: <sip:x@x.example>;tag=1\r\nTo: <sip:x@x.example>\r\nCall-ID: {n}@{me}\r\n\
             CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            me.port()
        );
        endpoint.send(&text, proxy);
    };
    let (users, trunks) = (&world.proxies.users, &world.proxies.trunks);
    let carrier = Endpoint::new("127.70.0.9");
    let wholesale = Endpoint::new("127.80.0.1");
    let office = Endpoint::new(GRANTED);
    let stranger = Endpoint::new(ELSEWHERE);
    for n in 0..300 {
        ask(&stranger, users.address(), n);
        ask(&stranger, trunks.address(), n);
        ask(&world.server, users.address(), n);
        ask(&world.server, trunks.address(), n);
        ask(&carrier, trunks.address(), n);
        ask(&wholesale, users.address(), n);
        ask(&office, users.address(), n);
    }
    for proxy in [users, trunks] {
        proxy.wait_until(&["sipwarden.blocks"], &format!("source: {ELSEWHERE}"));
        proxy.wait_until(&["sipwarden.blocks"], "total: 1");
    }
    // Whatever is asked next by one of them is answered, and by the stranger is not.
    let answered = |endpoint: &Endpoint, proxy: SocketAddr| {
        while endpoint.receive_within(std::time::Duration::from_millis(300)).is_some() {}
        ask(endpoint, proxy, 999);
        endpoint.receive_within(std::time::Duration::from_secs(2)).is_some()
    };
    for (endpoint, proxy) in [
        (&world.server, users),
        (&world.server, trunks),
        (&carrier, trunks),
        (&wholesale, users),
        (&office, users),
    ] {
        assert!(answered(endpoint, proxy.address()), "{}", endpoint.address());
    }
    assert!(!answered(&stranger, users.address()));
    assert!(!answered(&stranger, trunks.address()));

    // The portal's list, and the audit table.
    let listed = "SELECT CONCAT_WS(' ', ip, blocker) FROM ivozprovider.BannedAddresses ORDER BY id";
    wait_for("the portal's list", || {
        let list = world.platform.server.query(listed);
        list.contains(&format!("{ELSEWHERE} antiflood")).then_some(())
    });
    let phone = world.phone("127.61.0.1", 8);
    assert_eq!(phone.register().status(), Some(403));
    wait_for("the refusal in the portal's list", || {
        let list = world.platform.server.query(
            "SELECT CONCAT_WS(' ', ip, blocker, companyId, brandId, aor, description) FROM ivozprovider.BannedAddresses",
        );
        list.contains("127.61.0.1 ipfilter 8 9 alice@c8.example roadwarrior_none").then_some(())
    });
    assert_eq!(phone.register().status(), Some(403));
    wait_for("the refusal in the audit table", || {
        let rows = world.platform.server.query(
            "SELECT CONCAT_WS(' ', reason, source, company, aor) FROM sipwarden.sipwarden_audit",
        );
        rows.contains("roadwarrior_none 127.61.0.1 8 alice@c8.example").then_some(())
    });
}
