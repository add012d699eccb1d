//! Tables that are full: what fails open goes on, what fails closed says so.

use super::*;
use crate::support::sip::Phone;

/// The smallest tables there are.
const SMALL: &str = "
modparam(\"sipwarden\", \"flood_sources\", 1024)
modparam(\"sipwarden\", \"auth_sources\", 1024)
modparam(\"sipwarden\", \"grants\", 2)
modparam(\"sipwarden\", \"flood_limit\", 5)
modparam(\"sipwarden\", \"flood_window\", \"600s\")
modparam(\"sipwarden\", \"auth_limit\", 1)
";

const SCRIPT: &str = r#"
request_route {
    if (!flood_check()) { sl_send_reply("403", "$swd(reason)"); exit; }
    append_to_reply("X-Flood: $swd(reason)\r\n");
    sl_send_reply("200", "$swd(reason)");
}
"#;

#[test]
fn a_full_table_of_sources_lets_pass_and_keeps_what_it_has() {
    let site = Site::new();
    let mut kamailio = Config::new(&site.db.url()).settings(SMALL).routes(SCRIPT).start();
    let count = |name: &str| kamailio.counter(name);
    // Blocks of other sources until none has room.
    let mut blocked = Vec::new();
    let mut without_room = 0;
    // A source has eight places, so the last ones take a while.
    for n in 0..4000 {
        let source = format!("198.51.{}.{}", n / 250, n % 250);
        match kamailio.try_rpc("sipwarden.block", json!([source, "3600"])) {
            Ok(_) => blocked.push(source),
            Err(_) => without_room += 1,
        }
    }
    assert!(blocked.len() > 900 && without_room > 1000, "{} {without_room}", blocked.len());
    let before = count("flood_untracked");
    // Sources whose place is taken are let pass, however much they send; the others are counted.
    let mut untracked = 0;
    for n in 0..200 {
        let phone = Phone::new(&format!("127.9.1.{}", n + 1), kamailio.address());
        let replies: Vec<_> = (0..7).map(|_| phone.request("OPTIONS", "a", "").unwrap()).collect();
        let free = replies.iter().all(|reply| reply.header("X-Flood") == Some("flood_untracked"));
        let counted = replies.iter().filter(|reply| reply.status == 200).count() == 5;
        assert!(free || counted, "{:?}", replies.last());
        untracked += usize::from(free);
    }
    assert!(untracked > 0 && count("flood_untracked") > before);
    // Those that were blocked stay so.
    let first = blocked.first().unwrap();
    let told = kamailio.rpc("sipwarden.source", json!([first]));
    assert_eq!(told["block"]["reason"], "manual", "{told}");
    assert!(kamailio.runs());
}

/// Nobody else is banned then, and nobody is refused for it.
#[test]
fn a_full_table_of_bans_lets_pass_and_keeps_what_it_has() {
    let site = Site::new();
    let routes = "request_route {
        auth_failed(\"$rU@x\", \"$hdr(X-Guess)\");
        sl_send_reply(\"200\", \"OK\");
    }";
    let mut kamailio = Config::new(&site.db.url()).settings(SMALL).routes(routes).start();
    let phone = Phone::new("127.9.0.1", kamailio.address());
    let none_left = (0..6000).any(|n| {
        for guess in ["one", "two", "three"] {
            let guess = format!("X-Guess: {guess}\r\n");
            let reply = phone.request("OPTIONS", &format!("user-{n}"), &guess).unwrap();
            assert_eq!(reply.status, 200);
        }
        n % 500 == 499 && kamailio.counter("auth_failed_untracked") > 0
    });
    let bans = kamailio.rpc("sipwarden.bans", json!([]))["total"].as_u64().unwrap();
    // Where a failure finds no room some places elsewhere are still free.
    assert!(none_left && bans > 256, "{bans}");
    assert!(kamailio.runs());
}

#[test]
fn a_full_table_of_grants_faults_and_keeps_what_it_has() {
    let site = Site::new();
    let mut kamailio = site.config.settings(SMALL).start();
    let allow = |source: &str| kamailio.try_rpc("sipwarden.allow", json!(["office", source]));
    allow("203.0.113.1").unwrap();
    allow("203.0.113.2").unwrap();
    let fault = allow("203.0.113.3").unwrap_err();
    assert!(fault.contains("grants"), "{fault}");
    let check = |source: &str| kamailio.rpc("sipwarden.check", json!(["office", source]));
    assert_eq!(check("203.0.113.1")["reason"], "granted_temporarily");
    assert_eq!(check("203.0.113.3")["reason"], "denied_source");
    kamailio.rpc("sipwarden.disallow", json!(["office", "203.0.113.1"]));
    allow("203.0.113.3").unwrap();
    under_calls(&kamailio, || ());
    assert!(kamailio.runs());
}
