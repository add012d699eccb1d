//! Each process of the module's own, stopped, slow, or killed.

use super::*;
use crate::support::{signal, wait_up_to};
use libc::{SIGCONT, SIGKILL, SIGSTOP, SIGTERM};
use std::time::Duration;

/// With all of the module's own processes but the broker, which has tests of its own.
fn site() -> Site {
    Site::new().settings(
        "modparam(\"sipwarden\", \"host_names\", 1)\nmodparam(\"sipwarden\", \"reaper_interval\", 1)\n",
    )
}

const OWN: [&str; 3] = ["sipwarden warden", "sipwarden recorder", "sipwarden resolver"];

/// What must work while one of them does nothing: calls, limits, blocks, reloads.
fn assert_works(site: &Site, kamailio: &Kamailio, round: usize) {
    let endpoint = Endpoint::new("127.0.0.1");
    under_calls(kamailio, || {
        let mut up: Vec<_> = (0..2).map(|_| call_up(&endpoint, kamailio, "c", "")).collect();
        assert!(answer_to(&endpoint, kamailio, "c").contains("company_limit 2/2"));
        up.iter_mut().for_each(|call| call.within("BYE"));
        proxy::wait_for_calls(kamailio, "c", 0);
        site.db.run(&format!("INSERT INTO sipwarden_company VALUES ('n{round}', 'b', 1, 0);"));
        // It waits for the warden if settings are to be taken over, and says so.
        wait_for("a reload", || kamailio.try_rpc("sipwarden.reload", json!([])).ok());
        let source = format!("198.51.100.{round}");
        kamailio.rpc("sipwarden.block", json!([source, "1"]));
        kamailio.rpc("sipwarden.denied", json!([]));
        let check = kamailio.rpc("sipwarden.check", json!([format!("n{round}"), "127.0.0.1"]));
        assert_eq!(check["reason"], "denied_no_ranges", "{check}");
    });
}

#[test]
fn a_process_of_the_modules_own_that_is_stopped_or_slow_keeps_no_call_waiting() {
    let site = site();
    let mut kamailio = site.config.start();
    // The warden has taken over the settings of the start: a reload waits for that.
    site.wait_for_files(&kamailio);
    kamailio.rpc("sipwarden.unblock", json!(["203.0.113.7"]));
    for (round, name) in OWN.into_iter().enumerate() {
        let pid = kamailio.process(name) as i32;
        signal(pid, SIGSTOP);
        assert_works(&site, &kamailio, 2 * round);
        signal(pid, SIGCONT);
        // Slow: it runs a twentieth of the time.
        let going = Going::begin();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while going.is_on() {
                    signal(pid, SIGSTOP);
                    std::thread::sleep(Duration::from_millis(95));
                    signal(pid, SIGCONT);
                    std::thread::sleep(Duration::from_millis(5));
                }
            });
            let _end = going.while_held();
            assert_works(&site, &kamailio, 2 * round + 1);
        });
    }
    // What waited is done.
    wait_for("the ends of the blocks", || (kamailio.counter("blocks_active") == 0).then_some(()));
    site.wait_for_files(&kamailio);
    proxy::assert_nothing_left(&kamailio);
    assert!(kamailio.runs());
    kamailio.stop(SIGTERM);
    site.assert_files();
}

/// A process that is stopped hears no SIGTERM: Kamailio's exit_timeout ends it.
#[test]
fn a_stopped_process_delays_the_end_no_longer_than_exit_timeout() {
    let site = site();
    for name in OWN {
        let mut kamailio = site.config.start();
        site.wait_for_files(&kamailio);
        signal(kamailio.process(name) as i32, SIGSTOP);
        // Of two signals at once the main process keeps one only: first it hears of this.
        wait_for("the main process to notice", || {
            kamailio.log().contains("SIGCHLD received, but no child has stopped").then_some(())
        });
        kamailio.stop(SIGTERM);
        site.assert_files();
    }
}

/// The next start, after a process was killed. It has the one call and the block of the last one.
fn killed_and_started(site: &Site, mut kamailio: Kamailio, name: &str) -> Kamailio {
    signal(kamailio.process(name) as i32, SIGKILL);
    wait_up_to(Duration::from_secs(30), "Kamailio to stop", || (!kamailio.runs()).then_some(()));
    site.assert_files();
    let kamailio = site.config.start();
    assert_eq!(proxy::calls(&kamailio, "c"), 1, "{}", kamailio.log());
    assert_eq!(kamailio.counter("blocks_active"), 1);
    kamailio
}

/// Kamailio stops when a process ends. It must not hang then, the files are whole, and the
/// next start counts the calls that its dialogs remember.
#[test]
fn a_killed_process_stops_kamailio_and_the_next_start_has_everything() {
    let mut site = site();
    let dialogs = Sqlite::dialogs(&site.folder);
    site.config = keep_each_dialog(site.config, &dialogs);
    let endpoint = Endpoint::new("127.0.0.1");
    let mut kamailio = site.config.start();
    let mut call = call_up(&endpoint, &kamailio, "c", "");
    let stored = || dialogs.query("SELECT COUNT(*) FROM dialog_vars;");
    wait_for("the dialog to be stored", || (stored().trim() != "0").then_some(()));
    for name in OWN {
        site.wait_for_files(&kamailio);
        kamailio = killed_and_started(&site, kamailio, name);
    }
    call.within("BYE");
    proxy::wait_for_calls(&kamailio, "c", 0);
    proxy::assert_nothing_left(&kamailio);
}

