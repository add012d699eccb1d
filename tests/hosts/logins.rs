//! Brute force protection on real SIP requests, with the server's own digest authentication.

use std::collections::HashSet;

use super::Config;
use crate::support::digest::{challenge, credentials};
use crate::support::login::{bans, guess, is, reason, set, tenants, told};
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, login, wait_for};
use serde_json::{Value, json};

fn config(db: &Sqlite) -> Config {
    login::config(db)
}

#[test]
fn the_100th_wrong_password_starts_the_ban_of_this_aor_from_this_source_only() {
    let folder = Folder::new();
    let server = config(&tenants(&folder)).start();
    let [attacker, phone] = ["127.9.0.1", "127.9.0.2"].map(|s| Phone::new(s, server.address()));
    let mut workers = HashSet::new();
    for n in 1..=99 {
        let method = if n % 2 == 0 { "REGISTER" } else { "INVITE" };
        let (status, told, auth) = guess(&attacker, method, "alice", &format!("guess {n}"));
        assert_eq!((told.code, told.reason.as_str()), (1, "auth_counted"));
        assert_eq!(auth, format!("default {n}/100 0"));
        assert!(matches!(status, 401 | 407));
        workers.insert(told.worker);
    }
    assert!(workers.len() >= 2, "{workers:?}");
    // Challenges did not count, nor do they where the script is careless.
    for _ in 0..150 {
        let reply = attacker.request("REGISTER", "alice", "X-Careless: 1\r\n").unwrap();
        assert_eq!(told(&reply).0.reason, "auth_challenge");
    }
    assert_eq!(server.counter("auth_failed_challenge"), 150);
    assert_eq!(bans(&server), [] as [Value; 0]);
    let (_, told, auth) = guess(&attacker, "REGISTER", "alice", "guess 100");
    assert_eq!((told.code, told.reason.as_str()), (-1, "auth_ban_started"));
    assert_eq!(auth, "default 100/100 43200");
    // The right one is too late.
    for n in 1..=20 {
        let (status, told, auth) = guess(&attacker, "REGISTER", "ALICE", "right");
        assert_eq!((status, told.code, told.reason.as_str()), (403, -2, "auth_banned"));
        assert!(auth.starts_with("default 0/100 43"), "{auth}");
        let listed = bans(&server);
        assert_eq!(listed.len(), 1, "{listed:?}");
        let ban = &listed[0];
        assert_eq!(ban["aor"], "alice@test.invalid");
        assert_eq!((&ban["source"], &ban["class"]), (&json!("127.9.0.1"), &json!("default")));
        assert_eq!((&ban["reason"], &ban["refused"]), (&json!("failures"), &json!(n + 1)));
    }
    assert_eq!(guess(&phone, "REGISTER", "alice", "right").1.reason, "auth_cleared");
    assert_eq!(guess(&phone, "INVITE", "alice", "wrong").1.reason, "auth_counted");
    assert_eq!(guess(&attacker, "REGISTER", "bob", "right").1.reason, "auth_cleared");
    let log = server.log();
    let starts = "ban of alice@test.invalid from 127.9.0.1 starts: 100 failures in 1800 s, class default; 43200 s";
    assert_eq!(log.matches(starts).count(), 1, "{log}");
    for (name, expected) in [
        ("auth_bans_started", 1),
        ("auth_bans_active", 1),
        ("auth_failed_counted", 100),
        ("auth_failed_ban_started", 1),
        ("auth_check_banned", 20),
        ("auth_ok_cleared", 2),
        ("auth_known", 2),
        ("auth_room", 65_536),
    ] {
        assert_eq!(server.counter(name), expected, "{name}");
    }
    let stats = server.ask("stats", json!([]));
    assert_eq!((&stats["bans"], &stats["auth_room"]), (&json!(1), &json!(65_536)));
    let room = "room for 65536 pairs of AoR and source: 17047552 bytes";
    assert!(log.contains(room), "{log}");
}

