//! Faults under continuous traffic, drawn at random, each mended after a while. What both ends
//! of all calls have seen is judged in the end.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::checker::Found;
use super::faults::{Blow, Struck, strike};
use super::history::Fault;
use super::scene::{DEFAULT, SHORT, Scene, Setup, judged};
use super::tenants::Tenants;
use super::traffic::Traffic;
use crate::random;
use crate::support::kamailio::Kamailio;
use crate::support::wait_up_to;
use crate::support::wire::Way;

/// New calls a second at each proxy.
const RATE: u64 = 40;
const WITH_CLOCK: Setup = Setup { clock: true, ..DEFAULT };
/// How long calls last, in ms; and in the short form.
const LIFE: (u64, u64) = (300, 4000);
const SHORT_LIFE: (u64, u64) = (200, 1500);

pub struct Nemesis {
    pub scene: Scene,
    pub traffic: Traffic,
    pub faults: Vec<Fault>,
    life: (u64, u64),
}

impl Nemesis {
    /// Three proxies, and calls all the time.
    pub fn new(setup: Setup, seed: u64) -> Self {
        Nemesis::with(&[1, 3, 10], setup, LIFE, seed)
    }

    fn with(limits: &[u32], setup: Setup, life: (u64, u64), seed: u64) -> Self {
        let scene = Scene::new(3, Tenants::new(limits), setup);
        let traffic = scene.traffic(usize::MAX, RATE, Some(life), seed);
        Nemesis { scene, traffic, faults: Vec::new(), life }
    }

    fn strike(&mut self, blow: Blow, ms: u64) -> Struck {
        println!("{:7} ms: {blow:?}, {ms} ms", self.traffic.now() / 1000);
        strike(blow, ms, &mut self.scene, &self.traffic)
    }

    fn mend(&mut self, struck: Struck) -> Fault {
        struck.mend(&mut self.scene, &self.traffic)
    }

    /// One fault, until all is exact again.
    pub fn one(&mut self, blow: Blow, ms: u64) {
        let struck = self.strike(blow, ms);
        wait_ms(if blow.is_short() { 0 } else { ms });
        let fault = self.mend(struck);
        self.rest(vec![fault]);
    }

    /// One of a node and one of the server.
    fn two(&mut self, blows: [(Blow, u64); 2]) {
        let [(first, ms), (second, later)] = blows;
        let one = self.strike(first, ms);
        wait_ms(ms / 2);
        let other = self.strike(second, later);
        wait_ms(ms / 2);
        let mut faults = vec![self.mend(one)];
        wait_ms(if second.is_short() { 0 } else { later.saturating_sub(ms / 2) });
        faults.push(self.mend(other));
        // Together they touch all nodes, and a node that is silent is waited for.
        let healed = faults.iter().map(|fault| fault.healed).max().unwrap();
        let until = healed + 1000 * (1000 * self.scene.setup.dead + 6000);
        for fault in &mut faults {
            fault.nodes = (0..self.scene.nodes()).collect();
            fault.until = until;
        }
        self.rest(faults);
    }

    /// Until all is exact again, and calls of the fault have ended.
    pub fn rest(&mut self, faults: Vec<Fault>) {
        let until = faults.iter().map(|fault| fault.until).max().unwrap();
        self.faults.extend(faults);
        while self.traffic.now() < until + 1000 * (self.life.1 + 1000) {
            wait_ms(20);
        }
    }

    /// What was found; or what has failed meanwhile, with the history kept.
    fn end(self, how: std::thread::Result<()>, name: &str) -> Found {
        let began = self.traffic.began;
        let history = self.scene.history(self.traffic.stop(), began, self.faults);
        if let Err(why) = how {
            let _ = catch_unwind(|| judged(&history, name));
            resume_unwind(why);
        }
        let found = judged(&history, name);
        let claims = || self.scene.stage.redis.claims();
        // On a machine that runs little an INVITE may be judged after its caller has gone.
        let has_calls = |proxy: &Kamailio| proxy.rpc("sipwarden.stats", json!([]))["calls"] != 0;
        let given_back = || {
            let any = self.scene.stage.proxies.iter().any(has_calls);
            (any || claims().is_empty()).then_some(())
        };
        let what = format!("all claims to be given back: {:?}", claims());
        wait_up_to(Duration::from_secs(60), &what, given_back);
        found
    }

    pub fn run(mut self, name: &str, rounds: impl FnOnce(&mut Self)) -> Found {
        let how = catch_unwind(AssertUnwindSafe(|| rounds(&mut self)));
        self.end(how, name)
    }
}

