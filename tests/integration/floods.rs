//! `flood_check` on real SIP requests in a real Kamailio.

use std::collections::HashSet;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::kamailio::{Config, Kamailio, free_port};
use crate::support::sip::{Phone, Told};
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, project, wait_for};
use serde_json::{Value, json};

/// Drops what is refused without a word; answers what passes with the verdict. Who asks
/// with flag p is told either way.
const SCRIPT: &str = r#"
request_route {
    $var(flags) = "";
    if (is_present_hf("X-Flags")) { $var(flags) = $hdr(X-Flags); }
    if ($var(flags) == "b") {
        if (flood_blocked()) { $var(blocked) = "yes"; } else { $var(blocked) = "no"; }
        if (flood_blocked("$si") && $var(blocked) == "no") { $var(blocked) = "otherwise"; }
        if (flood_blocked("192.0.2.99")) { $var(blocked) = "another"; }
        flood_blocked("$si");
        append_to_reply("X-Blocked: $var(blocked) $swd(code)\r\n");
        sl_send_reply("200", "OK");
        exit;
    }
    if (!flood_check("$var(flags)")) {
        if ($var(flags) == "p") { sl_send_reply("403", "Blocked"); }
        exit;
    }
    append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
    append_to_reply("X-Flood: $swd(class) $swd(requests)/$swd(request_limit) $swd(block_seconds)\r\n");
    sl_send_reply("200", "OK");
}
"#;

/// Lines about a run that is to last as long as a test, not 2 s.
const LONG_WINDOW: &str = "modparam(\"sipwarden\", \"flood_window\", \"600s\")\n";

fn tenants(folder: &Folder) -> Sqlite {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('awide', 'b', 1, 0), ('office', 'b', 1, 0), ('open', 'b', 0, 0);
        INSERT INTO sipwarden_company_address VALUES ('office', '127.1.0.0/24', NULL),
            ('awide', '127.0.0.0/8', NULL), ('awide', '0.0.0.0/0', NULL), ('open', '127.2.0.0/24', NULL);
        INSERT INTO sipwarden_trusted VALUES ('127.3.0.1', NULL, 'exempt'), ('127.3.1.9', 32, NULL);",
    );
    db
}

fn config(db: &Sqlite) -> Config {
    let mut config = Config::new(&db.url()).routes(SCRIPT);
    config.workers = 8;
    config.modules.push_str("loadmodule \"cfg_rpc.so\"\n");
    config
}

/// The verdict on one request that passes.
fn passes(phone: &Phone) -> (Told, String) {
    let reply = phone.request("OPTIONS", "x", "").expect("a reply");
    (reply.told().unwrap(), reply.header("X-Flood").unwrap().to_owned())
}

/// As [`passes`], while the socket of the server may overflow: asks again, as
/// phones do.
fn passes_in_the_crowd(phone: &Phone) -> (Told, String) {
    let reply = (0..5).find_map(|_| phone.request("OPTIONS", "x", "")).expect("a reply");
    (reply.told().unwrap(), reply.header("X-Flood").unwrap().to_owned())
}

/// Sends a request that must not be answered: waits until it has been counted.
fn is_dropped(kamailio: &Kamailio, phone: &Phone) {
    let dropped = || {
        let stats = kamailio.rpc("sipwarden.stats", json!([]));
        ["flood_started", "flood_blocked", "flood_throttled"]
            .iter()
            .map(|name| stats["counters"][name].as_u64().unwrap())
            .sum::<u64>()
    };
    // Nor has an earlier one been answered late.
    assert!(phone.heard_nothing(), "an answer to a refused request");
    let before = dropped();
    phone.send("OPTIONS", "x", "");
    wait_for("the request to be refused", || (dropped() == before + 1).then_some(()));
    assert!(phone.heard_nothing(), "an answer to a refused request");
}

fn blocks(kamailio: &Kamailio) -> Vec<Value> {
    kamailio.rpc("sipwarden.blocks", json!([]))["blocks"].as_array().unwrap().clone()
}

