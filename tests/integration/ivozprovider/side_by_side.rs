//! The platform's checks decide, sipwarden is asked too: differences are logged, agreement
//! is not.

use crate::support::account::Account;
use crate::support::proxies::{Kind, Proxy};
use crate::support::wait_for;
use crate::support::world::{ELSEWHERE, GRANTED, World};

const NEVER: &str = "\"name=SIPWARDEN_RELOAD;interval=86400;mode=1;\"";

/// The differences that a proxy has logged.
fn differences(proxy: &Proxy) -> Vec<String> {
    let log = proxy.log();
    let lines = log.lines().filter_map(|line| line.split_once("difference: "));
    lines.map(|(_, told)| told.to_owned()).collect()
}

#[test]
fn the_stock_acl_decides_and_only_what_sipwarden_sees_otherwise_is_logged() {
    let world = World::start(Kind::Watch, &[]);
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
    let first = world.answered(&roadwarrior);
    let mut second = roadwarrior.call("+34600000000", "c7.example", "");
    let invite = world.server.request("INVITE");
    assert!(invite.0.line.starts_with("INVITE sip:ipnotallowed@"), "{}", invite.0.line);
    world.server.reply(&invite, 480, "a");
    second.final_reply();
    world.hang_up(first, &world.server);
    assert_eq!(world.phone(ELSEWHERE, 12).register().status(), Some(200));
    assert_eq!(differences(users), Vec::<String>::new());

    // An edit that only sipwarden was told of: stock refuses, sipwarden would not.
    world.platform.run(
        "INSERT INTO kam_users_address (companyId, ip_addr, mask) VALUES (8, '127.60.0.0', 24);
         DELETE FROM kam_users_address WHERE companyId = 7;",
    );
    users.kamcmd(&["sipwarden.reload"]);
    assert_eq!(stranger.register().status(), Some(403));
    let told = differences(users);
    assert_eq!(told.len(), 1, "{told:?}");
    for part in [
        "filter stock=-1 sipwarden=1 (granted_range)",
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
        told[1].contains("filter stock=1 sipwarden=-4 (roadwarrior_none) company=7"),
        "{}",
        told[1]
    );
    // sipwarden tells its own side, too.
    users.wait_until(&["sipwarden.denied", "7"], "reason: roadwarrior_none");
}

#[test]
fn stock_limits_decide_and_only_what_sipwarden_sees_otherwise_is_logged() {
    let world = World::start(Kind::Watch, &[]);
    let trunks = &world.proxies.trunks;
    // The platform asks the database for each call, sipwarden was not told yet.
    world.platform.run("UPDATE Companies SET maxCalls = 1 WHERE id = 7;");
    let call = || world.external(7, "+34600000000");
    let mut first = call();
    world.carrier_answers(&mut first);
    assert_eq!(differences(trunks), Vec::<String>::new());
    let mut second = call();
    assert_eq!(second.final_reply().line, "SIP/2.0 403 Maxcalls exceeded");
    let told = differences(trunks);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(
        told[0].contains("max calls stock=-1 sipwarden=1 (call_counted) company=7"),
        "{}",
        told[0]
    );

    // Both know the limit: both refuse, and so does the answer to the carrier.
    trunks.kamcmd(&["sipwarden.reload"]);
    world.calls_of_company_are("7", 1);
    let mut third = call();
    assert_eq!(third.final_reply().line, "SIP/2.0 403 Maxcalls exceeded");
    let mut inbound = world.carrier_call(&world.carrier);
    inbound.invite();
    assert_eq!(inbound.final_reply().line, "SIP/2.0 486 Busy");
    assert_eq!(differences(trunks).len(), 1);
    world.hang_up(first, &world.carrier);
    world.calls_of_company_are("7", 0);

    // sipwarden alone knows a lower one.
    world
        .platform
        .run("UPDATE Brands SET maxCalls = 1; UPDATE Companies SET maxCalls = 0 WHERE id = 7;");
    trunks.kamcmd(&["sipwarden.reload"]);
    world.platform.run("UPDATE Brands SET maxCalls = 0;");
    let mut first = call();
    world.carrier_answers(&mut first);
    let mut second = call();
    world.carrier_answers(&mut second);
    let told = differences(trunks);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told[1].contains("max calls stock=1 sipwarden=-6 (brand_limit) company=7"),
        "{}",
        told[1]
    );
    world.hang_up(first, &world.carrier);
    world.hang_up(second, &world.carrier);
    world.calls_of_company_are("7", 0);
}

