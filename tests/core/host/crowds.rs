//! What strangers can make the log and the events tell.

use serde_json::json;

use super::alone::alone;
use super::door;
use super::request::Request;
use super::start::{Folder, started};
use super::world::{events, logged, world};
use crate::fork::fork_all;

/// Each of these addresses is forged: two packets in its name make a line and an event.
#[test]
fn a_crowd_of_forged_sources_fills_neither_the_log_nor_the_room_for_rare_events() {
    alone(|| {
        started(&[("flood_limit", json!(1)), ("flood_sources", json!(65_536))]);
        while door::record() {}
        for n in 0..20_000u32 {
            let forged = Request::from(&format!("100.64.{}.{}", n / 250, n % 250));
            assert_eq!([door::flood_check(&forged, ""), door::flood_check(&forged, "")], [1, -17]);
        }
        let lines = |text: &str| world().log.iter().filter(|(_, line)| line.contains(text)).count();
        assert_eq!(lines("throttling of "), 1000);
        assert_eq!(lines("are not logged for the rest of a minute"), 1);
        // Nobody has read an event meanwhile.
        world().has_database = false;
        door::rpc("reload", json!([])).unwrap_err();
        while door::record() {}
        assert!(events("reload").iter().any(|told| told["event"] == "reload_failed"));
        // What an operator does is told, too.
        door::ask("block", json!({"address": "203.0.113.9", "seconds": 60}));
        while door::record() {}
        assert_eq!(events("block").len(), 1);
        assert!(logged("throttling of 100.64.0.0 starts"));
    });
}

/// The key by which AoRs are hashed is the only one that is ever written down.
fn key_of(file: &std::path::Path) -> String {
    let kept = std::fs::read_to_string(file).unwrap();
    kept.lines().find_map(|line| line.strip_prefix("seed ")).unwrap().to_owned()
}

/// Nobody outside can aim at a place in a table, since nobody knows its key.
#[test]
fn each_start_draws_its_own_keys() {
    alone(|| {
        let folder = Folder::new();
        // Each start is one of a process of its own.
        fork_all(2, |n| {
            let file = folder.0.join(n.to_string());
            started(&[("flood_persist", json!(file.to_str().unwrap()))]);
            door::ask("ban", json!(["alice@x", "203.0.113.9"]));
            while !file.exists() {
                door::tick();
            }
            true
        });
        let keys = ["0", "1"].map(|name| key_of(&folder.0.join(name)));
        assert_ne!(keys[0], keys[1]);
        assert!(keys.iter().all(|key| key.len() == 32 && key.trim_matches('0').len() > 8));
    });
}
