//! The operators' web page in a real browser.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::support::browser::Browser;
use crate::support::call::{Caller, Endpoint};
use crate::support::example::Example;
use crate::support::kamailio::free_port;
use crate::support::page::{Server, headers};
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, uninterrupted, wait_for, wait_up_to};
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
        INSERT INTO sipwarden_limit (kind, id, max_new, window_seconds) VALUES ('user', '*', 3, 60);",
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
    assert_eq!(row, ["did *", "out", "up to 2 each", "–", "–", "–", "from 80 %"]);
    let row = browser.row("#limits", "carrier north").unwrap();
    assert_eq!(row, ["carrier north", "all", "2 of 4", "–", "1", "2 h", "from 50 %"]);
    browser.fill("#limits-kind", "user");
    browser.fill("#limits-id", "bob@c");
    browser.click("#find-limits button");
    let row = wait_for("what holds for bob", || browser.row("#limits", "user bob@c"));
    assert_eq!(row, ["user bob@c", "all", "1, no limit", "1 of 3 in 60 s", "–", "–", "–"]);
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
    assert!(ask("c", "did=+341", "i").ends_with("would pass."));
    assert!(ask("filtered", "", "").contains("would be refused"));
    assert!(ask("filtered", "did=+341", "oe").ends_with("would pass."));
    let steps = browser.texts("#answer li").join("\n");
    assert!(steps.contains("an emergency passes above every limit"), "{steps}");
    assert_harmless(&browser);
}

/// Answers with a page that tries what a stranger can, until the test ends.
fn hostile_site() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            // Browsers open connections ahead that they may never use.
            std::thread::spawn(move || {
                let _ = uninterrupted(|| stream.read(&mut [0; 4096]));
                let body = "<title>win a prize</title><iframe name=f></iframe>";
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\
                     Content-Length: {}\r\n\r\n{body}",
                    body.len()
                );
            });
        }
    });
    address
}

