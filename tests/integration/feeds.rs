//! Feeds: files with addresses that are refused, followed while Kamailio runs.

use std::collections::HashSet;
use std::fmt::Write;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::kamailio::{Config, Kamailio};
use crate::support::netns::Namespace;
use crate::support::sip::{Phone, Told};
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, project, wait_for};

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
    sl_send_reply("200", "OK");
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
        config.modules.push_str("loadmodule \"cfg_rpc.so\"\n");
        config
    }
}

fn told(kamailio: &Kamailio, source: &str) -> Told {
    Phone::new(source, kamailio.address()).ask("x")
}

fn reason(kamailio: &Kamailio, source: &str) -> String {
    told(kamailio, source).reason
}

fn feed(kamailio: &Kamailio, n: usize) -> Value {
    kamailio.rpc("sipwarden.feeds", json!([]))["feeds"][n].clone()
}

fn wait_for_reason(kamailio: &Kamailio, source: &str, wanted: &str) {
    wait_for(wanted, || (reason(kamailio, source) == wanted).then_some(()));
}

#[test]
fn a_listed_source_is_refused_by_each_worker_and_a_new_file_is_followed() {
    let platform = Platform::new();
    platform.write("drop", "# a list\r\n203.0.113.128/25 ; SBL1\r\n\r\n");
    platform.write("other", "198.51.100.7\n");
    let kamailio = platform.config(&["drop", "other"]).start();
    let mut workers = HashSet::new();
    wait_for("several workers", || {
        let Told { code, reason, worker } = told(&kamailio, "203.0.113.200");
        assert_eq!((code, reason.as_str()), (-21, "listed"));
        workers.insert(worker);
        (workers.len() >= 4).then_some(())
    });
    assert_eq!(reason(&kamailio, "203.0.113.7"), "under_limit");
    assert_eq!(reason(&kamailio, "198.51.100.7"), "listed");
    let refused = feed(&kamailio, 0)["refused"].as_u64().unwrap();
    assert_eq!(kamailio.counter("flood_listed"), refused + 1);
    let shown = kamailio.kamcmd(&["sipwarden.feeds"]);
    assert!(shown.contains("drop.txt") && shown.contains("state: loaded"), "{shown}");
    // Without a reload, in all workers at once.
    platform.write("drop", "203.0.113.0/25\n");
    wait_for_reason(&kamailio, "203.0.113.7", "listed");
    for _ in 0..20 {
        assert_eq!(reason(&kamailio, "203.0.113.200"), "under_limit");
        assert_eq!(reason(&kamailio, "198.51.100.7"), "listed");
    }
    // A file that turns bad changes nothing, and is told once.
    platform.write("drop", "203.0.113.200\nnot an address\n");
    wait_for("the problem", || (feed(&kamailio, 0)["state"] == "failed").then_some(()));
    let problem = feed(&kamailio, 0)["problems"][0].as_str().unwrap().to_owned();
    let line = "drop.txt: line 2: \"not an address\" is not an IP address";
    assert!(problem.ends_with(line), "{problem}");
    assert_eq!(reason(&kamailio, "203.0.113.7"), "listed");
    assert_eq!(reason(&kamailio, "203.0.113.200"), "under_limit");
    // The tables are read all the same, and the other feed too.
    platform.write("other", "198.51.100.8\n");
    let reloaded = kamailio.rpc("sipwarden.reload", json!([]));
    assert_eq!(reloaded["generation"], 2);
    assert!(reloaded["feeds"][0]["problem"].as_str().unwrap().ends_with(line), "{reloaded}");
    assert_eq!(reason(&kamailio, "198.51.100.8"), "listed");
    assert_eq!(kamailio.counter("feed_failures"), 1);
    assert_eq!(kamailio.counter("feeds_failing"), 1);
    assert_eq!(kamailio.counter("listed_prefixes"), 2);
    assert_eq!(kamailio.log().matches("feed drop was not loaded").count(), 1);
    // Written in place: read when two looks find it the same.
    fs::write(platform.file("drop"), "203.0.113.9\n").unwrap();
    wait_for_reason(&kamailio, "203.0.113.7", "under_limit");
    assert_eq!(reason(&kamailio, "203.0.113.9"), "listed");
    assert_eq!(kamailio.counter("feeds_failing"), 0);
    fs::remove_file(platform.file("drop")).unwrap();
    wait_for("the problem", || (feed(&kamailio, 0)["state"] == "failed").then_some(()));
    assert_eq!(reason(&kamailio, "203.0.113.9"), "listed");
}

