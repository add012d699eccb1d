//! Feeds: files with addresses that are refused, followed while the server runs.

use std::collections::HashSet;
use std::fmt::Write;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Config, Server};
use crate::support::netns::Namespace;
use crate::support::sip::{Phone, Told};
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for};

const TENANTS: &str = "
INSERT INTO sipwarden_brand VALUES ('b', 0);
INSERT INTO sipwarden_company VALUES ('office', 'b', 1, 0);
INSERT INTO sipwarden_company_address VALUES ('office', '203.0.113.32', 28);
INSERT INTO sipwarden_trusted VALUES ('203.0.113.1', NULL, 'exempt'),
    ('203.0.113.2', NULL, 'carrier');
";

/// Tells each source what it would be told; `prove` logs in.
const SCRIPT: &str = r#"
request_route {
    if ($rU == "prove") {
        auth_ok("alice@example.com");
    } else {
        flood_check();
    }
    append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
    sl_send_reply(200, "OK");
}
"#;

/// A network of its own, in which addresses of the Internet are local.
struct Platform {
    _network: Namespace,
    folder: Folder,
    tables: Sqlite,
}

impl Platform {
    fn new() -> Self {
        let network = Namespace::new();
        network.owns("203.0.113.0/24");
        network.owns("198.51.100.0/24");
        network.enter();
        let folder = Folder::new();
        let tables = Sqlite::create(folder.join("tables.sqlite"));
        tables.run(TENANTS);
        Platform { _network: network, folder, tables }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(&format!("{name}.txt"))
    }

