//! Classes and settings, at the start and at run time.

use super::*;

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
