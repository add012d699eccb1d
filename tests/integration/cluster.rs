//! Limits of several proxies over one Redis. The callee that all calls reach counts for
//! itself.

mod checker;
mod faults;
mod history;
mod lives;
mod loss;
mod nemesis;
mod pause;
mod replicas;
mod scene;
mod stalls;
mod storms;
mod tenants;
mod traffic;
mod violations;

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::call::{Caller, Endpoint};
use crate::support::callee::AutoCallee;
use crate::support::kamailio::{Config, Kamailio};
use crate::support::proxy::config;
use crate::support::redis::Redis;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for, wait_up_to};

/// So long that a machine with much else to do answers.
const PATIENT: &str = "modparam(\"sipwarden\", \"cluster_timeout\", 500)\n";
/// The shortest times, for a short start.
pub const SHORT: &str = "modparam(\"sipwarden\", \"cluster_timeout\", 500)
modparam(\"sipwarden\", \"cluster_trust\", 2)
modparam(\"sipwarden\", \"cluster_dead\", 5)
";
pub const SECRET: &str = "a secret of the tests";

/// Proxies with one table of tenants, and the server that they share.
pub struct Stage {
    pub proxies: Vec<Kamailio>,
    pub redis: Redis,
    pub callee: AutoCallee,
    endpoint: Endpoint,
    pub db: Sqlite,
    _folder: Folder,
    settings: String,
}

impl Stage {
    pub fn new(proxies: usize, tenants: &str) -> Self {
        Stage::with(proxies, tenants, SHORT)
    }

    pub fn with(proxies: usize, tenants: &str, settings: &str) -> Self {
        Stage::on(Redis::start(), proxies, tenants, settings)
    }

    pub fn on(redis: Redis, proxies: usize, tenants: &str, settings: &str) -> Self {
        let folder = Folder::new();
        let db = Sqlite::create(folder.join("tables.sqlite"));
        db.run(tenants);
        let mut stage = Stage {
            proxies: Vec::new(),
            redis,
            callee: AutoCallee::start("127.0.0.1"),
            endpoint: Endpoint::new("127.0.0.1"),
            db,
            _folder: folder,
            settings: settings.to_owned(),
        };
        for n in 0..proxies {
            let node = stage.start(&format!("node{n}"));
            stage.proxies.push(node);
        }
        stage.wait_for_members(proxies);
        stage
    }

    pub fn config(&self, node: &str) -> Config {
        let setting =
            |name: &str, value: &str| format!("modparam(\"sipwarden\", \"{name}\", \"{value}\")\n");
        let mut config = config(&self.db.url(), self.callee.address)
            .settings(&setting("cluster_url", &self.redis.url()))
            .settings(&setting("cluster_node", node))
            .settings(&setting("cluster_secret", SECRET))
            .settings(&setting("limit_table", "sipwarden_limit"))
            .settings(&self.settings);
        let asked = "cc_limit(\"$fd\", \"$var(flags)\")";
        assert!(config.routes.contains(asked));
        // The storm's second field is the scopes of a call.
        let asks = "cc_limit(\"$fd\", \"$var(flags)\", \"$(hdr(X-Aor){s.replace,+,;})\")";
        config.routes = config.routes.replace(asked, asks);
        config
    }

    pub fn start(&self, node: &str) -> Kamailio {
        self.config(node).start()
    }

    pub fn wait_for_members(&self, members: usize) {
        for proxy in &self.proxies {
            wait_up_to(Duration::from_secs(30), "all nodes to be members", || {
                (proxy.counter("cluster_members") == members as u64).then_some(())
            });
            // A server that nobody knows grants nothing at first.
            wait_up_to(Duration::from_secs(30), "the cluster to be exact", || {
                (proxy.counter("cluster_exact") == 1).then_some(())
            });
        }
    }

    /// A call of a company over a proxy, or why it is refused; tried again where a machine
    /// with much else to do gives no answer in time.
    pub fn call(&self, proxy: usize, company: &str, headers: &str) -> Result<Caller<'_>, String> {
        wait_up_to(Duration::from_secs(30), "a verdict", || {
            let told = self.call_once(proxy, company, headers);
            (told.as_ref().err().is_none_or(|why| why != "cluster_wait")).then_some(told)
        })
    }

    /// What the first INVITE is told.
    pub fn call_once(
        &self,
        proxy: usize,
        company: &str,
        headers: &str,
    ) -> Result<Caller<'_>, String> {
        place(&self.endpoint, &self.proxies[proxy], company, headers)
    }

    pub fn hang_up(&self, call: Caller<'_>) {
        hang_up(&self.endpoint, call);
    }

    /// What a call is told until it is admitted.
    pub fn call_in_the_end(&self, proxy: usize, company: &str) -> Caller<'_> {
        wait_up_to(Duration::from_secs(30), "a slot", || self.call_once(proxy, company, "").ok())
    }
}

