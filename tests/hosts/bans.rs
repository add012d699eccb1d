//! Bans as operators see them: listed, set, lifted, recorded, kept over a restart.

use super::{Config, Server};
use crate::Here;
use crate::support::digest::{challenge, credentials};
use crate::support::host::Host;
use crate::support::login::{bans, guess, is, reason, set, tenants, told};
use crate::support::running::free_port;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, login, wait_for};
use libc::{SIGKILL, SIGTERM};
use serde_json::{Value, json};

fn config(db: &Sqlite) -> Config {
    login::config(db)
}

#[test]
fn operators_ban_list_lift_and_ask_and_all_is_recorded() {
    let folder = Folder::new();
    let db = tenants(&folder);
    let server = config(&db)
        .settings(&set("auth_limit", 3))
        .settings(&format!("modparam(\"sipwarden\", \"audit_url\", \"{}\")\n", db.url()))
        .start();
    let [here, there] = ["127.9.0.1", "127.9.0.2"].map(|s| Phone::new(s, server.address()));
    (0..3).for_each(|n| drop(guess(&here, "REGISTER", "alice", &n.to_string())));
    (0..3).for_each(|n| drop(guess(&there, "REGISTER", "alice", &n.to_string())));
    let by_hand = server.ask("ban", json!(["bob@test.invalid", "127.3.0.1", "600"]));
    assert_eq!((&by_hand["reason"], &by_hand["class"]), (&json!("manual"), &json!("exempt")));
    let exempt = Phone::new("127.3.0.1", server.address());
    assert_eq!(guess(&exempt, "REGISTER", "bob", "right").1.reason, "auth_banned");
    assert_eq!(guess(&exempt, "REGISTER", "alice", "right").1.reason, "exempt");
    let listed = server.ask("bans", json!([]));
    assert_eq!((&listed["total"], &listed["pages"]), (&json!(3), &json!(1)));
    let fault = server.try_ask("bans", json!(["2"])).unwrap_err();
    assert!(fault.contains("the last one is 1"), "{fault}");

    let known = || server.counter("auth_known");
    let before = known();
    let asked = server.ask("check", json!(["office", "127.9.0.1", "alice@test.invalid"]));
    assert_eq!(
        (&asked["auth"]["code"], &asked["auth"]["reason"]),
        (&json!(-2), &json!("auth_banned"))
    );
    assert_eq!(asked["auth"]["ban"]["reason"], "failures");
    assert!(
        asked["steps"].to_string().contains("auth_check: auth_banned (-2), class default"),
        "{asked}"
    );
    let asked = server.ask("check", json!(["office", "127.9.0.9", "alice@test.invalid"]));
    assert_eq!(asked["auth"]["reason"], "auth_clear");
    assert_eq!(known(), before);

    // IPv6 addresses that share a network are one source.
    server.ask("ban", json!(["eve@x", "2001:db8:0:1::1", "60"]));
    for (address, reason) in
        [("2001:db8:0:1:2::3", "auth_banned"), ("2001:db8:0:2::1", "auth_clear")]
    {
        let asked = server.ask("check", json!(["office", address, "eve@x"]));
        assert_eq!(asked["auth"]["reason"], reason, "{asked}");
    }
    assert_eq!(server.ask("unban", json!(["eve@x"]))["lifted"], 1);

    let unban = |args: &[&str]| server.ask("unban", json!(args))["lifted"].clone();
    assert_eq!(unban(&["alice@test.invalid", "127.9.0.3"]), 0);
    assert_eq!(unban(&["Alice@test.invalid", "127.9.0.1"]), 1);
    is(reason(&here, "alice", "x"), "auth_counted", 1);
    assert_eq!(guess(&there, "REGISTER", "alice", "right").1.reason, "auth_banned");
    assert_eq!(unban(&["alice@test.invalid"]), 1);
    assert_eq!(guess(&there, "REGISTER", "alice", "right").1.reason, "auth_cleared");
    assert_eq!(unban(&["all", "127.3.0.0/24"]), 1);
    assert_eq!(bans(&server), [] as [Value; 0]);
    for (method, args) in [
        ("ban", vec![]),
        ("ban", vec!["a@b"]),
        ("ban", vec!["a@b", "nowhere"]),
        ("ban", vec!["a@b", "127.0.0.1", "0"]),
        ("ban", vec!["", "127.0.0.1"]),
        ("unban", vec![]),
        ("unban", vec!["a@b", "nowhere"]),
    ] {
        let fault = server.try_ask(method, json!(args)).unwrap_err();
        assert!(fault.starts_with("400"), "{method} {args:?}: {fault}");
    }
    let fault = server.try_ask("ban", json!(["a@b", "127.0.0.1", "5", "6"])).unwrap_err();
    assert!(fault.starts_with(Here::TOO_MANY), "{fault}");

    let rows = || {
        db.query(
            "SELECT reason, source, aor, hits FROM sipwarden_audit WHERE reason <> 'reload' ORDER BY 1, 2, 3;",
        )
    };
    let expected = "auth_ban_ended|127.3.0.1|bob@test.invalid|1\n\
                    auth_ban_ended|127.9.0.1|alice@test.invalid|1\n\
                    auth_ban_ended|127.9.0.2|alice@test.invalid|1\n\
                    auth_ban_ended|2001:db8:0:1::/64|eve@x|1\n\
                    auth_ban_started|127.3.0.1|bob@test.invalid|1\n\
                    auth_ban_started|127.9.0.1|alice@test.invalid|1\n\
                    auth_ban_started|127.9.0.2|alice@test.invalid|1\n\
                    auth_ban_started|2001:db8:0:1::/64|eve@x|1\n";
    wait_for("the rows", || (rows() == expected).then_some(()));
}

