//! Limits, blocks, bans and grants of several proxies over one Redis.

mod faults;
mod hostile;
mod news;
mod restarts;
mod seen;

use serde_json::json;

use super::{Config, Server};
use crate::Here;
use crate::support::call::Endpoint;
use crate::support::proxy::config;
use crate::support::sqlite::Sqlite;
use crate::support::stage::{self, PATIENT, SECRET};
use crate::support::{Folder, wait_for};

type Stage = stage::Stage<Here>;

#[test]
fn a_slot_that_is_freed_here_is_free_there() {
    let stage = Stage::new(
        2,
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 1);",
    );
    for _ in 0..5 {
        let here = stage.call(0, "c", "").unwrap();
        assert_eq!(stage.call(1, "c", "").err().unwrap(), "company_limit");
        stage.hang_up(here);
        let there = stage.call_in_the_end(1, "c");
        assert_eq!(stage.call(0, "c", "").err().unwrap(), "company_limit");
        // An emergency is counted, and takes no slot that is not free for it.
        let urgent = stage.call(0, "c", "X-Flags: e\r\n").unwrap();
        stage.hang_up(there);
        wait_for("the slot of the call that has ended", || {
            (stage.redis.claims() == [1]).then_some(())
        });
        assert_eq!(stage.call(1, "c", "").err().unwrap(), "company_limit");
        stage.hang_up(urgent);
        wait_for("all slots", || stage.redis.claims().is_empty().then_some(()));
    }
    assert_eq!(stage.callee.observed().most["c"], 2, "the emergency beside the call");
    let served = stage.proxies.iter().map(|proxy| proxy.counter("cc_call_counted"));
    assert_eq!(served.sum::<u64>(), 10);
}

#[test]
fn a_proxy_that_is_stopped_gives_its_slots_back_at_once() {
    let mut stage = Stage::with(
        2,
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 1);",
        PATIENT,
    );
    stage.call(0, "c", "").unwrap();
    assert_eq!(stage.redis.claims(), [1]);
    stage.proxies[0].stop(libc::SIGTERM);
    // As one that has died, it would have them until others give it up.
    assert!(stage.redis.claims().is_empty());
    stage.call_in_the_end(1, "c");
}

#[test]
fn without_the_server_the_policy_judges_and_all_is_exact_again_by_itself() {
    let stage = Stage::new(
        2,
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 4), ('d', 'b', 0, 1);",
    );
    let up = stage.call(0, "c", "").unwrap();
    stage.redis.kill();
    // While the nodes trust each other, nobody is counted who might be one too many.
    assert_eq!(stage.call_once(1, "c", "").err().unwrap(), "cluster_wait");
    stage.call(1, "d", "X-Flags: e\r\n").unwrap();
    // Then each one admits its half.
    stage.call_in_the_end(1, "c");
    stage.call(1, "c", "").unwrap();
    assert_eq!(stage.call(1, "c", "").err().unwrap(), "cluster_down");
    stage.call_in_the_end(0, "c");
    assert_eq!(stage.call(0, "c", "").err().unwrap(), "cluster_down");
    assert_eq!(stage.proxies[0].counter("cc_call_counted_alone"), 1);
    assert_eq!(stage.proxies[1].counter("cc_call_counted_alone"), 2);
    for proxy in &stage.proxies {
        let log = proxy.log();
        assert_eq!(log.matches("the session with the cluster is over").count(), 1, "{log}");
    }
    stage.redis.restart();
    stage.wait_for_members(2);
    wait_for("all claims to be told again", || {
        (stage.redis.claims().iter().sum::<u64>() == 5).then_some(())
    });
    for proxy in 0..2 {
        let told = wait_for("a verdict of the cluster", || {
            stage.call_once(proxy, "c", "").err().filter(|why| !why.starts_with("cluster"))
        });
        assert_eq!(told, "company_limit");
    }
    stage.hang_up(up);
    stage.call_in_the_end(1, "c");
    assert_eq!(stage.call(0, "c", "").err().unwrap(), "company_limit");
}

#[test]
fn a_short_pause_of_the_server_costs_no_slot() {
    let stage = Stage::new(
        2,
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 2);",
    );
    stage.call(0, "c", "").unwrap();
    stage.redis.freeze();
    assert_eq!(stage.call_once(1, "c", "").err().unwrap(), "cluster_wait");
    stage.redis.resume();
    stage.call_in_the_end(1, "c");
    for proxy in 0..2 {
        let told = wait_for("a verdict of the cluster", || {
            stage.call_once(proxy, "c", "").err().filter(|why| why != "cluster_wait")
        });
        assert_eq!(told, "company_limit");
    }
    assert_eq!(stage.callee.observed().most["c"], 2);
}

