//! Counts survive a restart with the dialogs, follow reloads, and a shutdown in
//! the middle of calls is clean.

use super::{Config, Server};
use crate::Here;
use crate::support::call::{Caller, Endpoint};
use crate::support::callee::AutoCallee;
use crate::support::host::Host;
use crate::support::proxy::{
    assert_nothing_left, call_up, calls, config, keep_dialogs, wait_for_calls,
};
use crate::support::running::free_port;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for};
use libc::{SIGKILL, SIGTERM};
use serde_json::json;

const TENANTS: &str = "
INSERT INTO sipwarden_brand VALUES ('b', 0), ('b2', 0);
INSERT INTO sipwarden_company VALUES ('c', 'b', 1, 10), ('d', 'b', 0, 0);
INSERT INTO sipwarden_user VALUES ('alice@c', 'c', 3);
";

fn tables(folder: &Folder) -> Sqlite {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(TENANTS);
    db
}

fn persistent(db: &Sqlite, dialogs: &Sqlite, callee: &AutoCallee, db_mode: u32) -> Config {
    let mut config = config(&db.url(), callee.address);
    // SQLite's driver does not wait for another writer, so one worker writes.
    config.workers = if db_mode == 1 { 1 } else { config.workers };
    config
        .settings(&keep_dialogs(&dialogs.url(), db_mode))
        .settings("modparam(\"dialog\", \"db_update_period\", 1)\n")
        .settings(Here::WHOLE_DIALOGS)
        .port(free_port())
}

/// Values that the stored dialogs remember.
fn remembered(dialogs: &Sqlite) -> u32 {
    dialogs.query(Here::REMEMBERED).trim().parse().unwrap()
}

fn user_calls(server: &Server) -> u64 {
    let explained = server.ask("check", json!(["c", "127.0.0.1", "alice@c"]));
    explained["roadwarrior"]["user_calls"].as_u64().unwrap()
}

fn counts_come_back(db_mode: u32, signal: i32) {
    let folder = Folder::new();
    let (db, dialogs) = (tables(&folder), Here::dialogs(&folder));
    let callee = AutoCallee::start("127.0.0.1");
    let endpoint = Endpoint::new("127.0.0.1");
    let config = persistent(&db, &dialogs, &callee, db_mode);
    let mut server = config.start();
    assert!(!server.log().contains("counts begin at zero"));
    let mut up = vec![
        call_up(&endpoint, &server, "c", "X-Roadwarrior: alice@c\r\nX-Flags: o\r\n"),
        call_up(&endpoint, &server, "c", "X-Roadwarrior: alice@c\r\nX-Flags: e\r\n"),
        call_up(&endpoint, &server, "c", "X-Flags: i\r\n"),
        call_up(&endpoint, &server, "d", ""),
    ];
    let stored = || dialogs.query("SELECT COUNT(*) FROM dialog WHERE state = 4;");
    wait_for("the dialogs to be stored", || (stored().trim() == "4").then_some(()));
    wait_for("their variables too", || (remembered(&dialogs) >= 9).then_some(()));

    for _ in 0..2 {
        server.stop(signal);
        server = config.start();
        assert_eq!(calls(&server, "c"), 3, "{}", server.log());
        assert_eq!(calls(&server, "d"), 1);
        assert_eq!(user_calls(&server), 2);
        let company = server.ask("company", json!(["c"]));
        assert_eq!(company["brand_calls"], 4);
        let listed = server.ask("calls", json!(["c"]));
        let of = |id: &str| {
            let all = listed["calls"].as_array().unwrap();
            all.iter().find(|c| c["call_id"] == id).unwrap().clone()
        };
        assert_eq!(of(&up[0].call_id)["direction"], "out");
        assert_eq!(of(&up[1].call_id)["emergency"], 1);
        assert_eq!(of(&up[2].call_id)["user"], "");
    }
    for call in &mut up {
        call.within("BYE");
    }
    wait_for_calls(&server, "c", 0);
    wait_for_calls(&server, "d", 0);
    assert_nothing_left(&server);
}

#[test]
fn counts_equal_the_restored_dialogs_after_term() {
    counts_come_back(1, SIGTERM);
}

#[test]
fn counts_equal_the_restored_dialogs_after_kill() {
    counts_come_back(1, SIGKILL);
}