#[test]
fn bans_survive_a_restart_with_the_time_that_is_left() {
    let folder = Folder::new();
    let file = folder.join("blocks");
    let config = config(&tenants(&folder))
        .port(free_port())
        .settings(&set("auth_limit", 3))
        .settings(&format!("modparam(\"sipwarden\", \"flood_persist\", \"{}\")\n", file.display()));
    let mut server = config.start();
    let attacker = Phone::new("127.9.0.1", server.address());
    let long = "x".repeat(150);
    (0..3).for_each(|n| drop(guess(&attacker, "REGISTER", "alice", &n.to_string())));
    (0..3).for_each(|n| drop(guess(&attacker, "REGISTER", &long, &n.to_string())));
    // The block first: a file with all bans has it too.
    server.ask("block", json!(["192.0.2.0/24"]));
    server.ask("ban", json!(["a b%c@x", "2001:db8::1", "500"]));
    let lines = |n| {
        wait_for("the file", || {
            let text = std::fs::read_to_string(&file).ok()?;
            (text.matches("\nban ").count() == n).then_some(text)
        })
    };
    lines(3);
    let sorted = |server: &Server| {
        let mut all: Vec<String> = bans(server)
            .iter()
            .map(|b| format!("{} {} {} {}", b["aor"], b["source"], b["reason"], b["class"]))
            .collect();
        all.sort();
        all
    };
    let before = sorted(&server);
    let until = |server: &Server| {
        let all = bans(server);
        let alice = all.iter().find(|b| b["aor"] == "alice@test.invalid").unwrap();
        alice["until"].as_i64().unwrap()
    };
    let ends = until(&server);
    for signal in [SIGTERM, SIGKILL] {
        server.stop(signal);
        server = config.start();
        assert!(server.log().contains("1 blocks, 3 bans and 0 grants loaded"), "{}", server.log());
        assert_eq!(sorted(&server), before);
        assert!(until(&server).abs_diff(ends) <= 1);
        for user in ["alice", "Alice", &long] {
            assert_eq!(guess(&attacker, "REGISTER", user, "right").1.reason, "auth_banned");
        }
        assert_eq!(guess(&attacker, "REGISTER", "bob", "right").1.reason, "auth_cleared");
    }
    // A ban whose time ran out meanwhile ends, and the count begins at 80 (here 2).
    let shown = format!("{}...", "x".repeat(100));
    assert_eq!(server.ask("unban", json!([shown]))["lifted"], 1);
    let lifted = server.ask("unban", json!(["all", "::/0"]));
    assert_eq!(lifted["lifted"], 1);
    let text = lines(1);
    server.stop(SIGTERM);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = now.as_millis() as u64;
    let over: String = text
        .lines()
        .map(|line| match line.split(' ').collect::<Vec<_>>()[..] {
            ["ban", source, _, _, ref rest @ ..] if line.contains("alice") => {
                format!("ban {source} {} {} {}\n", now - 9000, now - 1000, rest.join(" "))
            }
            _ => format!("{line}\n"),
        })
        .collect();
    std::fs::write(&file, format!("{over}ban nonsense\n")).unwrap();
    server = config.start();
    assert!(server.log().contains("is left out: \"ban nonsense\" is not a block, ban or grant"));
    wait_for("the ban to end", || bans(&server).is_empty().then_some(()));
    is(reason(&attacker, "alice", "x"), "auth_ban_started", 3);
}

