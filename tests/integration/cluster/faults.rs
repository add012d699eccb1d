//! What can go wrong with proxies, their server, and the wires between them: how it is brought
//! about and mended, what it may do to calls, and for how long.

use std::fmt::{self, Debug, Formatter};

use super::history::{Effect, Fault};
use super::scene::Scene;
use super::traffic::Traffic;
use crate::random;
use crate::support::wire::Way;
use crate::support::{signal, wait_for};

/// What can go wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Blow {
    Kill(usize),
    KillBroker(usize),
    Freeze(usize),
    FreezeBroker(usize),
    Cut(usize, Option<Way>),
    Delay(usize, u64),
    BreakWire(usize),
    /// SIGSTOP.
    FreezeServer,
    /// CLIENT PAUSE.
    PauseServer,
    RestartServer,
    Flush,
    DeleteMembers,
    DeleteScope,
    KillClients,
    FillMemory,
    /// Seconds by which the server's clock is set on, or back.
    SetClock(i64),
}

use Blow::*;

impl Blow {
    pub fn what(self) -> &'static str {
        match self {
            Kill(_) => "a node is killed and started again",
            KillBroker(_) => "a broker is killed, so its node stops",
            Freeze(_) => "a node is frozen",
            FreezeBroker(_) => "a broker is frozen",
            Cut(_, None) => "a node is cut off",
            Cut(_, Some(Way::ToServer)) => "nothing of a node reaches the server",
            Cut(_, Some(Way::FromServer)) => "nothing of the server reaches a node",
            Delay(..) => "a node's connection is slow",
            BreakWire(_) => "a node's connections break",
            FreezeServer => "the server is frozen",
            PauseServer => "the server pauses",
            RestartServer => "the server is killed and started empty",
            Flush => "the server is emptied",
            DeleteMembers => "the key of the members is deleted",
            DeleteScope => "the key of a scope is deleted",
            KillClients => "all connections are killed",
            FillMemory => "the server's memory is full",
            SetClock(0..) => "the server's clock is set on",
            SetClock(_) => "the server's clock is set back",
        }
    }

    /// Of a node; the server; or either of them.
    pub fn draw(of_node: bool, nodes: usize, random: &mut u64) -> Self {
        let node = (random::next(random) % nodes as u64) as usize;
        let delay = [5, 30, 100, 200][(random::next(random) % 4) as usize];
        let of_nodes = [
            Kill(node),
            KillBroker(node),
            Freeze(node),
            FreezeBroker(node),
            Cut(node, None),
            Cut(node, Some(Way::ToServer)),
            Cut(node, Some(Way::FromServer)),
            Delay(node, delay),
            BreakWire(node),
        ];
        let of_server = [
            FreezeServer,
            PauseServer,
            RestartServer,
            Flush,
            DeleteMembers,
            DeleteScope,
            KillClients,
            FillMemory,
            SetClock([2, 8, 3600, 90_000][(random::next(random) % 4) as usize]),
            SetClock([-1, -8, -3600, -90_000][(random::next(random) % 4) as usize]),
        ];
        let all = if of_node { &of_nodes[..] } else { &of_server };
        all[(random::next(random) % all.len() as u64) as usize]
    }

    /// Whether it is over as soon as it has begun.
    pub fn is_short(self) -> bool {
        matches!(self, BreakWire(_) | Flush | DeleteMembers | DeleteScope | KillClients)
    }

    pub fn effect(self) -> Effect {
        match self {
            Kill(_) | KillBroker(_) => Effect::Dies,
            // What they say of calls that have ended comes when they are back.
            Freeze(_) | FreezeBroker(_) | Cut(..) | BreakWire(_) => Effect::Silent,
            DeleteScope => Effect::Forgets,
            FillMemory | SetClock(_) => Effect::Nothing,
            _ => Effect::Away,
        }
    }

    fn node(self) -> Option<usize> {
        match self {
            Kill(node) | KillBroker(node) | Freeze(node) | FreezeBroker(node) => Some(node),
            Cut(node, _) | Delay(node, _) | BreakWire(node) => Some(node),
            _ => None,
        }
    }

    /// Nodes whose verdicts it may change.
    fn nodes(self, all: usize) -> Vec<usize> {
        match (self, self.node()) {
            // Others learn late of slots that are free there.
            (Delay(..), _) => (0..all).collect(),
            (DeleteScope | FillMemory | SetClock(_), _) => Vec::new(),
            (_, Some(node)) => vec![node],
            (_, None) => (0..all).collect(),
        }
    }

    /// Ms until all is exact, from when it is mended.
    fn mending(self, dead: u64) -> u64 {
        match self {
            // All known nodes tell their calls again; at most until they are given up.
            RestartServer | Flush | DeleteMembers => 1000 * dead + 3000,
            // Claims of which nothing is asked are told again once a minute.
            DeleteScope => 61_000,
            Delay(..) => 3000,
            FillMemory | SetClock(_) => 0,
            // A node tries to join every two seconds; the name of one that was killed is free
            // after two and a half.
            _ => 6000,
        }
    }

    fn begin(self, scene: &mut Scene, traffic: &Traffic, ms: u64) -> u64 {
        let now = traffic.now();
        let stage = &scene.stage;
        let group = |node: usize| -(stage.proxies[node].pid() as i32);
        match self {
            Kill(node) => {
                let proxy = &mut scene.stage.proxies[node];
                return traffic.while_killed(node, || _ = proxy.stop(libc::SIGKILL));
            }
            KillBroker(node) => {
                let (broker, proxy) = (broker(scene, node), &mut scene.stage.proxies[node]);
                return traffic.while_killed(node, || {
                    signal(broker, libc::SIGKILL);
                    wait_for("the node to stop", || (!proxy.runs()).then_some(()));
                });
            }
            Freeze(node) => signal(group(node), libc::SIGSTOP),
            FreezeBroker(node) => signal(broker(scene, node), libc::SIGSTOP),
            Cut(node, way) => cut(scene, node, way, true),
            Delay(node, delay) => scene.wires[node].delay(delay),
            BreakWire(node) => scene.wires[node].break_off(),
            FreezeServer => stage.redis.freeze(),
            PauseServer => drop(stage.redis.cli(&["CLIENT", "PAUSE", &ms.to_string(), "ALL"])),
            RestartServer => stage.redis.kill(),
            Flush => drop(stage.redis.cli(&["FLUSHALL"])),
            DeleteMembers => drop(stage.redis.cli(&["DEL", "sw:{sipwarden}:m"])),
            DeleteScope => delete_scope(scene, ms),
            KillClients => drop(stage.redis.cli(&["CLIENT", "KILL", "TYPE", "normal"])),
            FillMemory => drop(stage.redis.cli(&["CONFIG", "SET", "maxmemory", "1"])),
            SetClock(seconds) => stage.redis.set_clock(seconds),
        }
        now
    }

    fn end(self, scene: &mut Scene) {
        let group = |node: usize| -(scene.stage.proxies[node].pid() as i32);
        match self {
            Kill(node) | KillBroker(node) => scene.stage.proxies[node] = scene.start(node),
            Freeze(node) => signal(group(node), libc::SIGCONT),
            FreezeBroker(node) => signal(broker(scene, node), libc::SIGCONT),
            Cut(node, way) => cut(scene, node, way, false),
            Delay(node, _) => scene.wires[node].delay(0),
            FreezeServer => scene.stage.redis.resume(),
            RestartServer => scene.stage.redis.restart(),
            FillMemory => {
                drop(scene.stage.redis.cli(&["CONFIG", "SET", "maxmemory", "0"]));
            }
            // The other way.
            SetClock(_) => scene.stage.redis.set_clock(0),
            _ => {}
        }
    }
}