#[test]
fn counts_equal_the_restored_dialogs_with_delayed_writes() {
    counts_come_back(2, SIGTERM);
    counts_come_back(2, SIGKILL);
}

#[test]
fn a_restored_roadwarriors_call_is_listed_for_his_company_and_does_not_count_for_it() {
    let folder = Folder::new();
    let (db, dialogs) = (tables(&folder), Here::dialogs(&folder));
    let callee = AutoCallee::start("127.0.0.1");
    let endpoint = Endpoint::new("127.0.0.1");
    let mut config = persistent(&db, &dialogs, &callee, 1);
    config.routes =
        config.routes.replace("if (!cc_limit(", "if ($hdr(X-Count) != \"no\" && !cc_limit(");
    let mut server = config.start();
    let mut call = call_up(&endpoint, &server, "c", "X-Roadwarrior: alice@c\r\nX-Count: no\r\n");
    wait_for("the user to be stored", || (remembered(&dialogs) == 1).then_some(()));
    for _ in 0..2 {
        assert_eq!((calls(&server, "c"), user_calls(&server)), (0, 1));
        let listed = server.ask("calls", json!(["c"]));
        assert_eq!(listed["total"], 1, "{listed}");
        assert_eq!(listed["calls"][0]["counts_for_company"], 0);
        server.stop(SIGTERM);
        server = config.start();
    }
    call.within("BYE");
    wait_for("the call to go", || (user_calls(&server) == 0).then_some(()));
    assert_nothing_left(&server);
}

/// Two proxies with one table of dialogs.
#[test]
fn restored_calls_of_another_server_are_left_out_and_that_is_said() {
    let folder = Folder::new();
    let (db, dialogs) = (tables(&folder), Here::dialogs(&folder));
    let callee = AutoCallee::start("127.0.0.1");
    let endpoint = Endpoint::new("127.0.0.1");
    let config = persistent(&db, &dialogs, &callee, 1);
    let mut first = config.start();
    let mut up = [
        call_up(&endpoint, &first, "c", "X-Roadwarrior: alice@c\r\n"),
        call_up(&endpoint, &first, "d", ""),
    ];
    wait_for("what is counted to be stored", || (remembered(&dialogs) == 3).then_some(()));
    let other = persistent(&db, &dialogs, &callee, 1).start();
    assert_eq!((calls(&other, "c"), calls(&other, "d"), user_calls(&other)), (0, 0, 0));
    let (said, times) = Here::LEFT_OUT;
    assert_eq!(other.log().matches(said).count(), times, "{}", other.log());
    drop(other);
    // Its own are its own.
    first.stop(SIGTERM);
    let first = config.start();
    assert_eq!((calls(&first, "c"), calls(&first, "d")), (1, 1), "{}", first.log());
    assert!(!first.log().contains(said), "{}", first.log());
    for call in &mut up {
        call.within("BYE");
    }
    wait_for_calls(&first, "c", 0);
    wait_for_calls(&first, "d", 0);
    assert_nothing_left(&first);
}

#[test]
fn without_a_dialog_database_the_log_says_that_counts_begin_at_zero() {
    let folder = Folder::new();
    let db = tables(&folder);
    let callee = AutoCallee::start("127.0.0.1");
    let config: Config = config(&db.url(), callee.address);
    let log = config.start().log();
    assert!(log.contains("after a restart the counts begin at zero"), "{log}");
}

#[test]
fn a_call_that_outlived_the_counts_is_not_refused() {
    let folder = Folder::new();
    let db = tables(&folder);
    db.run("UPDATE sipwarden_company SET max_calls = 1;");
    let callee = AutoCallee::start("127.0.0.1");
    let endpoint = Endpoint::new("127.0.0.1");
    let config: Config = config(&db.url(), callee.address).port(free_port());
    let mut server = config.start();
    let mut old = call_up(&endpoint, &server, "c", "");
    server.stop(SIGTERM);
    server = config.start();
    let _new = call_up(&endpoint, &server, "c", "");
    old.within("INVITE");
    assert_eq!(old.final_reply().status(), Some(200));
    old.ack();
    assert!(server.log().contains("re-INVITE: call_untracked"), "{}", server.log());
    assert_eq!(calls(&server, "c"), 1);
}

