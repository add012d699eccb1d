//! What operators are told: events, audit, refusals, statistics.

use std::collections::HashSet;

use crate::support::kamailio::{Config, Kamailio};
use crate::support::servers::Server;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, signal, wait_for};
use serde_json::{Value, json};

const TENANTS: &str = "
INSERT INTO sipwarden_brand VALUES ('b', 0);
INSERT INTO sipwarden_company VALUES ('office', 'b', 1, 0), ('watched', 'b', 2, 0), ('open', 'b', 0, 0);
INSERT INTO sipwarden_company_address VALUES ('office', '10.0.0.0/24', NULL),
    ('watched', '10.0.0.0/24', NULL);
";

/// Tells the verdict, and in event routes all that `$swd` knows.
const SCRIPT: &str = r#"
request_route {
    if (is_method("MESSAGE")) {
        if (!flood_check()) { exit; }
        sl_send_reply("200", "OK");
        exit;
    }
    check_company_ip("$rU");
    append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
    sl_send_reply("200", "OK");
}
route[TOLD] {
    xlog("L_NOTICE", "told by $pp: event=$swd(event) reason=$swd(reason) code=$swd(code) function=$swd(function) ip=$swd(ip) company=$swd(company) brand=$swd(brand) aor=$swd(aor) class=$swd(class) count=$swd(count) calls=$swd(calls) limit=$swd(limit) seconds=$(swd(until){s.int}) text=$swd(text) end\n");
}
event_route[sipwarden:block] { xlog("L_NOTICE", "route block\n"); route(TOLD); }
event_route[sipwarden:unblock] { xlog("L_NOTICE", "route unblock\n"); route(TOLD); }
event_route[sipwarden:denied] { xlog("L_NOTICE", "route denied\n"); route(TOLD); }
event_route[sipwarden:limit] { xlog("L_NOTICE", "route limit\n"); route(TOLD); }
event_route[sipwarden:reload] { xlog("L_NOTICE", "route reload\n"); route(TOLD); }
"#;

fn tenants(folder: &Folder) -> Sqlite {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(TENANTS);
    db
}

fn config(db: &Sqlite) -> Config {
    let mut config = Config::new(&db.url()).routes(SCRIPT);
    config.modules.push_str("loadmodule \"cfg_rpc.so\"\n");
    config
}

fn audit(url: &str) -> String {
    format!("modparam(\"sipwarden\", \"audit_url\", \"{url}\")\n")
}

/// The line that an event route has written about something.
fn told(kamailio: &Kamailio, what: &str) -> String {
    wait_for(what, || {
        let log = kamailio.log();
        log.lines().find(|l| l.contains("told by") && l.contains(what)).map(str::to_owned)
    })
}

#[test]
fn each_event_runs_its_route_in_the_modules_own_process() {
    let folder = Folder::new();
    let db = tenants(&folder);
    let kamailio = config(&db).settings("modparam(\"sipwarden\", \"flood_limit\", 3)\n").start();
    let list = kamailio.rpc("core.psx", json!([]));
    let own = list.as_array().unwrap().iter().find(|p| p["DSC"] == "sipwarden recorder");
    let own = own.unwrap_or_else(|| panic!("{list}"))["PID"].as_u64().unwrap();

    let phone = Phone::new("127.9.0.1", kamailio.address());
    for _ in 0..20 {
        assert_eq!(phone.ask("office").reason, "denied_source");
    }
    let line = told(&kamailio, "event=denied reason=denied_source code=-1");
    assert!(line.contains(&format!("told by {own}:")), "{line}");
    for part in
        ["function=check_company_ip", "ip=127.9.0.1", "company=office", "brand=b", "count=1 "]
    {
        assert!(line.contains(part), "{part} in {line}");
    }
    (0..6).for_each(|_| drop(phone.send("MESSAGE", "x", "")));
    let line = told(&kamailio, "event=block_started reason=block_started");
    assert!(line.contains("ip=127.9.0.1") && line.contains("class=default"), "{line}");
    kamailio.rpc("sipwarden.unblock", json!(["127.9.0.1"]));
    let line = told(&kamailio, "event=block_ended");
    assert!(line.contains("calls=3 "), "three were refused: {line}");
    db.run(
        "UPDATE sipwarden_company_address SET ip_addr = '10.0.0.300' WHERE company_id = 'office';",
    );
    kamailio.try_rpc("sipwarden.reload", json!([])).unwrap_err();
    let line = told(&kamailio, "event=reload_failed");
    assert!(line.contains("text=") && line.contains("10.0.0.300"), "{line}");
    assert!(line.contains("aor=<null>"), "{line}");
    db.run(
        "UPDATE sipwarden_company_address SET ip_addr = '10.0.0.0/24' WHERE company_id = 'office';",
    );
    kamailio.rpc("sipwarden.reload", json!([]));
    let line = told(&kamailio, "event=reload ");
    assert!(line.contains("calls=1 "), "the first load is told too: {line}");
    told(
        &kamailio,
        "event=reload reason=reload code=<null> function= ip=<null> company=<null> brand=<null> aor=<null> class=<null> count=1 calls=2 ",
    );
    // Twenty refusals are one event, and 19 repeats when the period is over.
    assert_eq!(kamailio.log().matches("route denied").count(), 1);
    let line = told(&kamailio, "count=19 ");
    assert!(line.contains("event=denied"), "{line}");
}

