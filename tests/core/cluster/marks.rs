//! Marks of worlds: one for all that differ only in how things are named. Sessions,
//! incarnations and starts are told apart, not read; of times only their distance counts; and
//! nodes are alike, so it does not matter which of them is which.

use std::hash::{BuildHasher, Hash, Hasher};
use std::rc::Rc;

use sipwarden::cluster::{Node, Phase};

use super::instances::Instance;
use super::server::Server;
use super::world::{
    Ledger, Message, NO_INCARNATION, NODE_CLOCK, Proxy, SERVER_CLOCK, STARTS, World, key,
};

/// Sessions begin at the server's time in us. By their ranges numbers tell what they are.
const SESSIONS: u64 = SERVER_CLOCK * 1000;
/// None is as large.
const NO_SESSION: u64 = 1 << 32;
/// Ms: longer than all that is waited for. What is older is as old.
const AGES: u64 = 11_000;
/// Ms that make no difference: what is waited for is much longer than all of them.
const TICKS: u64 = 100;

/// The mark of a world.
pub fn mark(hash: &ahash::RandomState, instance: &Instance, world: &World) -> u64 {
    let mut known = Sessions(Vec::new());
    let first: Vec<usize> = (0..world.proxies.len()).collect();
    let nodes: Vec<Seen> =
        world.proxies.iter().map(|proxy| Seen::of(instance, world, proxy)).collect();
    write(&mut known, instance, world, &nodes, &first);
    let Sessions(mut sessions) = known;
    sessions.sort_unstable();
    sessions.dedup();
    // A server that has lost sessions may give their numbers again: how far they are matters.
    let given = servers(instance, world).map(|server| server.next);
    let newest = given.chain(sessions.last().copied()).max().unwrap_or(0);
    let gives_again = |server: &Server| server.next != 0 && server.next < newest;
    let exact = servers(instance, world).any(gives_again).then_some(newest);
    let of = |order: &[usize]| {
        let mut writer = Writer {
            hash: hash.build_hasher(),
            sessions: &sessions,
            exact,
            names: if instance.clones { &first } else { order },
            clocks: (world.clock, 0),
            incarnations: Vec::new(),
            starts: Vec::new(),
        };
        write(&mut writer, instance, world, &nodes, order);
        writer.finish()
    };
    let mut order: Vec<(u64, usize)> =
        first.iter().map(|&at| (nodes[at].looks(hash), at)).collect();
    order.sort_unstable();
    let mut least = u64::MAX;
    each_order(&mut order, 0, &mut |order| {
        let order: Vec<usize> = order.iter().map(|(_, at)| *at).collect();
        least = least.min(of(&order));
    });
    least
}

/// `order` is sorted by looks.
fn each_order(order: &mut [(u64, usize)], from: usize, then: &mut impl FnMut(&[(u64, usize)])) {
    if from == order.len() {
        return then(order);
    }
    for at in from..order.len() {
        if order[at].0 == order[from].0 {
            order.swap(from, at);
            each_order(order, from + 1, then);
            order.swap(from, at);
        }
    }
}

/// Whether anybody will hear of this server again.
fn is_asked(instance: &Instance, world: &World, at: usize) -> bool {
    let is_connected = |p: &Rc<Proxy>| p.to == at && p.node.session().phase() != Phase::Down;
    at == world.current || instance.joins_old || world.proxies.iter().any(is_connected)
}

fn servers<'a>(instance: &Instance, world: &'a World) -> impl Iterator<Item = &'a Server> {
    let asked = [0, 1].map(|at| is_asked(instance, world, at).then(|| &*world.servers[at]));
    asked.into_iter().chain([world.replica.as_deref()]).flatten()
}

/// Marks need no other hash.
#[derive(Default)]
pub struct Marked(u64);

