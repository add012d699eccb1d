//! What goes wrong in the checker's world, and all that may happen next.

use std::rc::Rc;

use sipwarden::cluster::{Counts, Node, Phase};

use super::instances::Instance;
use super::world::{Message, Next, Proxy, SERVERS, Step, TIMES, World};

impl Instance {
    /// The connections of a node break; a request that has not arrived may arrive later.
    pub fn cut(
        &self,
        world: &World,
        at: usize,
        out: &mut Next,
        step: fn(usize, bool) -> Step,
        then: impl Fn(&mut World),
    ) {
        let proxy = &world.proxies[at];
        let on_the_way = |m: &&Message| m.reply.is_none();
        let late = [proxy.claims.as_ref(), proxy.control.as_ref()];
        let mut next = world.clone();
        self.down(&mut next, at);
        then(&mut next);
        for message in late.into_iter().flatten().filter(on_the_way) {
            let mut later = next.clone();
            later.proxy(at).late = Some(message.clone());
            out.push((step(at, true), Ok(later)));
        }
        out.push((step(at, false), Ok(next)));
    }

    pub fn is_silent(&self, proxy: &Proxy) -> bool {
        proxy.frozen
            || proxy.node.session().phase() <= Phase::Joining
            || proxy.is_member() && !proxy.trusts()
    }

    /// T_dead passes. Those with a record have sent beats, but for the one that is dead.
    pub fn time_passes(&self, world: &World, dead: Option<usize>) -> Option<World> {
        let server = world.server();
        // Nobody talks to a server that has taken over but those that it refuses.
        let is_joined = server.server == SERVERS[world.current];
        if server.incarnation == 0 || !is_joined && !self.strangers_wait_for_nobody(world) {
            return None;
        }
        let mut gone: Vec<usize> = dead.into_iter().collect();
        let mut strangers = Vec::new();
        for (at, proxy) in world.proxies.iter().enumerate() {
            if Some(at) == dead || server.members.contains_key(&proxy.number()) {
                continue;
            }
            if self.is_kept_out(world, proxy) && self.is_silent(proxy) {
                // It comes again and again.
                strangers.push(at);
                continue;
            }
            let has_calls = proxy.calls.iter().any(|calls| *calls > 0);
            if !self.is_silent(proxy) || dead.is_none() && has_calls {
                return None;
            }
            gone.push(at);
        }
        let mut next = world.clone();
        next.clock += TIMES.dead + 1;
        let clock = next.clock;
        let dead_number = dead.map(|at| world.proxies[at].number());
        let server = Rc::make_mut(&mut next.servers[world.current]);
        let mut beats = 0;
        for (number, member) in &mut server.members {
            let lives = world.proxies.iter().any(|proxy| proxy.number() == *number);
            if lives && Some(*number) != dead_number {
                member.heartbeat = clock;
                beats += 1;
            }
        }
        server.last = clock;
        if beats > 0 || strangers.is_empty() {
            server.bury(clock, &TIMES, &self.server);
        }
        if server.barrier {
            // As the next request will find.
            let members = &server.members;
            server.expected.retain(|number| members.contains_key(number));
            server.whole = false;
        }
        for at in gone {
            if self.node.clock_sees_sleep || !world.proxies[at].frozen {
                next.proxy(at).now += TIMES.dead + 1;
            }
            next.proxy(at).buried = true;
        }
        for at in strangers {
            next.proxy(at).now += TIMES.dead + 1;
        }
        Some(next)
    }

    /// All that may happen next.
    pub fn next(&self, world: &World, out: &mut Next) {
        out.clear();
        for at in 0..self.nodes {
            self.next_calls(world, at, out);
            self.next_messages(world, at, out);
            self.next_faults(world, at, out);
        }
        let left = world.left;
        self.next_times(world, out);
        if world.server().whole || self.strangers_wait_for_nobody(world) {
            out.extend(self.time_passes(world, None).map(|next| (Step::TimePasses, Ok(next))));
        }
        if left.flushes > 0 {
            let mut next = world.clone();
            next.left.flushes -= 1;
            self.remember_excess(&mut next);
            next.servers[world.current] = Rc::default();
            next.clock += 1;
            out.push((Step::Flush, Ok(next)));
        }
        if left.failovers > 0 {
            let mut next = world.clone();
            if let Some(replica) = next.replica.take() {
                next.left.failovers -= 1;
                self.remember_excess(&mut next);
                next.servers[1] = replica;
                next.current = 1;
                next.clock += 1;
                out.push((Step::Failover, Ok(next)));
            } else {
                next.replica = Some(next.servers[0].clone());
                out.push((Step::Lag, Ok(next)));
            }
        }
    }

    pub fn next_faults(&self, world: &World, at: usize, out: &mut Next) {
        let (proxy, left) = (&world.proxies[at], world.left);
        if proxy.frozen {
            out.push((Step::Resume(at), Ok(self.resume(world, at))));
        } else {
            let runs = proxy.node.session().phase() != Phase::Down;
            if runs && proxy.to != world.current {
                self.cut(
                    world,
                    at,
                    out,
                    |at, _| Step::TrustEnds(at),
                    |next| {
                        next.proxy(at).now += TIMES.trust + 1;
                    },
                );
            }
            if left.breaks > 0 && runs {
                self.cut(world, at, out, Step::Break, |next| next.left.breaks -= 1);
            }
            if left.crashes > 0 {
                self.cut(world, at, out, Step::Crash, |next| {
                    next.left.crashes -= 1;
                    self.start_anew(next.proxy(at));
                });
            }
            if left.changes > 0 {
                self.next_secret(world, at, out);
            }
            if left.freezes > 0 && proxy.node.session().phase() >= Phase::Publishing {
                let mut next = world.clone();
                next.left.freezes -= 1;
                next.proxy(at).frozen = true;
                out.push((Step::Freeze(at), Ok(next)));
            }
        }
        let server = world.server();
        let number = proxy.number();
        let there = server.members.contains_key(&number) || server.expected.contains(&number);
        if left.deaths > 0 && self.is_silent(proxy) && there {
            if let Some(mut next) = self.time_passes(world, Some(at)) {
                next.left.deaths -= 1;
                out.push((Step::Dead(at), Ok(next)));
            }
        }
    }

    pub fn resume(&self, world: &World, at: usize) -> World {
        let mut next = world.clone();
        let proxy = next.proxy(at);
        proxy.frozen = false;
        if self.node.clock_sees_sleep {
            proxy.now += TIMES.trust + 1;
        }
        next
    }

    pub fn start_anew(&self, proxy: &mut Proxy) {
        proxy.node = Node::default();
        proxy.starts += 1;
        proxy.ledger.0.iter_mut().for_each(|counts| *counts = Counts::default());
        proxy.calls.iter_mut().for_each(|calls| *calls = 0);
        (proxy.forced, proxy.fresh_forced, proxy.buried) = (0, 0, false);
        proxy.workers.clear();
    }
}
