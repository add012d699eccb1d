//! Proxies that share limits are started again: with their dialogs, and with other settings.

use std::time::Duration;

use libc::{SIGKILL, SIGTERM};

use super::{Config, Stage};
use crate::Here;
use crate::support::call::{Caller, Endpoint};
use crate::support::host::Host;
use crate::support::proxy::keep_each_dialog;
use crate::support::sqlite::Sqlite;
use crate::support::stage::{SECRET, hang_up, place};
use crate::support::{Folder, wait_for, wait_up_to};

const TENANTS: &str = "INSERT INTO sipwarden_brand VALUES ('b', 0);
    INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 3);";

/// The configuration of a node that keeps its dialogs.
fn keeps_dialogs(stage: &Stage, node: &str, dialogs: &Sqlite) -> Config {
    keep_each_dialog(stage.config(node), dialogs).settings(Here::WHOLE_DIALOGS)
}

fn wait_for_claims(stage: &Stage, claims: u64) {
    wait_for(&format!("{claims} claims"), || {
        (stage.redis.claims().iter().sum::<u64>() == claims).then_some(())
    });
}

/// A call, or why it is refused; tried again where a machine with much else to do gives no
/// answer in time.
fn call<'a>(stage: &Stage, endpoint: &'a Endpoint, proxy: usize) -> Result<Caller<'a>, String> {
    wait_up_to(Duration::from_secs(30), "a verdict", || {
        let told = place(endpoint, &stage.proxies[proxy], "c", "");
        told.as_ref().err().is_none_or(|why| why != "cluster_wait").then_some(told)
    })
}

fn all_are_full(stage: &Stage, endpoint: &Endpoint) {
    for proxy in 0..stage.proxies.len() {
        let told = call(stage, endpoint, proxy).err();
        assert_eq!(told.as_deref(), Some("company_limit"), "proxy {proxy}");
    }
}

/// Calls that live through the restart of their proxy count once, on all proxies, and free
/// their slots on all when they end.
fn calls_live_on_after(signal: i32) {
    let mut stage = Stage::new(0, TENANTS);
    let endpoint = Endpoint::new("127.0.0.1");
    let folder = Folder::new();
    let dialogs = Here::dialogs(&folder);
    let config = keeps_dialogs(&stage, "node0", &dialogs);
    let nodes = [config.start(), stage.start("node1")];
    stage.proxies.extend(nodes);
    stage.wait_for_members(2);
    let mut here: Vec<_> = (0..2).map(|_| call(&stage, &endpoint, 0).unwrap()).collect();
    let there = call(&stage, &endpoint, 1).unwrap();
    all_are_full(&stage, &endpoint);
    let stored = "SELECT COUNT(*) FROM dialog WHERE state = 4;";
    wait_for("the dialogs to be stored", || (dialogs.query(stored).trim() == "2").then_some(()));

    stage.proxies[0].stop(signal);
    stage.proxies[0] = config.start();
    stage.wait_for_members(2);
    wait_for_claims(&stage, 3);
    all_are_full(&stage, &endpoint);
    for _ in 0..2 {
        hang_up(&endpoint, here.pop().unwrap());
        wait_for_claims(&stage, 2);
        here.insert(0, call(&stage, &endpoint, 1).unwrap());
        all_are_full(&stage, &endpoint);
    }

    // What others have placed meanwhile counts too: nobody gets a slot until there is one.
    hang_up(&endpoint, there);
    wait_for_claims(&stage, 2);
    let restored = call(&stage, &endpoint, 0).unwrap();
    let own = format!("state = 4 AND callid = '{}'", restored.call_id);
    let stored = format!("SELECT COUNT(*) FROM dialog WHERE {own};");
    wait_for("it to be stored", || (dialogs.query(&stored).trim() == "1").then_some(()));
    // SQLite's driver does not wait for another writer, so rows of calls that are over may stay.
    dialogs.run(&format!("DELETE FROM dialog WHERE NOT ({own});"));
    stage.proxies[0].stop(signal);
    let meanwhile =
        wait_up_to(Duration::from_secs(30), "the slot of the proxy that is away", || {
            place(&endpoint, &stage.proxies[1], "c", "").ok()
        });
    stage.proxies[0] = config.start();
    stage.wait_for_members(2);
    wait_for_claims(&stage, 4);
    all_are_full(&stage, &endpoint);
    hang_up(&endpoint, meanwhile);
    wait_for_claims(&stage, 3);
    all_are_full(&stage, &endpoint);
    hang_up(&endpoint, restored);
    wait_for_claims(&stage, 2);
    here.push(call(&stage, &endpoint, 0).unwrap());
    all_are_full(&stage, &endpoint);
    here.into_iter().for_each(|call| hang_up(&endpoint, call));
    wait_for_claims(&stage, 0);
    assert_eq!(stage.callee.observed().most["c"], 4, "the restored one beside the new one");
}

#[test]
fn calls_that_live_through_a_restart_count_once_on_all_proxies() {
    calls_live_on_after(SIGTERM);
}

#[test]
fn calls_that_live_through_a_crash_count_once_on_all_proxies() {
    calls_live_on_after(SIGKILL);
}

/// The configuration with another secret, or another setting that must agree.
fn changed(stage: &Stage, node: &str, what: &str, to: &str) -> Config {
    let mut config = stage.config(node);
    assert_eq!(config.settings.matches(what).count(), 1);
    config.settings = config.settings.replace(what, to);
    config
}

/// One proxy after the other is started with another setting: those that have it are refused
/// until the last one without it has gone, and then all share the limit.
fn nobody_is_locked_out(what: &str, to: &str, signal: i32) {
    let mut stage = Stage::new(2, TENANTS);
    let endpoint = Endpoint::new("127.0.0.1");
    let _here = call(&stage, &endpoint, 1).unwrap();
    stage.proxies[0].stop(signal);
    stage.proxies[0] = changed(&stage, "node0", what, to).start();
    wait_for("the difference to be named", || {
        let log = stage.proxies[0].log();
        log.contains("cluster_secret, cluster_trust, cluster_dead").then_some(())
    });
    // The old one goes on, with its claims.
    wait_up_to(Duration::from_secs(30), "the old one to be alone", || {
        (stage.proxies[1].counter("cluster_members") == 1).then_some(())
    });
    wait_for("that in its log", || {
        stage.proxies[1].log().contains("limits are shared by 1 node, before by 2").then_some(())
    });
    assert_eq!(stage.redis.claims(), [1]);
    assert_eq!(stage.proxies[0].counter("cluster_exact"), 0);
    stage.proxies[1].stop(signal);
    stage.proxies[1] = changed(&stage, "node1", what, to).start();
    stage.wait_for_members(2);
    let calls: Vec<_> = [0, 1, 1].map(|proxy| call(&stage, &endpoint, proxy).unwrap()).into();
    all_are_full(&stage, &endpoint);
    calls.into_iter().for_each(|call| hang_up(&endpoint, call));
    wait_for_claims(&stage, 0);
}

#[test]
fn a_secret_that_is_changed_on_one_proxy_after_the_other_locks_nobody_out() {
    nobody_is_locked_out(SECRET, "another secret of the tests", SIGTERM);
}

/// Nobody says that the old ones have gone.
#[test]
fn a_setting_that_is_changed_in_a_crash_locks_nobody_out() {
    let dead = "\"cluster_dead\", ";
    nobody_is_locked_out(&format!("{dead}5"), &format!("{dead}6"), SIGKILL);
}
