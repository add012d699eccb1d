//! Flood control by KEMI and by Kamailio's own framework of settings. What is of each host is in
//! tests/hosts.

use crate::hosts::floods::{self, LONG_WINDOW, is_dropped, passes, tenants};
use crate::support::kamailio::Config;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for};
use serde_json::json;

fn config(db: &Sqlite) -> Config {
    let mut config = floods::config(db);
    config.modules.push_str("loadmodule \"cfg_rpc.so\"\n");
    config
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