#[test]
fn kemi_is_told_by_its_callback() {
    let folder = Folder::new();
    let script = folder.join("script.lua");
    std::fs::write(
        &script,
        r#"
function ksr_request_route()
    KSR.sipwarden.check_company_ip("office")
    KSR.sl.sl_send_reply(200, "OK")
end
function on_event(name)
    KSR.notice("lua was told of " .. name .. ": " .. KSR.pv.get("$swd(reason)") .. "\n")
end
"#,
    )
    .unwrap();
    let mut config = config(&tenants(&folder)).routes("").settings(&format!(
        "loadmodule \"app_lua.so\"\nmodparam(\"app_lua\", \"load\", \"{}\")\ncfgengine \"lua\"\n\
         modparam(\"sipwarden\", \"event_callback\", \"on_event\")\n",
        script.display()
    ));
    config.workers = 2;
    let kamailio = config.start();
    Phone::new("127.9.0.1", kamailio.address()).request("OPTIONS", "x", "").unwrap();
    wait_for("lua", || {
        kamailio.log().contains("lua was told of sipwarden:denied: denied_source").then_some(())
    });
}

/// Rows of the audit table as text.
fn rows(db: &Sqlite, condition: &str) -> String {
    db.query(&format!(
        "SELECT reason, source, company, brand, aor, hits, last_time >= first_time FROM sipwarden_audit WHERE {condition} ORDER BY 1, 2, 3, 4, 5;"
    ))
}

#[test]
fn the_audit_table_has_one_row_for_each_kind_and_counts() {
    let folder = Folder::new();
    let db = tenants(&folder);
    let kamailio = config(&db).settings(&audit(&db.url())).start();
    for source in ["127.9.0.1", "127.9.0.2"] {
        let phone = Phone::new(source, kamailio.address());
        (0..10).for_each(|_| drop(phone.ask("office")));
    }
    kamailio.rpc("sipwarden.block", json!(["127.8.0.0/16"]));
    wait_for("the rows", || {
        let all = rows(&db, "reason <> 'reload'");
        (all == "block_started|127.8.0.0/16||||1|1\n\
                 denied_source|127.9.0.1|office|b||10|1\n\
                 denied_source|127.9.0.2|office|b||10|1\n")
            .then_some(())
    });
    assert_eq!(rows(&db, "reason = 'reload'"), "reload|||||1|1\n");
    assert_eq!(kamailio.counter("audit_lost"), 0);
}

/// The bits of a text's address would be a number of hits, too.
#[test]
fn a_column_of_another_type_is_not_taken_for_a_number() {
    let folder = Folder::new();
    let db = tenants(&folder);
    db.run(
        "CREATE TABLE other (reason VARCHAR(64), source VARCHAR(64), company VARCHAR(128),
            brand VARCHAR(128), aor VARCHAR(320), first_time BIGINT, last_time BIGINT, hits TEXT);
        INSERT INTO other VALUES ('denied_source', '127.9.0.1', 'office', 'b', '', 1, 1, '7');",
    );
    let table = "modparam(\"sipwarden\", \"audit_table\", \"other\")\n";
    let kamailio = config(&db).settings(&(audit(&db.url()) + table)).start();
    Phone::new("127.9.0.1", kamailio.address()).ask("office");
    wait_for("a complaint", || {
        kamailio.log().contains("column hits is not an integer").then_some(())
    });
    let hits = "SELECT hits FROM other WHERE reason = 'denied_source';";
    assert_eq!(db.query(hits), "7\n");
}

