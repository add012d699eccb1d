//! `sipwarden.denied`, the first question: every refusal with its Call-ID, blocks and bans.

use super::{Config, Server};
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for};
use serde_json::{Value, json};

const SCRIPT: &str = r#"
request_route {
    if (!flood_check()) { exit; }
    if (is_present_hf("X-Wrong")) {
        auth_failed("$hdr(X-Wrong)", "$ci");
        exit;
    }
    if (is_present_hf("X-User")) {
        roadwarrior_acquire("$hdr(X-User)", "$hdr(X-Company)");
    } else if (is_method("INVITE") || is_present_hf("X-Call")) {
        cc_limit("$hdr(X-Company)");
    } else {
        check_company_ip("$hdr(X-Company)");
    }
    sl_send_reply(403, "$swd(reason)");
}
event_route[sipwarden:denied] {
    xlog("L_NOTICE", "told: $swd(reason) $swd(call_id) $swd(from) end\n");
}
event_route[sipwarden:block] {
    xlog("L_NOTICE", "told: $swd(reason) by $swd(function) end\n");
}
"#;

fn start() -> (Server, Folder) {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('office', 'b', 1, 0), ('other', 'b', 1, 0);
        INSERT INTO sipwarden_company_address VALUES ('office', '127.9.0.0', 24),
            ('other', '127.8.0.0', 24);
        INSERT INTO sipwarden_user VALUES ('eve@office', 'office', 1);
        INSERT INTO sipwarden_trusted VALUES ('127.9.0.77', NULL, 'carrier');",
    );
    let mut config = Config::new(&db.url()).routes(SCRIPT).settings(
        "modparam(\"sipwarden\", \"flood_limit\", 50)\n\
         modparam(\"sipwarden\", \"flood_window\", \"600s\")\n\
         modparam(\"sipwarden\", \"flood_company_sources\", \"default\")\n\
         modparam(\"sipwarden\", \"flood_class\", \"carrier=limit:3;block:0\")\n\
         modparam(\"sipwarden\", \"auth_limit\", 2)\n",
    );
    config.modules.push_str("loadmodule \"dialog.so\"\n");
    (config.start(), folder)
}

fn denied(server: &Server, params: Value) -> Vec<Value> {
    server.ask("denied", params)["denied"].as_array().unwrap().clone()
}

#[test]
fn each_refusal_can_be_found_by_its_call() {
    let (server, _folder) = start();
    // All come from one address, as behind a proxy of the platform's own.
    let proxy = Phone::new("127.7.0.1", server.address());
    let options = proxy.send("OPTIONS", "x", "X-Company: office\r\n");
    let invite = proxy.send("INVITE", "x", "X-Company: nobody\r\n");
    let user = proxy.send("INVITE", "x", "X-Company: office\r\nX-User: bob@office\r\n");
    let found = wait_for("the refusals", || {
        Some(denied(&server, json!([]))).filter(|found| found.len() == 3)
    });
    let of = |call_id: &str| found.iter().find(|d| d["call_id"] == call_id).unwrap();
    for (call_id, function, reason) in [
        (&options, "check_company_ip", "denied_source"),
        (&invite, "cc_limit", "unknown_company"),
        (&user, "roadwarrior_acquire", "roadwarrior_none"),
    ] {
        let denied = of(call_id);
        assert_eq!(
            (&denied["function"], &denied["reason"], &denied["source"]),
            (&json!(function), &json!(reason), &json!("127.7.0.1"))
        );
        assert!(denied["from"].as_str().unwrap().starts_with("sip:"), "{denied}");
        let told = format!("told: {reason} {call_id} {} end", denied["from"].as_str().unwrap());
        assert!(server.log().contains(&told), "{told}");
    }
    assert_eq!(of(&user)["aor"], "bob@office");
}

/// A refusal for another reason says nothing of the source, which may lie in a range.
#[test]
fn only_a_source_without_a_range_is_suggested() {
    let (server, _folder) = start();
    let within = Phone::new("127.9.0.5", server.address());
    within.send("OPTIONS", "x", "X-Company: office\r\nX-Call: none\r\n");
    for (source, headers) in [
        ("127.7.0.9", "X-Company: office\r\n"),
        ("127.6.0.9", "X-Company: office\r\nX-User: bob@office\r\n"),
    ] {
        Phone::new(source, server.address()).send("OPTIONS", "x", headers);
    }
    let found = wait_for("the refusals", || {
        Some(denied(&server, json!(["office"]))).filter(|found| found.len() == 3)
    });
    let reason =
        |source: &str| found.iter().find(|d| d["source"] == source).unwrap()["reason"].clone();
    assert_eq!(reason("127.9.0.5"), "internal_error");
    assert_eq!(reason("127.7.0.9"), "denied_source");
    assert_eq!(reason("127.6.0.9"), "roadwarrior_none");
    let suggested = server.ask("suggest", json!(["office"]));
    let ranges: Vec<_> =
        suggested["ranges"].as_array().unwrap().iter().map(|r| r["range"].clone()).collect();
    assert_eq!(ranges, ["127.6.0.9/32", "127.7.0.9/32"], "{suggested}");
}

