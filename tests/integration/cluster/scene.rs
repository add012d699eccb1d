//! Proxies that share limits, callers at each of them, and the callee of all calls: what both
//! ends see is the history that the checker judges.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::Stage;
use super::checker::{Found, judge};
use super::history::{Attempt, Fault, History, Rules};
use super::stalls::Processes;
use super::tenants::Tenants;
use super::traffic::{Load, Seen, Traffic};
use crate::support::kamailio::{Config, Kamailio, free_port};
use crate::support::redis::{Redis, Replica};
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
";

/// How the proxies are set.
#[derive(Clone, Copy)]
pub struct Setup {
    /// In seconds.
    pub trust: u64,
    pub dead: u64,
    /// The server has one.
    pub replica: bool,
    /// The server has a clock of its own.
    pub clock: bool,
    /// A call that nobody can judge yet gets no answer: its caller asks again.
    pub silent: bool,
}

/// The shortest times, for a short start.
pub const SHORT: Setup = Setup { trust: 2, dead: 5, replica: false, clock: false, silent: false };
/// As they are by default.
pub const DEFAULT: Setup = Setup { trust: 3, dead: 10, ..SHORT };

pub struct Scene {
    pub stage: Stage,
    pub tenants: Tenants,
    pub wires: Vec<Wire>,
    pub setup: Setup,
    pub replica: Option<Replica>,
    /// Their pids: a Kamailio that is frozen does not tell them.
    pub brokers: Vec<u32>,
    processes: Processes,
    ports: Vec<u16>,
}

impl Scene {
    /// Proxies, each with a wire of its own to the server.
    pub fn new(proxies: usize, tenants: Tenants, setup: Setup) -> Self {
        let Setup { trust, dead, replica, clock, .. } = setup;
        let set =
            |name: &str, value: u64| format!("modparam(\"sipwarden\", \"{name}\", {value})\n");
        let settings = set("cluster_timeout", 500)
            + &set("cluster_trust", trust)
            + &set("cluster_dead", dead)
            + &set("cluster_size", proxies as u64)
            + &set("cluster_replicas", replica.into())
            + TIMERS;
        let redis = if clock { Redis::with_clock() } else { Redis::start() };
        let stage = Stage::on(redis, 0, &tenants.sql, &settings);
        let replica = replica.then(|| Replica::of(&stage.redis));
        let wires = (0..proxies).map(|_| Wire::to(stage.redis.address())).collect();
        let processes = Processes::default();
        let ports = (0..proxies).map(|_| free_port()).collect();
        let mut scene = Scene {
            stage,
            tenants,
            wires,
            setup,
            replica,
            brokers: vec![0; proxies],
            processes,
            ports,
        };
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
        let told = format!("append_hf(\"X-Passed: $swd(reason) $var(user)\\r\\n\");\n{passes}");
        config.routes = config.routes.replace(passes, &told);
        // What the user's slot was given by.
        let asks = "if (!cc_limit(";
        assert_eq!(config.routes.matches(asks).count(), 1);
        let first = format!("$var(user) = $swd(reason);\n{asks}");
        config.routes = config.routes.replace(asks, &first);
        if self.setup.silent {
            let refusal = "append_to_reply(\"X-Verdict: $swd(code) $swd(reason) $pp\\r\\n\");";
            assert_eq!(config.routes.matches(refusal).count(), 2);
            let silent = format!("if ($swd(reason) == \"cluster_wait\") {{ exit; }}\n{refusal}");
            config.routes = config.routes.replace(refusal, &silent);
        }
        config
    }

    /// Starts a node, also again.
    pub fn start(&mut self, node: usize) -> Kamailio {
        let started = self.config(node).start();
        self.brokers[node] = started.process("sipwarden broker");
        let all = started.rpc("core.psx", serde_json::json!([]));
        let pids = all.as_array().unwrap().iter().filter_map(|of| of["PID"].as_u64());
        self.processes.lock().unwrap().extend(pids.map(|pid| pid as u32));
        started
    }

    pub fn nodes(&self) -> usize {
        self.ports.len()
    }

    /// Callers who ask for all scopes.
    pub fn traffic(&self, calls: usize, rate: u64, life: Option<(u64, u64)>, seed: u64) -> Traffic {
        let proxies = self.stage.proxies.iter().map(Kamailio::address).collect();
        let asks = self.tenants.asks.clone();
        Traffic::start(proxies, &Load { asks, calls, rate, life, seed }, &self.processes)
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
            dead: self.setup.dead * 1_000_000,
        };
        let attempts = attempts.into_iter().map(reached).collect();
        History { rules, attempts, faults, stalls }
    }

    /// Until so many calls are admitted or refused.
    pub fn wait_for_judged(&self, traffic: &Traffic, all: usize) {
        let mut last = (0, Instant::now());
        while last.0 < all {
            std::thread::sleep(Duration::from_millis(10));
            if traffic.judged() != last.0 {
                last = (traffic.judged(), Instant::now());
            }
            assert!(last.1.elapsed() < Duration::from_secs(40), "{} of {all}", last.0);
        }
    }

    /// INVITEs over all proxies, as fast as they are answered.
    pub fn storm(&self, invites: usize, rate: u64, life: Option<(u64, u64)>, name: &str) -> Found {
        let each = invites.div_ceil(self.nodes());
        let traffic = self.traffic(each, rate, life, 1);
        self.wait_for_judged(&traffic, each * self.nodes());
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
