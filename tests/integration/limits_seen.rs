//! What operators see of limits of their own: events, audit, listings, KEMI.

use crate::hosts::new_requests;
use crate::support::call::{Caller, Endpoint};
use crate::support::callee::AutoCallee;
use crate::support::kamailio::{Config, Kamailio};
use crate::support::proxy::{assert_nothing_left, config, wait_for_calls};
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, project, wait_for};
use serde_json::{Value, json};

const TABLES: &str = "
INSERT INTO sipwarden_brand VALUES ('x', 0);
INSERT INTO sipwarden_company VALUES ('a', 'x', 0, 100);
INSERT INTO sipwarden_limit (kind, id, direction, max_calls, near_percent, longest) VALUES
    ('carrier', 'north', 'any', 2, 50, 3600), ('did', '*', 'in', 1, 0, NULL),
    ('company', '*', 'in', 40, NULL, NULL), ('brand', 'x', 'any', 4, NULL, NULL);
INSERT INTO sipwarden_limit (kind, id, max_new, window_seconds) VALUES ('user', '*', 1, 3600);
";

const ROUTES: &str = concat!(
    new_requests!(),
    r#"    if (!cc_limit("a", "i", "carrier=$hdr(X-Carrier);did=$hdr(X-Did);user=$hdr(X-User)")) {
        sl_send_reply("403", "No: $swd(reason)");
        exit;
    }
    record_route();
    $ru = "sip:bob@CALLEE";
    t_relay();
}
event_route[sipwarden:limit] {
    xlog("L_NOTICE", "event $swd(event) $swd(limit_kind)=$swd(limit_id) $swd(limit_direction) $swd(calls)/$swd(limit) of $swd(company) text $swd(text) aor $swd(aor)\n");
}
"#
);

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
    logged("event near_limit carrier=north any 1/2 of a text carrier=north aor <null>");
    logged("event limit did=7 in 1/1 of a text did=7 aor <null>");
    logged("event limit user=alice@a any 1/1 of a");
    assert!(!kamailio.log().contains("near_limit did"), "{}", kamailio.log());

    let denied = kamailio.rpc("sipwarden.denied", json!(["a"]));
    let limited = row(&denied, "denied", "reason", "limit");
    assert_eq!((&limited["limit_kind"], &limited["limit_id"]), (&json!("did"), &json!("7")));
    assert_eq!((&limited["calls"], &limited["limit"]), (&json!(1), &json!(1)));
    assert_eq!(limited["limit_direction"], "in");
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
    // A call keeps the time that it began with.
    db.run("UPDATE sipwarden_limit SET longest = 60 WHERE id = 'north';");
    kamailio.rpc("sipwarden.reload", json!([]));
    let calls = kamailio.rpc("sipwarden.calls", json!(["carrier=north"]));
    assert!(calls["calls"][0]["seconds_left"].as_u64().unwrap() > 3000, "{calls}");
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
    assert_eq!((&carrier["near_percent"], &carrier["near"]), (&json!(50), &json!(1)));
    // A limit that is never near: at 100 % it stands behind one that is near at 50 %.
    assert_eq!((&did["near_percent"], &did["near"]), (&json!(0), &json!(0)));
    assert_eq!(top["scopes"][0]["kind"], "carrier");
    let inbound = row(&top, "scopes", "kind", "company");
    assert_eq!((&inbound["direction"], &inbound["calls"]), (&json!("in"), &json!(2)));

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

/// The rows that the guide shows, and what it says that kamcmd shows of them.
#[test]
fn the_guides_rows_are_read_and_its_commands_answer() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('x', 0);
         INSERT INTO sipwarden_company VALUES ('a', 'x', 0, 100);",
    );
    let guide = std::fs::read_to_string(project().join("docs/limits.md")).unwrap();
    let rows = guide.split("```sql\n").nth(1).unwrap().split("```").next().unwrap();
    db.run(rows);
    let settings = "modparam(\"sipwarden\", \"limit_table\", \"sipwarden_limit\")\n";
    let mut config = Config::new(&db.url()).settings(settings);
    config.modules.push_str("loadmodule \"dialog.so\"\n");
    let kamailio = config.start();
    assert_eq!(kamailio.rpc("sipwarden.limits", json!([]))["total"], 9);
    let quoted = guide.split('`').map(|part| part.split_whitespace().collect::<Vec<_>>());
    let lines = quoted.filter(|line| line.first() == Some(&"kamcmd")).map(|line| line.join(" "));
    let mut run = 0;
    for line in lines {
        let line = line.replace("<company>", "a").replace("<ip>", "192.0.2.1");
        let words: Vec<_> = line.split(' ').skip(1).collect();
        let answer = kamailio.kamcmd(&words);
        assert!(!answer.contains("error"), "{line}: {answer}");
        if line.contains("+34910000001") {
            assert!(answer.contains("max_calls: 10"), "{answer}");
        }
        run += 1;
    }
    assert_eq!(run, 7);
}