impl Hasher for Marked {
    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, mark: u64) {
        self.0 = mark;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

trait Sink: Hasher {
    /// Sessions that a server will give are newer than all others, and need no names.
    fn is_exact(&self) -> bool;
    /// What follows has times of this clock.
    fn read_clock(&mut self, _: u64) {}
}

fn write(out: &mut impl Sink, instance: &Instance, world: &World, nodes: &[Seen], order: &[usize]) {
    for server in servers(instance, world) {
        write_server(out, server, world.clock);
    }
    for &at in order {
        out.read_clock(nodes[at].proxy.now);
        nodes[at].write(out);
    }
    let over = if instance.strong { world.over } else { 0 };
    let mut left = world.left;
    if !world.has_replica() && !instance.joins_old {
        left.unproven = 0;
    }
    (world.current, left, over, world.unfair, world.replica.is_some()).hash(out);
}

fn write_server(out: &mut impl Sink, server: &Server, clock: u64) {
    let Server { incarnation, server: name, fingerprint, dead, barrier, whole, .. } = server;
    let Server { begun, last, hold, searched, next, expected, members, scopes, .. } = server;
    (incarnation, name, fingerprint, dead, barrier, whole).hash(out);
    (expected, members, scopes).hash(out);
    // Asked for while something is expected; in the future; and until so much has passed.
    let begun = if *barrier || !expected.is_empty() { *begun } else { 0 };
    let ago = |time: &u64, most: u64| clock.saturating_sub(*time).min(most) / TICKS;
    let times = (hold.saturating_sub(clock) / TICKS, ago(last, 3_100), ago(searched, 1_100));
    (begun, times).hash(out);
    if out.is_exact() {
        next.hash(out);
    } else {
        (*next == 0).hash(out);
    }
}

/// A request that comes late, unless nobody will know: the server refuses it from now on, or is
/// asked by nobody. But any request shows a server that slept when it woke up.
fn late<'a>(instance: &Instance, world: &World, proxy: &'a Proxy) -> Option<&'a Message> {
    let sleeps = instance.faults.sleeps + instance.faults.waits > 0;
    proxy.late.as_ref().filter(|message| {
        let refuses =
            || world.servers[message.to].refuses(&message.request, &instance.server) && !sleeps;
        is_asked(instance, world, message.to) && !refuses()
    })
}

/// What makes a difference of a node.
struct Seen<'a> {
    proxy: &'a Proxy,
    node: Node,
    ledger: Ledger,
    to: usize,
    late: Option<&'a Message>,
    start: u128,
}

impl<'a> Seen<'a> {
    fn of(instance: &Instance, world: &'a World, proxy: &'a Proxy) -> Self {
        let (mut node, mut ledger) = (proxy.node.clone(), proxy.ledger.clone());
        // What is due is marked, and counts if the broker will find something to do: whatever
        // gives it something later marks it again.
        for (at, counts) in ledger.0.iter_mut().enumerate() {
            let is_due = node.parts().1.remove(&key(at));
            let needs = counts.needs(node.mirror().claimed(key(at)));
            counts.marked = (counts.marked || is_due) && needs;
        }
        if instance.workers == 1 {
            // Nobody else asks for it.
            node.parts().2.clear();
        }
        // It connects anew.
        let to = if node.session().phase() == Phase::Down { 0 } else { proxy.to };
        let late = late(instance, world, proxy);
        Seen { proxy, node, ledger, to, late, start: instance.setup(proxy).instance }
    }

    /// Without its name: nodes that look alike are tried in each order.
    fn looks(&self, hash: &ahash::RandomState) -> u64 {
        let Proxy { secret, calls, forced, fresh_forced, workers, sent, .. } = self.proxy;
        let way = |message: Option<&Message>| message.map(|m| (m.to, m.reply.is_some()));
        let ways = [self.proxy.claims.as_ref(), self.proxy.control.as_ref(), self.late].map(way);
        let phase = self.node.session().phase() as u8;
        hash.hash_one((
            (&self.ledger, secret, self.to, calls, forced, fresh_forced, workers, sent),
            (ways, phase, self.proxy.frozen, self.proxy.buried),
        ))
    }

    fn write(&self, out: &mut impl Sink) {
        let Seen { proxy, node, ledger, to, late, start } = self;
        let Proxy { secret, calls, forced, fresh_forced, workers, sent, .. } = proxy;
        (node, ledger, start, secret, to, calls, forced, fresh_forced).hash(out);
        (workers, sent, &proxy.claims, &proxy.control, late, proxy.frozen, proxy.buried).hash(out);
    }
}