/// Quotes, markup, control characters, format directives, and no UTF-8.
const HOSTILE: [&str; 4] = [
    "a'; DROP TABLE sipwarden_audit; --@x",
    "<img src=x onerror=alert(1)>@x",
    "%s%n%x@x",
    "\u{1b}[2J\"\\@x",
];

#[test]
fn hostile_text_arrives_as_text_in_audit_and_log() {
    let folder = Folder::new();
    let db = tenants(&folder);
    let routes = SCRIPT
        .replace("check_company_ip(\"$rU\");", "roadwarrior_acquire(\"$hdr(X-Aor)\", \"office\");");
    let mut config = config(&db).routes(&routes).settings(&audit(&db.url()));
    config.modules.push_str("loadmodule \"dialog.so\"\n");
    let kamailio = config.start();
    let phone = Phone::new("127.9.0.1", kamailio.address());
    for aor in HOSTILE {
        phone.request("OPTIONS", "x", &format!("X-Aor: {aor}\r\n")).unwrap();
    }
    let seen = wait_for("four rows", || {
        let all = db
            .query("SELECT aor FROM sipwarden_audit WHERE reason = 'roadwarrior_none' ORDER BY 1;");
        (all.lines().count() == HOSTILE.len()).then_some(all)
    });
    let mut expected: Vec<String> =
        HOSTILE.iter().map(|aor| aor.escape_debug().to_string()).collect();
    expected.sort();
    assert_eq!(seen.lines().collect::<Vec<_>>(), expected);
    let denied = kamailio.rpc("sipwarden.denied", json!(["office"]));
    assert_eq!(denied["total"], HOSTILE.len());
    let shown = denied["denied"].to_string();
    assert!(shown.contains("<img src=x onerror=alert(1)>@x"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown}");
    told(&kamailio, "aor=%s%n%x@x");
}

#[test]
fn a_database_that_is_gone_costs_rows_and_nothing_else() {
    let folder = Folder::new();
    let db = tenants(&folder);
    let mut server = Server::mariadb();
    let mut config = config(&db).settings(&audit(&server.url()));
    config.modules.push_str(server.driver());
    let kamailio = config.start();
    let phone = Phone::new("127.9.0.1", kamailio.address());
    let hits = |server: &Server, company: &str| {
        let sql = format!(
            "SELECT COALESCE(SUM(hits), 0) FROM sipwarden_audit WHERE company LIKE '{company}'"
        );
        server.query(&sql).parse::<u64>().unwrap()
    };
    phone.ask("first");
    wait_for("the first row", || (hits(&server, "first") == 1).then_some(()));
    // A worker that waited for the database would never answer.
    server.stop();
    all_workers_answer(&phone, "stopped");
    server.resume();
    assert_eq!(kamailio.counter("events_lost"), 0);

    server.kill();
    phone.ask("second");
    wait_for("a complaint", || kamailio.log().contains("audit rows are not written").then_some(()));
    assert!(
        kamailio.log().contains("not written to mysql://sip:***@127.0.0.1"),
        "{}",
        kamailio.log()
    );
    // More kinds of refusals than can wait.
    for n in 0..4300 {
        phone.ask(&format!("many-{n}"));
    }
    wait_for("lost rows", || (kamailio.counter("audit_lost") > 0).then_some(()));
    server.start();
    wait_for("rows again", || (hits(&server, "many-%") > 3000).then_some(()));
    wait_for("the log", || kamailio.log().contains(" again").then_some(()));
}

/// Refusals of many kinds, each of which makes an event: all are answered, by more than
/// one worker.
fn all_workers_answer(phone: &Phone, kind: &str) {
    let answered = (0..400).map(|n| phone.ask(&format!("{kind}-{n}")).worker);
    let workers: HashSet<_> = answered.collect();
    assert!(workers.len() > 1, "{workers:?}");
}

#[test]
fn a_full_ring_loses_events_and_stops_nobody() {
    let folder = Folder::new();
    let kamailio = config(&tenants(&folder)).start();
    let phone = Phone::new("127.9.0.1", kamailio.address());
    let list = kamailio.rpc("core.psx", json!([]));
    let own = list.as_array().unwrap().iter().find(|p| p["DSC"] == "sipwarden recorder").unwrap();
    let own = own["PID"].as_u64().unwrap() as i32;
    signal(own, libc::SIGSTOP);
    for n in 0.. {
        phone.ask(&format!("many-{n}"));
        if n % 100 == 0 && kamailio.counter("events_lost") > 0 {
            break;
        }
    }
    // A worker that waited for room would never answer.
    all_workers_answer(&phone, "full");
    signal(own, libc::SIGCONT);
    wait_for("events again", || {
        phone.ask("mark");
        (kamailio.rpc("sipwarden.denied", json!(["mark"]))["total"] == 1).then_some(())
    });
}

#[test]
fn refusals_are_listed_and_ranges_suggested() {
    let folder = Folder::new();
    let kamailio = config(&tenants(&folder)).start();
    for n in 1..=6 {
        Phone::new(&format!("127.9.1.{n}"), kamailio.address()).ask("office");
    }
    for _ in 0..3 {
        Phone::new("127.9.2.1", kamailio.address()).ask("office");
    }
    Phone::new("127.9.3.1", kamailio.address()).ask("watched");
    let denied = |company: &str| kamailio.rpc("sipwarden.denied", json!([company]));
    wait_for("the refusals", || (denied("")["total"] == 8).then_some(()));
    let office = denied("office");
    assert_eq!(office["total"], 7);
    for denied in office["denied"].as_array().unwrap() {
        assert_eq!((&denied["reason"], &denied["code"]), (&json!("denied_source"), &json!(-1)));
        assert_eq!((&denied["company"], &denied["brand"]), (&json!("office"), &json!("b")));
    }
    assert_eq!(denied("watched")["denied"][0]["monitored"], 1);
    let ranges = |company: &str| {
        let answer = kamailio.rpc("sipwarden.suggest", json!([company]));
        let ranges = answer["ranges"].as_array().unwrap().clone();
        ranges
            .iter()
            .map(|r| (r["range"].as_str().unwrap().to_owned(), r["sources"].as_u64().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(ranges("office"), [("127.9.1.0/24".into(), 6), ("127.9.2.1/32".into(), 1)]);
    assert_eq!(ranges("watched"), [("127.9.3.1/32".into(), 1)]);
    assert_eq!(ranges("open"), []);
    // A source that was blocked is not proposed, also when the block is lifted.
    kamailio.rpc("sipwarden.block", json!(["127.9.2.1"]));
    kamailio.rpc("sipwarden.unblock", json!(["127.9.2.1"]));
    wait_for("the block is told", || {
        let told = kamailio.rpc("sipwarden.suggest", json!(["office"]));
        (told["left_out"] == 1).then_some(())
    });
    assert_eq!(ranges("office"), [("127.9.1.0/24".into(), 6)]);
    let fault = kamailio.try_rpc("sipwarden.suggest", json!(["nobody"])).unwrap_err();
    assert!(fault.contains("nobody"), "{fault}");
    let typed = kamailio.kamcmd(&["sipwarden.denied", "office"]);
    assert!(typed.contains("source: 127.9.1.6"), "{typed}");
}

#[test]
fn kamailio_counts_and_shows_all_statistics() {
    let folder = Folder::new();
    let kamailio = config(&tenants(&folder)).start();
    Phone::new("127.9.0.1", kamailio.address()).ask("office");
    kamailio.rpc("sipwarden.block", json!(["127.8.0.1"]));
    let all = kamailio.rpc("stats.get_statistics", json!(["sipwarden:"]));
    let value = |name: &str| -> u64 {
        let prefix = format!("sipwarden:{name} = ");
        let line = all
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .find(|l| l.starts_with(&prefix));
        line.unwrap_or_else(|| panic!("{name} in {all}"))[prefix.len()..].parse().unwrap()
    };
    assert_eq!((value("check_denied_source"), value("blocks_active")), (1, 1));
    assert_eq!((value("snapshot_generation"), value("reloads")), (1, 1));
    assert_eq!((value("companies"), value("calls_active")), (3, 0));
    assert_eq!((value("events_lost"), value("sources_room")), (0, 262_144));
    assert!(value("snapshot_bytes") > 0 && value("snapshot_age_seconds") < 60);
}