/// What `sipwarden.check` says of a call, with flags: its verdict, and the line of cc_limit.
fn told(kamailio: &Kamailio, scopes: &str, flags: &str) -> (String, String) {
    let asked = json!(["a", "127.0.0.1", "", scopes, flags]);
    let answer = kamailio.rpc("sipwarden.check", asked);
    let steps = answer["steps"].as_array().unwrap().iter();
    let mut lines = steps.map(|step| step.as_str().unwrap().to_owned());
    let line = lines.find(|step| step.starts_with("cc_limit")).unwrap();
    (answer["verdict"].as_str().unwrap().to_owned(), line)
}

const OF_COMPANY: &str = "the company has 3 of 100 calls, brand \"x\" has 3 calls, without a limit";

#[test]
fn a_check_knows_emergencies_directions_and_scopes_and_says_so() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('x', 0);
         INSERT INTO sipwarden_company VALUES ('a', 'x', 1, 100);
         INSERT INTO sipwarden_limit (kind, id, direction, max_calls, reserved) VALUES
             ('carrier', 'north', 'any', 3, 1), ('carrier', 'full', 'any', 1, 1),
             ('did', '*', 'in', 1, NULL);
         INSERT INTO sipwarden_limit (kind, id, direction, max_new, window_seconds) VALUES
             ('user', '*', 'in', 2, 3600);",
    );
    let callee = AutoCallee::start("127.0.0.1");
    let endpoint = Endpoint::new("127.0.0.1");
    let routes = ROUTES.replace("CALLEE", &callee.address.to_string());
    let routes = routes.replace("\"i\", \"", "\"$hdr(X-Flags)\", \"");
    let table = "modparam(\"sipwarden\", \"limit_table\", \"sipwarden_limit\")\n";
    let kamailio = config(&db.url(), callee.address).settings(table).routes(&routes).start();
    let place = |headers: &str| call(&endpoint, &kamailio, headers).unwrap();
    let calls = [
        place("X-Flags: i\r\nX-Carrier: north\r\nX-Did: 7\r\nX-User: bob@a\r\n"),
        place("X-Flags: o\r\nX-Carrier: north\r\n"),
        place("X-Flags: e\r\nX-Carrier: full\r\n"),
    ];

    let refused = |reason: &str, code: i32| format!("refused by cc_limit: {reason} ({code})");
    // The filter refuses this source, and emergencies are not asked for it.
    let (verdict, line) = told(&kamailio, "carrier=north", "o");
    assert_eq!(verdict, "refused by check_company_ip: denied_no_ranges (-2)");
    assert!(line.contains("carrier \"north\" has 2 of 2 calls, 1 more are reserved"), "{line}");
    let (verdict, line) = told(&kamailio, "carrier=north", "oe");
    assert_eq!(verdict, "allowed");
    let passes = "cc_limit: call_emergency (3), an emergency passes above every limit without \
                  reserved slots: ";
    assert_eq!(line, format!("{passes}{OF_COMPANY}; carrier \"north\" has 2 of 3 calls"));
    let (verdict, line) = told(&kamailio, "carrier=full", "e");
    assert_eq!(verdict, refused("limit", -13));
    assert!(
        line.contains("carrier \"full\" has 1 of 1 calls, with those reserved for emergencies: "),
        "{line}"
    );
    let unknown = kamailio.rpc("sipwarden.check", json!(["b", "127.0.0.1", "", "", "e"]));
    assert_eq!(unknown["verdict"], "allowed", "{unknown}");

    db.run("UPDATE sipwarden_company SET ip_filter = 0;");
    kamailio.rpc("sipwarden.reload", json!([]));
    let (verdict, line) = told(&kamailio, "did=7;user=bob@a", "i");
    assert_eq!(verdict, refused("limit", -13));
    let limited = "cc_limit: limit (-13), did \"7\" has 1 of 1 inbound calls: ";
    assert_eq!(
        line,
        format!(
            "{limited}{OF_COMPANY}; did \"7\" has 1 of 1 inbound calls; user \"bob@a\" has 1 of 2 new \
             inbound calls within 3600 s"
        )
    );
    let (verdict, line) = told(&kamailio, "did=7", "o");
    assert_eq!(verdict, "allowed");
    assert!(line.ends_with("; did \"7\" has 1 calls, without a limit"), "{line}");
    let (verdict, line) = told(&kamailio, "did=7", "");
    assert_eq!(verdict, "allowed");
    let skipped = "; the limits of did \"7\" for one direction are not asked without flag i or o";
    assert!(line.ends_with(skipped), "{line}");
    for mut call in calls {
        call.within("BYE");
    }
    wait_for_calls(&kamailio, "a", 0);
    assert_nothing_left(&kamailio);
}

