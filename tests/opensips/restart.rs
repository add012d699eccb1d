//! Counts survive a restart with the dialogs; a shutdown in the middle of calls is clean.

use libc::{SIGKILL, SIGTERM};
use serde_json::json;

use crate::host::{Config, OpenSips, source};
use crate::support::call::{Caller, Endpoint};
use crate::support::callee::AutoCallee;
use crate::support::kamailio::free_port;
use crate::support::proxy::{assert_nothing_left, calls, config, wait_for_calls};
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for};

fn tables(folder: &Folder) -> Sqlite {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 1, 10), ('d', 'b', 0, 0);
         INSERT INTO sipwarden_user VALUES ('alice@c', 'c', 3);",
    );
    db
}

/// OpenSIPS's own schema of the dialog module.
pub fn dialog_database(folder: &Folder) -> Sqlite {
    let db = Sqlite::empty(folder.join("dialogs.sqlite"));
    db.run("PRAGMA journal_mode=WAL;");
    for name in ["standard", "dialog"] {
        db.run(&source(&format!("scripts/sqlite/{name}-create.sql")));
    }
    db
}

fn call_up<'a>(
    endpoint: &'a Endpoint,
    opensips: &OpenSips,
    domain: &str,
    headers: &str,
) -> Caller<'a> {
    let mut call = Caller::new(endpoint, opensips.address(), domain, headers);
    call.invite();
    let reply = call.final_reply();
    assert_eq!(reply.status(), Some(200), "{}", reply.line);
    call.ack();
    call
}

fn persistent(db: &Sqlite, dialogs: &Sqlite, callee: &AutoCallee) -> Config {
    let mut config = config(&db.url(), callee.address);
    // SQLite's driver does not wait for another writer, so one worker writes.
    config.workers = 1;
    config.port = Some(free_port());
    config.settings(&format!(
        "modparam(\"dialog\", \"db_mode\", 1)\nmodparam(\"dialog\", \"db_flush_vals_profiles\", 1)\n\
         modparam(\"dialog\", \"db_url\", \"{}\")\n",
        dialogs.url()
    ))
}

fn counts_come_back(signal: i32) {
    let folder = Folder::new();
    let (db, dialogs) = (tables(&folder), dialog_database(&folder));
    let callee = AutoCallee::start("127.0.0.1");
    let endpoint = Endpoint::new("127.0.0.1");
    let config = persistent(&db, &dialogs, &callee);
    let mut opensips = config.start();
    let log = opensips.log();
    assert!(
        !log.contains("counts begin at zero") && !log.contains("db_flush_vals_profiles"),
        "{log}"
    );
    let mut up = vec![
        call_up(&endpoint, &opensips, "c", "X-Roadwarrior: alice@c\r\nX-Flags: o\r\n"),
        call_up(&endpoint, &opensips, "c", "X-Roadwarrior: alice@c\r\nX-Flags: e\r\n"),
        call_up(&endpoint, &opensips, "c", "X-Flags: i\r\n"),
        call_up(&endpoint, &opensips, "d", ""),
    ];
    let stored = || dialogs.query("SELECT COUNT(*) FROM dialog WHERE state >= 3;");
    wait_for("the dialogs to be stored", || (stored().trim() == "4").then_some(()));
    for _ in 0..2 {
        opensips.stop(signal);
        opensips = config.start();
        assert_eq!(calls(&opensips, "c"), 3, "{}", opensips.log());
        assert_eq!(calls(&opensips, "d"), 1);
        let company = opensips.rpc("sipwarden_company", json!(["c"]));
        assert_eq!(company["brand_calls"], 4);
        let listed = opensips.rpc("sipwarden_calls", json!(["c"]));
        let of = |id: &str| {
            let all = listed["calls"].as_array().unwrap();
            all.iter().find(|c| c["call_id"] == id).unwrap().clone()
        };
        assert_eq!(of(&up[0].call_id)["direction"], "out");
        assert_eq!(of(&up[0].call_id)["user"], "alice@c");
        assert_eq!(of(&up[1].call_id)["emergency"], 1);
        assert_eq!(of(&up[2].call_id)["user"], "");
    }
    for call in &mut up {
        call.within("BYE");
    }
    wait_for_calls(&opensips, "c", 0);
    wait_for_calls(&opensips, "d", 0);
    assert_nothing_left(&opensips);
}

#[test]
fn counts_equal_the_restored_dialogs_after_term() {
    counts_come_back(SIGTERM);
}

#[test]
fn counts_equal_the_restored_dialogs_after_kill() {
    counts_come_back(SIGKILL);
}

#[test]
fn a_shutdown_amid_calls_ends_all_processes_and_loses_nothing() {
    let folder = Folder::new();
    let db = tables(&folder);
    let callee = AutoCallee::start("127.0.0.1");
    let endpoint = Endpoint::new("127.0.0.1");
    let mut opensips = config(&db.url(), callee.address).start();
    let _up: Vec<_> = (0..20).map(|_| call_up(&endpoint, &opensips, "d", "")).collect();
    let ringing: Vec<_> = (0..20)
        .map(|_| Caller::new(&endpoint, opensips.address(), "d", "X-Do: newtran\r\n"))
        .collect();
    ringing.iter().for_each(Caller::invite);
    wait_for_calls(&opensips, "d", 40);
    let processes = opensips.processes("");
    assert!(opensips.stop(SIGTERM).success(), "{}", opensips.log());
    for pid in processes {
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{pid}");
    }
    let log = opensips.log();
    for trouble in ["panic", "BUG", "CRITICAL:", "segfault"] {
        assert!(!log.contains(trouble), "{trouble}: {log}");
    }
}

#[test]
fn its_processes_end_with_a_main_process_that_was_killed() {
    let folder = Folder::new();
    let db = tables(&folder);
    let mut opensips = Config::new(&db.url()).start();
    let own = opensips.processes("sipwarden");
    assert_eq!(own.len(), 2, "{own:?}");
    crate::support::signal(opensips.pid() as i32, SIGKILL);
    wait_for("them to end", || {
        let lives = |pid: &u32| std::path::Path::new(&format!("/proc/{pid}")).exists();
        (!own.iter().any(lives)).then_some(())
    });
    assert!(!opensips.runs());
}
