//! Brute force on a platform: bans, as the portal shows and lifts them.

use crate::support::account::Account;
use crate::support::proxies::Kind;
use crate::support::world::{ELSEWHERE, GRANTED, World};
use crate::support::{Folder, wait_for};

const BANNED: &str = "SIP/2.0 403 Forbidden [BS]";

/// Guesses until the answer is a refusal; how many were challenged again.
fn guess(thief: &mut Account) -> u32 {
    for n in 0..150 {
        thief.password = format!("guess{n}");
        match thief.register() {
            told if told.status() == Some(401) => {}
            told => {
                assert_eq!(told.line, BANNED);
                return n;
            }
        }
    }
    panic!("never banned");
}

#[test]
fn a_hundred_wrong_passwords_ban_an_aor_from_one_address_until_the_portal_lifts_it() {
    for kind in [Kind::Stock, Kind::Sipwarden] {
        let world = World::start(kind, &[]);
        let users = &world.proxies.users;
        let honest = world.phone(GRANTED, 7);
        let mut thief = world.phone(GRANTED, 7);
        assert_eq!(guess(&mut thief), 100, "{kind:?}");

        // That user from there, whoever asks; not another one, nor from elsewhere.
        assert_eq!(honest.register().line, BANNED);
        assert_eq!(honest.ask("SUBSCRIBE", 1, "").unwrap().line, BANNED);
        let bob = Account::new(GRANTED, users.address(), "bob", "c7.example");
        assert_eq!(bob.register().status(), Some(200));
        assert_eq!(world.phone("127.50.7.9", 7).register().status(), Some(200));

        // The brand's page shows it: company and brand stand there.
        let row = format!("{GRANTED} antibruteforce 7 8 alice@c7.example");
        wait_for("the portal's list", || world.banned().contains(&row).then_some(()));
        let agent = "SELECT description FROM ivozprovider.BannedAddresses";
        assert_eq!(world.platform.server.query(agent), "Phone's 1.0");
        let key = format!("alice@c7.example::{GRANTED}");
        assert!(users.kamcmd(&["htable.dump", "srcban"]).contains(&key));

        // As the portal does it.
        world.platform.run("DELETE FROM BannedAddresses WHERE blocker = 'antibruteforce';");
        let answer = users.portal("htable.delete", &["srcban", &key]);
        assert!(answer.contains("200 OK"), "{answer}");
        assert_eq!(honest.register().status(), Some(200), "{kind:?}");
        if kind == Kind::Sipwarden {
            users.wait_until(&["sipwarden.bans"], "total: 0");
        }
        assert!(!users.kamcmd(&["htable.dump", "srcban"]).contains(&key));
        assert_eq!(world.banned(), "");
    }
}

#[test]
fn a_ban_goes_from_the_portal_when_it_ends_and_capitals_are_no_way_around_it() {
    let world = World::start(Kind::Sipwarden, &[]);
    let users = &world.proxies.users;
    let mut thief = Account::new(GRANTED, users.address(), "ALICE", "C7.example");
    assert_eq!(guess(&mut thief), 100);
    let honest = world.phone(GRANTED, 7);
    assert_eq!(honest.register().line, BANNED);
    wait_for("the portal's list", || {
        let row = format!("{GRANTED} antibruteforce 7 8 alice@c7.example");
        world.banned().contains(&row).then_some(())
    });
    let lifted = users.kamcmd(&["sipwarden.unban", "alice@c7.example"]);
    assert!(lifted.contains("lifted: 1"), "{lifted}");
    wait_for("the ban to be over", || (honest.register().status() == Some(200)).then_some(()));
    wait_for("the portal's list", || world.banned().is_empty().then_some(()));
    wait_for("the portal's key", || {
        (!users.kamcmd(&["htable.dump", "srcban"]).contains("alice")).then_some(())
    });
    // It counts anew, and is shown anew.
    let mut thief = world.phone(GRANTED, 7);
    assert_eq!(guess(&mut thief), 100);
    assert!(users.kamcmd(&["htable.dump", "srcban"]).contains("alice"));
}

