//! A small world for the checker: nodes that run the protocol's own code, servers, messages
//! on their way, and all that may happen next.
//!
//! Time is not counted, but its order is kept: trust ends and nodes are given up by events
//! that may come late, never early.

use std::collections::BTreeSet;
use std::rc::Rc;

use sipwarden::cluster::{Books, Counts, Key, Node, Phase, Reply, Request, Times};

use super::instances::{Instance, Start};
use super::server::Server;

pub const TIMES: Times = Times { beat: 1_000, trust: 3_000, dead: 10_000 };
pub const SERVERS: [&str; 2] = ["one", "two"];

/// When the clocks begin, in ms, and where names of incarnations and of starts do: far enough
/// from each other that a number tells what it is.
pub const NODE_CLOCK: u64 = 100_000;
pub const SERVER_CLOCK: u64 = 1_000_000;
pub const NO_INCARNATION: u64 = 1 << 40;
pub const STARTS: u128 = 1_000;

pub fn key(scope: usize) -> Key {
    Key(scope as u128)
}

/// The node's ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ledger(pub Vec<Counts>);

impl Books for Ledger {
    fn with<R>(&mut self, key: Key, change: impl FnOnce(&mut Counts) -> R) -> R {
        change(&mut self.0[key.0 as usize])
    }

    fn marked(&mut self, into: &mut BTreeSet<Key>) -> bool {
        let marked = self.0.iter().enumerate().filter(|(_, counts)| counts.marked);
        into.extend(marked.map(|(at, _)| key(at)));
        true
    }

    fn all(&self) -> Vec<Key> {
        let used = |counts: &Counts| counts.calls + counts.waiting > 0;
        self.0.iter().enumerate().filter(|(_, c)| used(c)).map(|(at, _)| key(at)).collect()
    }
}

/// A request on its way, or its answer on the way back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    pub request: Request,
    pub to: usize,
    pub sent: u64,
    pub reply: Option<Reply>,
    /// The replica had it.
    pub proven: bool,
}

/// A worker that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Worker {
    pub id: u64,
    pub kind: usize,
    /// It was told to look.
    pub looks: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Proxy {
    pub node: Node,
    pub ledger: Ledger,
    pub setup: usize,
    pub starts: u128,
    /// How often its secret was changed.
    pub secret: u8,
    pub now: u64,
    pub to: usize,
    pub calls: Vec<u32>,
    /// Calls that were counted whatever the limit, and those of them that no claim covers yet.
    pub forced: u32,
    pub fresh_forced: u32,
    pub workers: Vec<Worker>,
    /// Ids that an answer may still name.
    pub sent: u64,
    pub claims: Option<Message>,
    pub control: Option<Message>,
    pub late: Option<Message>,
    pub frozen: bool,
    /// Silent for so long that its slots were lawfully given to others.
    pub buried: bool,
}

impl Proxy {
    pub fn count(&self, scope: usize) -> u32 {
        self.ledger.0[scope].calls
    }

    pub fn trusts(&self) -> bool {
        self.node.trust(&TIMES).admits(self.now)
    }

    pub fn is_member(&self) -> bool {
        self.node.session().is_member()
    }

    pub fn number(&self) -> u64 {
        self.node.session().named().number
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub servers: [Rc<Server>; 2],
    /// A replica that lags, and takes over in the end: what it has. Until then it has all.
    pub replica: Option<Rc<Server>>,
    pub current: usize,
    pub clock: u64,
    /// The last one that was drawn.
    pub incarnations: u64,
    pub proxies: Vec<Rc<Proxy>>,
    pub left: Faults,
    /// Lawful excess that the claims do not show any more.
    pub over: u32,
    /// A call was refused by a scope that it does not lack.
    pub unfair: bool,
}

/// Faults that may still come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    pub breaks: u8,
    pub crashes: u8,
    pub flushes: u8,
    pub failovers: u8,
    /// A server says that its replica does not have the session that it has just begun.
    pub unproven: u8,
    pub freezes: u8,
    pub deaths: u8,
    pub emergencies: u8,
    /// A node is started again with another secret.
    pub changes: u8,
    /// The server sleeps for as long as nodes may be silent.
    pub sleeps: u8,
    /// Less time passes, but as much as nodes with the new secret may be silent.
    pub waits: u8,
}

/// What was done: a place to read from, for traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Admit(usize, usize),
    Wait(usize, usize),
    Look(usize, usize),
    GiveUp(usize, usize),
    End(usize, usize),
    Emergency(usize),
    Send(usize),
    Join(usize, usize),
    Beat(usize),
    BeatAtOnce(usize, bool),
    Run(usize),
    RunControl(usize, bool),
    RunLate(usize),
    Read(usize),
    ReadControl(usize),
    TrustEnds(usize),
    Break(usize, bool),
    Crash(usize, bool),
    Freeze(usize),
    Resume(usize),
    Dead(usize),
    TimePasses,
    Sleep,
    ShortTimePasses,
    Change(usize, bool),
    ChangeAndRestore(usize, bool),
    CrashAndChange(usize, bool),
    Flush,
    Lag,
    Failover,
}

/// A call was admitted that the limit does not allow.
pub struct Exceeded;

pub type Next = Vec<(Step, Result<World, Exceeded>)>;

impl World {
    pub fn new(instance: &Instance) -> Self {
        let proxies = (0..instance.nodes).map(|at| {
            Rc::new(Proxy {
                node: Node::default(),
                ledger: Ledger(vec![Counts::default(); instance.limits.len()]),
                setup: at,
                starts: 0,
                secret: 0,
                now: NODE_CLOCK,
                to: 0,
                calls: vec![0; instance.kinds.len()],
                forced: 0,
                fresh_forced: 0,
                workers: Vec::new(),
                sent: 0,
                claims: None,
                control: None,
                late: None,
                frozen: false,
                buried: false,
            })
        });
        let mut world = World {
            servers: Default::default(),
            replica: None,
            current: 0,
            clock: SERVER_CLOCK,
            incarnations: NO_INCARNATION,
            proxies: proxies.collect(),
            left: Faults::default(),
            over: 0,
            unfair: false,
        };
        let mut first = instance.clone();
        match instance.starts {
            Start::Together => {}
            Start::Alone => first.nodes = 1,
            Start::Apart => first.nodes = 0,
        }
        world = first.settle(world).expect("the first state is reached");
        for at in 0..instance.nodes {
            let proxy = world.proxy(at);
            (proxy.now, proxy.buried) = (NODE_CLOCK, false);
        }
        world.left = instance.faults;
        let mut out = Vec::new();
        for step in &instance.prefix {
            instance.next(&world, &mut out);
            let next = out.drain(..).find_map(|(s, next)| next.ok().filter(|_| s == *step));
            world = next.unwrap_or_else(|| panic!("{step:?} is not possible"));
        }
        world
    }

    pub fn proxy(&mut self, at: usize) -> &mut Proxy {
        Rc::make_mut(&mut self.proxies[at])
    }

    pub fn server(&self) -> &Server {
        &self.servers[self.current]
    }

    pub fn has_replica(&self) -> bool {
        self.left.failovers > 0
    }

    /// Whether the server has the session of a node.
    pub fn is_current(&self, proxy: &Proxy) -> bool {
        let (server, stamp) = (self.server(), proxy.node.session().named());
        proxy.to == self.current
            && proxy.node.session().phase() >= Phase::Publishing
            && server.incarnation == stamp.incarnation
            && server.members.get(&stamp.number).is_some_and(|m| m.session == stamp.session)
    }
}
