//! Start, reload, all functions, all RPCs and stop under valgrind.

use std::fs;
use std::path::PathBuf;

use crate::examples;
use crate::reference::exported_functions;
use crate::support::call::{Caller, Endpoint};
use crate::support::callee::AutoCallee;
use crate::support::kamailio::{Config, Kamailio};
use crate::support::proxy;
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, project, wait_up_to};
use serde_json::json;
use sipwarden::host::ATTRIBUTES;

/// All functions that need no call, and those of a call.
const ASKED: &str = r#"
request_route {
    if (is_method("OPTIONS")) { route(ASKED); exit; }
    if (!has_totag() && is_method("INVITE")) { route(CALLED); }"#;
const ROUTES: &str = r#"
route[ASKED] {
    check_company_ip("c");
    check_company_ip("c", "192.0.2.1");
    check_country("AT");
    check_country("AT", "192.0.2.2");
    flood_check();
    flood_check("p");
    flood_check("e", "192.0.2.3");
    flood_blocked();
    flood_blocked("192.0.2.4");
    auth_check("a@c");
    auth_check("a@c", "192.0.2.5");
    auth_failed("a@c");
    auth_failed("a@c", "guess");
    auth_failed("a@c", "guess", "192.0.2.6");
    auth_failed("a@c", "guess", "192.0.2.7", "-3");
    auth_ok("a@c");
    auth_ok("a@c", "192.0.2.8");
    scanner_check();
    grant("c", "60");
    grant("c", "60", "192.0.2.9");
    route(TELL);
    sl_send_reply("200", "OK");
}
route[CALLED] {
    roadwarrior_acquire("alice@c", "c");
    roadwarrior_acquire("alice@c", "c", "o");
    roadwarrior_acquire("alice@c", "c", "o", "192.0.2.10");
    cc_limit("c");
    cc_limit("c", "o");
    cc_limit("c", "o", "carrier=north;did=7");
    route(TELL);
}
route[TELL] { xlog("L_INFO", "VARIABLES\n"); }
event_route[sipwarden:denied] { route(TELL); }
event_route[sipwarden:block] { route(TELL); }
event_route[sipwarden:unblock] { route(TELL); }
event_route[sipwarden:grant] { route(TELL); }
event_route[sipwarden:limit] { route(TELL); }
event_route[sipwarden:reload] { route(TELL); }
"#;

/// A proxy under valgrind, and what it needs.
fn proxy(folder: &Folder, db: &Sqlite, callee: std::net::SocketAddr) -> Config {
    let state = |name: &str| folder.join(name).display().to_string();
    let audit = Sqlite::create(folder.join("audit.sqlite"));
    let mut config = proxy::config(&db.url(), callee).settings(&format!(
        "modparam(\"sipwarden\", \"limit_table\", \"sipwarden_limit\")
        modparam(\"sipwarden\", \"tool_table\", \"sipwarden_tool\")
        modparam(\"sipwarden\", \"audit_url\", \"{}\")
        modparam(\"sipwarden\", \"tables_file\", \"{}\")
        modparam(\"sipwarden\", \"flood_persist\", \"{}\")
        modparam(\"sipwarden\", \"flood_limit\", 20)
        modparam(\"sipwarden\", \"reaper_interval\", 1)\n",
        audit.url(),
        state("kept"),
        state("blocks"),
    ));
    config.modules.push_str("loadmodule \"cfg_rpc.so\"\n");
    config.workers = 2;
    let variables: Vec<_> = ATTRIBUTES
        .iter()
        .filter(|a| a.name != "page")
        .map(|a| format!("$swd({})", a.name))
        .collect();
    let routes = ROUTES.replace("VARIABLES", &variables.join(" "));
    config.routes = config.routes.replacen("\nrequest_route {", ASKED, 1) + &routes;
    config.wrapper = vec![
        "valgrind".into(),
        // It takes longer than Kamailio may take to stop; the soak looks for what is lost.
        "--leak-check=no".into(),
        format!("--suppressions={}", project().join("tests/valgrind/kamailio.supp").display()),
        format!("--log-file={}", folder.join("valgrind.%p").display()),
    ];
    config
}

/// The script above calls each function with each number of arguments.
#[test]
fn no_function_is_left_out() {
    let calls = |text: &str, name: &str, count: usize| {
        text.split(&format!(" {name}(")).skip(1).any(|rest| {
            let arguments = rest.split(");").next().unwrap();
            arguments.split_terminator(", ").count() == count
        })
    };
    for (name, count, _) in exported_functions() {
        assert!(calls(ROUTES, &name, count), "{name} with {count} arguments");
    }
    assert!(!calls(ROUTES, "cc_limit", 4));
}

/// What valgrind says of each process that did not end without a fault.
fn findings(folder: &Folder) -> Vec<String> {
    let files = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let is_log =
        |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("valgrind.");
    let logs: Vec<_> = files.filter(is_log).map(|path| fs::read_to_string(path).unwrap()).collect();
    assert!(logs.len() > 8, "only {} processes were under valgrind", logs.len());
    let is_bad = |log: &String| !log.contains("ERROR SUMMARY: 0 errors from 0 contexts");
    logs.into_iter().filter(is_bad).collect()
}

#[test]
fn nothing_is_found_from_start_to_stop() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
        INSERT INTO sipwarden_company VALUES ('c', 'b', 1, 2), ('7', 'b', 0, 0);
        INSERT INTO sipwarden_company_address VALUES ('c', '127.0.0.0/8', NULL);
        INSERT INTO sipwarden_user VALUES ('alice@c', 'c', 2);
        INSERT INTO sipwarden_limit (kind, id, max_calls) VALUES ('carrier', '*', 1), ('did', '7', 9);",
    );
    let callee = AutoCallee::start("127.0.0.1");
    let mut kamailio = proxy(&folder, &db, callee.address).start();
    ask(&kamailio);
    reload(&kamailio, &db);
    call(&kamailio);
    for (method, arguments) in examples::METHODS {
        let method = format!("sipwarden.{method}");
        let _ = kamailio.try_rpc(&method, json!(arguments));
        let _ = kamailio.try_rpc(&method, json!([]));
        kamailio.kamcmd(&[&[method.as_str()], arguments].concat());
    }
    kamailio.set_now("int", "flood_limit", "7");
    kamailio.set_now("string", "flood_window", "1500ms");
    ask(&kamailio);
    assert_eq!(kamailio.counter("panics"), 0);
    kamailio.stop(libc::SIGTERM);
    let found = findings(&folder);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// All functions that need no call, also above the limit.
fn ask(kamailio: &Kamailio) {
    let phone = Phone::new("127.0.0.1", kamailio.address());
    for _ in 0..30 {
        assert_eq!(phone.request("OPTIONS", "c", "").unwrap().status, 200);
    }
}

/// Good tables, bad ones, good ones.
fn reload(kamailio: &Kamailio, db: &Sqlite) {
    kamailio.rpc("sipwarden.reload", json!([]));
    db.run("INSERT INTO sipwarden_company_address VALUES ('c', 'no address', NULL);");
    kamailio.try_rpc("sipwarden.reload", json!([])).unwrap_err();
    kamailio.rpc("sipwarden.problems", json!([]));
    db.run("DELETE FROM sipwarden_company_address WHERE ip_addr = 'no address';");
    kamailio.rpc("sipwarden.reload", json!([]));
}

/// Calls that are admitted, and one above the limit.
fn call(kamailio: &Kamailio) {
    let endpoint = Endpoint::new("127.0.0.1");
    for _ in 0..2 {
        let mut calls = [(); 3].map(|()| Caller::new(&endpoint, kamailio.address(), "c", ""));
        for call in &mut calls {
            call.invite();
            match call.final_reply().status() {
                Some(200) => call.ack(),
                status => assert_eq!(status, Some(403)),
            }
        }
        for call in calls.iter_mut().filter(|call| call.is_up()) {
            call.within("BYE");
        }
        wait_up_to(std::time::Duration::from_secs(60), "the calls to end", || {
            (proxy::calls(kamailio, "c") == 0).then_some(())
        });
    }
}
