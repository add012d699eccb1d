//! `check_company_ip` on real SIP requests in a real Kamailio.

use std::collections::HashSet;

use crate::hosts::verdicts::tenants;
use crate::support::kamailio::Config;
use crate::support::sip::Phone;
use crate::support::{Folder, uninterrupted, wait_for};
use serde_json::json;

/// Since 6.0 threads may receive and processes of another rank run the script.
#[test]
fn workers_of_a_threaded_receiver_judge_in_kamailio_6() {
    let folder = Folder::new();
    let db = tenants(&folder);
    let kamailio = Config::new(&db.url())
        .settings(
            "async_workers_group=\"name=udp;workers=4;nonblock=0;usleep=0\"\nudp_receiver_mode=1\n",
        )
        .start();
    let phone = Phone::new("127.0.1.1", kamailio.address());
    let mut workers = HashSet::new();
    wait_for("two workers to answer", || {
        let told = phone.ask("office");
        assert_eq!(told.reason, "granted_range");
        workers.insert(told.worker);
        (workers.len() >= 2).then_some(())
    });
    kamailio.rpc("sipwarden.reload", json!([]));
    assert_eq!(phone.ask("office").reason, "granted_range");
}

#[test]
fn roadwarriors_are_judged_by_source_setting_and_method() {
    let folder = Folder::new();
    let db = tenants(&folder);
    db.run("INSERT INTO sipwarden_user VALUES ('zero@office', 'office', 0), ('two@office', 'office', 2),
        ('two@closed', 'closed', 2);");
    let routes = r#"
request_route {
    roadwarrior_acquire("$hdr(X-Aor)", "$rU");
    append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
    append_to_reply("X-Calls: $swd(user_calls)/$swd(user_limit)\r\n");
    sl_send_reply("486", "enough");
}
"#;
    let mut config = Config::new(&db.url()).routes(routes);
    config.modules.push_str("loadmodule \"dialog.so\"\n");
    let kamailio = config.start();
    let cases = [
        ("127.0.1.1", "INVITE", "zero@office", "office", 1),
        ("127.0.9.9", "INVITE", "anybody", "open", 2),
        ("127.0.9.9", "INVITE", "zero@office", "office", -4),
        ("127.0.9.9", "INVITE", "unlisted@office", "office", -4),
        // listed for another company
        ("127.0.9.9", "INVITE", "two@closed", "office", -4),
        ("127.0.9.9", "INVITE", "two@office", "office", 4),
        ("127.0.9.9", "REGISTER", "two@office", "office", 6),
        ("127.0.9.9", "REGISTER", "zero@office", "office", -4),
        ("127.0.9.9", "INVITE", "two@closed", "closed", 4),
        ("127.0.9.9", "INVITE", "two@office", "nobody", -3),
        // no AoR: an unset variable, and an empty one
        ("127.0.9.9", "INVITE", "<null>", "office", -4),
        ("127.0.9.9", "INVITE", "", "office", -4),
        ("127.0.1.1", "INVITE", "", "office", 1),
    ];
    for (source, method, aor, company, code) in cases {
        let phone = Phone::new(source, kamailio.address());
        let reply = phone.request(method, company, &format!("X-Aor: {aor}\r\n")).unwrap();
        let told = reply.told().unwrap();
        assert_eq!(told.code, code, "{source} {method} {aor} {company}: {}", told.reason);
        let numbers = if code == 4 { "1/2" } else { "<null>/<null>" };
        assert_eq!(reply.header("X-Calls"), Some(numbers), "{aor}");
    }
}

#[test]
fn the_rpc_explains_without_side_effects() {
    let folder = Folder::new();
    let db = tenants(&folder);
    db.run("INSERT INTO sipwarden_trusted VALUES ('127.0.8.0', 24, 'carrier');");
    let kamailio = Config::new(&db.url())
        .settings("modparam(\"sipwarden\", \"flood_class\", \"carrier=limit:9\")\n")
        .start();
    let check = |company: &str, ip: &str| kamailio.rpc("sipwarden.check", json!([company, ip]));
    assert_eq!(check("office", "127.0.1.77")["range"], "127.0.1.0/24");
    assert_eq!(check("office", "::ffff:127.0.2.7")["range"], "127.0.2.7/32");
    assert_eq!(check("office", "127.0.9.9")["range"], "none");
    assert_eq!(check("six", "2001:db8:ffff::1")["range"], "2001:db8::/32");
    assert_eq!(check("six", "2001:db9::1")["reason"], "denied_source");
    let far = check("office", "127.0.9.9");
    assert_eq!(far["nearest_range"], "127.0.2.7/32");
    assert_eq!(check("office", "127.0.0.9")["nearest_range"], "127.0.1.0/24");
    let steps: Vec<&str> =
        far["steps"].as_array().unwrap().iter().map(|s| s.as_str().unwrap()).collect();
    assert_eq!(far["verdict"], "refused by check_company_ip: denied_source (-1)");
    assert_eq!(
        steps[..3],
        [
            "flood_check: under_limit (1), class default (neither trusted nor in a range of a \
             company), 0 of 100 requests in 2000 ms",
            "check_company_ip: denied_source (-1), filter on, 127.0.9.9 is in none of 2 ranges, the \
             nearest is 127.0.2.7/32",
            "cc_limit: not asked, the company has 0 calls, without a limit, brand \"b\" has 0 \
             calls, without a limit",
        ]
    );
    assert_eq!(steps[3], "proof: 127.0.9.9 has not proven that it receives what is sent to it");
    assert!(steps[4].starts_with("spraying from 127.0.9.9: 0 of 30 different users"), "{steps:?}");
    assert!(steps[5].starts_with("tables: generation 1, loaded 20"), "{steps:?}");
    assert_eq!(far["cc_limit"]["asked"], 0);
    let allowed = check("office", "127.0.1.77");
    assert_eq!(
        (&allowed["verdict"], &allowed["cc_limit"]["asked"]),
        (&json!("allowed"), &json!(1))
    );
    let counted = "cc_limit: call_counted (1), a new call would be counted: the company has 0";
    assert!(allowed["steps"][2].as_str().unwrap().starts_with(counted), "{allowed}");
    let carrier = check("office", "127.0.8.1");
    assert_eq!(
        carrier["steps"][5],
        "trusted: 127.0.8.1 is in 127.0.8.0/24 of sipwarden_trusted, class carrier: for flood \
         control and brute force protection; the companies' ranges are asked all the same"
    );
    let other_case = check("Office ", "127.0.1.77");
    assert_eq!(other_case["verdict"], "refused by check_company_ip: unknown_company (-3)");
    let why = "there is no company \"Office \"; \"office\" differs in case or blanks only";
    assert!(other_case["steps"][1].as_str().unwrap().ends_with(why), "{other_case}");
    kamailio.rpc("sipwarden.block", json!(["127.0.1.77"]));
    let blocked = check("office", "127.0.1.77");
    assert_eq!(blocked["verdict"], "refused by flood_check: flood_blocked (-2)");
    assert_eq!(
        blocked["steps"][1],
        "check_company_ip: not asked, filter on, 127.0.1.77 is in 127.0.1.0/24"
    );
    kamailio.rpc("sipwarden.block", json!(["127.0.9.9"]));
    let begin = "check_company_ip: not asked; it would refuse too: denied_source (-1), filter on";
    let blocked = check("office", "127.0.9.9");
    assert!(blocked["steps"][1].as_str().unwrap().starts_with(begin), "{blocked}");
    kamailio.rpc("sipwarden.unblock", json!(["127.0.9.9"]));
    kamailio.rpc("sipwarden.set", json!(["monitor", 1]));
    let watched = check("office", "127.0.9.9")["verdict"].clone();
    let expected =
        "allowed by monitor mode only; without it refused by check_company_ip: denied_source (-1)";
    assert_eq!(watched, expected);
    kamailio.rpc("sipwarden.set", json!(["monitor", 0]));
    assert_eq!(kamailio.counter("check_granted_range"), 0);
    let wrong = kamailio.try_rpc("sipwarden.check", json!(["office", "127.0.0"])).unwrap_err();
    assert!(wrong.contains("127.0.0") && wrong.contains("400"), "{wrong}");
    assert!(kamailio.try_rpc("sipwarden.check", json!(["office"])).unwrap_err().contains("ip"));

    let typed = kamailio.kamcmd(&["sipwarden.check", "office", "127.0.2.7"]);
    assert!(typed.contains("reason: granted_range"), "{typed}");
    // What is asked for comes first.
    assert_eq!(typed.lines().nth(1).map(str::trim), Some("verdict: allowed"), "{typed}");
}

#[test]
fn an_address_may_be_given_and_arguments_hold_variables() {
    let folder = Folder::new();
    let kamailio = Config::new(&tenants(&folder).url())
        .routes(
            r#"
request_route {
    $var(ip) = $hdr(X-Ip);
    check_company_ip("$rU", "$var(ip)");
    append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
    sl_send_reply("200", "OK");
}
"#,
        )
        .start();
    let phone = Phone::new("127.0.0.1", kamailio.address());
    for (company, ip, code) in [
        ("office", "127.0.1.9", 1),
        ("office", "10.0.0.1", -1),
        ("six", "2001:db8::7", 1),
        ("six", "[2001:db8::7]", 1),
        ("six", "::ffff:127.0.3.4", 1),
        ("office", "::ffff:127.0.3.4", -1),
        ("office", "not-an-ip", -12),
        ("office", "127.0.1.9/32", -12),
    ] {
        let header = format!("X-Ip: {ip}\r\n");
        let told = phone.request("OPTIONS", company, &header).unwrap().told().unwrap();
        assert_eq!(told.code, code, "{company} {ip}");
    }
    // An unset variable prints as <null>.
    let told = phone.request("OPTIONS", "office", "").unwrap().told().unwrap();
    assert_eq!(told.reason, "bad_address");
}

#[test]
fn an_unset_company_fails_closed() {
    let folder = Folder::new();
    let routes = r#"
request_route {
    if (check_company_ip("$var(unset)$avp(unset)")) { sl_send_reply("200", "granted"); exit; }
    append_to_reply("X-First: $swd(reason)\r\n");
    if (check_company_ip("$avp(unset)")) { sl_send_reply("200", "granted"); exit; }
    append_to_reply("X-Second: $swd(reason)\r\n");
    sl_send_reply("403", "refused");
}
"#;
    let kamailio = Config::new(&tenants(&folder).url()).routes(routes).start();
    let reply = Phone::new("127.0.0.1", kamailio.address()).request("OPTIONS", "x", "").unwrap();
    assert_eq!(reply.status, 403);
    assert_eq!(reply.header("X-Second"), Some("internal_error"));
    assert!(kamailio.counter("check_internal_error") >= 1);
    let log = kamailio.log();
    assert!(log.contains("the company is \"<null>\"; is a variable of the script unset?"), "{log}");
}

#[test]
fn the_variables_tell_of_this_message_only() {
    let folder = Folder::new();
    let routes = r#"
request_route {
    if ($hdr(X-Check) == "yes") { check_company_ip("$rU"); }
    append_to_reply("X-Verdict: [$swd(code)] [$swd(reason)]\r\n");
    sl_send_reply("200", "OK");
}
"#;
    let mut config = Config::new(&tenants(&folder).url()).routes(routes);
    config.workers = 1;
    let kamailio = config.start();
    let phone = Phone::new("127.0.1.1", kamailio.address());
    let told = |headers: &str| {
        let reply = phone.request("OPTIONS", "office", headers).unwrap();
        reply.header("X-Verdict").unwrap().to_owned()
    };
    assert_eq!(told(""), "[<null>] [<null>]");
    assert_eq!(told("X-Check: yes\r\n"), "[1] [granted_range]");
    assert_eq!(told(""), "[<null>] [<null>]");
}

#[test]
fn it_can_be_called_from_every_route_with_a_message() {
    let folder = Folder::new();
    let routes = r#"
request_route {
    if (is_method("OPTIONS")) {
        check_company_ip("office");
        xlog("L_NOTICE", "in onsend-target: $swd(reason)\n");
        sl_send_reply("200", "OK");
        exit;
    }
    t_on_branch("b"); t_on_failure("f"); t_on_reply("r");
    $du = "sip:127.0.0.1:PORT";
    t_relay();
}
branch_route[b] { check_company_ip("office"); xlog("L_NOTICE", "in branch: $swd(reason)\n"); }
failure_route[f] {
    xlog("L_NOTICE", "before failure: $swd(reason)\n");
    check_company_ip("office"); xlog("L_NOTICE", "in failure: $swd(reason)\n");
    t_reply("480", "failure route ran");
}
onreply_route[r] { check_company_ip("office"); xlog("L_NOTICE", "in onreply: $swd(reason)\n"); }
reply_route { check_company_ip("office"); xlog("L_NOTICE", "in reply: $swd(reason)\n"); }
onsend_route { check_company_ip("office"); xlog("L_NOTICE", "in onsend: $swd(reason)\n"); }
"#;
    // The callee is a socket of this test that answers 486.
    let callee = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = callee.local_addr().unwrap().port().to_string();
    let kamailio =
        Config::new(&tenants(&folder).url()).routes(&routes.replace("PORT", &port)).start();
    let busy = std::thread::spawn(move || {
        let mut buffer = [0u8; 65536];
        let (len, from) = uninterrupted(|| callee.recv_from(&mut buffer)).unwrap();
        let request = String::from_utf8_lossy(&buffer[..len]).into_owned();
        let mut reply = "SIP/2.0 486 Busy\r\n".to_owned();
        let copied = ["Via:", "From:", "To:", "Call-ID:", "CSeq:"];
        for line in request.lines().filter(|l| copied.iter().any(|c| l.starts_with(c))) {
            reply.push_str(line);
            reply.push_str(if line.starts_with("To:") { ";tag=x\r\n" } else { "\r\n" });
        }
        reply.push_str("Content-Length: 0\r\n\r\n");
        callee.send_to(reply.as_bytes(), from).unwrap();
    });
    let phone = Phone::new("127.0.1.1", kamailio.address());
    assert_eq!(phone.request("INVITE", "callee", "").unwrap().status, 480);
    busy.join().unwrap();
    for route in ["branch", "failure", "onreply", "reply", "onsend"] {
        wait_for(route, || kamailio.log().contains(&format!("in {route}: ")).then_some(()));
    }
    let log = kamailio.log();
    // Requests come from 127.0.1.1, which is granted; the reply from 127.0.0.1.
    for line in [
        "in branch: granted_range",
        "in failure: granted_range",
        "in onreply: denied_source",
        "before failure: <null>",
    ] {
        assert!(log.contains(line), "{line} not in {log}");
    }
}

#[test]
fn kemi_gives_the_same_verdicts() {
    let folder = Folder::new();
    let script = folder.join("routes.lua");
    std::fs::write(
        &script,
        r#"
function ksr_request_route()
    local ip = KSR.pv.get("$hdr(X-Ip)")
    local code
    if KSR.pv.get("$rm") == "INVITE" then
        code = KSR.sipwarden.roadwarrior_acquire("two@office", KSR.pv.get("$rU"))
        if code > 0 then
            code = KSR.sipwarden.cc_limit_flags(KSR.pv.get("$rU"), "o")
        end
    elseif ip then
        code = KSR.sipwarden.check_company_ip_addr(KSR.pv.get("$rU"), ip)
    else
        code = KSR.sipwarden.check_company_ip(KSR.pv.get("$rU"))
    end
    KSR.hdr.append_to_reply("X-Verdict: " .. code .. " " .. KSR.pv.get("$swd(reason)")
        .. " " .. KSR.pv.get("$pp") .. "\r\n")
    KSR.sl.sl_send_reply(200, "OK")
end
"#,
    )
    .unwrap();
    let db = tenants(&folder);
    let mut config = Config::new(&db.url())
        .settings(&format!(
            "loadmodule \"app_lua.so\"\nmodparam(\"app_lua\", \"load\", \"{}\")\ncfgengine \"lua\"\n",
            script.display()
        ))
        .routes("");
    config.workers = 2;
    config.modules.push_str("loadmodule \"dialog.so\"\n");
    let kamailio = config.start();
    for (source, company, code) in [("127.0.1.3", "office", 1), ("127.0.9.3", "office", -1)] {
        assert_eq!(Phone::new(source, kamailio.address()).ask(company).code, code);
    }
    db.run("UPDATE sipwarden_company SET max_calls = 1; INSERT INTO sipwarden_user VALUES ('two@office', 'office', 2);");
    kamailio.rpc("sipwarden.reload", json!([]));
    let invited = Phone::new("127.0.9.3", kamailio.address()).request("INVITE", "office", "");
    let told = invited.unwrap().told().unwrap();
    assert_eq!((told.code, told.reason.as_str()), (1, "call_counted"));
    let phone = Phone::new("127.0.9.3", kamailio.address());
    let told = phone.request("OPTIONS", "office", "X-Ip: 127.0.2.7\r\n").unwrap().told().unwrap();
    assert_eq!((told.code, told.reason.as_str()), (1, "granted_range"));
}

#[test]
fn sources_are_matched_over_ipv6() {
    let folder = Folder::new();
    let db = tenants(&folder);
    db.run("INSERT INTO sipwarden_company_address VALUES ('six', '::1', NULL);");
    let port = crate::support::kamailio::free_port();
    let kamailio = Config::new(&db.url()).settings(&format!("listen=udp:[::1]:{port}\n")).start();
    let phone = Phone::new("::1", format!("[::1]:{port}").parse().unwrap());
    assert_eq!(phone.ask("six").reason, "granted_range");
    assert_eq!(phone.ask("office").reason, "denied_source");
    drop(kamailio);
}
