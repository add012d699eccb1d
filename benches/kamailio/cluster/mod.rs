//! Limits that several proxies share over one Redis.

mod admitted;
mod latency;
mod outage;
mod recovery;
mod takes;

use std::fs;
use std::time::Duration;

use super::calls;
use super::host::{Host, Order};
use super::platform::{Family, Pick, Platform, write_picks};
use super::report::Section;
use super::support::kamailio::{Config, Kamailio};
use super::support::redis::Redis;
use super::support::sqlite::Sqlite;
use super::support::{Folder, wait_up_to};

/// Longer than a server that nobody knows grants nothing.
const PATIENCE: Duration = Duration::from_secs(60);

/// Companies of which each has a limit, as its brand has, and one call after the other.
struct Ground {
    folder: Folder,
    db: Sqlite,
    companies: u32,
}

impl Ground {
    fn new(companies: u32) -> Self {
        let folder = Folder::new();
        let db = Platform::new(companies, 1_000, Family::V4).database(folder.join("tables.sqlite"));
        // Limits that no call comes to: else they were not shared.
        db.run(
            "UPDATE sipwarden_brand SET max_calls = 1000000;
             UPDATE sipwarden_company SET max_calls = 1000;",
        );
        let ground = Ground { folder, db, companies };
        ground.picks("all", 0, companies);
        ground
    }

    /// A file of companies in turn.
    fn picks(&self, name: &str, first: u32, count: u32) -> std::path::PathBuf {
        let file = self.folder.join(name);
        let address = u128::from(u32::from_be_bytes([192, 0, 2, 1])) << 96;
        let pick = |n| Pick { family: Family::V4, company: n % self.companies, address };
        write_picks(&file, (first..first + count).map(pick));
        file
    }

    fn all(&self) -> std::path::PathBuf {
        self.folder.join("all")
    }

    fn config(&self) -> Config {
        Config::new(&self.db.url()).settings("modparam(\"sipwarden\", \"max_calls\", 200000)\n")
    }

    /// A Kamailio that shares its limits, once it does.
    fn node(&self, url: &str, cluster: &str, node: &str) -> Host {
        let host = calls::host(self.config().settings(&settings(url, cluster, node)));
        wait_until_exact(&host);
        host
    }
}

/// A call of one process after the other, each timed by itself.
fn singly<'a>(ground: &'a std::path::Path) -> Order<'a> {
    Order { batch: 1, ..Order::new("cc_limit").picks(ground) }
}

fn settings(url: &str, cluster: &str, node: &str) -> String {
    let setting = |name, value| format!("modparam(\"sipwarden\", \"{name}\", \"{value}\")\n");
    setting("cluster_url", url)
        + &setting("cluster_name", cluster)
        + &setting("cluster_node", node)
        + &setting("cluster_secret", "a secret of the benchmarks")
}

fn wait_until_exact(host: &Host) {
    wait_until_exact_of(&host.kamailio);
}

fn wait_until_exact_of(kamailio: &Kamailio) {
    wait_up_to(PATIENCE, "limits to be shared", || {
        (kamailio.counter("cluster_exact") == 1).then_some(())
    });
}

/// CPU time of a process and all its threads, in us.
fn cpu_time(pid: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let of = |thread: fs::DirEntry| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    };
    threads.filter_map(of).sum::<f64>() / 1000.0
}

fn milliseconds(full: u32) -> u32 {
    if super::quick() { full / 10 } else { full }
}

pub fn section() -> Section {
    let mut section = Section::new(
        "Several proxies, one limit",
        "Kamailios with `cluster_url` and one Redis on the same machine, which so has to do the \
         work of all of them: with a machine for each, a round trip is longer, and nobody waits \
         for a core. Each call counts in two scopes, its company and its brand. All parameters \
         of the cluster are the defaults.",
    );
    latency::measure(&mut section);
    takes::measure(&mut section);
    outage::measure(&mut section);
    recovery::measure(&mut section);
    admitted::measure(&mut section);
    section
}

/// The server's CPU time, in us.
fn cpu_of(redis: &Redis) -> f64 {
    cpu_time(redis.pid())
}
