//! Blocks, bans and grants of several proxies over one Redis.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Server, Stage};
use crate::support::redis::Redis;
use crate::support::sip::Phone;
use crate::support::stage::SHORT;
use crate::support::{signal, wait_for};

const TENANTS: &str = "INSERT INTO sipwarden_brand VALUES ('b', 0);
    INSERT INTO sipwarden_company VALUES ('c', 'b', 1, 0);
    INSERT INTO sipwarden_company_address VALUES ('c', '192.0.2.0', 24);";

fn stage(proxies: usize) -> Stage {
    Stage::new(proxies, TENANTS)
}

fn listed(proxy: &Server, method: &str, list: &str, name: &str) -> Vec<String> {
    let told = proxy.ask(method, json!([]));
    let all = told[list].as_array().unwrap().iter();
    let mut all: Vec<_> = all.map(|one| one[name].as_str().unwrap().to_owned()).collect();
    all.sort();
    all
}

fn blocks(proxy: &Server) -> Vec<String> {
    listed(proxy, "blocks", "blocks", "source")
}

fn bans(proxy: &Server) -> Vec<String> {
    listed(proxy, "bans", "bans", "aor")
}

fn grants(proxy: &Server) -> Vec<String> {
    listed(proxy, "grants", "grants", "source")
}

type Listing = fn(&Server) -> Vec<String>;

/// Waits until a listing has just these everywhere, and how long that took.
fn everywhere(stage: &Stage, listing: Listing, expected: &[&str]) -> Duration {
    let began = Instant::now();
    for proxy in &stage.proxies {
        wait_for(&format!("{expected:?} on all proxies"), || {
            (listing(proxy) == expected).then_some(())
        });
    }
    began.elapsed()
}

fn allow(proxy: &Server, source: &str, seconds: &str) -> Value {
    proxy.ask("allow", json!(["c", source, seconds, "hotel"]))
}

#[test]
fn what_begins_or_is_lifted_on_one_is_so_on_all() {
    let mut stage = stage(3);
    let mut longest = Duration::ZERO;
    for n in 0..5 {
        let (here, there) = (&stage.proxies[n % 3], &stage.proxies[(n + 1) % 3]);
        here.ask("block", json!(["203.0.113.7", "600"]));
        here.ask("block", json!(["198.51.100.0/24", "600"]));
        longest = longest.max(everywhere(&stage, blocks, &["198.51.100.0/24", "203.0.113.7"]));
        here.ask("ban", json!(["a b@c;d", "203.0.113.8", "600"]));
        longest = longest.max(everywhere(&stage, bans, &["a b@c;d"]));
        allow(here, "203.0.113.9", "600");
        longest = longest.max(everywhere(&stage, grants, &["203.0.113.9"]));
        let asked = there.ask("check", json!(["c", "203.0.113.9"]));
        assert_eq!(asked["reason"], "granted_temporarily", "{asked}");
        // Lifted elsewhere.
        there.ask("unblock", json!(["203.0.113.0/24"]));
        longest = longest.max(everywhere(&stage, blocks, &["198.51.100.0/24"]));
        there.ask("unblock", json!(["all"]));
        longest = longest.max(everywhere(&stage, blocks, &[]));
        there.ask("unban", json!(["a b@c;d"]));
        longest = longest.max(everywhere(&stage, bans, &[]));
        there.ask("disallow", json!(["c"]));
        longest = longest.max(everywhere(&stage, grants, &[]));
    }
    println!("the longest way to all proxies took {} ms", longest.as_millis());

    // One that comes late has them all, and one that comes back does not revive the lifted.
    stage.proxies[0].ask("block", json!(["203.0.113.7", "600"]));
    allow(&stage.proxies[1], "203.0.113.9", "600");
    allow(&stage.proxies[1], "203.0.113.10", "600");
    everywhere(&stage, grants, &["203.0.113.10", "203.0.113.9"]);
    let late = stage.start("node3");
    stage.proxies.push(late);
    stage.wait_for_members(4);
    everywhere(&stage, blocks, &["203.0.113.7"]);
    everywhere(&stage, grants, &["203.0.113.10", "203.0.113.9"]);
    let log = stage.proxies[3].log();
    assert!(log.contains("block of 203.0.113.7 starts: another proxy has blocked it"), "{log}");
    // Its server is emptied: all is told again, what was lifted too.
    stage.proxies[2].ask("disallow", json!(["c", "203.0.113.9"]));
    everywhere(&stage, grants, &["203.0.113.10"]);
    stage.redis.cli(&["FLUSHALL"]);
    wait_for("all to be told again", || (notices(&stage.redis) == 5).then_some(()));
    everywhere(&stage, grants, &["203.0.113.10"]);
}

