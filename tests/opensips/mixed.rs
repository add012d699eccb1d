//! An OpenSIPS and a Kamailio on one Redis: one limit, one list of blocks.

use std::thread::scope;
use std::time::Duration;

use serde_json::json;

use crate::host::OfOpenSips;
use crate::support::call::{Caller, Endpoint};
use crate::support::callee::AutoCallee;
use crate::support::config::Config;
use crate::support::host::Host;
use crate::support::kamailio::OfKamailio;
use crate::support::proxy::{assert_nothing_left, calls, unhurried};
use crate::support::redis::Redis;
use crate::support::running::{Running, free_port};
use crate::support::sipp::Sipp;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for, wait_up_to};

const INVITES: usize = 1500;

fn node<H: Host>(db: &Sqlite, redis: &Redis, callee: &AutoCallee) -> Config<H> {
    let url = redis.url();
    let config: Config<H> = unhurried(&db.url(), callee.address).settings(&format!(
        "modparam(\"sipwarden\", \"cluster_url\", \"{url}\")\n\
         modparam(\"sipwarden\", \"cluster_node\", \"{}\")\n\
         modparam(\"sipwarden\", \"cluster_secret\", \"a secret of the tests\")\n\
         modparam(\"sipwarden\", \"cluster_timeout\", 500)\n\
         modparam(\"sipwarden\", \"cluster_trust\", 2)\n\
         modparam(\"sipwarden\", \"cluster_dead\", 5)\n",
        H::NAME.to_ascii_lowercase()
    ));
    config.port(free_port())
}

fn wait_for_both<H: Host>(server: &Running<H>) {
    wait_up_to(Duration::from_secs(30), "both to be exact", || {
        let both = server.counter("cluster_members") == 2 && server.counter("cluster_exact") == 1;
        both.then_some(())
    });
}

/// A call that is up, or why there is none; tried again where the answer is to wait.
fn call<'a, H: Host>(from: &'a Endpoint, over: &Running<H>) -> Result<Caller<'a>, String> {
    wait_up_to(Duration::from_secs(30), "a verdict", || {
        let mut call = Caller::new(from, over.address(), "one", "");
        call.invite();
        let reply = call.final_reply();
        if reply.status() == Some(200) {
            call.ack();
            return Some(Ok(call));
        }
        (!reply.line.contains("cluster_wait")).then_some(Err(reply.line))
    })
}

#[test]
fn both_hosts_keep_one_limit_and_one_list_of_blocks() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 10), ('one', 'b', 0, 1);",
    );
    let (redis, callee) = (Redis::start(), AutoCallee::start("127.0.0.1"));
    let kamailio = node::<OfKamailio>(&db, &redis, &callee).start();
    let of_opensips = node::<OfOpenSips>(&db, &redis, &callee);
    let mut opensips = of_opensips.start();
    wait_for_both(&kamailio);
    wait_for_both(&opensips);

    // A storm over both: each asks for what the other one has.
    let storms = [("k", kamailio.address()), ("o", opensips.address())]
        .map(|(name, at)| Sipp::start_at(400, &folder, name, at, &["c;-"], INVITES));
    storms.iter().for_each(|storm| storm.wait_for_judged(INVITES));
    assert_eq!(calls(&kamailio, "c") + calls(&opensips, "c"), 10);
    callee.hang_up();
    let admitted = storms.map(|storm| storm.finish().admitted.get("c").copied().unwrap_or(0));
    assert_eq!(callee.observed().most["c"], 10, "{admitted:?}");
    assert_nothing_left(&kamailio);
    assert_nothing_left(&opensips);
    callee.pick_up();

    // One slot goes to and fro.
    let endpoint = Endpoint::new("127.0.0.1");
    let mut here = call(&endpoint, &kamailio).unwrap();
    assert!(call(&endpoint, &opensips).err().unwrap().contains("company_limit"));
    here.within("BYE");
    let there = wait_up_to(Duration::from_secs(30), "the slot", || call(&endpoint, &opensips).ok());
    assert!(call(&endpoint, &kamailio).err().unwrap().contains("company_limit"));

    // A block of one is one of the other.
    let is_blocked = |shown: serde_json::Value| shown.to_string().contains("203.0.113.7");
    kamailio.ask("block", json!(["203.0.113.7"]));
    wait_for("the block", || is_blocked(opensips.ask("blocks", json!([]))).then_some(()));
    opensips.ask("unblock", json!(["203.0.113.7"]));
    wait_for("its end", || (!is_blocked(kamailio.ask("blocks", json!([])))).then_some(()));
    // Each reloads the other.
    db.run("UPDATE sipwarden_company SET max_calls = 2 WHERE id = 'one';");
    scope(|scope| {
        let answer = scope.spawn(|| opensips.ask("reload_all", json!([])));
        let answer = answer.join().unwrap();
        assert!(answer.to_string().contains("kamailio"), "{answer}");
    });
    wait_for("the new limit", || {
        (kamailio.ask("company", json!(["one"]))["max_calls"] == 2).then_some(())
    });

    // A restart of one gives its slots back, and it is a member again.
    drop(there);
    opensips.stop(libc::SIGTERM);
    let _up = [(); 2].map(|()| {
        wait_up_to(Duration::from_secs(30), "a slot", || call(&endpoint, &kamailio).ok())
    });
    let opensips = of_opensips.start();
    wait_for_both(&opensips);
    assert!(call(&endpoint, &opensips).err().unwrap().contains("company_limit"));
}
