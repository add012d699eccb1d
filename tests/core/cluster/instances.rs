//! What the checker explores: worlds with few nodes and few faults, and for each rule one in
//! which it is missed if it is left out.

use super::rules::{NodeRules, Rules};
use super::world::{Faults, Step};

/// A kind of calls.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// The scopes it counts in, a bit each.
    pub scopes: u8,
    /// An emergency: asks for reserved slots, and is counted if nobody can tell.
    pub urgent: bool,
    /// It names each of its scopes twice.
    pub twice: bool,
}

/// Which nodes are members at first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// All.
    Together,
    /// None.
    Apart,
    /// The first.
    Alone,
}

#[derive(Clone, Debug)]
pub struct Instance {
    pub name: String,
    pub nodes: usize,
    pub limits: Vec<u32>,
    pub kinds: Vec<Kind>,
    /// Calls that a node may have.
    pub most_calls: u32,
    /// Workers that may wait at a node.
    pub workers: usize,
    pub faults: Faults,
    /// Calls beyond the limit are compared with what lawfully is beyond it.
    pub strong: bool,
    /// A worker that is told to look looks before anything else happens.
    pub looks_at_once: bool,
    /// Beats are sent, arrive and are answered in one step.
    pub beats_at_once: bool,
    /// All nodes have one name.
    pub clones: bool,
    /// Which nodes have a session at first.
    pub starts: Start,
    /// Nodes with a changed secret may be silent for less time.
    pub shortens: bool,
    /// Steps before the exploration begins.
    pub prefix: Vec<Step>,
    /// Nodes may join the old primary.
    pub joins_old: bool,
    /// Only admissions are judged, not whether everything comes to rest.
    pub admissions_only: bool,
    /// It is too large to be explored: so many states are looked at.
    pub most: Option<usize>,
    pub server: Rules,
    pub node: NodeRules,
}

/// States of a world that is too large: all that few steps lead to. More than it takes to miss
/// each rule that is left out.
const LARGE: usize = 1_000_000;

/// As many faults of a kind as come.
pub const ANY: u8 = u8::MAX;

const ONE: &[u8] = &[1];
const NESTED: &[u8] = &[3, 1];

fn faults(of: [u8; 7]) -> Faults {
    let [breaks, crashes, flushes, failovers, freezes, deaths, emergencies] = of;
    Faults {
        breaks,
        crashes,
        flushes,
        failovers,
        unproven: ANY,
        freezes,
        deaths,
        emergencies,
        ..Faults::default()
    }
}

/// `of`: breaks, crashes, flushes, failovers, freezes, deaths, emergencies.
fn instance(
    name: &str,
    nodes: usize,
    limits: &[u32],
    kinds: &[u8],
    most_calls: u32,
    workers: usize,
    of: [u8; 7],
) -> Instance {
    let faults = faults(of);
    Instance {
        name: name.to_owned(),
        nodes,
        limits: limits.to_vec(),
        kinds: kinds
            .iter()
            .map(|scopes| Kind { scopes: *scopes, urgent: false, twice: false })
            .collect(),
        most_calls,
        workers,
        strong: faults.deaths > 0
            || faults.emergencies > 0 && faults.flushes + faults.failovers == 0,
        faults,
        looks_at_once: most_calls + workers as u32 > 2,
        beats_at_once: false,
        clones: false,
        starts: Start::Together,
        shortens: false,
        prefix: Vec::new(),
        joins_old: false,
        admissions_only: false,
        most: None,
        server: Rules::ALL,
        node: NodeRules::ALL,
    }
}

fn small(name: &str, of: [u8; 7]) -> Instance {
    instance(name, 2, &[1], ONE, 1, 1, of)
}

/// A limit of 2 with 1 slot reserved: calls that are no emergencies count in both scopes.
fn reserved(name: &str, of: [u8; 7]) -> Instance {
    let mut instance = instance(name, 2, &[2, 1], &[3, 1], 2, 1, of);
    instance.kinds[1].urgent = true;
    instance.strong = false;
    instance
}

