//! What operators see of several proxies, and the reload of all of them.

use std::time::Duration;

use serde_json::{Value, json};

use super::Stage;
use crate::support::{wait_for, wait_up_to};

const TENANTS: &str = "INSERT INTO sipwarden_brand VALUES ('b', 12);
    INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 10), ('free', 'b', 0, 0);
    INSERT INTO sipwarden_limit (kind, id, direction, max_calls) VALUES ('carrier', 'north', 'any', 9);";

fn check(stage: &Stage, proxy: usize) -> Value {
    stage.proxies[proxy].ask("check", json!(["c", "127.0.0.1", "", "carrier=north"]))
}

/// The steps that speak of calls.
fn words(check: &Value) -> String {
    let steps = check["steps"].as_array().unwrap().iter().map(|step| step.as_str().unwrap());
    steps.filter(|step| step.starts_with("cc_limit")).collect()
}

#[test]
fn each_proxy_tells_the_calls_of_all_and_its_own() {
    let stage = Stage::new(3, TENANTS);
    let carrier = "X-Aor: carrier=north\r\n";
    let mut calls: Vec<_> = [0, 0, 0, 0, 1, 1, 1]
        .map(|proxy| stage.call(proxy, "c", carrier).unwrap())
        .into_iter()
        .collect();
    let told = wait_for("all calls to be told", || {
        let told = check(&stage, 1);
        (told["cc_limit"]["company_calls_everywhere"] == 7).then_some(told)
    });
    let said = words(&told);
    for part in ["the company has 7 of 10 calls, here 3", "has 7 of 12 calls, here 3"] {
        assert!(said.contains(part), "{said}");
    }
    assert!(said.contains("carrier \"north\" has 7 of 9 calls, here 3"), "{said}");
    assert_eq!(told["cc_limit"]["company_calls"], 3);
    // One without a single call of its own, too.
    let said = words(&check(&stage, 2));
    assert!(said.contains("the company has 7 of 10 calls, here 0"), "{said}");
    let company = stage.proxies[1].ask("company", json!(["c"]));
    let of = |name: &str| company[name].as_u64().unwrap();
    assert_eq!(
        ["calls", "calls_everywhere", "brand_calls", "brand_calls_everywhere"].map(of),
        [3, 7, 3, 7]
    );
    let top = stage.proxies[1].ask("top", json!([]));
    for list in ["companies", "brands", "scopes"] {
        let first = &top[list][0];
        assert_eq!((&first["calls"], &first["calls_everywhere"]), (&json!(3), &json!(7)), "{top}");
    }
    let limits = stage.proxies[1].ask("limits", json!(["carrier", "north"]));
    assert_eq!(limits["limits"][0]["calls_everywhere"], 7, "{limits}");
    // A limit that is full elsewhere refuses here.
    calls.extend([1, 1].map(|proxy| stage.call(proxy, "c", carrier).unwrap()));
    let told = wait_for("the carrier to be full", || {
        let told = check(&stage, 2);
        (told["cc_limit"]["reason"] == "limit").then_some(told)
    });
    assert_eq!(told["verdict"], "refused by cc_limit: limit (-13)");
    assert_eq!(told["cc_limit"]["limit_calls"], 9);
    assert_eq!(stage.call(2, "c", carrier).err().unwrap(), "limit");
    // Without limits nothing is shared.
    let free = stage.proxies[1].ask("company", json!(["free"]));
    assert_eq!(free.get("calls_everywhere"), None);
    calls.into_iter().for_each(|call| stage.hang_up(call));
    // Without the server each tells its own.
    stage.redis.freeze();
    let company = stage.proxies[1].ask("company", json!(["c"]));
    assert_eq!((&company["calls"], company.get("calls_everywhere")), (&json!(0), None));
    stage.redis.resume();
}