#[test]
fn a_table_full_of_bans_lets_others_pass_and_keeps_them() {
    let folder = Folder::new();
    let server = config(&tenants(&folder))
        .settings(&set("auth_limit", 1))
        .settings(&set("auth_sources", 1024))
        // It tries one user after the other.
        .settings(&set("spray_aors", 0))
        .settings(&set("spray_passwords", 0))
        .start();
    let phone = Phone::new("127.9.0.1", server.address());
    let nonce = challenge(&phone, "REGISTER", "x");
    let fail = |user: &str| {
        let header = credentials("REGISTER", user, "wrong", &nonce);
        told(&phone.request("REGISTER", user, &header).unwrap()).0
    };
    let mut banned = Vec::new();
    let mut passed = 0;
    for n in 0..4000 {
        let user = format!("user{n}");
        match fail(&user).reason.as_str() {
            "auth_ban_started" => banned.push(user),
            "auth_untracked" => passed += 1,
            other => panic!("{other}"),
        }
    }
    assert!(banned.len() > 900 && passed > 2000, "{} {passed}", banned.len());
    let stats = server.ask("stats", json!([]));
    assert_eq!(stats["bans"], banned.len());
    assert_eq!(stats["counters"]["auth_failed_untracked"], passed);
    for user in banned.iter().step_by(50) {
        assert_eq!(fail(user).reason, "auth_banned", "{user}");
    }
    assert!(server.log().contains("auth_sources is full of bans"));
    let pages = server.ask("bans", json!([]))["pages"].as_u64().unwrap();
    let last = server.ask("bans", json!([pages.to_string()]));
    assert_eq!(last["total"], banned.len());
    assert_eq!(server.ask("unban", json!(["all"]))["lifted"], banned.len());
    assert_eq!(server.counter("auth_known"), 0);
}

#[test]
fn nobody_is_refused_while_the_monitor_is_on() {
    for monitor in ["auth_monitor", "monitor"] {
        let folder = Folder::new();
        let server = config(&tenants(&folder))
            .settings(&set("auth_limit", 3))
            .settings(&set(monitor, 1))
            .start();
        let phone = Phone::new("127.9.0.1", server.address());
        (1..3).for_each(|n| is(reason(&phone, "alice", &n.to_string()), "auth_counted", n));
        is(reason(&phone, "alice", "3"), "auth_monitored", 3);
        is(reason(&phone, "alice", "right"), "auth_monitored", 0);
        assert_eq!(bans(&server).len(), 1);
        assert_eq!(server.counter("auth_failed_ban_started"), 1);
        assert_eq!(server.counter("auth_failed_monitored"), 1);
        assert_eq!(server.counter("auth_check_banned"), 1);
        server.ask("set", json!([monitor, "0"]));
        wait_for("the monitor to be off", || {
            (guess(&phone, "REGISTER", "alice", "right").1.reason == "auth_banned").then_some(())
        });
    }
}