/// The protocol as it is. The first ones are quick.
pub fn whole() -> Vec<Instance> {
    let mut all = vec![
        small("no faults", [0, 0, 0, 0, 0, 0, 0]),
        instance("limit 2", 2, &[2], ONE, 2, 1, [0, 0, 0, 0, 0, 0, 0]),
        small("break", [1, 0, 0, 0, 0, 0, 0]),
        instance("emergency", 2, &[1], ONE, 2, 1, [0, 0, 0, 0, 0, 0, 1]),
        // From here on it takes longer.
        instance("brand 2 and company 1", 2, &[2, 1], NESTED, 1, 1, [0, 0, 0, 0, 0, 0, 0]),
        instance("two workers", 2, &[1], ONE, 1, 2, [0, 0, 0, 0, 0, 0, 0]),
        small("flush", [0, 0, 1, 0, 0, 0, 0]),
        small("freeze, death", [0, 0, 0, 0, 1, 1, 0]),
        reserved("reserved slots", [0, 0, 0, 0, 0, 0, 1]),
        small("failover", [0, 0, 0, 1, 0, 0, 0]),
        small("crash", [0, 1, 0, 0, 0, 0, 0]),
        instance("limit 2, two workers", 2, &[2], ONE, 2, 2, [0, 0, 0, 0, 0, 0, 0]),
        instance("brand 2 and company 1, 2 calls", 2, &[2, 1], NESTED, 2, 1, [0, 0, 0, 0, 0, 0, 0]),
        small("2 breaks", [2, 0, 0, 0, 0, 0, 0]),
        small("break, flush", [1, 0, 1, 0, 0, 0, 0]),
        small("crash, flush", [0, 1, 1, 0, 0, 0, 0]),
        small("break, crash", [1, 1, 0, 0, 0, 0, 0]),
        instance("3 nodes", 3, &[1], ONE, 1, 1, [0, 0, 0, 0, 0, 0, 0]),
        instance("emergency, break", 2, &[1], ONE, 2, 1, [1, 0, 0, 0, 0, 0, 1]),
        instance("2 emergencies", 2, &[2], ONE, 3, 1, [0, 0, 0, 0, 0, 0, 2]),
        instance("flush, limit 2", 2, &[2], ONE, 2, 1, [0, 0, 1, 0, 0, 0, 0]),
        instance("limit 2, 3 nodes", 3, &[2], ONE, 2, 1, [0, 0, 0, 0, 0, 0, 0]),
    ];
    let mut clones = small("two nodes of one name", [0, 0, 0, 0, 0, 0, 0]);
    (clones.clones, clones.starts, clones.admissions_only) = (true, Start::Apart, true);
    all.push(clones.clone());
    clones.name.push_str(", both admitted");
    clones.server.one_instance = false;
    all.push(clones);
    let mut apart = small("all start", [0, 0, 0, 0, 0, 0, 0]);
    apart.starts = Start::Apart;
    all.push(apart);
    // A node forces a claim only to more than it has, so the server's rule is a second lock.
    let mut sets = instance("FORCE sets", 2, &[2], ONE, 3, 1, [0, 0, 0, 0, 0, 0, 1]);
    sets.server.force_raises = false;
    all.push(sets);
    all.push(twice("scopes named twice"));
    all.push(sleeps("the server sleeps"));
    all.push(clone_after_sleep("two nodes of one name, the server sleeps"));
    all.push(secret("a secret", 1, [1, 0, 0, 0, 0, 0, 0]));
    all.push(expected("a secret after a flush"));
    let mut slept = sleeps("a secret, the server sleeps");
    slept.faults.changes = 1;
    all.push(slept);
    all.push(secret("a secret, failover", 1, [0, 0, 0, 1, 0, 0, 0]));
    let mut old = lags("after a failover, break, the old primary serves", [1, 0, 0, 1, 0, 0, 0]);
    (old.joins_old, old.prefix) = (true, a_failover());
    all.push(old);
    let nearest = |world| Instance { most: Some(LARGE), ..world };
    all.extend(large().into_iter().chain(vast()).chain(largest()).map(nearest));
    all.extend(large().into_iter().map(beats_at_once));
    all.extend(vast().into_iter().map(looks_at_once).map(beats_at_once));
    all
}

fn beats_at_once(world: Instance) -> Instance {
    let name = format!("{}, beats at once", world.name);
    Instance { name, beats_at_once: true, ..world }
}

