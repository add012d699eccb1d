//! sipwarden feeds the firewall: a flooder's packets are dropped in the kernel, and
//! let through again.

mod drops;
mod iptables;
mod listed;
mod restarts;
mod trouble;

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::support::kamailio::{Config, Kamailio, module};
use crate::support::netns::Namespace;
use crate::support::nft::{Rules, counter, elements, nft};
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for, wait_up_to};
use libc::SIGTERM;
use serde_json::{Value, json};

const V4: &str = "10.77.0.1:5060";
const V6: &str = "[fd77:1::1]:5060";
const OTHER_V6: &str = "[fd77:2::1]:5060";

const SCRIPT: &str = r#"
request_route {
    if (!flood_check()) { exit; }
    sl_send_reply("200", "OK");
}
"#;

/// More than any run of nft, and a look at the sets, take.
const A_WHILE: Duration = Duration::from_secs(60);

/// Two namespaces; this thread is in the first one, where Kamailio will run.
struct Platform {
    client: Namespace,
    _server: Namespace,
    rules: Rules,
    folder: Folder,
    tables: Sqlite,
}

impl Platform {
    fn new() -> Self {
        let platform = Self::without_rules();
        platform.rules.load();
        platform
    }

    fn without_rules() -> Self {
        let (server, client) = Namespace::pair();
        server.enter();
        let rules = Rules::new();
        let folder = Folder::new();
        let tables = Sqlite::create(folder.join("tables.sqlite"));
        tables.run("INSERT INTO sipwarden_trusted VALUES ('fd77:2::5', NULL, 'exempt');");
        Platform { client, _server: server, rules, folder, tables }
    }

    fn config(&self, after: u32) -> Config {
        let mut config = Config::new(&self.tables.url()).routes(SCRIPT).settings(&format!(
            "listen=udp:{V4}\nlisten=udp:{V6}\nlisten=udp:{OTHER_V6}\n\
             modparam(\"sipwarden\", \"flood_window\", \"600s\")\n\
             modparam(\"sipwarden\", \"flood_limit\", 5)\n\
             modparam(\"sipwarden\", \"firewall\", \"inet sipwarden\")\n\
             modparam(\"sipwarden\", \"firewall_after\", {after})\n"
        ));
        config.workers = 2;
        config.modules.push_str("loadmodule \"cfg_rpc.so\"\n");
        config
    }

    fn phone(&self, source: &str, server: &str) -> Phone {
        let server: SocketAddr = server.parse().unwrap();
        self.client.run(|| Phone::new(source, server))
    }
}

fn passes(phone: &Phone) -> bool {
    phone.request("OPTIONS", "x", "").is_some_and(|reply| reply.status == 200)
}

/// Sends requests until the source is blocked, and lets the last ones be refused.
fn flood(kamailio: &Kamailio, phone: &Phone) {
    let before = kamailio.counter("flood_started");
    for _ in 0..5 {
        assert!(passes(phone));
    }
    phone.send("OPTIONS", "x", "");
    wait_for("the block", || (kamailio.counter("flood_started") > before).then_some(()));
}

fn blocks(kamailio: &Kamailio) -> Vec<Value> {
    kamailio.rpc("sipwarden.blocks", json!([]))["blocks"].as_array().unwrap().clone()
}

fn status(kamailio: &Kamailio) -> Value {
    kamailio.rpc("sipwarden.stats", json!([]))["firewall"].clone()
}

fn wait_for_status(kamailio: &Kamailio, wanted: &str) {
    let is = || (status(kamailio)["state"] == wanted).then_some(());
    wait_up_to(A_WHILE, &format!("firewall to be {wanted}"), is);
}

/// Waits until a set holds just these prefixes.
fn wait_for_set(set: &str, wanted: &[&str]) {
    wait_up_to(A_WHILE, &format!("{set} to hold {wanted:?}"), || {
        let mut found: Vec<_> = elements(set).into_iter().map(|(prefix, _)| prefix).collect();
        found.sort();
        (found == wanted).then_some(())
    });
}

/// Requests that Kamailio has judged.
fn judged(kamailio: &Kamailio) -> u64 {
    ["flood_under_limit", "flood_started", "flood_blocked"]
        .iter()
        .map(|name| kamailio.counter(name))
        .sum()
}
