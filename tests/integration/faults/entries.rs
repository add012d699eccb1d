//! A panic in every entry from C: none is forgotten, and of those that `hosts/panics.rs` does not
//! have the outcome is asserted here and in the two files beside.

use super::*;
use crate::support::panics::{self, assert_reported, injected};
use crate::support::project;
use crate::support::sip::Phone;
use std::collections::BTreeSet;

fn read(file: &str) -> String {
    std::fs::read_to_string(project().join(file)).unwrap()
}

/// All tests that inject panics run once more, and note in which entries they have seen one.
#[test]
fn every_entry_has_a_test() {
    let folder = Folder::new();
    let notes = folder.join("injected");
    let mut tests = Command::new(std::env::current_exe().unwrap());
    let run = tests.arg("panic").env(panics::NOTES, &notes).output().unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stdout));
    let text = std::fs::read_to_string(&notes).unwrap();
    let seen: BTreeSet<&str> = text.lines().collect();
    let all = panics::entries();
    let missing = all.iter().map(String::as_str).filter(|entry| !seen.contains(entry));
    // OpenSIPS alone asks for the names of events, in its shim and so in its tests.
    assert_eq!(missing.collect::<Vec<_>>(), ["EventName"]);
    let shim = std::fs::read_dir(project().join("c_shim/kamailio")).unwrap();
    let asks = shim.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    assert!(!asks.into_iter().any(|text| text.contains("event_name(")));
    assert!(read("tests/opensips/events.rs").contains("assert_reported(&opensips, \"EventName\")"));
}

/// The table that C gets has a guard in each of its functions.
#[test]
fn every_function_that_c_calls_is_guarded() {
    let text = read("src/host/contract/entries.rs") + &read("src/host/contract/database.rs");
    let functions: Vec<&str> = text.split("unsafe extern \"C\" fn ").skip(1).collect();
    for function in &functions {
        let (name, _) = function.split_once(['<', '(']).unwrap();
        let body = function.split("\n}\n").next().unwrap();
        assert!(body.contains("guard(Entry::") || body.contains("judge(Entry::"), "{name}");
    }
    let header = read("c_shim/sipwarden.h");
    let (_, module) = header.split_once("struct sw_module {").unwrap();
    let (module, _) = module.split_once("\n};").unwrap();
    // And what reads a row.
    assert_eq!(functions.len(), module.matches("(*").count() + 1);
}

#[test]
fn a_panic_in_the_entry_of_a_process_leaves_it_idle_and_kamailio_serving() {
    for (entry, process) in [("Tick", "warden"), ("Record", "recorder"), ("Tick,Record", "")] {
        let site = Site::new();
        let mut kamailio = injected(site.config, entry).settings("").start();
        let phone = Phone::new("127.9.0.1", kamailio.address());
        under_calls(&kamailio, || {
            // A block begins, and ends with the first request after its time.
            kamailio.rpc("sipwarden.block", json!(["127.9.0.1", "1"]));
            entry.split(',').for_each(|entry| assert_reported(&kamailio, entry));
        });
        assert!(phone.request("OPTIONS", "d", "").is_some());
        assert!(kamailio.runs(), "{process}");
        assert_ends(&mut kamailio);
    }
}

/// The tables of the last run go on serving; a reload by hand brings the database's.
#[test]
fn a_panic_in_the_loader_leaves_the_tables_of_the_file_in_force() {
    let mut site = Site::new();
    let mut kamailio = site.config.start();
    site.wait_for_files(&kamailio);
    kamailio.stop(libc::SIGTERM);
    site.db.run("ALTER TABLE sipwarden_trusted RENAME TO gone;");
    site.config = injected(site.config, "Load");
    let mut kamailio = site.config.start();
    under_calls(&kamailio, || assert_reported(&kamailio, "Load"));
    assert_eq!(kamailio.counter("tables_from_file"), 1);
    site.db.run("ALTER TABLE gone RENAME TO sipwarden_trusted;");
    kamailio.rpc("sipwarden.reload", json!([]));
    assert_eq!(kamailio.counter("tables_from_file"), 0);
    assert!(kamailio.runs());
}

