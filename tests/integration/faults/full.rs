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

/// A site whose OPTIONS are judged by these lines, and whose calls are not.
fn site_with(lines: &str) -> Site {
    let mut site = Site::new().settings(SMALL);
    let first = format!(
        "request_route {{\n    if (is_method(\"OPTIONS\")) {{\n{lines}        exit;\n    }}\n"
    );
    site.config.routes = site.config.routes.replacen("request_route {", &first, 1);
    site
}

/// A table fills up while calls come and go, and neither is lost.
fn under_calls_fill(site: &Site, fill: fn(&Kamailio)) {
    let mut kamailio = site.config.start();
    under_calls(&kamailio, || fill(&kamailio));
    proxy::assert_nothing_left(&kamailio);
    assert!(kamailio.runs());
}

const FLOOD: &str = r#"
        if (!flood_check()) { sl_send_reply("403", "$swd(reason)"); exit; }
        append_to_reply("X-Flood: $swd(reason)\r\n");
        sl_send_reply("200", "$swd(reason)");
"#;

#[test]
fn a_full_table_of_sources_lets_pass_and_keeps_what_it_has() {
    under_calls_fill(&site_with(FLOOD), fill_sources);
}

fn fill_sources(kamailio: &Kamailio) {
    let count = |name: &str| kamailio.counter(name);
    // One that is blocked before, and asks.
    let first = Phone::new("127.9.2.1", kamailio.address());
    kamailio.rpc("sipwarden.block", json!(["127.9.2.1", "3600"]));
    // Blocks of other sources until none has room.
    let (mut blocked, mut without_room) = (0, 0);
    // A source has eight places, so the last ones take a while.
    for n in 0..4000 {
        let source = format!("198.51.{}.{}", n / 250, n % 250);
        match kamailio.try_rpc("sipwarden.block", json!([source, "3600"])) {
            Ok(_) => blocked += 1,
            Err(_) => without_room += 1,
        }
    }
    assert!(blocked > 900 && without_room > 1000, "{blocked} {without_room}");
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
    // Those that were blocked stay so, and are refused for that.
    let told = kamailio.rpc("sipwarden.source", json!(["127.9.2.1"]));
    assert_eq!(told["block"]["reason"], "manual", "{told}");
    let reply = first.request("OPTIONS", "a", "").unwrap();
    assert!(reply.text.starts_with("SIP/2.0 403 flood_blocked"), "{}", reply.text);
}

const FAILED: &str = r#"
        if (!auth_check("$rU@x")) { sl_send_reply("403", "$swd(reason)"); exit; }
        if (is_present_hf("X-Guess")) { auth_failed("$rU@x", "$hdr(X-Guess)"); }
        sl_send_reply("200", "$swd(reason)");
"#;

/// Nobody else is banned then, and nobody else is refused.
#[test]
fn a_full_table_of_bans_lets_pass_and_keeps_what_it_has() {
    under_calls_fill(&site_with(FAILED), fill_bans);
}

fn fill_bans(kamailio: &Kamailio) {
    let phone = Phone::new("127.9.0.1", kamailio.address());
    let ask = |user: &str, guess: &str| {
        let reply = phone.request("OPTIONS", user, guess).unwrap();
        let line = reply.text.lines().next().unwrap().trim_end();
        line.strip_prefix("SIP/2.0 ").unwrap().to_owned()
    };
    let fail = |user: &str| {
        let guesses = ["one", "two", "three"].map(|guess| format!("X-Guess: {guess}\r\n"));
        guesses.map(|guess| ask(user, &guess))
    };
    let (mut banned, mut passing) = (Vec::new(), Vec::new());
    for n in 0..6000 {
        let user = format!("user-{n}");
        match fail(&user).last().unwrap().as_str() {
            "403 auth_banned" => banned.push(user),
            answer => {
                assert!(answer.starts_with("200 "), "{user}: {answer}");
                passing.push(user);
            }
        }
        if passing.len() >= 20 {
            break;
        }
    }
    // Where a failure finds no room some places elsewhere are still free.
    assert!(passing.len() >= 20 && banned.len() > 256, "{} {}", passing.len(), banned.len());
    assert!(kamailio.counter("auth_failed_untracked") > 0);
    for user in &passing {
        let answers = fail(user);
        assert!(answers.iter().all(|answer| answer.starts_with("200 ")), "{user}: {answers:?}");
    }
    for user in &banned {
        assert_eq!(ask(user, ""), "403 auth_banned", "{user}");
    }
    let listed = kamailio.rpc("sipwarden.bans", json!([]))["total"].as_u64();
    assert_eq!(listed, Some(banned.len() as u64));
}

#[test]
fn a_full_table_of_grants_faults_and_keeps_what_it_has() {
    under_calls_fill(&Site::new().settings(SMALL), fill_grants);
}

fn fill_grants(kamailio: &Kamailio) {
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
}