#[test]
fn the_101st_request_is_the_first_without_an_answer_whichever_worker_gets_it() {
    let folder = Folder::new();
    let kamailio = config(&tenants(&folder))
        .settings(LONG_WINDOW)
        .settings("modparam(\"sipwarden\", \"flood_block\", 6)\n")
        .start();
    let phone = Phone::new("127.9.0.1", kamailio.address());
    let other = Phone::new("127.9.0.2", kamailio.address());
    let mut workers = HashSet::new();
    for n in 1..=100 {
        let (told, flood) = passes(&phone);
        assert_eq!((told.code, told.reason.as_str()), (1, "under_limit"));
        assert_eq!(flood, format!("default {n}/100 0"));
        workers.insert(told.worker);
    }
    assert!(workers.len() >= 2, "{workers:?}");
    let began = Instant::now();
    for n in 1..=20 {
        is_dropped(&kamailio, &phone);
        assert_eq!(passes(&other).0.reason, "under_limit");
        let listed = blocks(&kamailio);
        assert_eq!(listed.len(), 1, "{listed:?}");
        assert_eq!((&listed[0]["source"], &listed[0]["refused"]), (&json!("127.9.0.1"), &json!(n)));
    }
    assert!(began.elapsed() < Duration::from_secs(6), "too slow for the block of 6 s");
    // The first answer comes when the time is over, not before.
    wait_for("the block to end", || blocks(&kamailio).is_empty().then_some(()));
    assert!(began.elapsed() > Duration::from_millis(5900), "{:?}", began.elapsed());
    assert_eq!(passes(&phone).1, "default 1/100 0");
    wait_for("the log", || kamailio.log().contains("block of 127.9.0.1 ends").then_some(()));
    let log = kamailio.log();
    assert_eq!(log.matches("block of 127.9.0.1").count(), 2, "{log}");
    let starts =
        "block of 127.9.0.1 starts: more than 100 requests in 600000 ms, class default; 6 s, 1 in";
    assert!(log.contains(starts), "{log}");
    assert!(log.contains("block of 127.9.0.1 ends after 6 s: 20 requests were refused"), "{log}");
    assert_eq!(kamailio.counter("flood_blocks_started"), 1);
    assert_eq!(kamailio.counter("flood_blocks_ended"), 1);
    assert_eq!(kamailio.counter("flood_blocked"), 19);
    assert!(kamailio.rpc("core.psx", json!([])).to_string().contains("sipwarden recorder"));
}