/// Ms of processor time that a process has used.
fn used(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    fields.split(' ').skip(12).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum::<u64>() * 10
}

/// With the server of shared limits, of which nothing is heard then: the policy judges.
#[test]
fn a_panic_in_the_broker_leaves_the_policy_in_force_and_takes_no_core() {
    let site = Site::new();
    let config =
        injected(site.config, "Serve").settings(super::entries_of_the_start::SHARED_LIMITS);
    let mut kamailio = config.start();
    assert_reported(&kamailio, "Serve");
    let broker = kamailio.process("sipwarden broker");
    let panics = || kamailio.counter("panics");
    // Ten panics take about a second, of which it sleeps nearly all.
    let (before, used_before) = (panics(), used(broker));
    let after = wait_for("ten panics", || Some(panics()).filter(|count| *count >= before + 10));
    let each = (used(broker) - used_before) / (after - before);
    assert!(each < 50, "{each} ms of a core for each panic");
    under_calls(&kamailio, || ());
    assert!(kamailio.runs());
}

#[test]
fn a_panic_in_other_script_functions_fails_as_documented() {
    for (entry, call, status) in
        [("CheckCountry", "check_country(\"DE\")", 403), ("ScannerCheck", "scanner_check()", 200)]
    {
        let site = Site::new();
        let routes = format!(
            "request_route {{
                if ({call}) {{ sl_send_reply(\"200\", \"$rc\"); exit; }}
                sl_send_reply(\"403\", \"refused\");
            }}"
        );
        let mut kamailio = injected(Config::new(&site.db.url()), entry).routes(&routes).start();
        let phone = Phone::new("127.0.0.1", kamailio.address());
        for _ in 0..20 {
            assert_eq!(phone.request("OPTIONS", "d", "").unwrap().status, status, "{entry}");
        }
        assert_reported(&kamailio, entry);
        assert!(kamailio.runs());
    }
}

/// The file that cannot be made is not there, and all else is done.
#[test]
fn a_panic_where_a_file_is_kept_costs_that_file_only() {
    for (entry, kept) in [("KeepUses", "blocks"), ("KeepBlocks", "tables")] {
        let site = Site::new();
        let mut kamailio = injected(site.config, entry).start();
        under_calls(&kamailio, || {
            assert_reported(&kamailio, entry);
            kamailio.rpc("sipwarden.block", json!(["203.0.113.7", "600"]));
            wait_for(kept, || site.folder.join(kept).exists().then_some(()));
        });
        assert_eq!(site.folder.join("blocks").exists(), entry != "KeepBlocks");
        assert!(kamailio.runs());
    }
}

/// Blocked sources are not in the firewall then.
#[test]
fn a_panic_where_the_firewall_is_fed_leaves_refusals_to_the_script() {
    let site = Site::new();
    let mut config = injected(site.config, "Feed")
        .settings("modparam(\"sipwarden\", \"firewall\", \"inet sipwarden\")\n");
    config.routes = config.routes.replacen("request_route {", REFUSE_BLOCKED, 1);
    let mut kamailio = config.start();
    let phone = Phone::new("127.9.0.1", kamailio.address());
    kamailio.rpc("sipwarden.block", json!(["127.9.0.1", "600"]));
    under_calls(&kamailio, || {
        assert_reported(&kamailio, "Feed");
        for _ in 0..20 {
            let reply = phone.request("OPTIONS", "d", "").unwrap();
            assert_eq!(reply.header("X-Flood"), Some("flood_blocked"), "{}", reply.text);
            assert_eq!(reply.status, 403);
        }
    });
    let stats = kamailio.rpc("sipwarden.stats", json!([]));
    assert_ne!(stats["firewall"]["state"], "on", "{stats}");
    assert!(kamailio.runs());
}

/// Only from where no calls come: all of these come from one address.
const REFUSE_BLOCKED: &str = "request_route {
    if ($si == \"127.9.0.1\" && !flood_check()) {
        append_to_reply(\"X-Flood: $swd(reason)\\r\\n\");
        sl_send_reply(\"403\", \"Blocked\");
        exit;
    }
";