#[test]
fn a_socket_in_the_file_system_another_database_and_a_password_lead_to_the_server_too() {
    let mut stage = Stage::new(
        0,
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 1);",
    );
    let user = ["ACL", "SETUSER", "anna", "on", ">right", "~*", "+@all"];
    assert_eq!(stage.redis.cli(&user), "OK");
    let at = stage.redis.address();
    let socket = stage.redis.socket();
    stage.start_by("node0", &format!("unix://{}?db=3", socket.display()));
    stage.start_by("node1", &format!("redis://anna:right@{at}/3"));
    stage.wait_for_members(2);
    let call = stage.call(0, "c", "").unwrap();
    assert_eq!(stage.call(1, "c", "").err().unwrap(), "company_limit");
    for proxy in &stage.proxies {
        let shown = proxy.ask("cluster", json!(["company", "c"])).to_string();
        assert!(shown.contains("node0: 1"), "{shown}");
    }
    assert!(stage.redis.claims().is_empty(), "there are some in the first database");
    stage.hang_up(call);
    let last = stage.call_in_the_end(1, "c");
    stage.hang_up(last);
    for (node, url, told) in [
        ("node2", format!("redis://anna:wrong@{at}/3"), "it refuses the user or the password"),
        ("node3", format!("redis://{at}/99"), "database 99: "),
        ("node4", format!("unix://{}x", socket.display()), "No such file or directory"),
    ] {
        stage.start_by(node, &url);
        let proxy = stage.proxies.pop().unwrap();
        let begin = "no session with the cluster: ";
        wait_for("what is wrong to be named", || {
            proxy.log().contains(&format!("{begin}{told}")).then_some(())
        });
        assert!(!proxy.log().contains("wrong"), "the password is in the log");
    }
}

#[test]
fn a_clone_of_a_node_is_refused_and_named() {
    let stage = Stage::new(
        1,
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 2);",
    );
    let clone = stage.start("node0");
    wait_for("the clone to be named", || {
        clone.log().contains("another node has the name node0").then_some(())
    });
    let mut other = stage.config("node2");
    other.settings = other.settings.replace(SECRET, "a secret of others");
    let stranger = other.start();
    wait_for("the stranger to be named", || {
        stranger.log().contains("cluster_secret, cluster_trust, cluster_dead").then_some(())
    });
    assert_eq!(stage.proxies[0].counter("cluster_members"), 1);
}

#[test]
fn wrong_settings_are_named_and_without_a_server_there_is_no_broker() {
    let folder = Folder::new();
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run("INSERT INTO sipwarden_brand VALUES ('b', 0);");
    let callee = Endpoint::new("127.0.0.1");
    let with = |lines: &[(&str, &str)]| {
        lines.iter().fold(config(&db.url(), callee.address()), |config, (name, value)| {
            config.settings(&format!("modparam(\"sipwarden\", \"{name}\", {value})\n"))
        })
    };
    let url = ("cluster_url", "\"redis://127.0.0.1:1/\"");
    let secret = ("cluster_secret", "\"0123456789abcdef\"");
    let cases: [(&[(&str, &str)], &str); 7] = [
        (&[("cluster_url", "\"localhost\""), secret], "cluster_url: it is not redis://"),
        (&[url], "cluster_secret: 0 bytes are too few"),
        (
            &[url, ("cluster_secret", "\"PUT THE SECOND TEXT HERE\"")],
            "is the text of an example; draw one with openssl rand -hex 32",
        ),
        (&[url, secret, ("cluster_node", "\"a b\"")], "cluster_node: \"a b\" is not"),
        (&[url, secret, ("cluster_timeout", "0")], "cluster_timeout: 0 is not from 1 to 500"),
        (&[url, secret, ("cluster_policy", "\"none\"")], "cluster_policy"),
        (&[url, secret, ("cluster_dead", "6")], "give at least 7"),
    ];
    for (lines, told) in cases {
        let log = with(lines).fail_to_start();
        assert!(log.contains(told), "{told}: {log}");
        assert!(!log.contains("0123456789abcdef"), "the secret is in the log: {log}");
    }
    let brokers = |server: &Server| server.processes("sipwarden broker").len();
    let off = with(&[]).start();
    assert_eq!(brokers(&off), 0);
    assert_eq!(off.ask("cluster", json!([])), json!({"state": "off"}));
    drop(off);
    // With a server that is not there it starts all the same.
    let on = with(&[url, secret]).start();
    assert_eq!(brokers(&on), 1);
    wait_for("the missing server to be named", || {
        on.log().contains("no session with the cluster").then_some(())
    });
    let settings = on.ask("settings", json!([]));
    assert_eq!(settings["cluster_secret"], "***");
}
