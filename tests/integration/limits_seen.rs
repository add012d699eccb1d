//! What operators see of limits of their own: events, audit, listings, KEMI.

use crate::support::Folder;
use crate::support::call::{Caller, Endpoint};
use crate::support::callee::AutoCallee;
use crate::support::kamailio::{Config, Kamailio};
use crate::support::proxy::{assert_nothing_left, config, wait_for_calls};
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::wait_for;
use serde_json::{Value, json};

const TABLES: &str = "
INSERT INTO sipwarden_brand VALUES ('x', 0);
INSERT INTO sipwarden_company VALUES ('a', 'x', 0, 100);
INSERT INTO sipwarden_limit (kind, id, direction, max_calls, near_percent, longest) VALUES
    ('carrier', 'north', 'any', 2, 50, 3600), ('did', '*', 'in', 1, 0, NULL),
    ('company', '*', 'in', 40, NULL, NULL), ('brand', 'x', 'any', 4, NULL, NULL);
INSERT INTO sipwarden_limit (kind, id, max_new, window_seconds) VALUES ('user', '*', 1, 3600);
";

const ROUTES: &str = r#"
request_route {
    if (has_totag()) {
        if (loose_route()) { t_relay(); }
        exit;
    }
    if (t_precheck_trans()) { t_check_trans(); exit; }
    t_check_trans();
    if (!cc_limit("a", "i", "carrier=$hdr(X-Carrier);did=$hdr(X-Did);user=$hdr(X-User)")) {
        sl_send_reply("403", "No: $swd(reason)");
        exit;
    }
    record_route();
    $ru = "sip:bob@CALLEE";
    t_relay();
}
event_route[sipwarden:limit] {
    xlog("L_NOTICE", "event $swd(event) $swd(limit_kind)=$swd(limit_id) $swd(calls)/$swd(limit) of $swd(company) text $swd(text) aor $swd(aor)\n");
}
"#;

fn call<'a>(endpoint: &'a Endpoint, kamailio: &Kamailio, headers: &str) -> Option<Caller<'a>> {
    let mut call = Caller::new(endpoint, kamailio.address(), "a", headers);
    call.invite();
    let reply = call.final_reply();
    if reply.status() != Some(200) {
        call.refused(&reply);
        return None;
    }
    call.ack();
    Some(call)
}

fn row(of: &Value, list: &str, key: &str, value: &str) -> Value {
    let all = of[list].as_array().unwrap();
    all.iter().find(|row| row[key] == value).unwrap_or_else(|| panic!("{of}")).clone()
}