#[test]
fn what_is_near_is_said_by_the_row_or_else_by_the_parameter() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('x', 5);
         INSERT INTO sipwarden_company VALUES ('a', 'x', 0, 5);
         INSERT INTO sipwarden_limit (kind, id, near_percent) VALUES ('brand', 'x', 40);
         INSERT INTO sipwarden_limit (kind, id, max_calls, near_percent) VALUES
             ('carrier', '*', 5, NULL), ('carrier', 'north', 5, 60);",
    );
    let callee = AutoCallee::start("127.0.0.1");
    let endpoint = Endpoint::new("127.0.0.1");
    let routes = ROUTES.replace("CALLEE", &callee.address.to_string());
    let settings = "modparam(\"sipwarden\", \"limit_table\", \"sipwarden_limit\")\n\
                    modparam(\"sipwarden\", \"near_percent\", 20)\n";
    let kamailio = config(&db.url(), callee.address).settings(settings).routes(&routes).start();
    let place =
        |carrier: &str| call(&endpoint, &kamailio, &format!("X-Carrier: {carrier}\r\n")).unwrap();
    let near = |list: &str, key: &str, value: &str| {
        let row = row(&kamailio.rpc("sipwarden.top", json!([])), list, key, value);
        (row["near_percent"].as_u64().unwrap(), row["near"].as_u64().unwrap())
    };
    let mut up = vec![place("north")];
    assert_eq!(near("companies", "company", "a"), (20, 1));
    assert_eq!(near("brands", "brand", "x"), (40, 0));
    assert_eq!(near("scopes", "id", "north"), (60, 0));
    up.push(place("south"));
    assert_eq!(near("brands", "brand", "x"), (40, 1));
    assert_eq!(near("scopes", "id", "south"), (20, 1));
    for line in ["company=a any 1/5", "brand=x any 2/5", "carrier=south any 1/5"] {
        let line = format!("event near_limit {line}");
        wait_for("the event", || kamailio.log().contains(&line).then_some(()));
    }
    assert!(!kamailio.log().contains("near_limit carrier=north"), "{}", kamailio.log());
    // At run time it takes effect with the next reload.
    kamailio.rpc("sipwarden.set", json!(["near_percent", 50]));
    assert_eq!(near("companies", "company", "a"), (20, 1));
    kamailio.rpc("sipwarden.reload", json!([]));
    assert_eq!(near("companies", "company", "a"), (50, 0));
    assert_eq!(near("scopes", "id", "south"), (50, 0));
    assert_eq!(near("scopes", "id", "north"), (60, 0));
    for mut call in up {
        call.within("BYE");
    }
    wait_for_calls(&kamailio, "a", 0);
}