impl Debug for Blow {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let node = self.node().map_or(String::new(), |node| format!(" (node{node})"));
        write!(f, "{}{node}", self.what())
    }
}

fn broker(scene: &Scene, node: usize) -> i32 {
    scene.brokers[node] as i32
}

fn cut(scene: &Scene, node: usize, way: Option<Way>, is_cut: bool) {
    for each in [Way::ToServer, Way::FromServer] {
        if way.is_none_or(|way| way == each) {
            scene.wires[node].cut(each, is_cut);
        }
    }
}

/// Of one that has calls, if there is one.
fn delete_scope(scene: &Scene, which: u64) {
    let keys = scene.stage.redis.cli(&["--raw", "KEYS", "*:s:*"]);
    let keys: Vec<&str> = keys.lines().collect();
    if let Some(key) = keys.get(which as usize % keys.len().max(1)) {
        scene.stage.redis.cli(&["DEL", key]);
    }
}

/// A blow that lasts.
pub struct Struck {
    blow: Blow,
    from: u64,
}

pub fn strike(blow: Blow, ms: u64, scene: &mut Scene, traffic: &Traffic) -> Struck {
    Struck { blow, from: blow.begin(scene, traffic, ms) }
}

impl Struck {
    /// Mends it.
    pub fn mend(self, scene: &mut Scene, traffic: &Traffic) -> Fault {
        self.blow.end(scene);
        let healed = traffic.now();
        Fault {
            what: self.blow.what().to_owned(),
            effect: self.blow.effect(),
            hit: self.blow.node().into_iter().collect(),
            nodes: self.blow.nodes(scene.nodes()),
            from: self.from,
            healed,
            until: healed + 1000 * self.blow.mending(scene.setup.dead),
        }
    }
}
