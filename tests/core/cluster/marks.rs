//! Marks of worlds: one for all that differ only in how things are named. Sessions,
//! incarnations and starts are told apart, not read; of times only their distance counts; and
//! nodes are alike, so it does not matter which of them is which.

use std::hash::{BuildHasher, Hash, Hasher};

use super::instances::Instance;
use super::server::Server;
use super::world::{Message, NO_INCARNATION, NODE_CLOCK, Proxy, SERVER_CLOCK, STARTS, World};

/// Sessions begin at the server's time in us. By their ranges numbers tell what they are.
const SESSIONS: u64 = SERVER_CLOCK * 1000;
/// None is as large.
const NO_SESSION: u64 = 1 << 32;
/// Ms: longer than all that is waited for. What is older is as old.
const AGES: u64 = 50_000;
/// Ms that make no difference: what is waited for is much longer than all of them.
const TICKS: u64 = 100;

/// The mark of a world.
pub fn mark(hash: &ahash::RandomState, instance: &Instance, world: &World) -> u64 {
    let mut known = Sessions(Vec::new());
    let first: Vec<usize> = (0..world.proxies.len()).collect();
    write(&mut known, instance, world, &first);
    let Sessions(mut sessions) = known;
    sessions.sort_unstable();
    sessions.dedup();
    // A server that has lost sessions may give their numbers again.
    let newest = sessions.last().copied().unwrap_or(0);
    let exact = servers(instance, world).any(|server| server.next != 0 && server.next < newest);
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
        write(&mut writer, instance, world, order);
        writer.finish()
    };
    let mut order: Vec<(u64, usize)> =
        first.iter().map(|&at| (looks(hash, &world.proxies[at]), at)).collect();
    order.sort_unstable();
    let mut least = u64::MAX;
    each_order(&mut order, 0, &mut |order| {
        let order: Vec<usize> = order.iter().map(|(_, at)| *at).collect();
        least = least.min(of(&order));
    });
    least
}

/// What is seen of a node without its name: nodes that look alike are tried in each order.
fn looks(hash: &ahash::RandomState, proxy: &Proxy) -> u64 {
    let Proxy { ledger, secret, to, calls, forced, fresh_forced, workers, sent, .. } = proxy;
    let way = |message: &Option<Message>| message.as_ref().map(|m| (m.to, m.reply.is_some()));
    let ways = [&proxy.claims, &proxy.control, &proxy.late].map(way);
    let phase = proxy.node.session().phase() as u8;
    hash.hash_one((
        (ledger, secret, to, calls, forced, fresh_forced, workers, sent),
        (ways, phase, proxy.frozen, proxy.buried),
    ))
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

/// Those that anybody will ever ask again.
fn servers<'a>(instance: &Instance, world: &'a World) -> impl Iterator<Item = &'a Server> {
    let is_asked = |at: usize| {
        let late = |message: &Option<Message>| message.as_ref().is_some_and(|m| m.to == at);
        at == world.current
            || instance.joins_old
            || world.proxies.iter().any(|proxy| proxy.to == at || late(&proxy.late))
    };
    let asked = [0, 1].map(|at| is_asked(at).then(|| &*world.servers[at]));
    let replica = world.has_replica().then(|| &*world.replica);
    asked.into_iter().chain([replica]).flatten()
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

fn write(out: &mut impl Sink, instance: &Instance, world: &World, order: &[usize]) {
    for server in servers(instance, world) {
        write_server(out, server);
    }
    for &at in order {
        let proxy = &*world.proxies[at];
        out.read_clock(proxy.now);
        write_proxy(out, proxy, instance.setup(proxy).instance);
    }
    (world.current, world.left, world.over, world.unfair, world.has_replica()).hash(out);
}

fn write_server(out: &mut impl Sink, server: &Server) {
    let Server { incarnation, server: name, fingerprint, dead, barrier, whole, .. } = server;
    let Server { begun, last, hold, searched, next, expected, members, scopes, .. } = server;
    (incarnation, name, fingerprint, dead, barrier, whole).hash(out);
    (begun, last, hold, searched, expected, members, scopes).hash(out);
    if out.is_exact() {
        next.hash(out);
    } else {
        (*next == 0).hash(out);
    }
}

fn write_proxy(out: &mut impl Sink, proxy: &Proxy, start: u128) {
    let Proxy { node, ledger, setup: _, starts: _, secret, now: _, to, calls, .. } = proxy;
    let Proxy { forced, fresh_forced, workers, sent, claims, control, late, .. } = proxy;
    (node, ledger, start, secret, to, calls, forced, fresh_forced).hash(out);
    (workers, sent, claims, control, late, proxy.frozen, proxy.buried).hash(out);
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
    exact: bool,
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
            _ if self.exact => number,
            _ => SESSIONS + self.sessions.partition_point(|known| *known < number) as u64,
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
        self.exact
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
