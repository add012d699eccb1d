//! Grants that end: given and taken back by operators and by the script, in force at once in
//! all workers, listed, recorded, kept over a restart.

use std::collections::HashSet;

use super::{Config, Server};
use crate::support::sip::{Phone, Told};
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for};
use libc::{SIGKILL, SIGTERM};
use serde_json::{Value, json};

const TENANTS: &str = "
INSERT INTO sipwarden_brand VALUES ('b', 0);
INSERT INTO sipwarden_company VALUES ('office', 'b', 1, 0), ('shop', 'b', 1, 0),
    ('open', 'b', 0, 0);
INSERT INTO sipwarden_company_address VALUES ('office', '127.1.0.0', 24);
INSERT INTO sipwarden_user VALUES ('two@office', 'office', 2);
";

/// The user part names the company, or `give-N` for a grant of N seconds to the office.
const SCRIPT: &str = r#"
request_route {
    if ($rU =~ "^give-") {
        grant("office", "$(rU{s.substr,5,0})");
    } else if ($rU == "other") {
        grant("office", "60", "$hdr(X-Client)");
    } else if ($rU == "unset") {
        grant("$avp(unset)", "60");
    } else if ($rU == "nobody") {
        grant("nobody", "60");
    } else if ($rU == "travels") {
        roadwarrior_acquire("two@office", "office");
    } else {
        check_company_ip("$rU");
    }
    append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
    sl_send_reply(200, "OK");
}
event_route[sipwarden:grant] {
    xlog("L_NOTICE", "told: $swd(event) company=$swd(company) ip=$swd(ip) by=$swd(function) note=$swd(text) calls=$swd(calls) end\n");
}
"#;

fn tenants(folder: &Folder) -> Sqlite {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(TENANTS);
    db
}

fn config(db: &Sqlite) -> Config {
    let mut config = Config::new(&db.url())
        .routes(SCRIPT)
        .settings(&format!("modparam(\"sipwarden\", \"audit_url\", \"{}\")\n", db.url()));
    config.workers = 8;
    config.modules.push_str("loadmodule \"dialog.so\"\n");
    config
}

fn told(phone: &Phone, user: &str, headers: &str) -> Told {
    phone.request("OPTIONS", user, headers).unwrap().told().unwrap()
}

fn reason(phone: &Phone, user: &str) -> String {
    told(phone, user, "").reason
}

fn allow(server: &Server, arguments: &[&str]) -> Value {
    server.ask("allow", json!(arguments))
}

fn grants(server: &Server) -> Vec<Value> {
    server.ask("grants", json!([]))["grants"].as_array().unwrap().clone()
}

/// What 60 requests are told; more than one worker has answered.
fn all_told(phone: &Phone, user: &str) -> HashSet<String> {
    let told: Vec<Told> = (0..60).map(|_| told(phone, user, "")).collect();
    assert!(told.iter().map(|told| told.worker).collect::<HashSet<_>>().len() > 1);
    told.into_iter().map(|told| told.reason).collect()
}

#[test]
fn an_operators_grant_holds_at_once_in_all_workers_and_ends_when_taken_back() {
    let folder = Folder::new();
    let db = tenants(&folder);
    let server = config(&db).start();
    let hotel = Phone::new("127.7.0.1", server.address());
    assert_eq!(reason(&hotel, "office"), "denied_source");
    assert_eq!(reason(&hotel, "shop"), "denied_no_ranges");
    let given = allow(&server, &["office", "127.7.0.1", "600", "Anna, hotel"]);
    assert_eq!((&given["source"], &given["by"]), (&json!("127.7.0.1"), &json!("operator")));
    assert_eq!((&given["note"], &given["seconds_left"]), (&json!("Anna, hotel"), &json!(600)));
    assert_eq!(all_told(&hotel, "office"), ["granted_temporarily".to_owned()].into());
    assert_eq!(told(&hotel, "office", "").code, 8);
    assert_eq!(reason(&hotel, "shop"), "denied_no_ranges");
    assert_eq!(reason(&Phone::new("127.7.0.2", server.address()), "office"), "denied_source");
    // A reload leaves it, and a traveller needs no slot there.
    server.ask("reload", json!([]));
    let invite = hotel.request("INVITE", "travels", "").unwrap().told().unwrap();
    assert_eq!(invite.reason, "granted_temporarily");

    let asked = server.ask("check", json!(["office", "127.7.0.1", "two@office"]));
    assert_eq!((&asked["code"], &asked["reason"]), (&json!(8), &json!("granted_temporarily")));
    assert_eq!((&asked["verdict"], &asked["range"]), (&json!("allowed"), &json!("127.7.0.1/32")));
    assert!(asked["steps"].to_string().contains("which a grant allows for now"), "{asked}");
    let shown = server.ask("company", json!(["office"]));
    assert_eq!(shown["grant_count"], 1);
    let line = shown["grants"][0].as_str().unwrap();
    assert!(line.starts_with("127.7.0.1 until ") && line.contains("by the operator (Anna, hotel)"));
    let [one] = &grants(&server)[..] else { panic!("{:?}", grants(&server)) };
    assert_eq!((&one["company"], &one["allowed"]), (&json!("office"), &json!(62)));

    let ended = server.ask("disallow", json!(["office", "127.7.0.0/24"]));
    assert_eq!(ended["ended"], 1);
    assert_eq!(all_told(&hotel, "office"), ["denied_source".to_owned()].into());
    assert_eq!(server.ask("disallow", json!(["office"]))["ended"], 0);
    for line in [
        "company \"office\" may send from 127.7.0.1 for 600 s: a grant by the operator; note: Anna, hotel",
        "the grant of company \"office\" for 127.7.0.1 ends: an operator said so; 62 requests were allowed",
    ] {
        assert!(server.log().contains(line), "{line} in {}", server.log());
    }
    for event in [
        "told: grant_started company=office ip=127.7.0.1 by= note=Anna, hotel calls=0 end",
        "told: grant_ended company=office ip=127.7.0.1 by= note=Anna, hotel calls=62 end",
    ] {
        wait_for(event, || server.log().contains(event).then_some(()));
    }
    let counted = ["grants_started", "grants_ended", "check_granted_temporarily"];
    assert_eq!(counted.map(|name| server.counter(name)), [1, 1, 61]);
    wait_for("the audit rows", || {
        let count = "SELECT count(*) FROM sipwarden_audit WHERE company = 'office' AND source = \
                     '127.7.0.1' AND reason IN ('grant_started', 'grant_ended')";
        (db.query(count).trim() == "2").then_some(())
    });
}