#[test]
fn limits_are_listed_without_calls_page_by_page_and_for_one_id() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(TABLES);
    db.run(
        "UPDATE sipwarden_limit SET max_calls = 40, reserved = 5
             WHERE kind = 'company' AND id = '*';
         UPDATE sipwarden_company SET max_calls = 3;
         INSERT INTO sipwarden_limit (kind, id, max_calls, reserved) VALUES ('company', 'a', 9, 8);",
    );
    for n in 0..25 {
        db.run(&format!(
            "INSERT INTO sipwarden_limit (kind, id, max_calls, max_new, window_seconds, reserved)
                 VALUES ('group', 'g{n}', {n} + 5, 7, 60, 2);"
        ));
    }
    let settings = "modparam(\"sipwarden\", \"limit_table\", \"sipwarden_limit\")\n";
    let mut config = Config::new(&db.url()).settings(settings);
    config.modules.push_str("loadmodule \"dialog.so\"\n");
    let kamailio = config.start();
    let limits = |asked: Value| kamailio.rpc("sipwarden.limits", asked);
    let all = limits(json!([]));
    assert_eq!((&all["total"], &all["pages"]), (&json!(31), &json!(2)), "{all}");
    assert_eq!(all["limits"].as_array().unwrap().len(), 20);
    let groups = limits(json!(["group", "", 2]));
    assert_eq!((&groups["total"], &groups["page"]), (&json!(25), &json!(2)));
    assert_eq!(groups["limits"].as_array().unwrap().len(), 5);
    let group = limits(json!(["group", "g3"]));
    assert_eq!(
        group["limits"],
        json!([{"kind": "group", "id": "g3", "direction": "any", "calls": 0, "max_calls": 8,
            "percent": 0, "near_percent": 80, "near": 0, "new_calls": 0, "max_new": 7,
            "window_seconds": 60, "reserved": 2, "longest": 0, "ringing": 0,
            "max_ringing": 0}])
    );
    // The row for all stands for no calls of its own; one of them has its limits.
    let all = limits(json!(["did", "*"]));
    assert_eq!(
        all["limits"],
        json!([{"kind": "did", "id": "*", "direction": "in", "max_calls": 1, "near_percent": 0,
            "max_new": 0, "window_seconds": 0, "reserved": 0, "longest": 0, "max_ringing": 0}])
    );
    let one = limits(json!(["did", "+34"]));
    assert_eq!((&one["total"], &one["limits"][0]["id"]), (&json!(1), &json!("+34")));
    // Of a company what holds: its own table says less.
    let company = limits(json!(["company", "a"]));
    assert_eq!(
        (&company["limits"][0]["max_calls"], &company["limits"][0]["reserved"]),
        (&json!(3), &json!(2))
    );
    assert_eq!(company["limits"][1]["direction"], "in");
    let cut = "company \"a\": 2 of 8 reserved slots can be used, since its own max_calls 3 is lower \
               than 9";
    wait_for("the warning", || kamailio.log().contains(cut).then_some(()));
    let problems = kamailio.rpc("sipwarden.problems", json!([])).to_string();
    assert!(problems.contains("reserved slots can be used"), "{problems}");

    let fault = |asked: Value| kamailio.try_rpc("sipwarden.limits", asked).unwrap_err();
    assert!(fault(json!(["trunk"])).contains("no row of kind \"trunk\"; there are brand, company"));
    assert!(fault(json!(["group", "", 3])).contains("the last one is 2"));
    assert!(fault(json!(["", "g3"])).contains("an id has a kind"));
    let typed = kamailio.kamcmd(&["sipwarden.limits", "group", "g24"]);
    assert!(typed.contains("max_calls: 29"), "{typed}");
}

/// The largest answer: all scopes that a call may have, with limits in each direction.
#[test]
fn a_check_of_a_call_with_all_its_scopes_arrives_whole() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('x', 0);
         INSERT INTO sipwarden_company VALUES ('a', 'x', 0, 0);",
    );
    let named: Vec<_> = (0..10).map(|n| format!("kind-{n}")).collect();
    let kinds = ["company".into(), "brand".into()];
    for kind in named.iter().chain(&kinds) {
        for direction in ["any", "in", "out"] {
            db.run(&format!(
                "INSERT INTO sipwarden_limit VALUES
                     ('{kind}', '*', '{direction}', 20, 10, 60, 2, 3600, 50, 8);"
            ));
        }
    }
    let settings = "modparam(\"sipwarden\", \"limit_table\", \"sipwarden_limit\")\n";
    let mut config = Config::new(&db.url()).settings(settings);
    config.modules.push_str("loadmodule \"dialog.so\"\n");
    let kamailio = config.start();
    let scopes: Vec<_> = named.iter().map(|kind| format!("{kind}={}", "9".repeat(60))).collect();
    let scopes = scopes.join(";");
    let told = kamailio.rpc("sipwarden.check", json!(["a", "127.0.0.1", "", scopes, "o"]));
    assert_eq!(told["cc_limit"]["scopes"].as_array().unwrap().len(), 36, "{told}");
    let typed = kamailio.kamcmd(&["sipwarden.check", "a", "127.0.0.1", "s:", &scopes, "o"]);
    assert_eq!(typed.matches("direction: ").count(), 36, "{typed}");
    for part in ["kind-9", "the company has 0 of 20 calls of at most 3600 s", "flood: {"] {
        assert!(typed.contains(part), "{typed}");
    }
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