#[test]
fn classes_come_from_trusted_addresses_then_companies_and_a_reload_changes_them() {
    let folder = Folder::new();
    let db = tenants(&folder);
    db.run("INSERT INTO sipwarden_trusted VALUES ('127.3.1.0', 24, 'carrier');");
    let kamailio = config(&db)
        .settings(LONG_WINDOW)
        .settings("modparam(\"sipwarden\", \"flood_limit\", 5)\n")
        .settings("modparam(\"sipwarden\", \"flood_class\", \"carrier=limit:8;block:0\")\n")
        .start();
    for (source, class, rule) in [
        ("127.3.0.1", "exempt", "trusted 127.3.0.1"),
        ("127.3.1.1", "carrier", "trusted 127.3.1.0/24"),
        ("127.3.1.9", "exempt", "trusted 127.3.1.9"),
        ("127.1.0.7", "exempt", "range 127.1.0.0/24 of company office"),
        ("127.2.0.7", "default", "is broader than flood_exempt_prefix"),
        ("127.9.0.1", "default", "of company awide is broader than flood_exempt_prefix"),
    ] {
        let shown = kamailio.rpc("sipwarden.source", json!([source]));
        assert_eq!(shown["class"], class, "{shown}");
        assert!(shown["class_rule"].as_str().unwrap().contains(rule), "{shown}");
        let phone = Phone::new(source, kamailio.address());
        let limit = match class {
            "exempt" => 0,
            "carrier" => 8,
            _ => 5,
        };
        for n in 1..=20u32 {
            if limit == 0 {
                assert_eq!(passes(&phone).0.reason, "exempt");
            } else if n <= limit {
                let (told, flood) = passes(&phone);
                assert_eq!(
                    (told.reason.as_str(), flood),
                    ("under_limit", format!("{class} {n}/{limit} 0"))
                );
            } else {
                is_dropped(&kamailio, &phone);
            }
        }
        let shown = kamailio.rpc("sipwarden.source", json!([source]));
        let reason = match class {
            "exempt" => "exempt",
            "carrier" => "flood_throttled",
            _ => "flood_blocked",
        };
        assert_eq!(shown["reason"], reason, "{shown}");
    }
    let log = kamailio.log();
    assert!(
        log.contains("company \"awide\": 127.0.0.0/8 is broader than flood_exempt_prefix"),
        "{log}"
    );
    let throttling =
        "throttling of 127.3.1.1 starts: more than 8 requests in 600000 ms, class carrier";
    assert_eq!(log.matches(throttling).count(), 1, "{log}");
    assert_eq!(kamailio.counter("flood_throttled"), 12);
    assert_eq!(blocks(&kamailio).len(), 2);

    // The customer's address is entered: free at once.
    db.run("INSERT INTO sipwarden_company_address VALUES ('office', '127.9.0.0/24', NULL);");
    kamailio.rpc("sipwarden.reload", json!([]));
    assert_eq!(passes(&Phone::new("127.9.0.1", kamailio.address())).0.reason, "exempt");
    assert_eq!(blocks(&kamailio).len(), 1);
    // A carrier that is none any more is one of everybody's.
    db.run("DELETE FROM sipwarden_trusted WHERE ip_addr = '127.3.1.0';");
    kamailio.rpc("sipwarden.reload", json!([]));
    assert_eq!(passes(&Phone::new("127.3.1.1", kamailio.address())).1, "default 1/5 0");
    // A tag that is no class fails the reload and is named.
    db.run("INSERT INTO sipwarden_trusted VALUES ('127.3.7.7', NULL, 'carier');");
    let fault = kamailio.try_rpc("sipwarden.reload", json!([])).unwrap_err();
    assert!(
        fault.contains("127.3.7.7/32: tag \"carier\" is not one of exempt, default, carrier"),
        "{fault}"
    );
}