fn looks_at_once(world: Instance) -> Instance {
    let name = format!("{}, looks at once", world.name);
    Instance { name, looks_at_once: true, ..world }
}

/// Small enough to be explored to the end if beats are at once.
fn large() -> Vec<Instance> {
    let mut all = vec![
        small("flush, death", [0, 0, 1, 0, 0, 1, 0]),
        small("2 flushes", [0, 0, 2, 0, 0, 0, 0]),
        small("failover, death", [0, 0, 0, 1, 0, 1, 0]),
        lags("failover, break", [1, 0, 0, 1, 0, 0, 0]),
        lags("failover, flush", [0, 0, 1, 1, 0, 0, 0]),
        lags("failover, crash", [0, 1, 0, 1, 0, 0, 0]),
        instance("flush, brand and company", 2, &[2, 1], NESTED, 1, 1, [0, 0, 1, 0, 0, 0, 0]),
        instance("flush, brand, 2 calls", 2, &[2, 1], NESTED, 2, 1, [0, 0, 1, 0, 0, 0, 0]),
        small("break, crash, flush", [1, 1, 1, 0, 0, 0, 0]),
        instance("break, brand and company", 2, &[2, 1], NESTED, 1, 1, [1, 0, 0, 0, 0, 0, 0]),
        instance("freeze, break, death", 2, &[1], ONE, 1, 1, [1, 0, 0, 0, 1, 1, 0]),
        reserved("reserved slots, break", [1, 0, 0, 0, 0, 0, 1]),
        instance("break, flush, limit 2", 2, &[2], ONE, 2, 1, [1, 0, 1, 0, 0, 0, 0]),
        instance("break, brand, 2 calls", 2, &[2, 1], NESTED, 2, 1, [1, 0, 0, 0, 0, 0, 0]),
        instance("freeze, break, death, limit 2", 2, &[2], ONE, 2, 1, [1, 0, 0, 0, 1, 1, 0]),
    ];
    let mut alone = small("one is there, flush", [0, 0, 1, 0, 0, 0, 0]);
    alone.starts = Start::Alone;
    all.push(alone);
    all.push(secret("a secret on both, death", 2, [0, 0, 0, 0, 0, 1, 0]));
    all.push(secret("a secret, freeze, death", 1, [0, 0, 0, 0, 1, 1, 0]));
    all.push(shorter("a secret and less time, freeze"));
    all
}

/// And these if workers look at once, too.
fn vast() -> Vec<Instance> {
    vec![
        small("break, flush, death", [1, 0, 1, 0, 0, 1, 0]),
        instance("3 nodes, flush", 3, &[1], ONE, 1, 1, [0, 0, 1, 0, 0, 0, 0]),
        instance("3 nodes, break, death", 3, &[1], ONE, 1, 1, [1, 0, 0, 0, 0, 1, 0]),
    ]
}

/// Too large even then; but [`whole`] has it from the end of the failover on.
fn largest() -> Vec<Instance> {
    let mut old = lags("failover, the old primary serves", [0, 0, 0, 1, 0, 0, 0]);
    old.joins_old = true;
    vec![old]
}

/// The replica lacks two sessions in all: each has a higher number than the one before, so without
/// a bound there is no end to them.
fn lags(name: &str, of: [u8; 7]) -> Instance {
    let mut instance = small(name, of);
    instance.faults.unproven = 2;
    instance
}

/// Nodes are started again with another secret, so many times.
fn secret(name: &str, changes: u8, of: [u8; 7]) -> Instance {
    let mut instance = small(name, of);
    instance.faults.changes = changes;
    instance
}

/// Those with the new secret may be silent for less time.
fn shorter(name: &str) -> Instance {
    let mut instance = secret(name, 1, [0, 0, 0, 0, 1, 0, 0]);
    (instance.faults.waits, instance.shortens) = (1, true);
    instance
}

/// The server has lost its memory, and waits for the second node, which has a call.
fn expected(name: &str) -> Instance {
    let mut instance = secret(name, 1, [0, 0, 1, 0, 0, 0, 0]);
    instance.prefix = a_call_and_a_flush();
    instance
}