/// Finds the sessions that are named.
struct Sessions(Vec<u64>);

impl Sink for Sessions {
    fn is_exact(&self) -> bool {
        false
    }
}

impl Hasher for Sessions {
    fn write(&mut self, bytes: &[u8]) {
        each_number(bytes, |number| self.write_u64(number));
    }

    fn write_u64(&mut self, number: u64) {
        if (SESSIONS..NO_SESSION).contains(&number) {
            self.0.push(number);
        }
    }

    fn write_u8(&mut self, _: u8) {}
    fn write_u32(&mut self, _: u32) {}
    fn write_u128(&mut self, _: u128) {}
    fn write_usize(&mut self, _: usize) {}
    fn write_isize(&mut self, _: isize) {}

    fn finish(&self) -> u64 {
        0
    }
}

/// The numbers in a slice of them. Two that are half as wide look like none of a session.
fn each_number(bytes: &[u8], mut then: impl FnMut(u64)) {
    let chunks = bytes.chunks_exact(8);
    chunks.for_each(|chunk| then(u64::from_le_bytes(chunk.try_into().unwrap())));
}

struct Writer<'a> {
    hash: ahash::AHasher,
    sessions: &'a [u64],
    /// Sessions are not in order only: they are so far from this one.
    exact: Option<u64>,
    /// Which node is the first, and so on.
    names: &'a [usize],
    /// The server's, and that of the node.
    clocks: (u64, u64),
    /// In the order in which they are named.
    incarnations: Vec<u64>,
    starts: Vec<u128>,
}

impl Writer<'_> {
    fn number(&self, number: u64) -> u64 {
        match number {
            ..NODE_CLOCK => number,
            NODE_CLOCK..SERVER_CLOCK => age(self.clocks.1, number),
            SERVER_CLOCK..SESSIONS => age(self.clocks.0, number),
            _ => {
                let order = || self.sessions.partition_point(|known| *known < number) as u64;
                SESSIONS + self.exact.map_or_else(order, |newest| newest - number)
            }
        }
    }
}

/// How long ago, or how soon.
fn age(clock: u64, time: u64) -> u64 {
    NODE_CLOCK + (clock + AGES).saturating_sub(time).min(2 * AGES) / TICKS
}

fn place<T: PartialEq>(known: &mut Vec<T>, of: T) -> u64 {
    let place = known.iter().position(|other| *other == of);
    place.unwrap_or_else(|| {
        known.push(of);
        known.len() - 1
    }) as u64
}

impl Sink for Writer<'_> {
    fn is_exact(&self) -> bool {
        self.exact.is_some()
    }

    fn read_clock(&mut self, now: u64) {
        self.clocks.1 = now;
    }
}

impl Hasher for Writer<'_> {
    /// Names of nodes have one letter. Lists of numbers come as their bytes.
    fn write(&mut self, bytes: &[u8]) {
        match bytes {
            [letter @ b'a'..=b'z'] => {
                let node = usize::from(letter - b'a');
                let place = self.names.iter().position(|at| *at == node);
                self.hash.write_usize(place.unwrap_or(node));
            }
            _ if bytes.len() % 8 == 0 => each_number(bytes, |number| {
                let is_session = (SESSIONS..NO_SESSION).contains(&number);
                let number = if is_session { self.number(number) } else { number };
                self.hash.write_u64(number);
            }),
            _ => self.hash.write(bytes),
        }
    }

    fn write_u64(&mut self, number: u64) {
        let number = if number < NO_INCARNATION {
            self.number(number)
        } else {
            NO_INCARNATION + place(&mut self.incarnations, number)
        };
        self.hash.write_u64(number);
    }

    fn write_u128(&mut self, number: u128) {
        if number < STARTS {
            self.hash.write_u128(number);
        } else {
            let place = place(&mut self.starts, number);
            self.hash.write_u128(STARTS + u128::from(place));
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.hash.write_u8(number);
    }

    fn write_u32(&mut self, number: u32) {
        self.hash.write_u32(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.hash.write_usize(number);
    }

    fn write_isize(&mut self, number: isize) {
        self.hash.write_isize(number);
    }

    fn finish(&self) -> u64 {
        self.hash.finish()
    }
}