#[test]
fn settings_change_at_run_time_and_bad_ones_are_refused() {
    let folder = Folder::new();
    let kamailio = config(&tenants(&folder))
        .settings("modparam(\"sipwarden\", \"flood_class\", \"carrier=limit:9\")\n")
        .start();
    let setting = |name: &str| kamailio.rpc("sipwarden.settings", json!([]))[name].clone();
    let class = |n: usize, name: &str| setting("classes")[n][name].clone();
    assert_eq!(class(0, "window_ms"), 2000);
    for (how, name, value) in [
        ("int", "flood_limit", "3"),
        ("string", "flood_window", "900s"),
        ("int", "flood_block", "17"),
        ("int", "flood_block_max", "170"),
        ("int", "flood_ipv6_prefix", "56"),
        ("int", "flood_exempt_prefix", "20"),
        ("int", "flood_exempt_ipv6_prefix", "40"),
        ("string", "flood_company_sources", "carrier"),
        ("string", "flood_class", "carrier=limit:50;window:1500ms"),
        ("string", "flood_class", "carrier=limit:77"),
    ] {
        kamailio.set_now(how, name, value);
    }
    wait_for("the settings", || (setting("flood_company_sources") == "carrier").then_some(()));
    assert_eq!(class(1, "limit"), 77);
    assert_eq!(setting("flood_ipv6_prefix"), 56);
    assert_eq!(setting("flood_exempt_prefix"), 20);
    assert_eq!(setting("flood_exempt_ipv6_prefix"), 40);
    assert_eq!(setting("flood_company_sources"), "carrier");
    let expected = json!({"class": "default", "limit": 3, "window_ms": 900_000, "block": 17, "block_max": 170});
    assert_eq!(setting("classes")[0], expected);
    let expected =
        json!({"class": "carrier", "limit": 77, "window_ms": 1500, "block": 17, "block_max": 170});
    assert_eq!(setting("classes")[1], expected);
    assert_eq!(kamailio.kamcmd(&["cfg.get", "sipwarden", "flood_limit"]).trim(), "3");
    assert!(
        kamailio.log().contains("sources of class carrier: 77 requests in 1500 ms, blocks of 17")
    );

    let before = wait_for("all changes", || {
        let told = kamailio.rpc("sipwarden.settings", json!([]));
        (told["pending"] == 0).then_some(told)
    });
    for (how, name, value, logged) in [
        ("int", "flood_limit", "0", "out of range"),
        ("int", "flood_limit", "65536", "out of range"),
        ("int", "flood_ipv6_prefix", "129", "out of range"),
        ("int", "flood_sources", "5", "Failed to set the variable"),
        ("string", "flood_window", "fast", "\"fast\" is not 100ms to 3600s"),
        ("int", "flood_window", "2000", "\"2000\" is not 100ms to 3600s"),
        ("string", "flood_company_sources", "vip", "\"vip\" is neither exempt nor a class"),
        ("string", "flood_class", "vip=limit:1", "there is no class vip"),
        ("string", "flood_class", "carrier=limit:x", "limit \"x\" is not from 1 to 65535"),
    ] {
        let seen = kamailio.log().len();
        let answer = kamailio.kamcmd(&[&format!("cfg.set_now_{how}"), "sipwarden", name, value]);
        assert!(answer.contains("error"), "{name}={value}: {answer}");
        let said = kamailio.log()[seen..].to_owned() + &answer;
        assert!(said.contains(logged), "{logged} in {said}");
    }
    assert_eq!(kamailio.rpc("sipwarden.settings", json!([])), before);

    // All workers follow: the fourth request of a source is refused.
    let phone = Phone::new("127.9.0.1", kamailio.address());
    (1..=3).for_each(|n| assert_eq!(passes(&phone).1, format!("default {n}/3 0")));
    is_dropped(&kamailio, &phone);
    let office = Phone::new("127.1.0.7", kamailio.address());
    assert_eq!(passes(&office).1, "carrier 1/77 0");
    for (sources, told) in [("exempt", "exempt 0/0 0"), ("carrier", "carrier 1/77 0")] {
        kamailio.kamcmd(&["cfg.set_now_string", "sipwarden", "flood_company_sources", sources]);
        wait_for("the sources", || (setting("flood_company_sources") == sources).then_some(()));
        assert_eq!(passes(&office).1, told, "known sources follow");
    }

    // Monitor: the block stands, and nobody is refused.
    kamailio.kamcmd(&["cfg.set_now_int", "sipwarden", "flood_monitor", "1"]);
    wait_for("the monitor", || (setting("flood_monitor") == 1).then_some(()));
    let (told, flood) = passes(&phone);
    assert_eq!((told.code, told.reason.as_str()), (5, "flood_monitored"));
    assert_eq!(flood, "default 0/3 17");
    let second = Phone::new("127.9.0.2", kamailio.address());
    let reasons: Vec<String> = (0..5).map(|_| passes(&second).0.reason).collect();
    assert_eq!(reasons[2..], ["under_limit", "flood_monitored", "flood_monitored"]);
    assert!(kamailio.log().contains("flood_monitor is on: nothing is refused"));
    kamailio.kamcmd(&["cfg.set_now_int", "sipwarden", "flood_monitor", "0"]);
    wait_for("no monitor", || (setting("flood_monitor") == 0).then_some(()));
    is_dropped(&kamailio, &second);
}

