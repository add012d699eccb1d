//! A panic in every entry from C: none is forgotten, and of those that `hosts/panics.rs` does not
//! have the outcome is asserted here and in `entries_of_calls.rs`.

use super::*;
use crate::support::kamailio::faulty_module;
use crate::support::project;
use crate::support::sip::Phone;

/// With panics in these entries.
pub(super) fn injected(mut config: Config, entries: &str) -> Config {
    config.module = faulty_module();
    config.environment.push(("SIPWARDEN_PANIC".into(), entries.into()));
    config
}

/// Each is reported once, however often it comes.
pub(super) fn assert_reported(kamailio: &Kamailio, entry: &str) {
    wait_for(entry, || {
        let said = format!("caught a panic in {entry}: ");
        (kamailio.log().matches(&said).count() == 1).then_some(())
    });
}

fn read(file: &str) -> String {
    std::fs::read_to_string(project().join(file)).unwrap()
}

/// The names of `enum Entry`.
fn entries() -> Vec<String> {
    let text = read("src/host/contract/guard.rs");
    let (_, from) = text.split_once("pub enum Entry {").unwrap();
    let (names, _) = from.split_once('}').unwrap();
    names
        .lines()
        .map(|line| line.trim().trim_end_matches(',').to_owned())
        .filter(|n| !n.is_empty())
        .collect()
}

#[test]
fn every_entry_has_a_test() {
    let files = [
        "hosts/panics.rs",
        "integration/settings.rs",
        "integration/faults/entries.rs",
        "integration/faults/entries_of_calls.rs",
    ];
    let tests: String = files.iter().map(|file| read(&format!("tests/{file}"))).collect();
    let words: Vec<&str> = tests.split(|c: char| !c.is_alphanumeric()).collect();
    let all = entries();
    assert!(all.len() > 50, "{all:?}");
    // Entries of the second host only: no code here calls them.
    let elsewhere = ["EventName"];
    let missing: Vec<_> = all
        .iter()
        .filter(|entry| !words.contains(&entry.as_str()) && !elsewhere.contains(&entry.as_str()))
        .collect();
    assert!(missing.is_empty(), "no test injects a panic into {missing:?}");
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

/// Nothing that is asked at the start for a process of the module's own stops the start.
#[test]
fn a_panic_in_what_is_asked_at_the_start_costs_what_was_asked_for() {
    for entry in ["CanLoad", "CanServe", "CanResolve", "CheckFlags", "RpcMethod", "Gauge"] {
        let site = Site::new();
        let config = injected(site.config, entry);
        let mut kamailio = config.settings("modparam(\"sipwarden\", \"host_names\", 1)\n").start();
        under_calls(&kamailio, || ());
        let _ = kamailio.try_rpc("stats.get_statistics", json!(["sipwarden:"]));
        assert!(kamailio.runs());
        if entry == "CanResolve" {
            let list = kamailio.rpc("core.psx", json!([])).to_string();
            assert!(list.contains("sipwarden warden") && !list.contains("sipwarden resolver"));
        }
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
    let config = injected(site.config, "Serve").settings(
        "modparam(\"sipwarden\", \"cluster_url\", \"redis://127.0.0.1:1\")\n\
         modparam(\"sipwarden\", \"cluster_secret\", \"0123456789abcdef0123456789abcdef\")\n\
         modparam(\"sipwarden\", \"cluster_node\", \"one\")\n",
    );
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

#[test]
fn a_panic_where_the_uses_of_ranges_are_kept_leaves_it_serving() {
    let site = Site::new();
    let mut kamailio = injected(site.config, "KeepUses").start();
    under_calls(&kamailio, || assert_reported(&kamailio, "KeepUses"));
    assert!(kamailio.runs());
}