/// A call over a proxy, or why it is refused.
pub fn place<'a>(
    endpoint: &'a Endpoint,
    proxy: &Kamailio,
    company: &str,
    headers: &str,
) -> Result<Caller<'a>, String> {
    let mut call = Caller::new(endpoint, proxy.address(), company, headers);
    call.invite();
    let reply = call.final_reply();
    if reply.status() == Some(200) {
        call.ack();
        return Ok(call);
    }
    let why = reply.line.split_once("Refused: ").map_or(&*reply.line, |(_, why)| why);
    Err(why.split(' ').next().unwrap().to_owned())
}

pub fn hang_up(endpoint: &Endpoint, mut call: Caller<'_>) {
    call.within("BYE");
    endpoint.receive_within(Duration::from_secs(10)).expect("no answer to the BYE");
}

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
    stage.proxies[0].stop(libc::SIGTERM);
    let stopped = Instant::now();
    stage.call_in_the_end(1, "c");
    assert!(stopped.elapsed() < Duration::from_secs(5), "{:?}", stopped.elapsed());
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
    let processes = |kamailio: &Kamailio| kamailio.rpc("core.psx", json!([])).to_string();
    let off = with(&[]).start();
    assert!(!processes(&off).contains("sipwarden broker"));
    assert_eq!(off.rpc("sipwarden.cluster", json!([])), json!({"state": "off"}));
    drop(off);
    // With a server that is not there it starts all the same.
    let on = with(&[url, secret]).start();
    assert!(processes(&on).contains("sipwarden broker"));
    wait_for("the missing server to be named", || {
        on.log().contains("no session with the cluster").then_some(())
    });
    let settings = on.rpc("sipwarden.settings", json!([]));
    assert_eq!(settings["cluster_secret"], "***");
}

/// How long `cc_limit` takes, alone and in a cluster, one call after the other; by hand:
/// `cargo test --test integration cluster:: -- --ignored --nocapture`.
#[test]
#[ignore]
fn what_an_answer_of_the_cluster_costs() {
    const CALLS: usize = 500;
    let stage = Stage::new(
        2,
        "INSERT INTO sipwarden_brand VALUES ('b', 5000);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 5000);",
    );
    let timed = |config: Config| {
        let mut config = config;
        let asked = "if (!cc_limit(";
        assert!(config.routes.contains(asked));
        let before = format!("$var(before) = $TV(Sn);\n{asked}");
        config.routes = config.routes.replace(asked, &before).replace(
            "record_route();",
            "$var(after) = $TV(Sn);\nxlog(\"L_NOTICE\", \"took $var(before) $var(after)\\n\");\nrecord_route();",
        );
        config.start()
    };
    let mut alone = stage.config("node9");
    alone.settings = alone.settings.replace(&stage.redis.url(), "");
    for (name, proxy) in [("alone", timed(alone)), ("in a cluster", timed(stage.config("node3")))] {
        if name != "alone" {
            wait_for("the cluster to be exact", || {
                (proxy.counter("cluster_exact") == 1).then_some(())
            });
        }
        for _ in 0..CALLS {
            let mut call = Caller::new(&stage.endpoint, proxy.address(), "c", "");
            call.invite();
            assert_eq!(call.final_reply().status(), Some(200));
            call.ack();
        }
        let log = proxy.log();
        let mut times: Vec<i64> = (log.lines())
            .filter_map(|line| line.split_once("took ")?.1.split_once(' '))
            .filter_map(|(before, after)| {
                let us = |text: &str| text.trim().replace('.', "").parse::<i64>().ok();
                Some(us(after)? - us(before)?)
            })
            .collect();
        times.sort_unstable();
        let at = |part: f64| times[(times.len() as f64 * part) as usize];
        println!("{name}: {} calls, p50 {} us, p99 {} us", times.len(), at(0.5), at(0.99));
    }
}
