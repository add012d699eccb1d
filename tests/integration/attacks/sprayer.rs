//! One password for each of many users.

use super::*;

#[test]
fn a_sprayer_is_stopped_and_neither_a_phone_nor_an_office_beside_it_notices() {
    let folder = Folder::new();
    let kamailio = login::config(&login::tenants(&folder))
        .routes(
            &login::script::<OfKamailio>()
                .replace("$var(aor) = $au", "if (!flood_check()) { exit; }\n    $var(aor) = $au"),
        )
        .settings(&login::set("flood_limit", 10_000))
        .start();
    let [bot, honest, office] =
        ["127.60.0.1", "127.60.0.2", "127.60.0.3"].map(|from| Phone::new(from, kamailio.address()));
    // Ten phones behind one address with wrong passwords, and one that is right.
    let mut stopped = None;
    for n in 0..60 {
        let phone = format!("office{}", n % 10);
        // Within one second the nonce is the same, and so is the guess.
        let reason = guess(&office, "REGISTER", &phone, "old").1.reason;
        assert!(["auth_counted", "auth_same"].contains(&&*reason), "{reason}");
        assert_eq!(guess(&honest, "REGISTER", "alice", "right").0, 200);
        if stopped.is_some() {
            continue;
        }
        let (_, told, _) = guess(&bot, "REGISTER", &format!("user{n}"), "1234");
        if told.reason == "spraying" {
            assert_eq!(told.code, -20);
            stopped = Some(n + 1);
        }
    }
    let stopped = stopped.expect("the sprayer to be stopped");
    assert!((29..=38).contains(&stopped), "after {stopped} users of 30");
    println!("stopped with user {stopped}");
    // Not even its challenges are answered.
    bot.send("REGISTER", "user99", "");
    let blocked = source(&kamailio, "127.60.0.1");
    assert_eq!(
        (&blocked["block"]["reason"], &blocked["reason"]),
        (&json!("spraying"), &json!("flood_blocked"))
    );
    wait_for("the refusal", || (kamailio.counter("flood_blocked") > 0).then_some(()));
    assert!(bot.heard_nothing());
    assert_eq!(kamailio.rpc("sipwarden.blocks", json!([]))["total"], 1);
    // The recorder tells of it a little later.
    wait_for("the event", || kamailio.log().contains("told: block_started spraying").then_some(()));
    let log = kamailio.log();
    assert!(log.contains("block of 127.60.0.1 starts: spraying, class default; 3600 s"), "{log}");
    // A success does not hide what was tried.
    assert_eq!(guess(&office, "REGISTER", "alice", "right").0, 200);
    assert!(source(&kamailio, "127.60.0.3")["spraying"]["aors"].as_u64().unwrap() >= 6);
    assert_eq!(source(&kamailio, "127.60.0.2")["proofs"], "authentication");
}