/// Blocks, bans and grants at the server, lifted ones too.
fn notices(redis: &Redis) -> usize {
    let names = redis.cli(&["--raw", "HKEYS", "sw:{sipwarden}:v"]);
    names.lines().filter(|name| !name.is_empty() && !name.starts_with("tables ")).count()
}

#[test]
fn a_proxy_that_was_cut_off_does_not_revive_what_was_revoked() {
    let stage = stage(2);
    allow(&stage.proxies[0], "203.0.113.9", "600");
    everywhere(&stage, grants, &["203.0.113.9"]);
    let broker = stage.proxies[0].process("sipwarden broker") as i32;
    signal(broker, libc::SIGSTOP);
    stage.proxies[1].ask("disallow", json!(["c"]));
    wait_for("the grant to end", || grants(&stage.proxies[1]).is_empty().then_some(()));
    assert_eq!(grants(&stage.proxies[0]), ["203.0.113.9"]);
    stage.redis.cli(&["FLUSHALL"]);
    wait_for("it to be told again", || (notices(&stage.redis) == 1).then_some(()));
    signal(broker, libc::SIGCONT);
    everywhere(&stage, grants, &[]);
    // It has told all that it knew by then.
    stage.proxies[0].ask("block", json!(["203.0.113.7", "600"]));
    everywhere(&stage, blocks, &["203.0.113.7"]);
    everywhere(&stage, grants, &[]);
}

#[test]
fn each_proxy_judges_by_its_own_tables_and_settings() {
    let mut stage = stage(1);
    // Here the source is a company's, and longer grants are not given.
    let mut config = stage.config("node1");
    config.settings.push_str(
        "modparam(\"sipwarden\", \"grant_prefix\", 32)\n\
         modparam(\"sipwarden\", \"grant_longest\", 100)\n\
         modparam(\"sipwarden\", \"cluster_bans\", 0)\n",
    );
    stage.proxies.push(config.start());
    stage.wait_for_members(2);
    let [here, there] = &stage.proxies[..] else { panic!("two proxies") };
    here.ask("ban", json!(["a@c", "203.0.113.8", "600"]));
    allow(here, "203.0.113.0/24", "600");
    allow(here, "203.0.113.9", "600");
    wait_for("the narrow grant", || (grants(there) == ["203.0.113.9"]).then_some(()));
    assert_eq!(bans(there), [""; 0]);
    let granted = there.ask("grants", json!([]));
    let left = granted["grants"][0]["seconds_left"].as_u64().unwrap();
    assert!((90..=100).contains(&left), "{granted}");
    // What somebody without the secret writes is named, and nothing else.
    let forged = "9999999999999999 9999999999999 0 grant 203.0.113.66 1 2 0 operator c n";
    for (key, value) in [("v", forged), ("vs", "9999"), ("ve", "9999999999999")] {
        let key = format!("sw:{{sipwarden}}:{key}");
        let name = "grant 203.0.113.66 c";
        match key.ends_with(":v") {
            true => stage.redis.cli(&["HSET", &key, name, value]),
            false => stage.redis.cli(&["ZADD", &key, value, name]),
        };
    }
    wait_for("the forger to be named", || {
        there.log().contains("somebody without the cluster's secret").then_some(())
    });
    assert_eq!(grants(there), ["203.0.113.9"]);
}

#[test]
fn a_flood_on_one_proxy_blocks_on_all_but_where_the_source_is_proven() {
    let mut stage = stage(1);
    for node in ["node1", "node2"] {
        let mut config = stage.config(node);
        config.settings.push_str("modparam(\"sipwarden\", \"flood_limit\", 5)\n");
        config.routes = config.routes.replacen(
            "request_route {",
            "request_route {\n\
             if (is_method(\"MESSAGE\")) { auth_ok(\"a@b\"); exit; }\n\
             if (!flood_check()) exit;\n",
            1,
        );
        stage.proxies.push(config.start());
    }
    stage.wait_for_members(3);
    let known = Phone::new("127.9.0.1", stage.proxies[2].address());
    known.send("MESSAGE", "x", "");
    let proven = |proxy: &Server| proxy.ask("source", json!(["127.9.0.1"]))["proven"] == 1;
    wait_for("the proof", || proven(&stage.proxies[2]).then_some(()));
    let flood = Phone::new("127.9.0.1", stage.proxies[1].address());
    for _ in 0..20 {
        flood.send("OPTIONS", "x", "");
    }
    for proxy in &stage.proxies[..2] {
        wait_for("the block there", || (blocks(proxy) == ["127.9.0.1"]).then_some(()));
    }
    let shown = stage.proxies[0].ask("blocks", json!([]));
    assert_eq!(shown["blocks"][0]["reason"], "flood", "{shown}");
    // What comes behind it has come there.
    stage.proxies[1].ask("block", json!(["127.9.0.2", "60"]));
    wait_for("the next one", || (blocks(&stage.proxies[2]) == ["127.9.0.2"]).then_some(()));
}