#[test]
fn known_sources_are_served_and_told() {
    let platform = Platform::new();
    platform.write("drop", "203.0.113.0/24\n");
    let kamailio = platform.config(&["drop"]).start();
    assert_eq!(reason(&kamailio, "203.0.113.1"), "exempt");
    assert_eq!(reason(&kamailio, "203.0.113.2"), "under_limit");
    assert_eq!(reason(&kamailio, "203.0.113.40"), "exempt");
    assert_eq!(reason(&kamailio, "203.0.113.9"), "listed");
    Phone::new("203.0.113.9", kamailio.address()).ask("prove");
    assert_eq!(reason(&kamailio, "203.0.113.9"), "under_limit");
    kamailio.rpc("sipwarden.allow", json!(["office", "203.0.113.10", 60]));
    assert_eq!(reason(&kamailio, "203.0.113.10"), "under_limit");
    assert_eq!(kamailio.counter("listed_passed"), 5);
    assert_eq!(feed(&kamailio, 0)["passed"], 5);
    for (address, served) in [
        ("203.0.113.1", "trusted"),
        ("203.0.113.2", "trusted"),
        ("203.0.113.40", "authorized"),
        ("203.0.113.9", "proven"),
        ("203.0.113.10", "granted"),
        ("203.0.113.11", ""),
    ] {
        let source = kamailio.rpc("sipwarden.source", json!([address]));
        assert_eq!(source["listed"]["served_as"], served, "{source}");
        assert_eq!(source["listed"]["feeds"][0]["feed"], "drop", "{source}");
    }
    let said = kamailio.kamcmd(&["sipwarden.check", "office", "203.0.113.11"]);
    assert!(said.contains("refused by flood_check: listed (-21)"), "{said}");
    wait_for("the refusal", || {
        let denied = kamailio.rpc("sipwarden.denied", json!([]));
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
    let kamailio = platform.config(&["drop"]).start();
    let shown = kamailio.rpc("sipwarden.feeds", json!([]));
    println!("{shown}");
    assert_eq!((&shown["prefixes"], &shown["feeds"][0]["lines"]), (&json!(COUNT), &json!(COUNT)));
    let each = shown["bytes"].as_f64().unwrap() / f64::from(COUNT);
    assert!(each < 5.4, "{each} bytes each");
    for (address, listed) in [("20.0.0.0", true), ("20.0.0.1", false), ("20.30.132.126", true)] {
        let source = kamailio.rpc("sipwarden.source", json!([address]));
        assert_eq!(source["reason"] == "listed", listed, "{source}");
    }
    // One more feed: each has a copy of its own beside that of all.
    let log = kamailio.log();
    assert!(log.contains("feed drop loaded from"), "{log}");
    platform.write("drop", &(many(COUNT) + "203.0.113.9\n"));
    wait_for_reason(&kamailio, "203.0.113.9", "listed");
    let bytes = shown["bytes"].as_f64().unwrap();
    wait_for("what a generation took to be given back", || {
        let stats = kamailio.rpc("sipwarden.stats", json!([]));
        (stats["feeds_memory_used"].as_f64().unwrap() < 1.1 * bytes).then_some(())
    });
}

#[test]
fn a_start_goes_on_without_the_file_and_reads_it_when_it_comes() {
    let platform = Platform::new();
    let kamailio = platform.config(&["drop"]).start();
    assert_eq!(reason(&kamailio, "203.0.113.9"), "under_limit");
    let log = kamailio.log();
    assert!(
        log.contains("feed drop was not loaded: ") && log.contains("it lists nothing"),
        "{log}"
    );
    platform.write("drop", "203.0.113.9\n");
    wait_for_reason(&kamailio, "203.0.113.9", "listed");
}

/// Runs the shipped script; what it says, and whether it succeeded.
fn fetch(file: &Path, url: &Path, more: &[&str]) -> (String, bool) {
    let script = project().join("kamailio-cfg/feeds/sipwarden-feed");
    let url = format!("file://{}", url.display());
    let Output { status, stdout, stderr } =
        Command::new(script).arg(file).arg(url).args(more).output().unwrap();
    let said = [stdout, stderr].concat();
    (String::from_utf8_lossy(&said).into_owned(), status.success())
}

#[test]
fn the_script_fetches_a_feed_as_a_whole_or_not_at_all() {
    let folder = Folder::new();
    let (file, url) = (folder.join("drop.txt"), folder.join("published"));
    let publish = |text: &str| fs::write(&url, text).unwrap();
    let inode = || fs::metadata(&file).unwrap().ino();
    publish("# ten\n192.0.2.0/28 ; SBL1\r\n2001:db8::/32\n\n198.51.100.1\n198.51.100.2\n");
    let (said, fetched) = fetch(&file, &url, &[]);
    assert!(fetched && said.contains("lists 4"), "{said}");
    assert_eq!(fs::read(&file).unwrap(), fs::read(&url).unwrap());
    let first = inode();
    for (text, why) in [
        ("", "lists nothing"),
        ("# nothing\n", "lists nothing"),
        ("<html>\n192.0.2.1\n", "line 1:<html>: this is not an address"),
        ("192.0.2.1\n", "lists 1, before there were 4"),
    ] {
        publish(text);
        let (said, fetched) = fetch(&file, &url, &[]);
        assert!(!fetched && said.contains(why), "{text}: {said}");
        assert!(said.contains("stays as it was"), "{said}");
        assert_eq!(inode(), first);
    }
    let (said, fetched) = fetch(&file, Path::new("/nonexistent"), &[]);
    assert!(!fetched && said.contains("cannot be fetched"), "{said}");
    // Another file took its place, none was left beside it.
    publish("192.0.2.1\n");
    let (said, fetched) = fetch(&file, &url, &["20"]);
    assert!(fetched, "{said}");
    assert_ne!(inode(), first);
    let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names.count(), 2);
}

#[test]
fn the_units_are_ones() {
    let version = Command::new("systemd-analyze").arg("--version").output();
    if !version.is_ok_and(|out| out.status.success()) {
        return;
    }
    let folder = Folder::new();
    for name in ["sipwarden-feed@.service", "sipwarden-feed@.timer"] {
        let text = project().join("kamailio-cfg/feeds/systemd").join(name);
        let text = fs::read_to_string(text).unwrap();
        // Where the package puts it.
        let text = text.replace("ExecStart=sipwarden-feed", "ExecStart=/bin/true");
        fs::write(folder.join(name), text).unwrap();
    }
    let unit = folder.join("sipwarden-feed@.timer");
    let out = crate::support::wait_up_to(Duration::from_secs(60), "systemd-analyze", || {
        Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output().ok()
    });
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(!said.contains("sipwarden-feed"), "{said}");
}