#[test]
fn a_script_gives_grants_that_end_by_themselves() {
    let folder = Folder::new();
    let server = config(&tenants(&folder))
        .settings("modparam(\"sipwarden\", \"grant_longest\", 900)\n")
        .start();
    let hotel = Phone::new("127.7.0.1", server.address());
    assert_eq!(
        (told(&hotel, "give-600", "").code, reason(&hotel, "office")),
        (1, "granted_temporarily".into())
    );
    // A longer one is shortened, and replaces it.
    assert_eq!(reason(&hotel, "give-5000"), "grant_given");
    let [one] = &grants(&server)[..] else { panic!("{:?}", grants(&server)) };
    let left = one["seconds_left"].as_u64().unwrap();
    assert!((890..=900).contains(&left) && one["by"] == "script", "{one}");
    assert!(server.log().contains("grant gives 900 s in place of 5000 s"));
    assert!(server.log().contains("a grant by the script, in place of an earlier grant"));
    // Of an IPv6 address, the network that its owner has.
    assert_eq!(told(&hotel, "other", "X-Client: 2001:db8:1:2::9\r\n").reason, "grant_given");
    assert!(grants(&server).iter().any(|grant| grant["source"] == "2001:db8:1:2::/64"));
    let inside = Phone::new("127.1.0.1", server.address());
    let needless = told(&inside, "give-600", "");
    assert_eq!((needless.code, needless.reason.as_str()), (2, "grant_needless"));
    for (user, headers, expected) in [
        ("give-0", "", "internal_error"),
        ("give-x", "", "internal_error"),
        ("give-", "", "internal_error"),
        ("unset", "", "internal_error"),
        ("nobody", "", "unknown_company"),
        ("other", "X-Client: nowhere\r\n", "bad_address"),
    ] {
        let told = told(&hotel, user, headers);
        assert!(told.code < 0 && told.reason == expected, "{user}: {told:?}");
    }
    assert!(server.log().contains("is not a number of seconds"), "{}", server.log());
    assert_eq!(reason(&hotel, "give-1"), "grant_given");
    wait_for("the end of the grant", || {
        (reason(&hotel, "office") == "denied_source").then_some(())
    });
    let event = "told: grant_ended company=office ip=127.7.0.1 by=grant note=<null> calls=";
    wait_for(event, || server.log().contains(event).then_some(()));
    assert!(
        server
            .log()
            .contains("the grant of company \"office\" for 127.7.0.1 ends: its time is over")
    );
}