#[test]
fn flags_spare_emergencies_and_ask_without_counting() {
    let folder = Folder::new();
    let kamailio = config(&tenants(&folder))
        .settings(LONG_WINDOW)
        .settings("modparam(\"sipwarden\", \"flood_limit\", 3)\n")
        .start();
    let phone = Phone::new("127.9.0.1", kamailio.address());
    let ask = |flags: &str| {
        let reply = phone.request("OPTIONS", "x", &format!("X-Flags: {flags}\r\n")).unwrap();
        (reply.told().unwrap().reason, reply.header("X-Flood").unwrap().to_owned())
    };
    assert_eq!(passes(&phone).1, "default 1/3 0");
    let blocked = || {
        let reply = phone.request("OPTIONS", "x", "X-Flags: b\r\n").unwrap();
        reply.header("X-Blocked").unwrap().to_owned()
    };
    for _ in 0..10 {
        assert_eq!(ask("p"), ("under_limit".into(), "default 1/3 0".into()));
        assert_eq!(blocked(), "no 1");
    }
    assert_eq!(kamailio.counter("flood_under_limit"), 1);
    assert_eq!(ask("e"), ("under_limit".into(), "default 2/3 0".into()));
    assert_eq!(passes(&phone).1, "default 3/3 0");
    is_dropped(&kamailio, &phone);
    assert_eq!(ask("e").0, "flood_emergency");
    assert_eq!(blocks(&kamailio)[0]["refused"], 2);
    assert_eq!(phone.request("OPTIONS", "x", "X-Flags: p\r\n").unwrap().status, 403);
    assert_eq!(blocked(), "yes -2");
    assert_eq!(blocks(&kamailio)[0]["refused"], 2);
    assert_eq!(kamailio.counter("flood_blocked"), 0);
    assert_eq!(ask("ez").0, "flood_emergency");
    assert!(kamailio.log().contains("flood_check has no flag \"z\"; its flags are e, p"));
}