#[test]
fn without_the_dialog_module_the_missing_line_is_named() {
    let folder = Folder::new();
    let db = tables(&folder);
    let routes = r#"
route {
    cc_limit("d");
    append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
    sl_send_reply(403, "no");
}
"#;
    let server = Config::new(&db.url()).routes(routes).start();
    let phone = crate::support::sip::Phone::new("127.0.0.1", server.address());
    let told = phone.request("INVITE", "bob", "").unwrap().told().unwrap();
    assert_eq!(told.reason, "internal_error");
    let log = server.log();
    assert!(log.contains("loadmodule \"dialog.so\" is missing"), "{log}");
    assert!(
        log.contains(
            "there is no dialog module: cc_limit and roadwarrior_acquire refuse every call"
        )
    );
}

#[test]
fn a_dialog_is_made_where_the_script_made_none() {
    let folder = Folder::new();
    let db = tables(&folder);
    let callee = AutoCallee::start("127.0.0.1");
    let server: Server = config(&db.url(), callee.address).start();
    let endpoint = Endpoint::new("127.0.0.1");
    let mut call = call_up(&endpoint, &server, "c", "X-Do: implicit\r\n");
    assert_eq!(calls(&server, "c"), 1);
    call.within("BYE");
    wait_for_calls(&server, "c", 0);
    assert_nothing_left(&server);
}

#[test]
fn reloads_keep_counts_whatever_becomes_of_limits_brands_and_companies() {
    let folder = Folder::new();
    let db = tables(&folder);
    let callee = AutoCallee::start("127.0.0.1");
    let server: Server = config(&db.url(), callee.address).start();
    let endpoint = Endpoint::new("127.0.0.1");
    let mut up: Vec<_> = (0..5).map(|_| call_up(&endpoint, &server, "c", "")).collect();
    let company = || server.ask("company", json!(["c"]));

    // A lowered limit refuses new calls only.
    db.run("UPDATE sipwarden_company SET max_calls = 3 WHERE id = 'c';");
    server.ask("reload", json!([]));
    assert_eq!((&company()["calls"], &company()["max_calls"]), (&json!(5), &json!(3)));
    let mut refused = Caller::new(&endpoint, server.address(), "c", "");
    refused.invite();
    assert!(refused.final_reply().line.contains("company_limit 5/3"));
    for call in up.drain(..3) {
        let mut call = call;
        call.within("BYE");
    }
    wait_for_calls(&server, "c", 2);
    up.push(call_up(&endpoint, &server, "c", ""));

    // A company that moves: its old calls leave the old brand, new ones join the new.
    db.run("UPDATE sipwarden_company SET brand_id = 'b2', max_calls = 0 WHERE id = 'c';");
    server.ask("reload", json!([]));
    up.push(call_up(&endpoint, &server, "c", ""));
    assert_eq!((&company()["calls"], &company()["brand_calls"]), (&json!(4), &json!(1)));
    let of_d = || server.ask("company", json!(["d"]))["brand_calls"].clone();
    assert_eq!(of_d(), 3);
    let mut last = up.remove(0);
    last.within("BYE");
    wait_for("the old brand to lose one", || (of_d() == 2).then_some(()));

    // A company that disappears.
    db.run("DELETE FROM sipwarden_user; DELETE FROM sipwarden_company WHERE id = 'c';");
    server.ask("reload", json!([]));
    assert_eq!(server.ask("calls", json!([]))["total"], 3);
    for call in &mut up {
        call.within("BYE");
    }
    wait_for("all calls to go", || (server.ask("calls", json!([]))["total"] == 0).then_some(()));
    assert_eq!(of_d(), 0);
    assert_nothing_left(&server);
}

#[test]
fn a_shutdown_with_calls_up_is_clean() {
    let folder = Folder::new();
    let db = tables(&folder);
    let callee = AutoCallee::start("127.0.0.1");
    let mut server: Server = config(&db.url(), callee.address).start();
    let endpoint = Endpoint::new("127.0.0.1");
    let _up: Vec<_> = (0..20).map(|_| call_up(&endpoint, &server, "d", "")).collect();
    let status = server.stop(SIGTERM);
    assert_eq!(status.code(), Some(0), "{}", server.log());
    let log = server.log();
    for bad in ["BUG", "segfault", "core was", "signal 11", "signal 6"] {
        assert!(!log.contains(bad), "{bad} in {log}");
    }
}
