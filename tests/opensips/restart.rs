//! A shutdown in the middle of calls, and without a main process. Restarts of both hosts are in
//! tests/hosts.

use libc::{SIGKILL, SIGTERM};

use crate::host::{Config, OpenSips};
use crate::support::call::{Caller, Endpoint};
use crate::support::callee::AutoCallee;
use crate::support::proxy::{call_up, config, wait_for_calls};
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

#[test]
fn a_shutdown_amid_calls_ends_all_processes_and_loses_nothing() {
    let folder = Folder::new();
    let db = tables(&folder);
    let callee = AutoCallee::start("127.0.0.1");
    let endpoint = Endpoint::new("127.0.0.1");
    let mut opensips: OpenSips = config(&db.url(), callee.address).start();
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