#[test]
fn operators_block_list_explain_and_lift() {
    let folder = Folder::new();
    let kamailio = config(&tenants(&folder)).settings(LONG_WINDOW).start();
    let rpc =
        |method: &str, arguments: Value| kamailio.rpc(&format!("sipwarden.{method}"), arguments);
    let fault = |method: &str, arguments: Value| {
        kamailio.try_rpc(&format!("sipwarden.{method}"), arguments).unwrap_err()
    };
    // A range, an exempt address, and one that has sent something.
    assert_eq!(rpc("block", json!(["127.8.0.0/16", 600]))["source"], "127.8.0.0/16");
    let exempt = rpc("block", json!(["127.1.0.7"]));
    assert_eq!(exempt["seconds_left"], 300);
    let warning = exempt["warnings"][0].as_str().unwrap();
    assert_eq!(warning, "127.1.0.7 was exempt: range 127.1.0.0/24 of company office");
    let wide = rpc("block", json!(["127.3.0.0/16", 600]));
    assert_eq!(wide["warnings"], json!(["2 trusted ranges are refused too, first 127.3.0.1"]));
    assert_eq!(rpc("unblock", json!(["127.3.0.0/16"]))["lifted"], 1);
    let phone = Phone::new("127.9.0.1", kamailio.address());
    passes(&phone);
    rpc("block", json!(["127.9.0.1", 3600]));
    assert_eq!(rpc("block", json!(["127.9.0.1", 60]))["seconds_left"], 60, "the last word counts");
    for source in ["127.8.200.9", "127.1.0.7", "127.9.0.1"] {
        is_dropped(&kamailio, &Phone::new(source, kamailio.address()));
    }
    let explained = rpc("check", json!(["office", "127.8.200.9"]));
    assert_eq!(explained["flood"]["reason"], "flood_blocked", "{explained}");
    assert_eq!(explained["flood"]["block"]["source"], "127.8.0.0/16");
    assert_eq!(explained["flood"]["block"]["reason"], "manual");
    assert_eq!(explained["flood"]["block"]["refused"], 1, "a question is no request");

    // Typing errors.
    for (method, arguments, what) in [
        ("block", json!(["127.9.0"]), "\"127.9.0\" is not an IP address"),
        ("block", json!(["127.9.0.1/24"]), "host bits set"),
        ("block", json!(["0.0.0.0/0"]), "0.0.0.0/0 is broader than /8"),
        ("block", json!(["::/8"]), "::/8 is broader than /16"),
        ("block", json!(["127.9.0.1", "long"]), "seconds \"long\" is not a number from 1 to"),
        ("block", json!(["127.9.0.1", 0]), "seconds \"0\" is not a number from 1 to"),
        ("block", json!(["127.9.0.1", "+60"]), "seconds \"+60\" is not a number from 1 to"),
        ("block", json!(["127.9.0.1", 60, "please"]), "one argument too many: \"please\""),
        ("unblock", json!(["127.9.0.1", "127.9.0.2"]), "one argument too many"),
        ("unblock", json!(["everything"]), "\"everything\" is not an IP address"),
        ("unblock", json!([]), "address is missing"),
        ("source", json!(["127.9.0.0/24"]), "is not an IP address"),
        ("blocks", json!([2]), "page 2: the last one is 1"),
    ] {
        let fault = fault(method, arguments);
        assert!(fault.contains(what), "{fault} lacks {what}");
    }

    // An address under a range that stays blocked says so.
    let lifted = rpc("unblock", json!(["127.8.200.9"]));
    assert_eq!(
        (&lifted["lifted"], &lifted["still_blocked_by"]),
        (&json!(0), &json!("127.8.0.0/16"))
    );
    assert_eq!(rpc("unblock", json!(["127.9.0.1"]))["lifted"], 1);
    assert_eq!(passes(&phone).1, "default 1/100 0", "the evidence is forgotten");
    for n in 0..45 {
        rpc("block", json!([format!("127.7.0.{n}")]));
    }
    let mut seen = HashSet::new();
    for page in 1..=3 {
        let shown = rpc("blocks", json!([page]));
        assert_eq!((&shown["total"], &shown["pages"]), (&json!(47), &json!(3)));
        for block in shown["blocks"].as_array().unwrap() {
            assert!(
                seen.insert(block["source"].as_str().unwrap().to_owned()),
                "{block} stands twice"
            );
        }
    }
    assert_eq!(seen.len(), 47);
    let typed = kamailio.kamcmd(&["sipwarden.blocks"]);
    assert!(typed.contains("total: 47") && typed.contains("reason: manual"), "{typed}");
    assert_eq!(rpc("unblock", json!(["127.7.0.0/24"]))["lifted"], 45);
    assert_eq!(rpc("unblock", json!(["all"]))["lifted"], 2);
    assert_eq!(blocks(&kamailio).len(), 0);
    assert_eq!(passes(&Phone::new("127.8.200.9", kamailio.address())).1, "default 1/100 0");
    let stats = rpc("stats", json!([]));
    assert_eq!(stats["counters"]["flood_blocks_started"], stats["counters"]["flood_blocks_ended"]);
    assert_eq!(kamailio.log().matches("ends: an operator said so").count(), 49);
}

/// No block, one for the world, one for too long; the last one is over.
const BAD: &str = "127.6.0.1/32 nonsense
0.0.0.0/0 0 99999999 0 1 manual default
127.6.0.2/32 0 99999999999999 0 1 manual default
127.5.0.1/32 1 2 3 1 flood default
";

