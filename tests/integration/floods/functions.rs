//! The functions of the script.

use super::*;

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
