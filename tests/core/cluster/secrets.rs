//! Nodes of the checker's world that are started again with another secret, and time that
//! passes for them and for the server.

use std::rc::Rc;

use sipwarden::cluster::{Phase, Times};

use super::instances::Instance;
use super::world::{Next, Proxy, Step, TIMES, World};

/// Nodes with a changed secret may be silent for so long, if they may for less time.
const SHORT: u64 = 7_000;

pub fn fingerprint(proxy: &Proxy) -> u128 {
    7 + u128::from(proxy.secret)
}

impl Instance {
    pub fn times(&self, fingerprint: u128) -> Times {
        let is_short = self.shortens && fingerprint > 7;
        Times { dead: if is_short { SHORT } else { TIMES.dead }, ..TIMES }
    }

    fn keeps_out(&self, world: &World, proxy: &Proxy, later: u64) -> bool {
        let server = world.server();
        let print = fingerprint(proxy);
        let dead = if self.server.keeps_times { server.dead } else { self.times(print).dead };
        server.keeps_out(print, world.clock + later, dead, &self.server)
    }

    /// Whether the server refuses a node whenever it comes.
    pub fn is_kept_out(&self, world: &World, proxy: &Proxy) -> bool {
        self.keeps_out(world, proxy, 0)
    }

    /// Whether nodes wait for others of which none is left.
    pub fn strangers_wait_for_nobody(&self, world: &World) -> bool {
        let beats = |number| world.proxies.iter().any(|proxy| proxy.number() == number);
        let server = world.server();
        let waits = |proxy: &Proxy| {
            self.keeps_out(world, proxy, 0) && !self.keeps_out(world, proxy, TIMES.dead + 1)
        };
        !server.members.keys().any(|number| beats(*number))
            && world.proxies.iter().any(|proxy| waits(proxy))
    }

    /// A node stops, with a LEAVE or without, and starts with another secret.
    pub fn next_secret(&self, world: &World, at: usize, out: &mut Next) {
        let changed = |leaves: bool, restores: bool| {
            move |next: &mut World| {
                next.left.changes -= 1;
                self.change(world, next, at, (leaves, restores));
                next.proxy(at).secret += 1;
            }
        };
        self.cut(world, at, out, Step::Change, changed(true, false));
        self.cut(world, at, out, Step::CrashAndChange, changed(false, false));
        if world.proxies[at].calls.iter().any(|calls| *calls > 0) {
            self.cut(world, at, out, Step::ChangeAndRestore, changed(true, true));
        }
    }

    fn change(&self, before: &World, next: &mut World, at: usize, how: (bool, bool)) {
        let (leaves, restores) = how;
        let left = before.proxies[at].node.clone().leave().filter(|_| leaves);
        let (to, clock) = (before.proxies[at].to, next.clock);
        if let Some(request) = left {
            let server = Rc::make_mut(&mut next.servers[to]);
            server.run(&request, clock, &TIMES, &self.server);
        }
        let calls = next.proxies[at].calls.clone();
        self.start_anew(next.proxy(at));
        for (kind, calls) in calls.iter().enumerate().filter(|_| restores) {
            (0..*calls).for_each(|_| self.count_anyway(next.proxy(at), kind));
        }
    }

    /// In the end all nodes have the newest secret.
    pub fn follow(&self, world: &World, at: usize) -> Option<World> {
        let newest = world.proxies.iter().map(|proxy| proxy.secret).max()?;
        if world.proxies[at].secret == newest {
            return None;
        }
        let mut next = world.clone();
        self.down(&mut next, at);
        self.change(world, &mut next, at, (true, false));
        next.proxy(at).secret = newest;
        Some(next)
    }

    /// Time that passes by itself.
    pub fn next_times(&self, world: &World, out: &mut Next) {
        if world.left.sleeps > 0 {
            let mut next = world.clone();
            next.left.sleeps -= 1;
            next.clock += TIMES.dead + 1;
            (0..self.nodes).for_each(|at| next.proxy(at).now += TIMES.dead + 1);
            out.push((Step::Sleep, Ok(next)));
        }
        if world.left.waits > 0 {
            let mut next = world.clone();
            next.left.waits -= 1;
            next.clock += SHORT + 1;
            let clock = next.clock;
            for (at, proxy) in world.proxies.iter().enumerate() {
                if self.is_silent(proxy) {
                    next.proxy(at).now += SHORT + 1;
                } else if proxy.node.session().phase() >= Phase::Publishing {
                    let members = &mut Rc::make_mut(&mut next.servers[world.current]).members;
                    let own = members.get_mut(&proxy.number());
                    own.into_iter().for_each(|member| member.heartbeat = clock);
                }
            }
            Rc::make_mut(&mut next.servers[world.current]).last = clock;
            out.push((Step::ShortTimePasses, Ok(next)));
        }
    }
}
