//! Stock checks decide, sipwarden is asked too: differences are logged, agreement is not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

use support::account::Account;
use support::proxies::Proxy;
use support::world::{ELSEWHERE, GRANTED, World};

/// The differences that a proxy has logged.
fn differences(proxy: &Proxy) -> Vec<String> {
    let log = proxy.log();
    let lines = log.lines().filter_map(|line| line.split_once("difference: "));
    lines.map(|(_, told)| told.to_owned()).collect()
}

#[test]
fn the_stock_acl_decides_and_only_what_sipwarden_sees_otherwise_is_logged() {
    let world = World::start(&[("SIDE_BY_SIDE", "")]);
    let users = &world.proxies.users;
    let office = world.phone(GRANTED, 7);
    let stranger = world.phone(ELSEWHERE, 8);

    // Agreement: granted, refused, an announcement, a roadwarrior, an unfiltered company.
    assert_eq!(office.register().status(), Some(200));
    assert_eq!(stranger.register().line, "SIP/2.0 403 Forbidden (invalid IP)");
    let mut caller = stranger.call("+34600000000", "c8.example", "");
    let invite = world.server.request("INVITE");
    assert!(invite.0.line.starts_with("INVITE sip:ipnotallowed@"), "{}", invite.0.line);
    world.server.reply(&invite, 480, "a");
    caller.final_reply();
    world.platform.run("UPDATE Users SET externalIpCalls = '1' WHERE id = 13;");
    world.platform.run("UPDATE Companies SET ipFilter = NULL WHERE id = 12;");
    world.proxies.reload();
    let roadwarrior = world.phone(ELSEWHERE, 7);
    let first = world.external(&roadwarrior);
    let mut second = roadwarrior.call("+34600000000", "c7.example", "");
    let invite = world.server.request("INVITE");
    world.server.reply(&invite, 480, "a");
    second.final_reply();
    world.hang_up(first);
    assert_eq!(world.phone(ELSEWHERE, 12).register().status(), Some(200));
    assert_eq!(differences(users), Vec::<String>::new());

    // An edit that only sipwarden was told of: stock refuses, sipwarden would not.
    world.platform.run(
        "INSERT INTO kam_users_address (companyId, ip_addr, mask) VALUES (8, '127.60.0.0', 24);
         DELETE FROM kam_users_address WHERE companyId = 7;",
    );
    world.proxies.reload();
    assert_eq!(stranger.register().status(), Some(403));
    let told = differences(users);
    assert_eq!(told.len(), 1, "{told:?}");
    for part in [
        "acl stock=-1 sipwarden=1 (granted_range)",
        "company=8",
        "aor=alice@c8.example",
        ELSEWHERE,
        "method=REGISTER",
    ] {
        assert!(told[0].contains(part), "{part}: {}", told[0]);
    }
    // And the other way round: it is not sipwarden that refuses.
    let bob = Account::new(GRANTED, users.address(), "bob", "c7.example");
    assert_eq!(bob.register().status(), Some(200));
    let told = differences(users);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[1].contains("acl stock=1 sipwarden=-4 (roadwarrior_none) company=7"),
        "{}",
        told[1]
    );
    // sipwarden tells its own side, too.
    users.wait_until(&["sipwarden.denied", "7"], "reason: roadwarrior_none");
}

#[test]
fn stock_limits_decide_and_only_what_sipwarden_sees_otherwise_is_logged() {
    let world = World::start(&[("SIDE_BY_SIDE", "")]);
    let trunks = &world.proxies.trunks;
    let phone = world.phone(GRANTED, 7);
    // Stock asks the database for each call, sipwarden was not told yet.
    world.platform.run("UPDATE Companies SET maxCalls = 1 WHERE id = 7;");
    let first = world.external(&phone);
    assert_eq!(differences(trunks), Vec::<String>::new());
    let mut second = phone.call("+34600000000", "c7.example", "");
    assert_eq!(second.final_reply().line, "SIP/2.0 403 Maxcalls exceeded");
    let told = differences(trunks);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("max calls stock=-1 sipwarden=1 (call_counted) company=7"),
        "{}",
        told[0]
    );

    // Both know the limit: both refuse, and so does the answer to the carrier.
    world.proxies.reload();
    world.calls_of_company_are("7", 1);
    let mut third = phone.call("+34600000000", "c7.example", "");
    assert_eq!(third.final_reply().line, "SIP/2.0 403 Maxcalls exceeded");
    let mut inbound = world.carrier_call(&world.carrier);
    inbound.invite();
    assert_eq!(inbound.final_reply().line, "SIP/2.0 486 Busy");
    assert_eq!(differences(trunks).len(), 1);
    world.hang_up(first);
    world.calls_of_company_are("7", 0);

    // sipwarden alone knows a lower one.
    world
        .platform
        .run("UPDATE Brands SET maxCalls = 1; UPDATE Companies SET maxCalls = 0 WHERE id = 7;");
    world.proxies.reload();
    world.platform.run("UPDATE Brands SET maxCalls = 0;");
    let first = world.external(&phone);
    let second = world.external(&phone);
    let told = differences(trunks);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[1].contains("max calls stock=1 sipwarden=-6 (brand_limit) company=7"),
        "{}",
        told[1]
    );
    world.hang_up(first);
    world.hang_up(second);
    world.calls_of_company_are("7", 0);
}

#[test]
fn the_stock_flood_check_decides_and_a_difference_is_logged_once_a_minute() {
    let world = World::start(&[("SIDE_BY_SIDE", "")]);
    let users = &world.proxies.users;
    let stranger = Account::new(ELSEWHERE, users.address(), "alice", "c8.example");
    // Below both limits.
    for cseq in 1..20 {
        assert!(stranger.ask("OPTIONS", cseq, "").is_some());
    }
    assert_eq!(differences(users), Vec::<String>::new());
    // Above both, until stock is silent and sipwarden's block stands.
    let mut cseq = 20;
    while stranger.try_ask("OPTIONS", cseq) {
        cseq += 1;
    }
    for cseq in 0..120 {
        stranger.send("OPTIONS", cseq);
    }
    users.wait_until(&["sipwarden.blocks"], &format!("source: {ELSEWHERE}"));
    let before = differences(users).len();
    assert!(before <= 1, "{:?}", differences(users));

    // sipwarden has forgotten, stock has not; another source, as one is told of once.
    let other = Account::new("127.60.0.2", users.address(), "alice", "c8.example");
    while other.try_ask("OPTIONS", cseq) {
        cseq += 1;
    }
    users.kamcmd(&["sipwarden.unblock", "all"]);
    assert!(!other.try_ask("OPTIONS", 7001));
    assert!(!other.try_ask("OPTIONS", 7002));
    let told: Vec<_> =
        differences(users).into_iter().filter(|line| line.contains("source=127.60.0.2")).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("flood stock=-1 sipwarden=1 (under_limit)"), "{}", told[0]);
}