#[test]
fn no_other_page_can_unblock() {
    let server = Server::start("INSERT INTO sipwarden_brand VALUES ('b', 0);");
    server.example.kamcmd(&["sipwarden.block", "127.60.0.1", "600"]);
    let is_blocked = || server.blocks().contains("source: 127.60.0.1\n");
    assert!(is_blocked());
    let rpc = format!("http://127.0.0.1:{}/RPC", server.http);
    let body = r#"{"jsonrpc":"2.0","method":"sipwarden.unblock","params":["127.60.0.1"],"id":1}"#;
    let browser = Browser::open(800, 600);
    let site = hostile_site();
    for host in ["127.0.0.1", "localhost"] {
        browser.go(&format!("http://{host}:{}/", site.port()));
        for kind in ["application/json", "text/plain"] {
            for mode in ["cors", "no-cors"] {
                let said = browser.wait_script(&format!(
                    "const a = await fetch('{rpc}', {{method: 'POST', mode: '{mode}', body: '{body}', \
                     headers: {{'Content-Type': '{kind}'}}}}); return a.type + a.status;"
                ));
                // Nothing can be read; what was sent at all has come to nothing.
                assert_ne!(said, "cors200", "{host} {kind} {mode}");
                assert!(is_blocked(), "{host} {kind} {mode}: {said}");
            }
        }
        // A form whose field makes the body look like JSON.
        let (name, value) = body.split_at(body.len() - 2);
        browser.wait_script(&format!(
            "const f = document.createElement('form'); f.action = '{rpc}'; f.method = 'post'; \
             f.enctype = 'text/plain'; f.target = 'f'; const i = document.createElement('input'); \
             i.name = '{name}'; i.value = '{value}'; f.append(i); document.body.append(f); \
             const frame = document.querySelector('iframe'); \
             const loaded = new Promise(done => frame.onload = done); f.submit(); await loaded;"
        ));
        assert!(is_blocked(), "{host}: a form");
        // The page in a frame, under which a click could be stolen.
        let seen = browser.wait_script(&format!(
            "const frame = document.querySelector('iframe'); \
             const loaded = new Promise(done => frame.onload = done); \
             frame.src = '{}'; await loaded; return frame.contentDocument === null;",
            server.page()
        ));
        assert_eq!(seen, true);
    }
    let complaints = browser.complaints().join("\n");
    assert!(complaints.contains("frame-ancestors"), "{complaints}");

    // The page itself can.
    browser.go(&server.page());
    wait_for("the block", || browser.row("#blocks", "127.60.0.1"));
    browser.click("#blocks button");
    browser.click("#ask-yes");
    wait_for("the block to go", || (!is_blocked()).then_some(()));
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
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        let host = format!("127.0.0.1:{}", server.http);
        let head = format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n");
        stream.write_all(head.as_bytes()).ok()?;
        String::from_utf8(crate::support::kamailio::read_http(&mut stream).ok()?).ok()
    };
    // Gauges are set every ten seconds, one after the other: brands after companies.
    let gauges = [
        "kamailio_sipwarden_company_calls{company=\"busy\", brand=\"b\"} 2.000000",
        "kamailio_sipwarden_brand_calls{brand=\"b\"} 2.000000",
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
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n").unwrap();
    let mut answer = [0u8; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
}

#[test]
fn only_local_requests_for_methods_of_sipwarden_are_answered() {
    let server = Server::start("INSERT INTO sipwarden_brand VALUES ('b', 0);");
    let ask = |line: &str, headers: &str, body: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", server.http)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let length = body.len();
        let head = format!("{line} HTTP/1.1\r\n{headers}Content-Length: {length}\r\n\r\n{body}");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = [0u8; 65536];
        let read = uninterrupted(|| stream.read(&mut answer)).unwrap();
        String::from_utf8_lossy(&answer[..read]).into_owned()
    };
    let status = |answer: &str| answer.split(' ').nth(1).unwrap_or_default().to_owned();
    let host = format!("Host: 127.0.0.1:{}\r\n", server.http);
    let own = format!("{host}Content-Type: application/json\r\n");
    let call = |method: &str, params: &str| {
        format!("{{\"jsonrpc\":\"2.0\",\"method\":\"{method}\",\"params\":[{params}],\"id\":1}}")
    };
    let version = call("sipwarden.version", "");

    let page = ask("GET /", &host, "");
    assert_eq!(status(&page), "200");
    for header in [
        "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; script-src \
         'unsafe-inline'; connect-src 'self';",
        "X-Content-Type-Options: nosniff\r\n",
        "Referrer-Policy: no-referrer\r\n",
        "X-Frame-Options: DENY\r\n",
        "Content-Type: text/html; charset=utf-8\r\n",
    ] {
        assert!(page.contains(header), "{header}: {page}");
    }

    let cases = [
        ("200", "POST /RPC", own.clone(), version.clone()),
        ("200", "POST /RPC", own.clone(), call("sipwarden.calls", r#""", 1"#)),
        ("200", "POST /RPC", own.clone(), call("sipwarden.reload_all", "")),
        ("403", "GET /", "Host: attacker.example\r\n".into(), String::new()),
        ("403", "GET /", String::new(), String::new()),
        ("404", "GET /etc/passwd", host.clone(), String::new()),
        ("405", "POST /", own.clone(), version.clone()),
        ("405", "GET /RPC", own.clone(), String::new()),
        ("405", "OPTIONS /RPC", own.clone(), String::new()),
        ("415", "POST /RPC", host.clone(), version.clone()),
        ("415", "POST /RPC", format!("{host}Content-Type: text/plain\r\n"), version.clone()),
        ("403", "POST /RPC", format!("{own}Origin: http://127.0.0.1:1\r\n"), version.clone()),
        ("403", "POST /RPC", format!("{own}Origin: null\r\n"), version.clone()),
        ("403", "POST /RPC", format!("{own}Sec-Fetch-Site: same-site\r\n"), version.clone()),
        (
            "403",
            "POST /RPC",
            "Host: a.example\r\nOrigin: http://a.example\r\nContent-Type: application/json\r\n"
                .into(),
            version.clone(),
        ),
        ("403", "POST /RPC", own.clone(), call("sipwarden.set", r#""monitor", 1"#)),
        ("403", "POST /RPC", own.clone(), call("core.version", "")),
        ("403", "POST /RPC", own.clone(), call("core.v\\u0065rsion", "")),
        (
            "403",
            "POST /RPC",
            own.clone(),
            call("sipwarden.version\",\"method\":\"core.version", ""),
        ),
        (
            "403",
            "POST /RPC",
            own.clone(),
            call("sipwarden.version", r#""x"],"method":"core.version","y":["z""#),
        ),
        ("403", "POST /RPC", own.clone(), format!("[{}]", call("core.version", ""))),
        ("403", "POST /RPC", own.clone(), format!("{version}{}", call("core.version", ""))),
    ];
    for (expected, line, headers, body) in cases {
        let answer = ask(line, &headers, &body);
        assert_eq!(status(&answer), expected, "{line}\n{headers}{body}\n{answer}");
    }
    // By IPv6 too, and there for those only who may by IPv4.
    let ask6 = |host: &str| {
        let mut stream = TcpStream::connect(("::1", server.http)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET / HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n").unwrap();
        let mut answer = [0u8; 12];
        stream.read_exact(&mut answer).unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    };
    assert_eq!(ask6(&format!("[::1]:{}", server.http)), "HTTP/1.1 200");
    assert_eq!(ask6("[::1].attacker.example"), "HTTP/1.1 403");
    // SIP is not spoken here.
    let mut stream = TcpStream::connect(("127.0.0.1", server.http)).unwrap();
    let options = "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bKx\r\n\
        From: <sip:a@b>;tag=1\r\nTo: <sip:x@b>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n\
        Max-Forwards: 70\r\nX-Company: c\r\nContent-Length: 0\r\n\r\n";
    stream.write_all(options.as_bytes()).unwrap();
    stream.write_all(format!("GET / HTTP/1.1\r\n{host}\r\n").as_bytes()).unwrap();
    let mut answer = [0u8; 16];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK\r");
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
