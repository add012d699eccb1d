//! SIGTERM in every state: Kamailio ends by itself, files are whole, and the next start has all.

use super::*;
use crate::support::{signal, wait_up_to};
use libc::SIGTERM;
use std::net::TcpListener;
use std::time::Duration;

/// A view that takes seconds to read.
const SLOW: &str = "
DROP TABLE sipwarden_trusted; CREATE VIEW sipwarden_trusted AS
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 20000000)
SELECT '192.0.2.1' AS ip_addr, NULL AS mask, SUBSTR(MAX(i), 99) AS tag FROM n;";

/// Begins a reload over the socket of kamcmd, and does not wait for it.
fn begin_reload(kamailio: &Kamailio) -> std::process::Child {
    let command = format!("exec {} sipwarden.reload", kamailio.kamcmd_command());
    let mut sh = Command::new("sh");
    sh.args(["-c", &command]);
    sh.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    sh.spawn().unwrap()
}

#[test]
fn sigterm_during_a_reload_leaves_whole_files() {
    let site = Site::new();
    let mut kamailio = site.config.start();
    site.wait_for_files(&kamailio);
    site.db.run(SLOW);
    let mut reloading = begin_reload(&kamailio);
    // The lock is taken: another reload would wait for it.
    let ctl = u64::from(kamailio.process("ctl handler"));
    let database = site.db.path().to_str().unwrap().to_owned();
    wait_for("the database to be read", || {
        let files = std::fs::read_dir(format!("/proc/{ctl}/fd")).unwrap();
        let targets = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        targets.filter_map(|target| target.to_str().map(str::to_owned)).find(|t| *t == database)
    });
    under_calls(&kamailio, || ());
    assert_ends(&mut kamailio);
    reloading.wait().unwrap();
    site.assert_files();
    site.db.run("DROP VIEW sipwarden_trusted;");
    let kamailio = site.config.start();
    assert_eq!(kamailio.counter("tables_from_file"), 1);
    assert_eq!(kamailio.counter("blocks_active"), 1);
}

/// One process waits for the audit's database, another one for that of the tables; neither
/// answers.
#[test]
fn sigterm_while_databases_hang_ends_at_once() {
    let hole = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mysql://sip:x@127.0.0.1:{}/sip", hole.local_addr().unwrap().port());
    let site = Site::new();
    let mut config = site.config;
    config.modules.push_str(
        "loadmodule \"db_mysql.so\"\nmodparam(\"db_mysql\", \"timeout_interval\", 3600)\n",
    );
    let config = config.settings(&format!("modparam(\"sipwarden\", \"audit_url\", \"{url}\")\n"));
    let mut kamailio = config.start();
    let endpoint = Endpoint::new("127.0.0.1");
    assert!(answer_to(&endpoint, &kamailio, "nobody").contains("unknown_company"));
    let (_of_audit, _) = hole.accept().unwrap();
    kamailio.rpc("sipwarden.set", json!(["db_url", url]));
    let mut reloading = begin_reload(&kamailio);
    let (_of_tables, _) = hole.accept().unwrap();
    under_calls(&kamailio, || ());
    assert_ends(&mut kamailio);
    reloading.wait().unwrap();
}

/// From at once to long after it has started, a bit later each time.
#[test]
fn sigterm_at_any_moment_of_the_start_ends_it() {
    let site = Site::new();
    let mut first = site.config.start();
    site.wait_for_files(&first);
    first.stop(SIGTERM);
    let rounds = if is_long() { 100 } else { 12 };
    for round in 0..rounds {
        let mut kamailio = site.config.begin();
        std::thread::sleep(Duration::from_millis(1200 * round / rounds));
        signal(kamailio.pid() as i32, SIGTERM);
        wait_up_to(Duration::from_secs(20), "Kamailio to stop", || {
            (!kamailio.runs()).then_some(())
        });
        let log = kamailio.log();
        for bad in ["BUG", "segfault", "core was", "panick"] {
            assert!(!log.contains(bad), "{bad} in {log}");
        }
        site.assert_files();
    }
    let kamailio = site.config.start();
    assert_eq!(kamailio.counter("blocks_active"), 1);
}

/// The start itself waits for the database, as long as the driver does; then it ends.
#[test]
fn sigterm_while_the_start_waits_for_the_database_ends_it() {
    let hole = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mysql://sip:x@127.0.0.1:{}/sip", hole.local_addr().unwrap().port());
    let site = Site::new();
    let mut config = site.config;
    config.db_url = url;
    config
        .modules
        .push_str("loadmodule \"db_mysql.so\"\nmodparam(\"db_mysql\", \"timeout_interval\", 1)\n");
    let mut kamailio = config.begin();
    let (_held, _) = hole.accept().unwrap();
    signal(kamailio.pid() as i32, SIGTERM);
    wait_for("Kamailio to stop", || (!kamailio.runs()).then_some(()));
}

/// Calls that come, live and go while it stops; those that were stored count after the start.
#[test]
fn sigterm_amid_calls_and_the_next_start_counts_those_that_live() {
    let mut site = Site::new();
    let dialogs = Sqlite::dialogs(&site.folder);
    site.config = keep_each_dialog(site.config, &dialogs);
    let endpoint = Endpoint::new("127.0.0.1");
    let mut kamailio = site.config.start();
    site.wait_for_files(&kamailio);
    let mut up: Vec<_> = (0..2).map(|_| call_up(&endpoint, &kamailio, "c", "")).collect();
    let stored = || dialogs.query("SELECT COUNT(*) FROM dialog WHERE state = 4;");
    wait_for("the dialogs to be stored", || (stored().trim() == "2").then_some(()));
    let rounds = if is_long() { 10 } else { 2 };
    for _ in 0..rounds {
        // Nobody waits for these.
        let others: Vec<_> =
            (0..50).map(|_| Caller::new(&endpoint, kamailio.address(), "nobody", "")).collect();
        others.iter().for_each(Caller::invite);
        assert_ends(&mut kamailio);
        site.assert_files();
        kamailio = site.config.start();
        assert_eq!(proxy::calls(&kamailio, "c"), 2, "{}", kamailio.log());
        assert!(answer_to(&endpoint, &kamailio, "c").contains("company_limit 2/2"));
    }
    up.iter_mut().for_each(|call| call.within("BYE"));
    proxy::wait_for_calls(&kamailio, "c", 0);
    proxy::assert_nothing_left(&kamailio);
}