#[test]
fn blocks_and_bans_are_among_the_refusals() {
    let (server, _folder) = start();
    let office = Phone::new("127.9.0.1", server.address());
    (0..60).for_each(|_| drop(office.send("OPTIONS", "x", "X-Company: office\r\n")));
    // A ban of a user of the office, one of nobody, and a block by hand.
    for (source, aor) in [("127.7.0.1", "eve@office"), ("127.7.0.2", "mallory@x")] {
        let phone = Phone::new(source, server.address());
        (0..2).for_each(|_| drop(phone.send("REGISTER", "x", &format!("X-Wrong: {aor}\r\n"))));
    }
    server.ask("block", json!(["127.6.0.0/24", "600"]));
    // A carrier in the office's range is only throttled.
    let carrier = Phone::new("127.9.0.77", server.address());
    (0..6).for_each(|_| drop(carrier.send("REGISTER", "x", "X-Company: other\r\n")));
    // Its first requests are refused for their company.
    let refused = |d: &Value| d["function"] == "check_company_ip";
    let found = wait_for("five", || {
        let mut found = denied(&server, json!([]));
        found.retain(|d| !refused(d));
        Some(found).filter(|found| found.len() == 5)
    });
    let of = |source: &str| found.iter().find(|d| d["source"] == source).unwrap();
    let is = |source: &str, function: &str, reason: &str, aor: &str, class: &str| {
        let denied = of(source);
        let expected = [function, reason, aor, class].map(|text| json!(text));
        assert_eq!(["function", "reason", "aor", "class"].map(|f| denied[f].clone()), expected);
        assert_eq!((&denied["calls"], &denied["limit"]), (&json!(0), &json!(0)));
        assert!(denied["until"].as_u64() > denied["time"].as_u64(), "{denied}");
    };
    is("127.9.0.1", "flood_check", "block_started", "", "default");
    is("127.7.0.1", "auth_failed", "auth_ban_started", "eve@office", "");
    is("127.7.0.2", "auth_failed", "auth_ban_started", "mallory@x", "");
    is("127.6.0.0/24", "", "block_started", "", "default");
    let sources = |company: &str| {
        let mut all: Vec<_> = denied(&server, json!([company]))
            .iter()
            .filter(|d| !refused(d))
            .map(|d| d["source"].as_str().unwrap().to_owned())
            .collect();
        all.sort();
        all
    };
    assert_eq!(sources("office"), ["127.7.0.1", "127.9.0.1", "127.9.0.77"]);
    assert_eq!(sources("other"), Vec::<String>::new());
    let throttled = of("127.9.0.77");
    assert_eq!(
        ["reason", "aor", "class"].map(|field| throttled[field].clone()),
        ["flood_throttled", "", "carrier"].map(|text| json!(text))
    );
    wait_for("the event", || {
        let log = server.log();
        (log.contains("told: block_started by flood_check end")
            && log.contains("told: block_started by  end"))
        .then_some(())
    });

    // The address of a banned user says so.
    let asked = server.ask("source", json!(["127.7.0.1"]));
    assert_eq!((&asked["reason"], &asked["bans"]), (&json!("under_limit"), &json!(1)));
    assert_eq!(asked["banned_aors"], json!(["eve@office"]));
    for n in 0..9 {
        server.ask("ban", json!([format!("u{n}@x"), "127.7.0.3"]));
    }
    let asked = server.ask("source", json!(["127.7.0.3"]));
    assert_eq!(asked["bans"], 9);
    assert_eq!(asked["banned_aors"].as_array().unwrap().len(), 5);
    let asked = server.ask("source", json!(["127.7.0.4"]));
    assert_eq!((&asked["bans"], &asked["banned_aors"]), (&json!(0), &json!([])));
}

/// A server that has refused as much as there is room for in two pages.
pub fn longest_refusals() -> (Server, Folder) {
    let (server, folder) = start();
    let phone = Phone::new("127.7.0.1", server.address());
    // Control characters take six times their room in an answer.
    let hostile = "\x01".repeat(320);
    for n in 0..25 {
        let headers = format!("X-Company: {n}{}\r\nX-User: {n}{hostile}\r\n", &hostile[..120]);
        phone.send("INVITE", "x", &headers);
    }
    wait_for("the refusals", || {
        let answer = server.ask("denied", json!([]));
        (answer["total"] == 25 && answer["pages"] == 2).then_some(())
    });
    (server, folder)
}

#[test]
fn a_page_of_the_longest_refusals_fits() {
    let (server, _folder) = longest_refusals();
    for (page, count) in [("1", 20), ("2", 5)] {
        let answer = denied(&server, json!(["", page]));
        assert_eq!(answer.len(), count);
    }
    assert!(!server.log().contains("ERROR"), "{}", server.log());
}