fn twice(name: &str) -> Instance {
    let mut instance = instance(name, 2, &[1], ONE, 2, 1, [0, 0, 0, 0, 0, 0, 0]);
    instance.kinds[0].twice = true;
    instance
}

fn sleeps(name: &str) -> Instance {
    let mut instance = small(name, [0, 0, 0, 0, 0, 0, 0]);
    instance.faults.sleeps = 1;
    instance
}

/// The first node has a call; the second one has its name.
fn clone_after_sleep(name: &str) -> Instance {
    let mut instance = sleeps(name);
    (instance.clones, instance.starts) = (true, Start::Alone);
    (instance.admissions_only, instance.prefix) = (true, a_call(0));
    instance
}

/// How many of [`whole`] are quick.
pub const QUICK: usize = 4;

/// Each rule left out, in a world in which it is missed.
pub fn spoilt() -> Vec<Instance> {
    let mut all = Vec::new();
    let mut without = |rule: &str, mut instance: Instance, leave_out: fn(&mut Instance)| {
        instance.name = format!("without: {rule}");
        leave_out(&mut instance);
        all.push(instance);
    };
    let plain = || small("", [0, 0, 0, 0, 0, 0, 0]);
    let flush = || small("", [0, 0, 1, 0, 0, 0, 0]);
    without("sessions fence", small("", [1, 0, 0, 0, 0, 0, 0]), |i| {
        (i.admissions_only, i.prefix) = (true, a_late_lower());
        i.server.fence = false;
    });
    without("barrier", flush(), |i| {
        i.prefix = a_call_and_a_flush();
        i.server.barrier = false;
    });
    without("JOIN names the members", flush(), |i| {
        i.prefix = a_call_and_a_flush();
        i.node.tells_whom_it_knows = false;
    });
    without("the barrier waits for PUBLISHED", flush(), |i| {
        i.prefix = [a_call_and_a_flush(), joins_again(1)].concat();
        i.server.waits_for_published = false;
    });
    without("claims count until published anew", small("", [1, 0, 0, 0, 0, 0, 0]), |i| {
        i.server.keeps_claims = false;
    });
    without("burial ends the session", small("", [0, 0, 0, 0, 1, 1, 0]), |i| {
        i.server.buries_records = false;
    });
    without("fresh nodes wait", small("", [0, 1, 1, 0, 0, 0, 0]), |i| {
        i.admissions_only = true;
        i.prefix = [a_call(1), vec![Step::Crash(0, false), Step::Flush], joins(0)].concat();
        i.server.fresh_waits = false;
    });
    without("members know each other", flush(), |i| {
        (i.starts, i.admissions_only) = (Start::Alone, true);
        i.prefix = [joins(1), sends(1), a_call(1), vec![Step::Flush], joins_again(0)].concat();
        i.server.known_by_all = false;
    });
    without(
        "lowers and forces before takes",
        instance("", 2, &[2], ONE, 3, 2, [0, 0, 0, 0, 0, 0, 1]),
        |i| i.server.lowers_first = false,
    );
    without("lowered here first", plain(), |i| i.node.lowers_here_first = false);
    without("settled whatever the cause", plain(), |i| i.node.settles = false);
    without("the mirror knows asks on their way", plain(), |i| i.node.keeps_mirror = false);
    let emergency = || instance("", 2, &[1], ONE, 2, 1, [0, 0, 0, 0, 0, 0, 1]);
    without("FORCE makes no room", emergency(), |i| i.node.forces_make_no_room = false);
    without("calls take their slots along", emergency(), |i| i.node.takes_slots_along = false);
    without("slow calls are refused", plain(), |i| i.node.slow_calls_are_refused = false);
    without("proof", small("", [1, 0, 0, 1, 0, 0, 0]), |i| {
        (i.joins_old, i.prefix) = (true, joined_the_old_primary());
        i.node.waits_for_proof = false;
    });
    let nested = || instance("", 2, &[2, 1], NESTED, 1, 1, [0, 0, 0, 0, 0, 0, 0]);
    without("all scopes of a call or none", nested(), |i| i.server.all_or_none = false);
    without("only what lacks is asked for", nested(), |i| i.node.asks_for_what_lacks = false);
    without("a scope counts a call once", twice(""), |i| i.node.counts_once = false);
    without("nobody is dead after a sleep", sleeps(""), |i| i.server.spares = false);
    without("no name is free after a sleep", clone_after_sleep(""), |i| {
        i.server.names_after_sleep = false;
    });
    let changed = || secret("", 1, [0, 0, 0, 0, 0, 0, 0]);
    without("another secret is refused", changed(), |i| {
        i.prefix = a_call(0);
        i.server.strangers_wait = false;
    });
    without("and after the server has slept", sleeps(""), |i| {
        i.prefix = a_call(0);
        i.faults.changes = 1;
        i.server.strangers_wait_after_sleep = false;
    });
    without("and while a node is expected", expected(""), |i| {
        i.server.strangers_wait_for_expected = false;
    });
    without("a secret that all have begins", changed(), |i| i.server.strangers_begin = false);
    without("an incarnation keeps its times", shorter(""), |i| {
        i.prefix = a_call(0);
        i.server.keeps_times = false;
    });
    without("a clock that sees sleep", small("", [0, 0, 0, 0, 1, 1, 0]), |i| {
        let asks = vec![Step::Wait(1, 0), Step::Send(1), Step::Run(1)];
        i.prefix = [asks, vec![Step::Freeze(1), Step::Dead(1)]].concat();
        i.node.clock_sees_sleep = false;
    });
    all
}

