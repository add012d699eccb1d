//! Brute force on the proxy for users of an IvozProvider platform.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice
)]

mod support;

use support::account::Account;
use support::wait_for;
use support::world::{GRANTED, World};

#[test]
fn a_hundred_wrong_passwords_ban_a_user_from_one_address_only() {
    let world = World::start(&[("BANNED_ADDRESSES", "")]);
    let honest = world.phone(GRANTED, 7);
    let mut thief = world.phone(GRANTED, 7);
    // To be challenged is no failure, to be refused is; an authorized range spares
    // nobody from this.
    for n in 0..99 {
        thief.password = format!("guess{n}");
        assert_eq!(thief.register().status(), Some(401), "attempt {n}");
    }
    assert_eq!(honest.register().status(), Some(200), "a login clears the count");
    // The hundredth is challenged once more, then there is silence.
    let mut answered = 0;
    while thief.try_register() {
        answered += 1;
        thief.password = format!("again{answered}");
        assert!(answered < 200, "never banned");
    }
    assert_eq!(answered, 100);

    // That user from there: nothing. Another one from there, and from elsewhere: as ever.
    assert!(!honest.try_register());
    let bob = Account::new(GRANTED, world.proxies.users.address(), "bob", "c7.example");
    assert_eq!(bob.register().status(), Some(200));
    assert_eq!(world.phone("127.50.7.9", 7).register().status(), Some(200));
    wait_for("the portal's list", || {
        let list = world
            .platform
            .server
            .query("SELECT CONCAT_WS(' ', ip, blocker, aor) FROM ivozprovider.BannedAddresses");
        list.contains(&format!("{GRANTED} antibruteforce alice@c7.example")).then_some(())
    });
}