#[test]
fn a_ban_ends_by_itself_and_twenty_more_failures_start_the_next() {
    let folder = Folder::new();
    let server = config(&tenants(&folder)).settings(&set("auth_block", 2)).start();
    let phone = Phone::new("127.9.0.1", server.address());
    let wrong = |n: u32| reason(&phone, "alice", &format!("guess {n}"));
    (1..100).for_each(|n| is(wrong(n), "auth_counted", n));
    is(wrong(100), "auth_ban_started", 100);
    // Nobody asks: the module's own process ends it.
    wait_for("the ban to end", || bans(&server).is_empty().then_some(()));
    wait_for("the log", || {
        let log = server.log();
        let line =
            log.lines().find(|l| l.contains("ban of alice@test.invalid from 127.9.0.1 ends"));
        line.map(|line| assert!(line.contains(" s; 1 requests were refused"), "{line}"))
    });
    let asked = server.ask("check", json!(["office", "127.9.0.1", "alice@test.invalid"]));
    assert_eq!(
        (&asked["auth"]["failures"], &asked["auth"]["reason"]),
        (&json!(80), &json!("auth_clear"))
    );
    (81..100).for_each(|n| is(wrong(n), "auth_counted", n));
    is(wrong(100), "auth_ban_started", 100);
    let told = |what: &str| wait_for(what, || server.log().contains(what).then_some(()));
    told("told: auth_ban_started auth_ban_started aor=alice@test.invalid ip=127.9.0.1 code=-1 ");
    told("told: auth_ban_ended auth_ban_ended aor=alice@test.invalid ip=127.9.0.1 calls=1 end");
    wait_for("the second end", || (server.counter("auth_bans_ended") == 2).then_some(()));
}

#[test]
fn a_success_forgets_the_failures() {
    let folder = Folder::new();
    let server = config(&tenants(&folder)).settings(&set("auth_limit", 5)).start();
    let phone = Phone::new("127.9.0.1", server.address());
    for _ in 0..10 {
        (1..5).for_each(|n| is(reason(&phone, "alice", &n.to_string()), "auth_counted", n));
        is(reason(&phone, "alice", "right"), "auth_cleared", 0);
    }
    assert_eq!(server.counter("auth_known"), 0);
}

#[test]
fn the_same_credentials_count_once_and_a_script_may_know_better() {
    let folder = Folder::new();
    let server = config(&tenants(&folder)).settings(&set("auth_limit", 10)).start();
    let phone = Phone::new("127.9.0.1", server.address());
    // A phone that keeps its nonce as long as it is good.
    let nonce = challenge(&phone, "REGISTER", "alice");
    let header = credentials("REGISTER", "alice", "old", &nonce);
    let send = |header: &str| {
        let (told, auth) = told(&phone.request("REGISTER", "alice", header).unwrap());
        (told.reason, auth)
    };
    assert_eq!(send(&header), ("auth_counted".into(), "default 1/10 0".into()));
    for _ in 0..50 {
        assert_eq!(send(&header), ("auth_same".into(), "default 1/10 0".into()));
    }
    // The same nonce with another password is another guess.
    let other = credentials("REGISTER", "alice", "other", &nonce);
    assert_eq!(send(&other).1, "default 2/10 0");
    // A further header hides no guess.
    let decoy = "Proxy-Authorization: Digest username=\"alice\", realm=\"test.invalid\"\r\n";
    for n in 3..6 {
        let guess = credentials("REGISTER", "alice", &n.to_string(), &nonce);
        assert_eq!(send(&format!("{decoy}{guess}")).1, format!("default {n}/10 0"));
    }
    let many = "Authorization: Digest username=\"a\", realm=\"b\", nonce=\"c\", uri=\"d\", response=\"e\"\r\n".repeat(4);
    for n in 6..8 {
        let guess = credentials("REGISTER", "alice", "hidden", &nonce);
        assert_eq!(send(&format!("{decoy}{guess}{many}")).1, format!("default {n}/10 0"));
    }
    // What the script says are the same, whatever the nonce.
    for n in 0..20 {
        let nonce = challenge(&phone, "REGISTER", "alice");
        let header = credentials("REGISTER", "alice", "old", &nonce);
        let expected = if n == 0 { "auth_counted" } else { "auth_same" };
        assert_eq!(send(&format!("{header}X-Known: token 17\r\n")).0, expected);
    }
    assert_eq!(send(&credentials("REGISTER", "alice", "9", &nonce)).1, "default 9/10 0");
    assert_eq!(send(&credentials("REGISTER", "alice", "10", &nonce)).0, "auth_ban_started");
    assert_eq!(server.counter("auth_failed_same"), 69);
}