/// A process that hears nothing until this is dropped.
struct Stopped(i32);

impl Stopped {
    fn now(pid: i32) -> Self {
        signal(pid, SIGSTOP);
        Stopped(pid)
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        signal(self.0, SIGCONT);
    }
}

#[test]
fn a_process_that_is_stopped_while_it_reads_tables_keeps_only_the_next_reload_waiting() {
    let site = Site::new();
    let kamailio = site.config.start();
    site.wait_for_files(&kamailio);
    site.db.run(&format!("DROP TABLE sipwarden_trusted; {}", slow_table(6)));
    let pid = kamailio.process("ctl handler");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| kamailio.kamcmd(&["sipwarden.reload"]));
        wait_for("it to read", || site.reads(pid).then_some(()));
        let stopped = Stopped::now(pid as i32);
        assert!(!first.is_finished());
        let next = scope.spawn(|| kamailio.rpc("sipwarden.reload", json!([])));
        under_calls(&kamailio, || {
            let endpoint = Endpoint::new("127.0.0.1");
            let mut up: Vec<_> = (0..2).map(|_| call_up(&endpoint, &kamailio, "c", "")).collect();
            assert!(answer_to(&endpoint, &kamailio, "c").contains("company_limit 2/2"));
            up.iter_mut().for_each(|call| call.within("BYE"));
            proxy::wait_for_calls(&kamailio, "c", 0);
            kamailio.rpc("sipwarden.block", json!(["198.51.100.1", "600"]));
            let check = kamailio.rpc("sipwarden.check", json!(["office", "127.0.0.1"]));
            assert_eq!(check["reason"], "denied_source", "{check}");
        });
        assert!(!next.is_finished());
        drop(stopped);
        let first = first.join().unwrap();
        assert!(first.contains("generation: 2"), "{first}");
        assert_eq!(next.join().unwrap()["generation"], 3);
    });
    proxy::assert_nothing_left(&kamailio);
}

/// The loader exists only after a start from the file, when the database does not have all.
fn site_from_the_file(site: Site) -> Site {
    let mut kamailio = site.config.start();
    site.wait_for_files(&kamailio);
    kamailio.stop(SIGTERM);
    site.db.run("ALTER TABLE sipwarden_trusted RENAME TO gone;");
    site
}

#[test]
fn a_loader_that_is_stopped_leaves_reloads_by_hand() {
    let site = site_from_the_file(site());
    let mut kamailio = site.config.start();
    signal(kamailio.process("sipwarden loader") as i32, SIGSTOP);
    under_calls(&kamailio, || ());
    site.db.run("ALTER TABLE gone RENAME TO sipwarden_trusted;");
    assert_works(&site, &kamailio, 1);
    assert_eq!(kamailio.counter("tables_from_file"), 0);
    kamailio.stop(SIGTERM);
}

/// It waits for a database that takes seconds, and nobody waits for it.
#[test]
fn a_loader_whose_database_is_slow_keeps_no_call_waiting() {
    let site = site_from_the_file(site());
    let mut kamailio = site.config.start();
    site.db.run(&slow_table(20));
    let loader = kamailio.process("sipwarden loader");
    let calls_went_on = (0..5).any(|_| {
        wait_for("the loader to read", || site.reads(loader).then_some(()));
        under_calls(&kamailio, || ());
        site.reads(loader)
    });
    assert!(calls_went_on, "never was the loader still reading after some calls");
    assert_eq!(kamailio.counter("tables_from_file"), 1);
    site.db.run("DROP VIEW sipwarden_trusted; ALTER TABLE gone RENAME TO sipwarden_trusted;");
    wait_for("the database's tables", || (kamailio.counter("tables_from_file") == 0).then_some(()));
    proxy::assert_nothing_left(&kamailio);
    assert_ends(&mut kamailio);
    site.assert_files();
}

/// As with any process: Kamailio stops, and the next start has what this one had.
#[test]
fn a_loader_that_is_killed_stops_kamailio_and_the_next_start_has_everything() {
    let mut site = site();
    let dialogs = Sqlite::dialogs(&site.folder);
    site.config = keep_each_dialog(site.config, &dialogs);
    let site = site_from_the_file(site);
    let endpoint = Endpoint::new("127.0.0.1");
    let kamailio = site.config.start();
    let mut call = call_up(&endpoint, &kamailio, "c", "");
    let stored = || dialogs.query("SELECT COUNT(*) FROM dialog_vars;");
    wait_for("the dialog to be stored", || (stored().trim() != "0").then_some(()));
    let kamailio = killed_and_started(&site, kamailio, "sipwarden loader");
    assert_eq!(kamailio.counter("tables_from_file"), 1);
    site.db.run("ALTER TABLE gone RENAME TO sipwarden_trusted;");
    wait_for("the database's tables", || (kamailio.counter("tables_from_file") == 0).then_some(()));
    call.within("BYE");
    proxy::wait_for_calls(&kamailio, "c", 0);
    proxy::assert_nothing_left(&kamailio);
}