#[test]
fn blocks_survive_a_restart_with_the_time_that_is_left() {
    let folder = Folder::new();
    let (db, file) = (tenants(&folder), folder.join("blocks"));
    let persist = format!("modparam(\"sipwarden\", \"flood_persist\", \"{}\")\n", file.display());
    let start = || {
        config(&db)
            .settings(LONG_WINDOW)
            .settings("modparam(\"sipwarden\", \"flood_limit\", 3)\n")
            .settings(&persist)
            .start()
    };
    let mut kamailio = start();
    let phone = Phone::new("127.9.0.1", kamailio.address());
    (0..3).for_each(|_| drop(passes(&phone)));
    is_dropped(&kamailio, &phone);
    kamailio.rpc("sipwarden.block", json!(["127.8.0.0/16", 3600]));
    kamailio.rpc("sipwarden.block", json!(["127.7.0.1", 1]));
    let lines = || std::fs::read_to_string(&file).unwrap_or_default();
    wait_for("the file to hold both blocks", || {
        let text = lines();
        (text.contains("127.9.0.1/32 ") && text.contains("127.8.0.0/16 ")).then_some(())
    });
    wait_for("the short block to leave the file", || {
        (!lines().contains("127.7.0.1")).then_some(())
    });
    kamailio.stop(libc::SIGKILL);
    drop(kamailio);

    std::fs::write(&file, lines() + BAD).unwrap();
    let kamailio = start();
    let log = kamailio.log();
    assert!(log.contains("2 blocks and 0 bans loaded from"), "{log}");
    for bad in BAD.lines().take(3) {
        assert!(
            log.contains(&format!("\"{bad}\" is not a block or ban; left out")),
            "{bad} in {log}"
        );
    }
    assert_eq!(kamailio.counter("flood_blocks_started"), 2);
    let shown = kamailio.rpc("sipwarden.blocks", json!([]));
    let of = |source: &str| {
        let list = shown["blocks"].as_array().unwrap();
        list.iter().find(|b| b["source"] == source).unwrap_or_else(|| panic!("{shown}")).clone()
    };
    let (flood, range) = (of("127.9.0.1"), of("127.8.0.0/16"));
    assert_eq!((&flood["reason"], &flood["class"]), (&json!("flood"), &json!("default")));
    assert!((200..=300).contains(&flood["seconds_left"].as_u64().unwrap()), "{flood}");
    assert!((3400..=3600).contains(&range["seconds_left"].as_u64().unwrap()), "{range}");
    is_dropped(&kamailio, &Phone::new("127.9.0.1", kamailio.address()));
    is_dropped(&kamailio, &Phone::new("127.8.3.4", kamailio.address()));
    drop(kamailio);

    std::fs::write(&file, "something else\n").unwrap();
    let log = config(&db).settings(&persist).fail_to_start();
    assert!(log.contains("is not a file of blocks"), "{log}");
    let relative = persist.replace(&format!("\"{}\"", file.display()), "\"blocks\"");
    let log = config(&db).settings(&relative).fail_to_start();
    assert!(log.contains("flood_persist: \"blocks\" does not begin with /"), "{log}");
    let nowhere = persist.replace("/blocks\"", "/none/blocks\"");
    let kamailio = config(&db).settings(&nowhere).start();
    let said = "none/blocks.lock: No such file or directory";
    wait_for("a complaint", || kamailio.log().contains(said).then_some(()));
}