fn joins(node: usize) -> Vec<Step> {
    joins_at(node, 0, true)
}

fn joins_at(node: usize, server: usize, proven: bool) -> Vec<Step> {
    vec![Step::Join(node, server), Step::RunControl(node, proven), Step::ReadControl(node)]
}

/// All are members of the primary that is now; the one that was serves on.
fn a_failover() -> Vec<Step> {
    let over = vec![Step::Lag, Step::Failover, Step::TrustEnds(0), Step::TrustEnds(1)];
    let beats = vec![Step::Beat(0), Step::RunControl(0, true), Step::ReadControl(0)];
    [over, joins_at(0, 1, true), joins_at(1, 1, true), beats, sends(0), sends(1)].concat()
}

/// Long after that one node comes back to the primary that was.
fn joined_the_old_primary() -> Vec<Step> {
    let back = [vec![Step::Break(1, false)], joins_at(1, 0, false), sends(1)].concat();
    [a_failover(), back].concat()
}

/// After its beat has shown that the server knows nothing.
fn joins_again(node: usize) -> Vec<Step> {
    let beats = vec![Step::Beat(node), Step::RunControl(node, true), Step::ReadControl(node)];
    [beats, joins(node)].concat()
}

/// Claims are told or asked for.
fn sends(node: usize) -> Vec<Step> {
    vec![Step::Send(node), Step::Run(node), Step::Read(node)]
}

fn a_call(node: usize) -> Vec<Step> {
    [vec![Step::Wait(node, 0)], sends(node), vec![Step::Look(node, 0)]].concat()
}

/// The second node has a call when the server loses its memory; the first joins first.
fn a_call_and_a_flush() -> Vec<Step> {
    [a_call(1), vec![Step::Flush], joins_again(0)].concat()
}

/// A connection breaks behind a LOWER, which arrives when the node has long joined again.
fn a_late_lower() -> Vec<Step> {
    let breaks = vec![Step::End(0, 0), Step::Send(0), Step::Break(0, true)];
    [a_call(0), breaks, joins(0), sends(0), sends(0)].concat()
}

/// Worlds for long walks: too large to be explored.
pub fn walks() -> Vec<Instance> {
    let three = |name: &str, of| instance(name, 3, &[3, 2], NESTED, 4, 3, of);
    let mut all = vec![
        three("no faults", [0, 0, 0, 0, 0, 0, 0]),
        three("breaks and crashes", [4, 2, 0, 0, 0, 0, 0]),
        three("breaks, flushes", [4, 0, 3, 0, 0, 0, 0]),
        three("breaks, a failover", [3, 0, 0, 1, 0, 0, 0]),
        three("breaks, freezes, deaths", [2, 0, 0, 0, 2, 2, 0]),
        three("breaks, crashes, flushes", [2, 2, 2, 0, 0, 0, 0]),
    ];
    all.iter_mut().for_each(|instance| instance.looks_at_once = false);
    all
}