/// The start of a term is rounded down, so to before the lift.
#[test]
fn a_block_right_after_a_lift_is_told() {
    let stage = stage(2);
    let [here, there] = [&stage.proxies[0], &stage.proxies[1]];
    here.ask("block", json!(["127.9.0.7", "3600"]));
    wait_for("the first one", || (blocks(there) == ["127.9.0.7"]).then_some(()));
    for hours in 2..8 {
        here.ask("unblock", json!(["127.9.0.7"]));
        here.ask("block", json!(["127.9.0.7", (hours * 3600).to_string()]));
        wait_for("the next one", || {
            let listed = there.ask("blocks", json!([]));
            let left = listed["blocks"][0]["seconds_left"].as_u64()?;
            (left > hours * 3600 - 100).then_some(())
        });
    }
}

/// They end when they should, also on a proxy that comes after it, and can be lifted.
#[test]
fn a_clock_of_the_server_that_is_set_makes_no_block_longer_or_shorter() {
    let mut stage = Stage::on(Redis::with_clock(), 2, TENANTS, SHORT);
    let left = |proxy: &Server| {
        let listed = proxy.ask("blocks", json!([]));
        listed["blocks"][0]["seconds_left"].as_u64()
    };
    for (node, seconds) in [("node2", 90_000), ("node3", 3600), ("node4", 0)] {
        stage.proxies[0].ask("block", json!(["203.0.113.7", "1000"]));
        everywhere(&stage, blocks, &["203.0.113.7"]);
        stage.redis.set_clock(seconds);
        let late = stage.start(node);
        stage.proxies.push(late);
        stage.wait_for_members(stage.proxies.len());
        for proxy in &stage.proxies {
            wait_for("the block and its end", || {
                left(proxy).filter(|left| (800..=1000).contains(left)).map(drop)
            });
        }
        stage.proxies[1].ask("unblock", json!(["203.0.113.7"]));
        everywhere(&stage, blocks, &[]);
    }
}

/// The server forgets then what was lifted, and the proxy that was away does not know of it.
#[test]
fn a_clock_that_is_set_forward_meanwhile_revives_nothing_either() {
    let stage = Stage::on(Redis::with_clock(), 2, TENANTS, SHORT);
    stage.proxies[0].ask("block", json!(["203.0.113.7", "1000"]));
    allow(&stage.proxies[0], "203.0.113.9", "600");
    everywhere(&stage, blocks, &["203.0.113.7"]);
    everywhere(&stage, grants, &["203.0.113.9"]);
    let broker = stage.proxies[0].process("sipwarden broker") as i32;
    signal(broker, libc::SIGSTOP);
    stage.proxies[1].ask("unblock", json!(["203.0.113.7"]));
    stage.proxies[1].ask("disallow", json!(["c"]));
    let lifted = || {
        let there = &stage.proxies[1];
        (blocks(there).is_empty() && grants(there).is_empty()).then_some(())
    };
    wait_for("both to end", lifted);
    wait_for("it to be told", || (notices(&stage.redis) == 2).then_some(()));
    stage.redis.set_clock(4 * 3600);
    // Until it has forgotten them, and is told again.
    let end_of_last = || {
        let ends =
            stage.redis.cli(&["--raw", "ZRANGE", "sw:{sipwarden}:ve", "0", "-1", "WITHSCORES"]);
        let now: u64 = stage.redis.cli(&["--raw", "TIME"]).lines().next()?.parse().ok()?;
        let mut lines = ends.lines();
        let mut lifted = 0;
        while let (Some(name), Some(end)) = (lines.next(), lines.next()) {
            let end: u64 = end.parse().ok()?;
            lifted += usize::from(!name.starts_with("tables ") && end > now * 1000);
        }
        (lifted == 2).then_some(())
    };
    wait_for("what was lifted to be told again", end_of_last);
    signal(broker, libc::SIGCONT);
    everywhere(&stage, blocks, &[]);
    everywhere(&stage, grants, &[]);
    // It has told all that it knew by then.
    stage.proxies[0].ask("block", json!(["203.0.113.8", "600"]));
    everywhere(&stage, blocks, &["203.0.113.8"]);
    everywhere(&stage, grants, &[]);
}