#[test]
fn an_accent_is_no_way_around_a_ban() {
    let world = World::start(Kind::Sipwarden, &[]);
    let users = world.proxies.users.address();
    // The database finds alice for it; her count it is.
    let mut thief = Account::new(GRANTED, users, "al\u{ed}ce", "c7.example");
    assert_eq!(guess(&mut thief), 100);
    assert_eq!(world.phone(GRANTED, 7).register().line, BANNED);
    // Not even with the right password.
    thief.password = "secret".into();
    assert_eq!(thief.register().line, BANNED);
    // Lifted in the portal it is lifted for both spellings.
    let key = format!("alice@c7.example::{GRANTED}");
    world.proxies.users.portal("htable.delete", &["srcban", &key]);
    assert_eq!(thief.register().status(), Some(200));
    assert_eq!(world.phone(GRANTED, 7).register().status(), Some(200));
}

#[test]
fn refusals_of_the_filter_stand_in_the_portals_list() {
    for kind in [Kind::Stock, Kind::Sipwarden] {
        let world = World::start(kind, &[]);
        let phone = world.phone(ELSEWHERE, 8);
        for _ in 0..2 {
            assert_eq!(phone.register().status(), Some(403));
        }
        let row = format!("{ELSEWHERE} ipfilter 8 9");
        wait_for("the portal's list", || (world.banned() == row).then_some(()));
        if kind == Kind::Sipwarden {
            wait_for("the refusal in the audit table", || {
                let rows = world.platform.server.query(
                    "SELECT CONCAT_WS(' ', reason, source, company, aor) FROM sipwarden.sipwarden_audit",
                );
                rows.contains("roadwarrior_none 127.60.0.1 8 alice@c8.example").then_some(())
            });
        }
    }
}

#[test]
fn without_these_switches_nobody_is_banned_and_nothing_is_listed() {
    let settings =
        [("SIPWARDEN_WITHOUT_BRUTE_FORCE", ""), ("SIPWARDEN_WITHOUT_BANNED_ADDRESSES", "")];
    let world = World::start(Kind::Sipwarden, &settings);
    let mut thief = world.phone(GRANTED, 7);
    for n in 0..110 {
        thief.password = format!("guess{n}");
        let told = thief.register();
        assert!(matches!(told.status(), Some(401)), "{n}: {}", told.line);
    }
    let stranger = world.phone(ELSEWHERE, 8);
    assert_eq!(stranger.register().status(), Some(403));
    world.proxies.users.wait_until(&["sipwarden.denied", "8"], "reason: roadwarrior_none");
    assert_eq!(world.banned(), "");
}

#[test]
fn a_ban_that_survives_a_restart_is_shown_again_and_can_be_lifted_in_the_portal() {
    let folder = Folder::new();
    let saved = format!("\"{}\"", folder.join("PROXY").display());
    let mut world = World::start(Kind::Sipwarden, &[("SIPWARDEN_FLOOD_PERSIST", &saved)]);
    let mut thief = world.phone(GRANTED, 7);
    assert_eq!(guess(&mut thief), 100);
    let row = format!("{GRANTED} antibruteforce 7 8 alice@c7.example");
    wait_for("the portal's list", || world.banned().contains(&row).then_some(()));
    wait_for("the file", || {
        let file = std::fs::read_to_string(folder.join("users")).ok()?;
        file.contains("alice@c7.example").then_some(())
    });
    world.proxies.users.restart();
    // As it starts, the platform empties the portal's list.
    wait_for("an empty list", || world.banned().is_empty().then_some(()));
    let honest = world.phone(GRANTED, 7);
    assert_eq!(honest.register().line, BANNED);
    assert_eq!(world.banned(), row);
    let key = format!("alice@c7.example::{GRANTED}");
    world.proxies.users.portal("htable.delete", &["srcban", &key]);
    assert_eq!(honest.register().status(), Some(200));
}