#[test]
fn a_grant_is_never_longer_broader_or_one_more_than_the_parameters_say() {
    let folder = Folder::new();
    let server =
        config(&tenants(&folder)).settings("modparam(\"sipwarden\", \"grants\", 2)\n").start();
    for (arguments, wrong) in [
        (vec!["office"], "address"),
        (vec!["office", "nowhere"], "\"nowhere\""),
        (vec!["office", "0.0.0.0/0"], "0.0.0.0/0 is broader than /24, which grant_prefix allows"),
        (vec!["office", "127.7.0.0/23"], "127.7.0.0/23 is broader than /24"),
        (vec!["office", "::/0"], "::/0 is broader than /56, which grant_ipv6_prefix allows"),
        (vec!["office", "127.7.0.1", "0"], "seconds"),
        (vec!["office", "127.7.0.1", "86401"], "86400"),
        (vec!["Office", "127.7.0.1"], "write \"office\""),
    ] {
        let fault = server.try_ask("allow", json!(arguments)).unwrap_err();
        assert!(fault.contains(wrong), "{arguments:?}: {fault}");
    }
    assert_eq!(grants(&server).len(), 0);
    let given = allow(&server, &["office", "127.7.0.0/24"]);
    assert_eq!((&given["source"], &given["seconds_left"]), (&json!("127.7.0.0/24"), &json!(7200)));
    server.ask("block", json!(["127.7.0.1", 60]));
    let warned = allow(&server, &["open", "127.7.0.1", "60", &"n".repeat(70)]);
    assert_eq!(warned["note"], "n".repeat(64));
    let warnings = warned["warnings"].to_string();
    assert!(warnings.contains("the company's filter is off") && warnings.contains("cut after 64"));
    let lifts = "unblock 127.7.0.1 lifts that";
    assert!(warnings.contains("127.7.0.1 is blocked: ") && warnings.contains(lifts), "{warnings}");
    let full = server.try_ask("allow", json!(["shop", "127.7.0.1"])).unwrap_err();
    assert!(full.contains("all 2 grants are in use (parameter grants)"), "{full}");
    let phone = Phone::new("127.8.0.1", server.address());
    let told = told(&phone, "give-60", "");
    assert_eq!((told.code, told.reason.as_str()), (-17, "grants_full"));
    server.ask("set", json!(["grant_prefix", 32]));
    wait_for("the new bound", || {
        let told = server.try_ask("allow", json!(["office", "127.7.0.0/25"]));
        told.unwrap_err().contains("broader than /32").then_some(())
    });
    // Room comes back.
    assert_eq!(server.ask("disallow", json!(["open", ""]))["ended"], 1);
    assert_eq!(reason(&phone, "give-60"), "grant_given");
    let page = server.ask("grants", json!(["1", "office"]));
    assert_eq!((&page["total"], &page["room"]), (&json!(2), &json!(2)));
    // The one that ends first comes first.
    assert_eq!(page["grants"][0]["source"], "127.8.0.1");
    let unknown = server.ask("disallow", json!(["Office"]));
    assert!(unknown["hint"].to_string().contains("office"), "{unknown}");
}

#[test]
fn grants_survive_a_restart_and_a_kill_with_the_time_that_is_left() {
    let folder = Folder::new();
    let file = folder.join("blocks");
    let config = config(&tenants(&folder))
        .settings(&format!("modparam(\"sipwarden\", \"flood_persist\", \"{}\")\n", file.display()));
    let mut server = config.start();
    allow(&server, &["office", "127.7.0.1", "600", "a note, 100 % odd"]);
    allow(&server, &["shop", "2001:db8::/60", "900"]);
    let kept = || std::fs::read_to_string(&file).unwrap_or_default();
    let all = |server: &Server| {
        let keys = ["company", "source", "until", "by", "note"];
        grants(server).iter().map(|grant| keys.map(|key| grant[key].clone())).collect::<Vec<_>>()
    };
    let before = all(&server);
    for signal in [SIGTERM, SIGKILL] {
        wait_for("the file", || (kept().matches("\ngrant ").count() == 2).then_some(()));
        server.stop(signal);
        server = config.start();
        assert!(server.log().contains("0 bans and 2 grants loaded"), "{}", server.log());
        let after = all(&server);
        for (before, after) in before.iter().zip(&after) {
            assert!(before[2].as_i64().unwrap().abs_diff(after[2].as_i64().unwrap()) <= 1);
            let rest = |all: &[Value; 5]| [0, 1, 3, 4].map(|n| all[n].clone());
            assert_eq!(rest(before), rest(after));
        }
        let hotel = Phone::new("127.7.0.1", server.address());
        assert_eq!(reason(&hotel, "office"), "granted_temporarily");
    }
    // What has ended meanwhile, or is too broad or wrong, does not come back.
    server.stop(SIGTERM);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = now.as_millis() as u64;
    let text: String = kept()
        .lines()
        .filter(|line| !line.starts_with("grant "))
        .fold(String::new(), |text, line| text + line + "\n");
    let later = now + 600_000;
    let lines = [
        format!("grant 127.7.0.1/32 {} {} 0 operator office ", now - 9000, now - 1000),
        format!("grant 0.0.0.0/0 {now} {later} 0 operator office "),
        format!("grant 127.7.0.3/32 {now} {later} 0 nobody office "),
        format!("grant 127.7.0.4/32 {now} {later} 0 operator  "),
        format!("grant 127.7.0.5/32 {now} {later} 0 script office hotel"),
    ];
    std::fs::write(&file, text + &lines.join("\n") + "\n").unwrap();
    server = config.start();
    let [one] = &grants(&server)[..] else { panic!("{:?}", grants(&server)) };
    assert_eq!((&one["source"], &one["by"]), (&json!("127.7.0.5"), &json!("script")));
    let log = server.log();
    assert_eq!(log.matches("is not a block, ban or grant").count(), 2, "{log}");
}
