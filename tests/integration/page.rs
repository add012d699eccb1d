//! The operators' web page in a real browser.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::support::browser::Browser;
use crate::support::call::{Caller, Endpoint};
use crate::support::example::Example;
use crate::support::kamailio::free_port;
use crate::support::page::{Server, headers};
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, PATIENCE, wait_for, wait_up_to};
use serde_json::json;

/// Runs if it is ever taken for markup.
const HOSTILE: &str = "<img src=x onerror=\"window.hacked='yes'\">";

/// Whether text of a stranger has become part of the page.
fn assert_harmless(browser: &Browser) {
    let foreign = "return [typeof window.hacked, document.images.length];";
    assert_eq!(browser.script(foreign, json!([])), json!(["undefined", 0]));
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn the_page_shows_what_is_going_on_and_unblocks() {
    let quoted = HOSTILE.replace('\'', "''");
    let server = Server::start(&format!(
        "INSERT INTO sipwarden_brand VALUES ('b', 4), ('{quoted}', 0);
        INSERT INTO sipwarden_company VALUES ('c.example', 'b', 0, 3), ('shut', 'b', 1, 0), ('near', 'b', 2, 0),
            ('{quoted}', '{quoted}', 0, 0);
        INSERT INTO sipwarden_company_address VALUES ('near', '127.50.1.0', 24);
        INSERT INTO sipwarden_trusted VALUES ('127.0.0.99', NULL, 'exempt'),
            ('127.50.0.1', NULL, 'exempt');"
    ));
    let example = &server.example;
    let phone = Endpoint::new("127.50.0.1");
    let call = |company: &str, call_id: Option<&str>| {
        let headers = headers(company, "alice");
        let mut caller = Caller::new(&phone, example.address(), "x.example", &headers);
        if let Some(call_id) = call_id {
            caller.call_id = call_id.into();
        }
        caller.invite();
        assert_eq!(caller.final_reply().status(), Some(200), "{}", example.log());
        caller.ack();
    };
    let browser = Browser::open(1200, 1000);
    browser.go(&server.page());
    wait_for("an answer", || (browser.text("#state") == "answers").then_some(()));
    let head = browser.text("#head");
    assert!(head.contains(env!("CARGO_PKG_VERSION")) && head.contains("generation 1"), "{head}");
    assert_eq!(browser.text("#blocks"), "No source is blocked.");
    assert_eq!(browser.text("#monitor"), "");

    // Calls against limits, and one whose ids are hostile.
    call("c.example", None);
    call("c.example", None);
    call(HOSTILE, Some("<img/src=x/onerror=window.hacked=2>\"'"));
    let cells = |row: &[&str]| Some(row.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
    let shown = wait_for("two calls", || {
        browser.row("#companies", "c.example").filter(|row| row[2].starts_with('2'))
    });
    assert_eq!(Some(shown), cells(&["c.example", "b", "2 of 3", "66 %"]));
    assert_eq!(browser.row("#brands", "b"), cells(&["b", "2 of 4", "50 %"]));
    let escaped = HOSTILE.replace('"', "\\\"").replace('\'', "\\'");
    assert_eq!(
        wait_for("the third call", || browser.row("#companies", &escaped)),
        [&escaped, &escaped, "1, no limit", "–"]
    );
    browser.click("#live-calls summary");
    wait_for("a hostile Call-ID", || {
        browser.row("#calls", "<img/src=x/onerror=window.hacked=2>\\\"\\'")
    });

    // A refusal with its reason, of a hostile user.
    let asker = Phone::new("127.50.0.2", example.address());
    asker.send("INVITE", "bob", &headers("shut", &format!("{HOSTILE}\x07")));
    let row = wait_for("the refusal", || browser.row("#denied", "127.50.0.2"));
    assert!(row.contains(&format!("{escaped}\\u{{7}}")), "{row:?}");
    assert!(row.contains(&"roadwarrior_none (-4)".to_owned()), "{row:?}");
    assert!(row[1].contains("may not call from addresses that are not granted"), "{row:?}");

    // The filter of the refusals takes any text.
    browser.fill("#of", HOSTILE);
    browser.click("#filter button");
    wait_for("no refusal", || browser.text("#denied").contains("Nothing").then_some(()));

    // The same question asked beforehand, with the keyboard only.
    browser.fill("#why-company", "shut");
    browser.fill("#why-ip", "127.50.0.3");
    browser.press("\u{e007}");
    let said = wait_for("the verdict", || browser.texts("#answer .verdict").pop());
    assert!(said.contains("shut from 127.50.0.3 would be refused"), "{said}");
    let steps = browser.texts("#answer li").join("\n");
    assert!(steps.contains("denied_no_ranges, -2"), "{steps}");
    browser.fill("#why-company", "near");
    browser.click("#why-ask");
    let said = wait_for("the nearest range", || {
        Some(browser.text("#answer")).filter(|said| said.contains("range is 127.50.1.0/24"))
    });
    assert!(said.contains("Monitor mode is on for this company's filter"), "{said}");
    assert!(said.contains("from 127.50.0.3 would pass, and be reported"), "{said}");
    browser.fill("#why-company", HOSTILE);
    browser.fill("#why-aor", HOSTILE);
    browser.click("#why-ask");
    let said = wait_for("the other verdict", || {
        browser.texts("#answer .verdict").pop().filter(|said| said.contains(&escaped))
    });
    assert!(said.contains("would pass"), "{said}");

    // Whoever is refused can be let in for two hours; the question names both.
    browser.fill("#of", "shut");
    browser.click("#filter button");
    wait_for("the refusal", || browser.row("#denied", "127.50.0.2"));
    browser.click("#denied button[aria-label='Allow for 2 hours shut from 127.50.0.2']");
    let asked = wait_for("the question", || browser.texts("dialog[open] p").pop());
    assert!(asked.starts_with("Allow shut to send from 127.50.0.2 for 2 hours?"), "{asked}");
    browser.click("#ask-yes");
    let row = wait_for("the grant", || browser.row("#grants", "shut"));
    assert_eq!((row[1].as_str(), row[2].as_str()), ("127.50.0.2", "operator: from the page"));
    let granted = example.kamcmd(&["sipwarden.check", "shut", "127.50.0.2"]);
    assert!(granted.contains("granted_temporarily"), "{granted}");
    browser.click("#grants button[aria-label='End the grant of shut for 127.50.0.2']");
    browser.click("#ask-yes");
    wait_for("its end", || browser.text("#done").contains("has ended").then_some(()));
    assert!(example.kamcmd(&["sipwarden.grants"]).contains("total: 0"));

    // A flood: the chart moves, the source is listed.
    let line = "return document.querySelector('.refusals .line')?.getAttribute('d') || '';";
    let drawn = browser.script(line, json!([]));
    for _ in 0..300 {
        asker.send("OPTIONS", "x", &headers("c.example", "x"));
    }
    let row = wait_for("the block", || browser.row("#blocks", "127.50.0.2"));
    assert_eq!(row[1], "flood, class default");
    wait_for("the rate", || {
        browser.text("#now-refusals").parse::<f64>().ok().filter(|rate| *rate > 10.0)
    });
    assert_ne!(browser.script(line, json!([])), drawn);

    // Unblocking asks first, and the focus outlives a refresh.
    browser.script("document.querySelector('#blocks button').focus();", json!([]));
    for _ in 0..2 {
        let drawn = browser.script(line, json!([]));
        wait_for("a refresh", || (browser.script(line, json!([])) != drawn).then_some(()));
    }
    browser.press("\u{e007}");
    let asked = wait_for("the question", || browser.texts("dialog[open] p").pop());
    assert!(asked.starts_with("Unblock 127.50.0.2?"), "{asked}");
    browser.press("\u{e007}");
    wait_for("the question to go", || browser.texts("dialog[open]").is_empty().then_some(()));
    assert!(server.blocks().contains("source: 127.50.0.2\n"), "Enter alone leaves it blocked");
    browser.click("#blocks button[aria-label='Unblock 127.50.0.2']");
    browser.click("#ask-yes");
    wait_for("the answer", || browser.text("#done").contains("no longer blocked").then_some(()));
    assert!(server.blocks().contains("total: 0"), "{}", server.blocks());
    wait_for("the list", || (browser.text("#blocks") == "No source is blocked.").then_some(()));

    // A ban is lifted in the same way.
    example.kamcmd(&["sipwarden.ban", HOSTILE, "127.50.0.2", "600"]);
    example.kamcmd(&["sipwarden.ban", "bob@c.example", "127.50.0.2", "600"]);
    let row = wait_for("the ban", || browser.row("#bans", "bob@c.example"));
    assert_eq!((row[1].as_str(), row[2].as_str()), ("127.50.0.2", "by hand"));
    browser.click("#bans button[aria-label='Unban bob@c.example from 127.50.0.2']");
    browser.click("#ask-yes");
    wait_for("the answer", || browser.text("#done").contains("no longer banned").then_some(()));
    let listed = example.kamcmd(&["sipwarden.bans"]);
    assert!(listed.contains("total: 1\n") && !listed.contains("bob@c.example"), "{listed}");

    let set = ["cfg.set_now_int", "sipwarden", "flood_monitor", "1"];
    example.kamcmd(&set);
    wait_for("monitor mode", || browser.text("#monitor").contains("monitor mode").then_some(()));
    assert_harmless(&browser);

    // A phone: nothing is wider than the screen.
    example.kamcmd(&["sipwarden.block", "2001:db8:1234:5678::1", "600"]);
    wait_for("the block by hand", || browser.row("#blocks", "2001:db8:1234:5678::/64"));
    let phone = json!({"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": true});
    browser.devtools("Emulation.setDeviceMetricsOverride", phone);
    let edge = "return Math.max(...[...document.querySelectorAll('body, td, button')]\
        .map(e => Math.max(e.getBoundingClientRect().right, e.scrollWidth)));";
    wait_for("a page as wide as the phone", || {
        let edge = browser.script(edge, json!([])).as_f64().unwrap();
        (300.0..=360.0).contains(&edge).then_some(())
    });

    // It says so when there is nobody.
    drop(server);
    wait_for("the complaint", || browser.text("#down").contains("does not answer").then_some(()));
    assert_eq!(browser.text("#state"), "no answer");
}

#[test]
fn limits_of_your_own_are_shown_with_kinds_ids_and_directions() {
    let server = Server::start(&format!(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 4), ('filtered', 'b', 1, 0);
        INSERT INTO sipwarden_trusted VALUES ('127.0.0.99', NULL, 'exempt');
        INSERT INTO sipwarden_limit (kind, id, direction, max_calls, near_percent, reserved, longest) VALUES
            ('carrier', 'north', 'any', 4, 50, 1, 7200), ('did', '*', 'out', 2, NULL, NULL, NULL),
            ('carrier', '{}', 'any', 9, NULL, NULL, NULL);
        INSERT INTO sipwarden_limit (kind, id, max_new, window_seconds) VALUES ('user', '*', 3, 60), ('brand', 'b', 50, 3600);",
        HOSTILE.replace('\'', "''")
    ));
    let phone = Endpoint::new("127.50.0.1");
    let dial = |scopes: &str| {
        let headers = headers("c", "alice") + &format!("X-Scopes: {scopes}\r\n");
        let mut caller = Caller::new(&phone, server.example.address(), "x.example", &headers);
        caller.invite();
        if caller.final_reply().status() == Some(200) {
            caller.ack();
        }
        caller
    };
    dial("carrier=north;did=+341;user=bob@c");
    dial("carrier=north;did=+341");
    dial(&format!("carrier={HOSTILE}"));
    dial("did=+341");
    let browser = Browser::open(1200, 1000);
    browser.go(&server.page());
    let bar = |table: &str, name: &str| {
        let body = "const row = [...document.querySelectorAll(arguments[0] + ' tbody tr')] \
            .find(r => r.cells[0].textContent === arguments[1]); \
            return row ? row.querySelector('.bar').className : '';";
        browser.script(body, json!([table, name]))
    };
    // Near by the limit's own threshold, and by the usual one.
    let row = wait_for("the carrier", || browser.row("#scopes", "carrier north"));
    assert_eq!(row, ["carrier north", "all", "2 of 4", "50 %"]);
    assert_eq!(bar("#scopes", "carrier north"), "bar high");
    let row = browser.script(
        "return [...document.querySelectorAll('#scopes tbody tr')] \
            .map(r => [...r.cells].map(c => c.textContent)) \
            .find(r => r[0] === 'did +341' && r[1] === 'out');",
        json!([]),
    );
    assert_eq!(row, json!(["did +341", "out", "2 of 2, limit reached", "100 %"]));
    assert_eq!(browser.row("#companies", "c").unwrap()[2], "3 of 4");
    assert_eq!(bar("#companies", "c"), "bar");
    let denied = wait_for("the refusal", || browser.row("#denied", "limit (-13)"));
    assert!(denied[1].ends_with(": did +341 (out), 2 of 2"), "{denied:?}");

    // All rows, those of a kind, and what holds for an id.
    browser.click("#all-limits summary");
    assert_eq!(browser.text("#all-limits summary"), "All rows of sipwarden_limit");
    let row = wait_for("the rows", || browser.row("#limits", "did *"));
    assert_eq!(row, ["did *", "out", "up to 2 each", "–", "–", "–", "–", "from 80 %"]);
    let row = browser.row("#limits", "carrier north").unwrap();
    assert_eq!(row, ["carrier north", "all", "2 of 4", "–", "–", "1", "2 h", "from 50 %"]);
    browser.fill("#limits-kind", "user");
    browser.fill("#limits-id", "bob@c");
    browser.click("#find-limits button");
    let row = wait_for("what holds for bob", || browser.row("#limits", "user bob@c"));
    assert_eq!(row, ["user bob@c", "all", "1, no limit", "1 of 3 in 60 s", "–", "–", "–", "–"]);
    browser.fill("#limits-kind", HOSTILE);
    browser.click("#find-limits button");
    wait_for("the fault", || {
        browser.text("#limits-fault").contains("no row of kind").then_some(())
    });
    browser.fill("#limits-kind", "did");
    browser.fill("#limits-id", "+341");
    browser.click("#find-limits button");
    wait_for("what holds for the number", || browser.row("#limits", "did +341"));
    // A browser tells of the fault, each time that it comes.
    let complaints = browser.complaints();
    assert!(complaints.iter().all(|line| line.contains("404 (limit_table")), "{complaints:?}");

    // The calls of a scope, with all that they count for.
    browser.click("#live-calls summary");
    browser.fill("#calls-of", "carrier=north");
    browser.click("#find-calls button");
    let rows = || browser.texts("#calls tbody tr td:nth-child(3)");
    let counted = wait_for("its calls", || Some(rows()).filter(|rows| rows.len() == 2));
    let all = counted.join("\n");
    assert!(all.contains("carrier north (out), did +341 (out), user bob@c (out)"), "{all}");

    // Asked beforehand: with scopes, a direction, and as an emergency.
    let ask = |company: &str, scopes: &str, flags: &str| {
        browser.script("document.querySelector('#answer').replaceChildren();", json!([]));
        browser.fill("#why-company", company);
        browser.fill("#why-ip", "127.50.0.3");
        browser.fill("#why-scopes", scopes);
        browser.fill("#why-flags", flags);
        browser.click("#why-ask");
        wait_for("the verdict", || browser.texts("#answer .verdict").pop())
    };
    let said = ask("c", "did=+341", "o");
    assert!(said.contains("would be refused: the calls of a carrier, number"), "{said}");
    let steps = browser.texts("#answer li").join("\n");
    assert!(steps.contains("did +341 (out): 2 of 2 calls"), "{steps}");
    let brand =
        "brand: 3 calls; did +341 (out): 2 of 2 calls; brand b: 3 of 50 new calls in 60 min (";
    assert!(steps.contains(brand), "{steps}");
    ask("c", "carrier=north", "");
    let steps = browser.texts("#answer li").join("\n");
    assert!(steps.contains("carrier north: 2 of 4 calls, up to 2 h each; "), "{steps}");
    assert!(ask("c", "did=+341", "i").ends_with("would pass."));
    assert!(ask("filtered", "", "").contains("would be refused"));
    assert!(ask("filtered", "did=+341", "oe").ends_with("would pass."));
    let steps = browser.texts("#answer li").join("\n");
    assert!(steps.contains("an emergency passes above every limit"), "{steps}");
    assert_harmless(&browser);
}

#[test]
fn prometheus_reads_statistics_and_gauges_of_busy_companies() {
    let server = Server::start(
        "INSERT INTO sipwarden_brand VALUES ('b', 0), ('q\"uoted', 0);
        INSERT INTO sipwarden_company VALUES ('busy', 'b', 0, 3), ('idle', 'b', 0, 3),
            ('spoiled', 'q\"uoted', 0, 0);
        INSERT INTO sipwarden_trusted VALUES ('127.0.0.99', NULL, 'exempt');",
    );
    let phone = Endpoint::new("127.50.0.1");
    for company in ["busy", "busy", "spoiled"] {
        let headers = headers(company, "alice");
        let mut caller = Caller::new(&phone, server.example.address(), "x.example", &headers);
        caller.invite();
        assert_eq!(caller.final_reply().status(), Some(200));
        caller.ack();
    }
    let scrape = || {
        let mut stream = TcpStream::connect(("127.0.0.1", server.http)).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let host = format!("127.0.0.1:{}", server.http);
        let head = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        String::from_utf8(crate::support::kamailio::read_http(&mut stream).ok()?).ok()
    };
    // Gauges are set every ten seconds, one after the other: brands after companies.
    let gauges = [
        "kamailio_sipwarden_company_calls{company=\"busy\", brand=\"b\"} 2.000000",
        "kamailio_sipwarden_brand_calls{brand=\"b\"} 2.000000",
        "kamailio_sipwarden_brand_near{brand=\"b\"} 0.000000",
    ];
    let has_all = |text: &String| gauges.iter().all(|gauge| text.contains(gauge));
    let text = wait_for("the gauges", || scrape().filter(has_all));
    let value = |line: &str| {
        let found = text.lines().find_map(|l| l.strip_prefix(line));
        let value = found.unwrap_or_else(|| panic!("{line} in {text}"));
        value.split_whitespace().next().unwrap().to_owned()
    };
    assert_eq!(value("kamailio_sipwarden_cc_call_counted "), "3");
    assert_eq!(value("kamailio_sipwarden_calls_active "), "3");
    let limit = "kamailio_sipwarden_company_limit{company=\"busy\", brand=\"b\"} ";
    assert_eq!(value(limit), "3.000000");
    // Four fifths of it, and none of no limit.
    let near = "kamailio_sipwarden_company_near{company=\"busy\", brand=\"b\"} ";
    assert_eq!(value(near), "3.000000");
    assert_eq!(value("kamailio_sipwarden_brand_near{brand=\"b\"} "), "0.000000");
    assert!(!text.contains("idle") && !text.contains("uoted"), "{text}");
}

/// In a network namespace of this thread, without IPv6.
#[test]
fn a_machine_without_ipv6_serves_the_page_too() {
    let namespace = crate::support::netns::Namespace::new();
    namespace.enter();
    std::fs::write("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "1").unwrap();
    let server = Server::start("INSERT INTO sipwarden_brand VALUES ('b', 0);");
    assert!(TcpStream::connect(("::1", server.http)).is_err());
    let mut stream = TcpStream::connect(("127.0.0.1", server.http)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").unwrap();
    let mut answer = [0u8; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[test]
fn tables_of_the_last_run_are_marked() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 0);",
    );
    let file = format!("\"{}\"", folder.join("kept").display());
    let http = free_port();
    let defines = [("WITH_HTTP", "1".into()), ("HTTP_PORT", http.to_string())];
    let start = || {
        let gateway = ([127, 0, 0, 99], 5060).into();
        Example::start_with(&db, gateway, &defines, &[("TABLES_FILE)", &format!("{file})"))])
    };
    let kept = |example: &Example| example.kamcmd(&["sipwarden.stats"]).contains("tables_kept: 1");
    let example = start();
    wait_for("the file", || kept(&example).then_some(()));
    drop(example);
    db.run("UPDATE sipwarden_company SET ip_filter = '<b>9';");
    let _example = start();
    let browser = Browser::open(1200, 1000);
    browser.go(&format!("http://127.0.0.1:{http}/"));
    let marked = || browser.text("#kept");
    wait_for("a mark", || marked().contains("old tables, from the file: ").then_some(()));
    assert!(
        marked().contains("sipwarden_company row 1") && marked().contains("<b>9"),
        "{}",
        marked()
    );
    db.run("UPDATE sipwarden_company SET ip_filter = 0;");
    wait_up_to(Duration::from_secs(40), "no mark", || marked().is_empty().then_some(()));
}
