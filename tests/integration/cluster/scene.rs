//! Proxies that share limits, callers at each of them, and the callee of all calls: what both
//! ends see is the history that the checker judges.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::Stage;
use super::checker::{Found, judge};
use super::history::{Attempt, Fault, History, Rules};
use super::traffic::{Ask, Load, Seen, Traffic};
use crate::support::kamailio::{Config, Kamailio, free_port};
use crate::support::wire::Wire;
use crate::support::{project, wait_for};

/// A slot that is free for longer than this, in us, must be given. Two round trips take 1 ms on
/// a machine with nothing else to do; here a dozen processes share its cores.
const LATE: u64 = 100_000;

/// Calls that are long on their way are not given up by their proxy.
const TIMERS: &str = "
modparam(\"tm\", \"fr_timer\", 30000)
modparam(\"tm\", \"fr_inv_timer\", 60000)
modparam(\"dialog\", \"early_timeout\", 120)
modparam(\"dialog\", \"noack_timeout\", 120)
modparam(\"dialog\", \"default_timeout\", 3600)
";

/// Who calls, and what limits that.
#[derive(Default)]
pub struct Tenants {
    pub sql: String,
    pub asks: Vec<Ask>,
    pub limits: BTreeMap<String, u32>,
    /// Scopes that a storm fills.
    pub full: Vec<String>,
}

impl Tenants {
    /// For each limit a company with it; a brand below the sum of its three companies; two
    /// companies with a scope in common; a scope with a limit for ids that are not listed; and
    /// users of a company that has fewer slots than all of them.
    pub fn new(limits: &[u32]) -> Self {
        let mut all = Tenants { sql: sql("brand", "'free', 0"), ..Tenants::default() };
        for (n, &limit) in limits.iter().enumerate() {
            all.add(n, limit);
        }
        all
    }

    fn add(&mut self, n: usize, limit: u32) {
        let twice = 2 * limit;
        self.sql += &sql("brand", &format!("'b{n}', {twice}"));
        let brand = (format!("brand b{n}"), twice);
        self.company(&format!("c{n}"), "free", limit, &[]);
        for name in ["x", "y", "z"] {
            self.company(&format!("{name}{n}"), &format!("b{n}"), limit, &[&brand]);
        }
        let row = |kind: &str, id: &str| {
            let columns = "sipwarden_limit (kind, id, direction, max_calls)";
            format!("INSERT INTO {columns} VALUES ('{kind}', '{id}', 'any', {limit});\n")
        };
        self.sql += &(row(&format!("carrier{n}"), "north") + &row(&format!("did{n}"), "*"));
        let carrier = (format!("carrier{n} north"), limit);
        self.company(&format!("f{n}"), "free", 0, &[&carrier]);
        self.company(&format!("g{n}"), "free", 0, &[&carrier]);
        self.company(&format!("h{n}"), "free", 0, &[&(format!("did{n} 7"), limit)]);
        // A user has three at most.
        let (limit, twice) = (limit.min(3), twice.min(6));
        for user in ["one", "two", "three"] {
            let aor = format!("{user}@r{n}");
            self.sql += &sql("user", &format!("'{aor}', 'r{n}', {limit}"));
            let user = (format!("roadwarrior {aor}"), limit);
            let company = (format!("company r{n}"), twice);
            self.ask(&format!("r{n}"), &[&company, &user]);
        }
        // Only where a company has addresses are calls from elsewhere those of roadwarriors.
        self.sql += &sql("company", &format!("'r{n}', 'free', 1, {twice}"));
        self.sql += &sql("company_address", &format!("'r{n}', '192.0.2.0', 24"));
        let full = [brand.0, carrier.0, format!("company c{n}"), format!("company r{n}")];
        self.full.extend(full);
    }

    fn company(&mut self, name: &str, brand: &str, limit: u32, more: &[&(String, u32)]) {
        self.sql += &sql("company", &format!("'{name}', '{brand}', 0, {limit}"));
        let own = (format!("company {name}"), limit);
        let scopes: Vec<_> = [&own].into_iter().chain(more.iter().copied()).collect();
        self.ask(name, &scopes);
    }

    fn ask(&mut self, company: &str, scopes: &[&(String, u32)]) {
        let limited = || scopes.iter().filter(|(_, limit)| *limit > 0);
        self.limits.extend(limited().map(|&scope| scope.clone()));
        let headers = limited().filter_map(|(scope, _)| {
            let (kind, id) = scope.split_once(' ').unwrap();
            match kind {
                "company" | "brand" => None,
                "roadwarrior" => Some(format!("X-Roadwarrior: {id}\r\n")),
                _ => Some(format!("X-Aor: {kind}={id}\r\n")),
            }
        });
        self.asks.push(Ask {
            company: company.to_owned(),
            headers: headers.collect(),
            scopes: limited().map(|(scope, _)| scope.clone()).collect(),
        });
    }
}

fn sql(table: &str, values: &str) -> String {
    format!("INSERT INTO sipwarden_{table} VALUES ({values});\n")
}

/// How the proxies are set.
#[derive(Clone, Copy)]
pub struct Times {
    pub trust: u64,
    pub dead: u64,
}

pub struct Scene {
    pub stage: Stage,
    pub tenants: Tenants,
    pub wires: Vec<Wire>,
    pub times: Times,
    /// Their pids: a Kamailio that is frozen does not tell them.
    pub brokers: Vec<u32>,
    ports: Vec<u16>,
}

impl Scene {
    /// Proxies, each with a wire of its own to the server.
    pub fn new(proxies: usize, tenants: Tenants, times: Times) -> Self {
        let Times { trust, dead } = times;
        let set =
            |name: &str, value: u64| format!("modparam(\"sipwarden\", \"{name}\", {value})\n");
        let settings = set("cluster_timeout", 500)
            + &set("cluster_trust", trust)
            + &set("cluster_dead", dead)
            + &set("cluster_size", proxies as u64)
            + TIMERS;
        let stage = Stage::with(0, &tenants.sql, &settings);
        let wires = (0..proxies).map(|_| Wire::to(stage.redis.address())).collect();
        let ports = (0..proxies).map(|_| free_port()).collect();
        let mut scene = Scene { stage, tenants, wires, times, brokers: vec![0; proxies], ports };
        for node in 0..proxies {
            let started = scene.start(node);
            scene.stage.proxies.push(started);
        }
        scene.stage.wait_for_members(proxies);
        scene
    }

    fn config(&self, node: usize) -> Config {
        let mut config = self.stage.config(&format!("node{node}")).port(self.ports[node]);
        let server = self.stage.redis.url();
        let wire = server.replace(
            &self.stage.redis.address().to_string(),
            &self.wires[node].address.to_string(),
        );
        assert_ne!(server, wire);
        config.settings = config.settings.replace(&server, &wire);
        let passes = "record_route();";
        assert_eq!(config.routes.matches(passes).count(), 1);
        let told = format!("append_hf(\"X-Passed: $swd(reason)\\r\\n\");\n{passes}");
        config.routes = config.routes.replace(passes, &told);
        config
    }

    /// Starts a node, also again.
    pub fn start(&mut self, node: usize) -> Kamailio {
        let started = self.config(node).start();
        self.brokers[node] = started.process("sipwarden broker");
        started
    }

    pub fn nodes(&self) -> usize {
        self.ports.len()
    }

    /// Callers who ask for all scopes.
    pub fn traffic(&self, calls: usize, rate: u64, life: Option<(u64, u64)>, seed: u64) -> Traffic {
        let proxies = self.stage.proxies.iter().map(Kamailio::address).collect();
        let asks = self.tenants.asks.clone();
        Traffic::start(proxies, &Load { asks, calls, rate, life, seed })
    }

    /// What both ends have seen.
    pub fn history(&self, (attempts, stalls): Seen, began: Instant, faults: Vec<Fault>) -> History {
        let seen = self.stage.callee.observed();
        let reached = |mut call: Attempt| {
            if let Some((at, passed)) = seen.first.get(&call.call) {
                call.reached = Some(at.duration_since(began).as_micros() as u64);
                call.passed.clone_from(passed);
            }
            call
        };
        let rules = Rules {
            nodes: self.nodes() as u32,
            limits: self.tenants.limits.clone(),
            full: Vec::new(),
            late: LATE,
            dead: self.times.dead * 1_000_000,
        };
        let attempts = attempts.into_iter().map(reached).collect();
        History { rules, attempts, faults, stalls }
    }

    /// INVITEs over all proxies, as fast as they are answered.
    pub fn storm(&self, invites: usize, rate: u64, life: Option<(u64, u64)>, name: &str) -> Found {
        let each = invites.div_ceil(self.nodes());
        let traffic = self.traffic(each, rate, life, 1);
        let mut last = (0, Instant::now());
        wait_for_all(each * self.nodes(), || {
            if traffic.judged() != last.0 {
                last = (traffic.judged(), Instant::now());
            }
            assert!(last.1.elapsed() < Duration::from_secs(40), "{} of {invites}", last.0);
            last.0
        });
        if life.is_none() {
            self.compare_claims();
        }
        let began = traffic.began;
        let mut history = self.history(traffic.stop(), began, Vec::new());
        if life.is_none() {
            history.rules.full.clone_from(&self.tenants.full);
        }
        judged(&history, name)
    }

    /// The server has a slot for each call in each of its scopes, and no other.
    fn compare_claims(&self) {
        let counted = |proxy: &Kamailio| {
            let scopes = proxy.rpc("sipwarden.cluster", serde_json::json!([]));
            scopes["claims"].as_u64()
        };
        wait_for("claims to be told", || {
            let claims = self.stage.redis.claims();
            let of_nodes: Option<u64> = self.stage.proxies.iter().map(counted).sum();
            (of_nodes == Some(claims.len() as u64)).then_some(())
        });
    }
}

fn wait_for_all(all: usize, mut judged: impl FnMut() -> usize) {
    while judged() < all {
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Judges a history, which is kept as a file.
pub fn judged(history: &History, name: &str) -> Found {
    let folder: PathBuf = project().join("target/cluster");
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join(format!("{name}.jsonl"));
    history.save(&path);
    let found = judge(history);
    println!("{name}: {found}");
    assert!(found.is_well(), "{found}\nthe history is kept: {}", path.display());
    found
}