#[test]
fn kinds_and_ids_are_told_wherever_limits_are() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(TABLES);
    let callee = AutoCallee::start("127.0.0.1");
    let endpoint = Endpoint::new("127.0.0.1");
    let settings = format!(
        "modparam(\"sipwarden\", \"limit_table\", \"sipwarden_limit\")\n\
         modparam(\"sipwarden\", \"audit_url\", \"{}\")\n",
        db.url()
    );
    let routes = ROUTES.replace("CALLEE", &callee.address.to_string());
    let kamailio = config(&db.url(), callee.address).settings(&settings).routes(&routes).start();
    let try_call = |headers: &str| call(&endpoint, &kamailio, headers);
    let first = try_call("X-Carrier: north\r\nX-Did: 7\r\n").unwrap();
    assert!(try_call("X-Carrier: south\r\nX-Did: 7\r\n").is_none());
    let second = try_call("X-User: alice@a\r\n").unwrap();
    assert!(try_call("X-User: alice@a\r\n").is_none());

    let logged = |line: &str| {
        wait_for(line, || kamailio.log().contains(line).then_some(()));
    };
    logged("event near_limit carrier=north 1/2 of a text carrier=north aor <null>");
    logged("event limit did=7 1/1 of a text did=7 aor <null>");
    logged("event limit user=alice@a 1/1 of a");
    assert!(!kamailio.log().contains("near_limit did"), "{}", kamailio.log());

    let denied = kamailio.rpc("sipwarden.denied", json!(["a"]));
    let limited = row(&denied, "denied", "reason", "limit");
    assert_eq!((&limited["limit_kind"], &limited["limit_id"]), (&json!("did"), &json!("7")));
    assert_eq!((&limited["calls"], &limited["limit"]), (&json!(1), &json!(1)));
    let rate = row(&denied, "denied", "reason", "rate");
    assert_eq!((&rate["limit_kind"], &rate["limit_id"]), (&json!("user"), &json!("alice@a")));
    let audited = "SELECT aor FROM sipwarden_audit WHERE reason IN ('limit', 'rate') ORDER BY aor;";
    wait_for("the audit", || (db.query(audited) == "did=7\nuser=alice@a\n").then_some(()));

    let calls = kamailio.rpc("sipwarden.calls", json!(["carrier=north"]));
    assert_eq!(calls["total"], 1, "{calls}");
    let of = &calls["calls"][0];
    assert_eq!(of["call_id"], json!(first.call_id));
    assert_eq!(
        of["scopes"],
        json!(["brand=x (in)", "company=a (in)", "carrier=north (in)", "did=7 (in)"])
    );
    assert!(of["seconds_left"].as_u64().unwrap() > 3500, "{of}");
    assert_eq!(kamailio.rpc("sipwarden.calls", json!(["a"]))["total"], 2);
    assert_eq!(kamailio.rpc("sipwarden.calls", json!(["carrier=south"]))["total"], 0);

    let top = kamailio.rpc("sipwarden.top", json!([]));
    let did =
        top["scopes"].as_array().unwrap().iter().find(|row| row["direction"] == "in").unwrap();
    assert_eq!(
        (&did["kind"], &did["id"], &did["percent"]),
        (&json!("did"), &json!("7"), &json!(100))
    );
    let carrier = row(&top, "scopes", "kind", "carrier");
    assert_eq!((&carrier["id"], &carrier["percent"]), (&json!("north"), &json!(50)));

    let brand = row(&top, "brands", "brand", "x");
    assert_eq!((&brand["max_calls"], &brand["percent"]), (&json!(4), &json!(50)), "{brand}");

    let company = kamailio.rpc("sipwarden.company", json!(["a"]));
    let limit = row(&company, "limits", "kind", "company");
    assert_eq!((&limit["kind"], &limit["direction"]), (&json!("company"), &json!("in")));
    assert_eq!((&limit["calls"], &limit["max_calls"]), (&json!(2), &json!(40)));

    let check =
        |scopes: &str| kamailio.rpc("sipwarden.check", json!(["a", "127.0.0.1", "", scopes]));
    let told = check("user=alice@a");
    assert_eq!(told["verdict"], "refused by cc_limit: rate (-14)");
    assert_eq!(
        (&told["cc_limit"]["limit_id"], &told["cc_limit"]["limit"]),
        (&json!("alice@a"), &json!(1))
    );
    assert_eq!(check("carrier=north;user=bob@a")["verdict"], "allowed");
    // The limit of the number is for calls to it.
    let directed = |flags: &str| {
        kamailio.rpc("sipwarden.check", json!(["a", "127.0.0.1", "", "did=7", flags]))
    };
    assert_eq!(directed("o")["verdict"], "allowed");
    let inbound = directed("i");
    assert_eq!(inbound["verdict"], "refused by cc_limit: limit (-13)");
    let of = &inbound["cc_limit"]["scopes"][0];
    assert_eq!((&of["id"], &of["calls"], &of["max_calls"]), (&json!("7"), &json!(1), &json!(1)));
    let wrong = kamailio.try_rpc("sipwarden.check", json!(["a", "127.0.0.1", "", "carrier"]));
    assert!(wrong.unwrap_err().contains("is not kind=id"));
    for mut call in [first, second] {
        call.within("BYE");
    }
    wait_for_calls(&kamailio, "a", 0);
    assert_nothing_left(&kamailio);
}

#[test]
fn kemi_names_scopes() {
    let folder = Folder::new();
    let script = folder.join("routes.lua");
    let lua = r#"
function ksr_request_route()
    local scopes = "did=" .. KSR.pv.get("$ci") .. ";user=" .. KSR.pv.get("$fU")
    local code = KSR.sipwarden.cc_limit_scopes("a", "i", scopes)
    KSR.hdr.append_to_reply("X-Verdict: " .. code .. " " .. KSR.pv.get("$swd(reason)")
        .. " " .. KSR.pv.get("$pp") .. "\r\n")
    KSR.sl.sl_send_reply(200, "OK")
end
"#;
    std::fs::write(&script, lua).unwrap();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(TABLES);
    let mut config = Config::new(&db.url())
        .settings(&format!(
            "modparam(\"sipwarden\", \"limit_table\", \"sipwarden_limit\")\n\
             loadmodule \"app_lua.so\"\nmodparam(\"app_lua\", \"load\", \"{}\")\ncfgengine \"lua\"\n",
            script.display()
        ))
        .routes("");
    config.modules.push_str("loadmodule \"dialog.so\"\n");
    let kamailio = config.start();
    let phone = Phone::new("127.0.1.1", kamailio.address());
    let told = |to| phone.request("INVITE", to, "").unwrap().told().unwrap();
    let first = told("one");
    assert_eq!((first.code, first.reason.as_str()), (1, "call_counted"));
    let second = told("two");
    // No limit of calls is reached; the user's rate remembers the first one.
    assert_eq!((second.code, second.reason.as_str()), (-14, "rate"));
}