/// One whose version knows no `reload_all` says nothing of its tables.
#[test]
fn nobody_waits_for_a_proxy_that_says_nothing_of_its_tables() {
    let mut stage = Stage::new(1, TENANTS);
    // By a name: its first address may be one where nobody listens.
    let mut config = stage.config("node1");
    assert!(config.settings.contains("redis://127.0.0.1:"));
    config.settings = config.settings.replace("redis://127.0.0.1:", "redis://localhost:");
    stage.proxies.push(config.start());
    stage.wait_for_members(2);
    let nodes = |proxy: usize| {
        let told = stage.proxies[proxy].ask("cluster", json!([]));
        told["nodes"].as_array().unwrap().clone()
    };
    for proxy in [0, 1] {
        wait_up_to(Duration::from_secs(20), "all tables to be told", || {
            nodes(proxy).iter().all(|node| node["tables"] == "same").then_some(())
        });
    }
    stage.redis.cli(&["HDEL", "sw:{sipwarden}:v", "tables node1"]);
    let done = stage.proxies[0].ask("reload_all", json!([]));
    let told = &done["nodes"][0];
    assert_eq!(told["node"], "node1");
    assert!(told["outcome"].as_str().unwrap().starts_with("unknown: "), "{done}");
}

/// Each warns of full limits as it likes.
#[test]
fn near_percent_may_differ_from_proxy_to_proxy() {
    let mut stage = Stage::new(1, TENANTS);
    let near = "modparam(\"sipwarden\", \"near_percent\", 55)\n";
    stage.proxies.push(stage.config("node1").settings(near).start());
    stage.wait_for_members(2);
    wait_up_to(Duration::from_secs(20), "all tables to be told", || {
        let told = stage.proxies[0].ask("cluster", json!([]));
        let nodes = told["nodes"].as_array().unwrap();
        assert!(nodes.iter().all(|node| node["tables"] != "other"), "{told}");
        nodes.iter().all(|node| node["tables"] == "same").then_some(())
    });
}

#[test]
fn one_rpc_reloads_all_proxies_and_tells_what_became_of_it_on_each() {
    let stage = Stage::new(3, TENANTS);
    let nodes = |proxy: usize| {
        let told = stage.proxies[proxy].ask("cluster", json!([]));
        told["nodes"].as_array().unwrap().clone()
    };
    let tables = |proxy: usize| {
        let nodes = nodes(proxy);
        nodes.iter().map(|node| node["tables"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    wait_up_to(Duration::from_secs(20), "all tables to be told", || {
        (tables(0) == ["same"; 3]).then_some(())
    });
    let listed = nodes(1);
    assert_eq!(listed.len(), 3);
    for (n, node) in listed.iter().enumerate() {
        assert_eq!((&node["node"], &node["state"]), (&json!(format!("node{n}")), &json!("member")));
        assert!(node["silent_ms"].as_u64().unwrap() < 3_000, "{node}");
    }
    // Reloaded on one alone: the others have other tables, and that is told.
    stage.db.run("UPDATE sipwarden_company SET max_calls = 2 WHERE id = 'c';");
    stage.proxies[0].ask("reload", json!([]));
    wait_up_to(Duration::from_secs(20), "the tables to differ", || {
        (tables(0) == ["same", "other", "other"]).then_some(())
    });
    let done = stage.proxies[0].ask("reload_all", json!([]));
    let outcomes = |done: &Value| -> Vec<_> {
        let nodes = done["nodes"].as_array().unwrap();
        let told = nodes.iter().map(|node| {
            [&node["node"], &node["outcome"], &node["tables"]]
                .map(|text| text.as_str().unwrap().to_owned())
        });
        told.collect()
    };
    assert_eq!(outcomes(&done), [["node1", "reloaded", "same"], ["node2", "reloaded", "same"]]);
    assert_eq!(done["rows"]["companies"], 2);
    assert_eq!(tables(2), ["same"; 3]);
    for proxy in &stage.proxies {
        assert_eq!(proxy.ask("company", json!(["c"]))["max_calls"], 2);
    }
    // One that cannot says so, and keeps what it has.
    stage.proxies[1].ask("set", json!(["company_table", "gone"]));
    stage.db.run("UPDATE sipwarden_company SET max_calls = 5 WHERE id = 'c';");
    let done = stage.proxies[2].ask("reload_all", json!([]));
    let told = outcomes(&done);
    assert_eq!(told[0], ["node0", "reloaded", "same"]);
    assert!(told[1][1].starts_with("failed: ") && told[1][1].contains("gone"), "{done}");
    assert_eq!(told[1][2], "other");
    // Without the server only this one reloads, and says so.
    stage.redis.freeze();
    let done = stage.proxies[0].ask("reload_all", json!([]));
    assert!(done["others"].as_str().unwrap().starts_with("not asked: "), "{done}");
    assert!(done["generation"].as_u64().unwrap() > 3, "{done}");
    stage.redis.resume();
}