#[test]
fn hundreds_of_attackers_are_blocked_and_the_honest_beside_them_served() {
    const ATTACKERS: usize = 400;
    const EACH: usize = 150;
    const HONEST: usize = 60;
    let folder = Folder::new();
    let kamailio = config(&tenants(&folder)).settings(LONG_WINDOW).start();
    let sources = folder.join("attackers.csv");
    let lines: Vec<_> =
        (0..ATTACKERS).map(|n| format!("127.20.{}.{};", n / 200, n % 200 + 1)).collect();
    std::fs::write(&sources, format!("SEQUENTIAL\n{}\n", lines.join("\n"))).unwrap();
    let mut attack = Command::new("sipp")
        .arg(kamailio.address().to_string())
        .args(["-sf"])
        .arg(project().join("tests/sipp/flood.xml"))
        .args(["-t", "ui", "-ip_field", "0", "-inf"])
        .arg(&sources)
        .args(["-p", &free_port().to_string(), "-m", &(ATTACKERS * EACH).to_string()])
        .args(["-r", "10000", "-nostdin", "-timeout", "60", "-max_socket", "5000"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let honest: Vec<Phone> = (0..HONEST)
        .map(|n| Phone::new(&format!("127.30.0.{}", n + 1), kamailio.address()))
        .collect();
    let mut answers = 0;
    let mut rounds = 0;
    while attack.try_wait().unwrap().is_none() || rounds < 5 {
        // Fewer than the limit of 100.
        if rounds < 40 {
            for phone in &honest {
                assert_eq!(passes_in_the_crowd(phone).0.reason, "under_limit");
                answers += 1;
            }
            rounds += 1;
        }
    }
    assert!(answers >= 5 * HONEST);
    wait_for("all attackers to be blocked", || {
        (kamailio.rpc("sipwarden.stats", json!([]))["blocks"] == ATTACKERS).then_some(())
    });
    let mut blocked = HashSet::new();
    for page in 1..=ATTACKERS.div_ceil(20) {
        let shown = kamailio.rpc("sipwarden.blocks", json!([page]));
        for block in shown["blocks"].as_array().unwrap() {
            blocked.insert(block["source"].as_str().unwrap().to_owned());
        }
    }
    let attackers: HashSet<_> = lines.iter().map(|l| l.trim_end_matches(';').to_owned()).collect();
    assert_eq!(blocked, attackers);
    // Each attacker got its 100, and not one more, over all workers.
    let under = kamailio.counter("flood_under_limit") as usize;
    let of_honest = |n: usize| {
        let shown = kamailio.rpc("sipwarden.source", json!([format!("127.30.0.{}", n + 1)]));
        shown["requests"].as_u64().unwrap() as usize
    };
    assert_eq!(under, ATTACKERS * 100 + (0..HONEST).map(of_honest).sum::<usize>());
    assert_eq!(kamailio.counter("flood_started") as usize, ATTACKERS);
    // One line for each, none for what they sent afterwards.
    assert_eq!(kamailio.log().matches(" starts: more than").count(), ATTACKERS);
    for phone in &honest {
        assert_eq!(passes(phone).0.reason, "under_limit");
    }
}

#[test]
fn kemi_scripts_are_told_the_same() {
    let folder = Folder::new();
    let script = folder.join("script.lua");
    std::fs::write(
        &script,
        r#"
function ksr_request_route()
    if KSR.sipwarden.flood_blocked_addr("192.0.2.99") > 0 then return 1 end
    if KSR.sipwarden.flood_blocked() > 0 then
        KSR.sl.sl_send_reply(403, "Blocked")
        return 1
    end
    if KSR.sipwarden.flood_check() < 0 then return 1 end
    KSR.hdr.append_to_reply("X-Asked: " .. KSR.sipwarden.flood_check_flags("p") .. "\r\n")
    KSR.sl.sl_send_reply(200, "OK")
    return 1
end
"#,
    )
    .unwrap();
    let mut config = config(&tenants(&folder)).settings(LONG_WINDOW).routes("").settings(&format!(
        "modparam(\"app_lua\", \"load\", \"{}\")\ncfgengine \"lua\"\nmodparam(\"sipwarden\", \"flood_limit\", 4)\n",
        script.display()
    ));
    config.modules.push_str("loadmodule \"app_lua.so\"\n");
    let kamailio = config.start();
    let phone = Phone::new("127.9.0.1", kamailio.address());
    for _ in 0..4 {
        let reply = phone.request("OPTIONS", "x", "").unwrap();
        assert_eq!(reply.header("X-Asked"), Some("1"));
    }
    is_dropped(&kamailio, &phone);
    assert_eq!(phone.request("OPTIONS", "x", "").unwrap().status, 403);
}
