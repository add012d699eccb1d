//! Proxies that share limits over one Redis. The callee that all calls reach counts for itself.

use std::time::Duration;

use super::call::{Caller, Endpoint};
use super::callee::AutoCallee;
use super::config::Config;
use super::host::Host;
use super::proxy::{LONG_CALLS, config, count_by};
use super::redis::Redis;
use super::running::Running;
use super::sqlite::Sqlite;
use super::{Folder, PATIENCE, wait_up_to};

/// So long that a machine with much else to do answers.
pub const PATIENT: &str = "modparam(\"sipwarden\", \"cluster_timeout\", 500)\n";
/// The shortest times, for a short start.
pub const SHORT: &str = "modparam(\"sipwarden\", \"cluster_timeout\", 500)
modparam(\"sipwarden\", \"cluster_trust\", 2)
modparam(\"sipwarden\", \"cluster_dead\", 5)
";
pub const SECRET: &str = "a secret of the tests";

/// Proxies with one table of tenants, and the server that they share.
pub struct Stage<H: Host> {
    pub proxies: Vec<Running<H>>,
    pub redis: Redis,
    pub callee: AutoCallee,
    pub endpoint: Endpoint,
    pub db: Sqlite,
    _folder: Folder,
    settings: String,
}

impl<H: Host> Stage<H> {
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

    pub fn config(&self, node: &str) -> Config<H> {
        let setting =
            |name: &str, value: &str| format!("modparam(\"sipwarden\", \"{name}\", \"{value}\")\n");
        let config = config(&self.db.url(), self.callee.address)
            .settings(LONG_CALLS)
            .settings(&setting("cluster_url", &self.redis.url()))
            .settings(&setting("cluster_node", node))
            .settings(&setting("cluster_secret", SECRET))
            .settings(&setting("limit_table", "sipwarden_limit"))
            .settings(&self.settings);
        // The storm's second field is the scopes of a call.
        count_by(config, &format!("cc_limit(\"$fd\", \"$var(flags)\", \"{}\")", H::SCOPES))
    }

    pub fn start(&self, node: &str) -> Running<H> {
        self.config(node).start()
    }

    /// One more, which reaches the server by this URL.
    pub fn start_by(&mut self, node: &str, url: &str) {
        let mut config = self.config(node);
        let direct = self.redis.url();
        assert_eq!(config.settings.matches(&direct).count(), 1);
        config.settings = config.settings.replace(&direct, url);
        self.proxies.push(config.start());
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
pub fn place<'a, H: Host>(
    endpoint: &'a Endpoint,
    proxy: &Running<H>,
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
    endpoint.receive_within(PATIENCE).expect("no answer to the BYE");
}
