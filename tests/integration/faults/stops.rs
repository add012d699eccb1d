//! SIGTERM in every state: Kamailio ends by itself, files are whole, and the next start has all.

use super::*;
use crate::support::{signal, wait_up_to};
use libc::SIGTERM;
use std::net::TcpListener;
use std::time::Duration;

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
    site.db.run("ALTER TABLE sipwarden_trusted RENAME TO gone;");
    site.db.run(&slow_table(20));
    let mut reloading = begin_reload(&kamailio);
    // The lock is taken: another reload would wait for it.
    let ctl = kamailio.process("ctl handler");
    wait_for("the database to be read", || site.reads(ctl).then_some(()));
    end_under_calls(&mut kamailio);
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
    end_under_calls(&mut kamailio);
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

/// Dialogs of company `d` that are stored with what they count for.
const KEPT_OF_D: &str = "SELECT COUNT(*) FROM dialog d WHERE from_uri LIKE '%@d' AND EXISTS
    (SELECT 1 FROM dialog_vars v WHERE v.hash_entry = d.hash_entry AND v.hash_id = d.hash_id);";

/// Their callers are gone: the proxy ends what there is, and what the callee's answers bring.
fn end_calls_of_d(kamailio: &Kamailio) {
    wait_for("the calls of d to go", || {
        let dialogs = kamailio.rpc("dlg.list", json!([]));
        let of_d = |dialog: &&serde_json::Value| {
            dialog["from_uri"].as_str().is_some_and(|from| from.ends_with("@d"))
        };
        for dialog in dialogs.as_array().into_iter().flatten().filter(of_d) {
            let _ = kamailio.try_rpc("dlg.end_dlg", json!([dialog["h_entry"], dialog["h_id"]]));
        }
        (proxy::calls(kamailio, "d") == 0).then_some(())
    });
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
        let alive = end_under_calls(&mut kamailio);
        site.assert_files();
        // Kamailio forgets a call a moment after its end, so these may be among them.
        let kept: usize = dialogs.query(KEPT_OF_D).trim().parse().unwrap();
        kamailio = site.config.start();
        assert_eq!(proxy::calls(&kamailio, "c"), 2, "{}", kamailio.log());
        assert!(answer_to(&endpoint, &kamailio, "c").contains("company_limit 2/2"));
        let others = proxy::calls(&kamailio, "d") as usize;
        assert!((alive..=kept).contains(&others), "{others} of {alive} to {kept}");
        end_calls_of_d(&kamailio);
    }
    up.iter_mut().for_each(|call| call.within("BYE"));
    proxy::wait_for_calls(&kamailio, "c", 0);
    proxy::assert_nothing_left(&kamailio);
}