pub fn wait_ms(ms: u64) {
    sleep(Duration::from_millis(ms));
}

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}: {text}")))
}

#[test]
fn faults_under_traffic_do_no_more_than_they_may() {
    let nemesis = Nemesis::with(&[1, 10], SHORT, SHORT_LIFE, 1);
    nemesis.run("short-nemesis", |nemesis| {
        nemesis.one(Blow::Kill(0), 3000);
        nemesis.one(Blow::FreezeServer, 2500);
    });
}

/// By hours, and by so little that the server does not see it.
#[test]
fn a_clock_of_the_server_that_is_set_changes_no_verdict() {
    let setup = Setup { clock: true, ..SHORT };
    let nemesis = Nemesis::with(&[1, 10], setup, SHORT_LIFE, 1);
    let found = nemesis.run("clock", |nemesis| {
        for seconds in [3600, -3600, 2, -1] {
            nemesis.one(Blow::SetClock(seconds), 1500);
        }
    });
    let unknown = found.refused.keys().filter(|why| why.starts_with("cluster_")).count();
    assert!(found.unjudged > 0 || (found.alone, unknown) == (0, 0), "{found}");
}

/// By hand: `make cluster`.
#[test]
#[ignore]
fn each_fault_does_no_more_than_it_may() {
    let blows = [
        (Blow::Kill(0), 3000),
        // Longer than the others wait for it.
        (Blow::Kill(1), 14_000),
        (Blow::KillBroker(2), 3000),
        (Blow::Freeze(2), 2500),
        (Blow::Freeze(0), 15_000),
        (Blow::FreezeBroker(1), 5000),
        (Blow::FreezeBroker(2), 15_000),
        (Blow::Cut(0, None), 15_000),
        (Blow::Cut(1, Some(Way::ToServer)), 5000),
        (Blow::Cut(2, Some(Way::FromServer)), 5000),
        (Blow::Delay(0, 30), 5000),
        (Blow::Delay(1, 200), 5000),
        (Blow::BreakWire(2), 0),
        (Blow::FreezeServer, 2000),
        (Blow::FreezeServer, 5000),
        (Blow::FreezeServer, 60_000),
        (Blow::PauseServer, 1500),
        (Blow::RestartServer, 100),
        (Blow::RestartServer, 14_000),
        (Blow::Flush, 0),
        (Blow::DeleteMembers, 0),
        (Blow::DeleteScope, 0),
        (Blow::KillClients, 0),
        (Blow::FillMemory, 3000),
        (Blow::SetClock(3600), 5000),
        (Blow::SetClock(-3600), 5000),
    ];
    let nemesis = Nemesis::new(WITH_CLOCK, 1);
    nemesis
        .run("each-fault", |nemesis| blows.iter().for_each(|(blow, ms)| nemesis.one(*blow, *ms)));
}

/// By hand: `make cluster`. CLUSTER_SECONDS: how long. CLUSTER_SEED: as once before.
#[test]
#[ignore]
fn faults_that_are_drawn_do_no_more_than_they_may() {
    let seconds = variable("CLUSTER_SECONDS").unwrap_or(600);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = variable("CLUSTER_SEED").unwrap_or(now.as_micros() as u64);
    println!("CLUSTER_SECONDS={seconds} CLUSTER_SEED={seed}");
    let nemesis = Nemesis::new(WITH_CLOCK, seed);
    let (mut random, began) = (seed | 1, Instant::now());
    nemesis.run(&format!("nemesis-{seed}"), |nemesis| {
        while began.elapsed() < Duration::from_secs(seconds) {
            let mut ms = || {
                const ALL: [u64; 10] =
                    [100, 300, 700, 1500, 2500, 3500, 5000, 8000, 12_000, 15_000];
                ALL[(random::next(&mut random) % ALL.len() as u64) as usize]
            };
            let times = [ms(), ms()];
            let which = random::next(&mut random) % 8;
            let mut draw = |of_node| Blow::draw(of_node, 3, &mut random);
            match which {
                0 | 1 => nemesis.two([(draw(true), times[0]), (draw(false), times[1])]),
                // Once in a while for a minute.
                2 if times[0] > 8000 => nemesis.one(Blow::FreezeServer, 60_000),
                2..=4 => nemesis.one(draw(true), times[0]),
                _ => nemesis.one(draw(false), times[0]),
            }
        }
    });
}
