//! Faults of the server and of nodes that share limits.

use serde_json::json;

use super::Stage;
use crate::support::{signal, wait_for};

const TENANTS: &str = "INSERT INTO sipwarden_brand VALUES ('b', 0);
    INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 2), ('d', 'b', 1, 9);
    INSERT INTO sipwarden_company_address VALUES ('d', '192.0.2.0', 24);
    INSERT INTO sipwarden_user VALUES ('road@d', 'd', 1);";

#[test]
fn a_server_that_is_emptied_is_told_all_calls_again() {
    let stage = Stage::new(2, TENANTS);
    stage.call(0, "c", "").unwrap();
    stage.call(1, "c", "").unwrap();
    stage.redis.cli(&["FLUSHALL"]);
    wait_for("all claims to be told again", || (stage.redis.claims() == [1, 1]).then_some(()));
    stage.wait_for_members(2);
    for proxy in 0..2 {
        assert_eq!(stage.call(proxy, "c", "").err().unwrap(), "company_limit");
    }
    assert_eq!(stage.callee.observed().most["c"], 2);
}

#[test]
fn a_key_that_is_lost_is_told_again() {
    let stage = Stage::new(2, TENANTS);
    let here = stage.call(0, "c", "").unwrap();
    let there = stage.call(0, "c", "").unwrap();
    let keys = stage.redis.cli(&["--raw", "KEYS", "*:s:*"]);
    stage.redis.cli(&["DEL", keys.lines().next().unwrap()]);
    // What ends next shows that the server knows less than it should.
    stage.hang_up(there);
    wait_for("the claim to be told again", || (stage.redis.claims() == [1]).then_some(()));
    stage.hang_up(here);
    wait_for("all claims to be given back", || stage.redis.claims().is_empty().then_some(()));
}

#[test]
fn a_frozen_node_is_given_up_and_comes_back() {
    let stage = Stage::new(2, TENANTS);
    for _ in 0..2 {
        stage.call(0, "c", "").unwrap();
    }
    let all = -(stage.proxies[0].pid() as i32);
    signal(all, libc::SIGSTOP);
    // Given up after 5 s of silence here.
    let other = stage.call_in_the_end(1, "c");
    signal(all, libc::SIGCONT);
    // Its calls live and count; nobody gets a slot until there is one.
    wait_for("its calls to be told again", || {
        (stage.redis.claims().iter().sum::<u64>() == 3).then_some(())
    });
    stage.wait_for_members(2);
    for proxy in 0..2 {
        assert_eq!(stage.call(proxy, "c", "").err().unwrap(), "company_limit");
    }
    stage.hang_up(other);
    wait_for("its slot to be given back", || {
        (stage.redis.claims().iter().sum::<u64>() == 2).then_some(())
    });
    assert_eq!(stage.call(1, "c", "").err().unwrap(), "company_limit");
}

#[test]
fn a_roadwarrior_has_one_call_on_all_proxies() {
    let stage = Stage::new(2, TENANTS);
    let road = "X-Roadwarrior: road@d\r\n";
    let here = stage.call(0, "d", road).unwrap();
    assert_eq!(stage.call(1, "d", road).err().unwrap(), "roadwarrior_limit");
    stage.hang_up(here);
    let there = wait_for("the user's slot", || stage.call(1, "d", road).ok());
    assert_eq!(stage.call(0, "d", road).err().unwrap(), "roadwarrior_limit");
    let shown = stage.proxies[0].ask("cluster", json!(["roadwarrior", "road@d"]));
    let directions = shown["directions"].as_array().unwrap();
    assert_eq!(directions[0]["slots"], 1, "{shown}");
    assert_eq!(directions[0]["nodes"], json!(["node1: 1"]), "{shown}");
    stage.hang_up(there);
}

#[test]
fn a_limit_that_is_new_counts_the_calls_of_all_proxies() {
    let stage = Stage::new(
        2,
        "INSERT INTO sipwarden_brand VALUES ('b', 0);
         INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 0);",
    );
    for proxy in [0, 0, 1] {
        stage.call(proxy, "c", "").unwrap();
    }
    assert_eq!(stage.redis.claims(), [0; 0]);
    stage.db.run("UPDATE sipwarden_company SET max_calls = 4 WHERE id = 'c';");
    stage.proxies.iter().for_each(|proxy| drop(proxy.ask("reload", json!([]))));
    wait_for("the calls to be told", || {
        (stage.redis.claims().iter().sum::<u64>() == 3).then_some(())
    });
    stage.call(1, "c", "").unwrap();
    for proxy in 0..2 {
        assert_eq!(stage.call(proxy, "c", "").err().unwrap(), "company_limit");
    }
}