#[test]
fn the_stock_flood_check_decides_and_a_difference_is_logged_once_a_minute() {
    let world = World::start(Kind::Watch, &[]);
    let users = &world.proxies.users;
    let stranger = Account::new(ELSEWHERE, users.address(), "nobody", "c8.example");
    // Below both limits.
    for cseq in 1..20 {
        assert!(stranger.ask("REGISTER", cseq, "").is_some());
    }
    assert_eq!(differences(users), Vec::<String>::new());
    // sipwarden has forgotten, the platform has not.
    let mut cseq = 20;
    while stranger.try_ask("REGISTER", cseq) {
        cseq += 1;
        if cseq % 10 == 0 {
            users.kamcmd(&["sipwarden.unblock", "all"]);
        }
        assert!(cseq < 2000, "never blocked");
    }
    assert!(!stranger.try_ask("OPTIONS", 7001));
    wait_for("the portal's list, by the platform", || {
        world.banned().contains(&format!("{ELSEWHERE} antiflood")).then_some(())
    });
    assert!(differences(users).len() <= 1, "{:?}", differences(users));
    // Wrong passwords: the platform bans, sipwarden would.
    let mut thief = world.phone(GRANTED, 7);
    for n in 0..100 {
        thief.password = format!("guess{n}");
        assert_eq!(thief.register().status(), Some(401), "{n}");
    }
    assert_eq!(thief.register().line, "SIP/2.0 403 Forbidden [BS]");
    users.wait_until(&["sipwarden.bans"], "total: 1");
}

#[test]
fn a_company_that_is_not_in_the_tables_yet_is_left_to_the_platform() {
    let world = World::start(Kind::Sipwarden, &[("SIPWARDEN_RELOAD_TIMER", NEVER)]);
    let users = &world.proxies.users;
    world.platform.run(
        "INSERT INTO Companies (id, brandId, maxCalls) VALUES (5000, 1, 1);
         INSERT INTO kam_users_address (companyId, ip_addr) VALUES (5000, '127.62.0.1');
         INSERT INTO Domains VALUES (5000, 'c5000.example');
         INSERT INTO Terminals (id, name, domainId, companyId, password) VALUES (60000, 'alice', 5000, 5000, 'secret');
         INSERT INTO Users (companyId, terminalId) VALUES (5000, 60000);",
    );
    users.kamcmd(&["permissions.addressReload"]);
    assert_eq!(world.phone("127.62.0.1", 5000).register().status(), Some(200));
    assert_eq!(world.phone(ELSEWHERE, 5000).register().status(), Some(403));
    let mut first = world.external(5000, "+34600000000");
    world.carrier_answers(&mut first);
    let mut second = world.external(5000, "+34600000000");
    assert_eq!(second.final_reply().line, "SIP/2.0 403 Maxcalls exceeded");
    // The tables are read: it is sipwarden's, and its call too with the next one.
    world.proxies.reload();
    assert_eq!(world.phone("127.62.0.1", 5000).register().status(), Some(200));
    world.hang_up(first, &world.carrier);
    let mut third = world.external(5000, "+34600000000");
    world.carrier_answers(&mut third);
    world.calls_of_company_are("5000", 1);
}

#[test]
fn what_the_portal_changes_holds_without_a_word_to_sipwarden() {
    let timer = [("SIPWARDEN_RELOAD_TIMER", "\"name=SIPWARDEN_RELOAD;interval=1;mode=1;\"")];
    let world = World::start(Kind::Sipwarden, &timer);
    let phone = world.phone(ELSEWHERE, 8);
    assert_eq!(phone.register().status(), Some(403));
    // Beside it a row that nobody can use: of another company, and left out.
    world.platform.run(
        "INSERT INTO kam_users_address (companyId, ip_addr) VALUES (9, 'office.example'), (8, '127.60.0.1');",
    );
    wait_for("the range to hold", || (phone.register().status() == Some(200)).then_some(()));
    for proxy in [&world.proxies.users, &world.proxies.trunks] {
        proxy.wait_until(&["sipwarden.company", "8"], "range_count: 2");
        wait_for("the row to be named", || {
            let problems = proxy.kamcmd(&["sipwarden.problems"]);
            let named = problems.contains("company \"9\"") && problems.contains("office.example");
            named.then_some(())
        });
    }
    // Push servers are asked first, by the platform.
    let push = world.phone("127.61.0.1", 8);
    assert_eq!(push.register().status(), Some(403));
    world.proxies.users.kamcmd(&["htable.seti", "pushservers", "127.61.0.1", "1"]);
    assert_eq!(push.register().status(), Some(200));
}