    /// Replaces the file of a feed, as the timer does.
    fn write(&self, name: &str, text: &str) {
        let new = self.file("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.file(name)).unwrap();
    }

    fn config(&self, feeds: &[&str]) -> Config {
        let mut config = Config::new(&self.tables.url()).routes(SCRIPT).settings(
            "modparam(\"sipwarden\", \"blocklist_interval\", 1)\n\
             modparam(\"sipwarden\", \"flood_class\", \"carrier=limit:2000;block:0\")\n",
        );
        for name in feeds {
            let file = self.file(name);
            config.settings += &format!(
                "modparam(\"sipwarden\", \"blocklist_file\", \"{name}={}\")\n",
                file.display()
            );
        }
        config.workers = 8;
        config
    }
}

fn told(server: &Server, source: &str) -> Told {
    Phone::new(source, server.address()).ask("x")
}

fn reason(server: &Server, source: &str) -> String {
    told(server, source).reason
}

fn feed(server: &Server, n: usize) -> Value {
    server.ask("feeds", json!([]))["feeds"][n].clone()
}

fn wait_for_reason(server: &Server, source: &str, wanted: &str) {
    wait_for(wanted, || (reason(server, source) == wanted).then_some(()));
}

#[test]
fn a_listed_source_is_refused_by_each_worker_and_a_new_file_is_followed() {
    let platform = Platform::new();
    platform.write("drop", "# a list\r\n203.0.113.128/25 ; SBL1\r\n\r\n");
    platform.write("other", "198.51.100.7\n");
    let server = platform.config(&["drop", "other"]).start();
    let mut workers = HashSet::new();
    wait_for("several workers", || {
        let Told { code, reason, worker } = told(&server, "203.0.113.200");
        assert_eq!((code, reason.as_str()), (-21, "listed"));
        workers.insert(worker);
        (workers.len() >= 4).then_some(())
    });
    assert_eq!(reason(&server, "203.0.113.7"), "under_limit");
    assert_eq!(reason(&server, "198.51.100.7"), "listed");
    let refused = feed(&server, 0)["refused"].as_u64().unwrap();
    assert_eq!(server.counter("flood_listed"), refused + 1);
    let shown = feed(&server, 0);
    assert!(shown["path"].as_str().unwrap().ends_with("drop.txt"), "{shown}");
    assert_eq!(shown["state"], "loaded", "{shown}");
    // Without a reload, in all workers at once.
    platform.write("drop", "203.0.113.0/25\n");
    wait_for_reason(&server, "203.0.113.7", "listed");
    for _ in 0..20 {
        assert_eq!(reason(&server, "203.0.113.200"), "under_limit");
        assert_eq!(reason(&server, "198.51.100.7"), "listed");
    }
    // A file that turns bad changes nothing, and is told once.
    platform.write("drop", "203.0.113.200\nnot an address\n");
    wait_for("the problem", || (feed(&server, 0)["state"] == "failed").then_some(()));
    let problem = feed(&server, 0)["problems"][0].as_str().unwrap().to_owned();
    let line = "drop.txt: line 2: \"not an address\" is not an IP address";
    assert!(problem.ends_with(line), "{problem}");
    assert_eq!(reason(&server, "203.0.113.7"), "listed");
    assert_eq!(reason(&server, "203.0.113.200"), "under_limit");
    // The tables are read all the same, and the other feed too.
    platform.write("other", "198.51.100.8\n");
    let reloaded = server.ask("reload", json!([]));
    assert_eq!(reloaded["generation"], 2);
    assert!(reloaded["feeds"][0]["problem"].as_str().unwrap().ends_with(line), "{reloaded}");
    assert_eq!(reason(&server, "198.51.100.8"), "listed");
    assert_eq!(server.counter("feed_failures"), 1);
    assert_eq!(server.counter("feeds_failing"), 1);
    assert_eq!(server.counter("listed_prefixes"), 2);
    assert_eq!(server.log().matches("feed drop was not loaded").count(), 1);
    // Written in place: read when two looks find it the same.
    fs::write(platform.file("drop"), "203.0.113.9\n").unwrap();
    wait_for_reason(&server, "203.0.113.7", "under_limit");
    assert_eq!(reason(&server, "203.0.113.9"), "listed");
    assert_eq!(server.counter("feeds_failing"), 0);
    fs::remove_file(platform.file("drop")).unwrap();
    wait_for("the problem", || (feed(&server, 0)["state"] == "failed").then_some(()));
    assert_eq!(reason(&server, "203.0.113.9"), "listed");
}

#[test]
fn known_sources_are_served_and_told() {
    let platform = Platform::new();
    platform.write("drop", "203.0.113.0/24\n");
    let server = platform.config(&["drop"]).start();
    assert_eq!(reason(&server, "203.0.113.1"), "exempt");
    assert_eq!(reason(&server, "203.0.113.2"), "under_limit");
    assert_eq!(reason(&server, "203.0.113.40"), "exempt");
    assert_eq!(reason(&server, "203.0.113.9"), "listed");
    Phone::new("203.0.113.9", server.address()).ask("prove");
    assert_eq!(reason(&server, "203.0.113.9"), "under_limit");
    server.ask("allow", json!(["office", "203.0.113.10", 60]));
    assert_eq!(reason(&server, "203.0.113.10"), "under_limit");
    assert_eq!(server.counter("listed_passed"), 5);
    assert_eq!(feed(&server, 0)["passed"], 5);
    for (address, served) in [
        ("203.0.113.1", "trusted"),
        ("203.0.113.2", "trusted"),
        ("203.0.113.40", "authorized"),
        ("203.0.113.9", "proven"),
        ("203.0.113.10", "granted"),
        ("203.0.113.11", ""),
    ] {
        let source = server.ask("source", json!([address]));
        assert_eq!(source["listed"]["served_as"], served, "{source}");
        assert_eq!(source["listed"]["feeds"][0]["feed"], "drop", "{source}");
    }
    let said = server.ask("check", json!(["office", "203.0.113.11"]));
    assert_eq!(said["verdict"], "refused by flood_check: listed (-21)", "{said}");
    wait_for("the refusal", || {
        let denied = server.ask("denied", json!([]));
        (denied["denied"][0]["reason"] == "listed").then_some(())
    });
}

/// IPv4 addresses, no two of them neighbours, in no order.
fn many(count: u32) -> String {
    let mut text = String::new();
    for n in 0..count {
        let n = u64::from(n) * 7919 % u64::from(count);
        writeln!(text, "{}", Ipv4Addr::from(0x1400_0000 + 2 * n as u32)).unwrap();
    }
    text
}

#[test]
fn a_million_entries_are_loaded_in_the_memory_that_is_said() {
    const COUNT: u32 = 1_000_000;
    let platform = Platform::new();
    platform.write("drop", &many(COUNT));
    let server = platform.config(&["drop"]).start();
    let shown = server.ask("feeds", json!([]));
    println!("{shown}");
    assert_eq!((&shown["prefixes"], &shown["feeds"][0]["lines"]), (&json!(COUNT), &json!(COUNT)));
    let each = shown["bytes"].as_f64().unwrap() / f64::from(COUNT);
    assert!(each < 5.4, "{each} bytes each");
    for (address, listed) in [("20.0.0.0", true), ("20.0.0.1", false), ("20.30.132.126", true)] {
        let source = server.ask("source", json!([address]));
        assert_eq!(source["reason"] == "listed", listed, "{source}");
    }
    // One more feed: each has a copy of its own beside that of all.
    let log = server.log();
    assert!(log.contains("feed drop loaded from"), "{log}");
    platform.write("drop", &(many(COUNT) + "203.0.113.9\n"));
    wait_for_reason(&server, "203.0.113.9", "listed");
    let bytes = shown["bytes"].as_f64().unwrap();
    wait_for("what a generation took to be given back", || {
        let stats = server.ask("stats", json!([]));
        (stats["feeds_memory_used"].as_f64().unwrap() < 1.1 * bytes).then_some(())
    });
}

#[test]
fn a_start_goes_on_without_the_file_and_reads_it_when_it_comes() {
    let platform = Platform::new();
    let server = platform.config(&["drop"]).start();
    assert_eq!(reason(&server, "203.0.113.9"), "under_limit");
    let log = server.log();
    assert!(
        log.contains("feed drop was not loaded: ") && log.contains("it lists nothing"),
        "{log}"
    );
    platform.write("drop", "203.0.113.9\n");
    wait_for_reason(&server, "203.0.113.9", "listed");
}
