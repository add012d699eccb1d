//! The guide's user of Redis may do what the module does, and no more.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::json;

use crate::cluster::Stage;
use crate::support::guide::block;
use crate::support::{project, wait_for};

const TENANTS: &str = "INSERT INTO sipwarden_brand VALUES ('b', 0);
    INSERT INTO sipwarden_company VALUES ('c', 'b', 0, 1);";

/// The guide's line for the user, without its first word.
fn user() -> String {
    let lines = block("cluster.md", "redis-user");
    let line = lines.lines().find_map(|line| line.strip_prefix("user sipwarden ")).unwrap();
    line.to_owned()
}

/// The first text in quotes behind each `call`, and a subcommand behind `.arg(`.
fn commands(text: &str, call: &str, quote: char) -> Vec<String> {
    let told = |rest: &str| rest.split(quote).next().unwrap().to_lowercase();
    let begins = format!("{call}({quote}");
    let each = text.split(&begins).skip(1).map(|rest| {
        let name = told(rest);
        let arg = rest.split_once(&format!("{quote}).arg({quote}")).map(|(_, arg)| told(arg));
        match arg.filter(|_| ["config", "script"].contains(&name.as_str())) {
            Some(arg) => format!("{name}|{arg}"),
            None => name,
        }
    });
    each.collect()
}

fn all_in(folder: &Path, ending: &str) -> String {
    let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|own| own == ending));
    files.map(|path| fs::read_to_string(path).unwrap()).collect()
}

#[test]
fn the_guides_user_may_run_each_command_of_the_module_and_no_other() {
    let src = project().join("src");
    let mut used: BTreeSet<String> = ["cluster", "notices"]
        .iter()
        .flat_map(|room| commands(&all_in(&src.join(room), "lua"), "redis.call", '\''))
        .collect();
    assert!(used.len() > 10, "{used:?}");
    used.extend(commands(&all_in(&src.join("host/cluster"), "rs"), "cmd", '"'));
    // Sentinels are servers of their own, and whoever connects may say who it is.
    assert!(used.remove("sentinel") && used.remove("auth"));
    let line = user();
    let may = line.split(' ').filter_map(|word| word.strip_prefix('+')).map(str::to_owned);
    assert_eq!(may.collect::<BTreeSet<_>>(), used);
}

#[test]
fn two_proxies_share_a_limit_and_blocks_as_the_guides_user() {
    let mut stage = Stage::new(0, TENANTS);
    let line = user();
    let words: Vec<&str> =
        ["ACL", "SETUSER", "sipwarden"].into_iter().chain(line.split(' ')).collect();
    assert_eq!(stage.redis.cli(&words), "OK");
    let own = format!("redis://sipwarden:a-long-password@{}/0", stage.redis.address());
    for node in ["node0", "node1"] {
        stage.start_by(node, &own);
    }
    stage.wait_for_members(2);
    let call = stage.call(0, "c", "").unwrap();
    assert_eq!(stage.call(1, "c", "").err().unwrap(), "company_limit");
    let listed = stage.proxies[1].rpc("sipwarden.cluster", json!(["company", "c"])).to_string();
    assert!(listed.contains("node0"), "{listed}");
    stage.hang_up(call);
    let next = stage.call_in_the_end(1, "c");
    stage.hang_up(next);
    stage.proxies[0].rpc("sipwarden.block", json!(["192.0.2.7", "60"]));
    let blocks = || stage.proxies[1].counter("blocks_active");
    wait_for("the block on the other proxy", || (blocks() == 1).then_some(()));
    stage.proxies[0].rpc("sipwarden.unblock", json!(["192.0.2.7"]));
    wait_for("its end there", || (blocks() == 0).then_some(()));
    // One goes, which is told, and the other starts over when the server has forgotten all.
    stage.proxies[0].stop(libc::SIGTERM);
    stage.proxies.remove(0);
    stage.redis.cli(&["FLUSHALL"]);
    stage.wait_for_members(1);
    assert_eq!(stage.redis.cli(&["ACL", "LOG"]), "");
    // Nor was a command asked for that this server does not know, and later ones refuse.
    assert_eq!(stage.redis.cli(&["INFO", "errorstats"]), "# Errorstats");
    let refused = stage.redis.cli(&["-u", &own, "FLUSHALL"]);
    assert!(refused.contains("NOPERM"), "{refused}");
}