#[test]
fn classes_of_trusted_and_authorized_sources_have_limits_of_their_own() {
    let folder = Folder::new();
    let db = tenants(&folder);
    let server = config(&db)
        .settings(&set("auth_limit", 3))
        .settings("modparam(\"sipwarden\", \"auth_company_sources\", \"test\")\n")
        .start();
    for (source, class, limit) in [
        ("127.9.0.1", "default", 3),
        ("127.3.1.1", "test", 7),
        ("127.1.0.9", "test", 7),
        // A class of flood control only is as default here.
        ("127.3.2.1", "carrier", 3),
        ("127.3.0.1", "exempt", 0),
    ] {
        let phone = Phone::new(source, server.address());
        for n in 1..=10 {
            let (_, told, auth) = guess(&phone, "REGISTER", "alice", &n.to_string());
            let expected = match n {
                _ if limit == 0 => "exempt",
                n if n < limit => "auth_counted",
                n if n == limit => "auth_ban_started",
                _ => "auth_banned",
            };
            assert_eq!(told.reason, expected, "{source} {n}");
            assert!(auth.starts_with(class), "{auth}");
        }
    }
    assert_eq!(bans(&server).len(), 4);
    // Classes that only one of the two knows are default's for the other.
    let settings = server.ask("settings", json!([]));
    assert_eq!(settings["classes"][2]["class"], "test");
    assert_eq!(settings["classes"][2]["limit"], 100);
    assert_eq!(settings["auth_classes"][1]["limit"], 3);
    assert_eq!(settings["auth_classes"][2]["limit"], 7);
    // The source becomes one of another class: free at once.
    db.run("INSERT INTO sipwarden_trusted VALUES ('127.9.0.1', NULL, 'test');");
    server.ask("reload", json!([]));
    is(reason(&Phone::new("127.9.0.1", server.address()), "alice", "x"), "auth_counted", 1);
    assert_eq!(bans(&server).len(), 3);
    // At run time.
    for (name, value) in [
        ("auth_limit", "4"),
        ("auth_window", "77"),
        ("auth_block", "78"),
        ("auth_restart", "2"),
        ("auth_same", "79"),
        ("auth_class", "test=limit:2"),
        ("auth_company_sources", "exempt"),
    ] {
        server.ask("set", json!([name, value]));
    }
    let settings = wait_for("the settings", || {
        let now = server.ask("settings", json!([]));
        (now["auth_company_sources"] == "exempt").then_some(now)
    });
    assert_eq!(settings["auth_same"], 79);
    let default = json!({"class": "default", "limit": 4, "window": 77, "block": 78, "restart": 2});
    assert_eq!(settings["auth_classes"][0], default);
    let test = json!({"class": "test", "limit": 2, "window": 77, "block": 60, "restart": 1});
    assert_eq!(settings["auth_classes"][2], test);
    for (name, value) in [
        ("auth_limit", "0"),
        ("auth_class", "nobody=limit:2"),
        ("auth_class", "test=limit:0"),
        ("auth_company_sources", "nobody"),
    ] {
        let fault = server.try_ask("set", json!([name, value])).unwrap_err();
        assert!(fault.contains(name), "{name}: {fault}");
    }
    assert_eq!(server.ask("settings", json!([]))["auth_classes"][2], test);
    assert_eq!(
        guess(&Phone::new("127.1.0.8", server.address()), "REGISTER", "al", "x").1.reason,
        "exempt"
    );
}

#[test]
fn what_cannot_be_counted_passes_and_is_complained_of() {
    let folder = Folder::new();
    let routes = r#"
request_route {
    auth_check("$avp(unset)");
    append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
    auth_failed("");
    append_to_reply("X-Failed: $rc\r\n");
    auth_ok("$avp(unset)");
    append_to_reply("X-Ok: $rc\r\n");
    sl_send_reply(200, "OK");
}
"#;
    let server = config(&tenants(&folder)).routes(routes).start();
    let reply = Phone::new("127.9.0.1", server.address()).request("OPTIONS", "x", "").unwrap();
    assert_eq!((reply.status, reply.told().unwrap().reason.as_str()), (200, "auth_untracked"));
    assert_eq!((reply.header("X-Failed"), reply.header("X-Ok")), (Some("3"), Some("3")));
    assert!(
        server.log().contains("auth_check passed a request: the AoR is \"<null>\""),
        "{}",
        server.log()
    );
}
