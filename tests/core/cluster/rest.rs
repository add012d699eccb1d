//! The checker's world when nothing goes wrong any more: it comes to rest, as it should.

use sipwarden::cluster::Phase;

use super::instances::Instance;
use super::server::Member;
use super::world::{Proxy, TIMES, World, key};

impl Instance {
    /// One step of a world without faults and new calls; None when nothing is left to do.
    pub fn quiet(&self, world: &World) -> Option<World> {
        if world.replica.is_some() {
            return Some(World { replica: None, ..world.clone() });
        }
        for at in 0..self.nodes {
            let proxy = &world.proxies[at];
            if proxy.frozen {
                return Some(self.resume(world, at));
            }
            if let Some(next) = self.follow(world, at) {
                return Some(next);
            }
            if proxy.node.session().phase() != Phase::Down && proxy.to != world.current {
                let mut next = world.clone();
                next.proxy(at).now += TIMES.trust + 1;
                self.down(&mut next, at);
                return Some(next);
            }
            if proxy.late.is_some() {
                return Some(self.run_late(world, at));
            }
            if let Some(next) = self.run_claims(world, at) {
                return Some(next);
            }
            if let Some(next) = self.run_control(world, at, true) {
                return Some(next);
            }
        }
        for at in 0..self.nodes {
            let read = self.read(world, at).and_then(Result::ok);
            if let Some(next) = read.or_else(|| self.read_control(world, at)) {
                return Some(next);
            }
            let proxy = &world.proxies[at];
            if let Some(place) = (0..proxy.workers.len()).next() {
                if let Some(Ok(next)) = self.look(world, at, place) {
                    return Some(next);
                }
                let mut next = world.clone();
                self.leave(next.proxy(at), place);
                return Some(next);
            }
            let joins = !self.is_kept_out(world, proxy);
            let next = joins.then(|| self.join(world, at, world.current)).flatten();
            let next = next.or_else(|| self.beat(world, at));
            // PUBLISHED is asked again after what makes the node known.
            let asks_again = |p: &Proxy| {
                p.node.session().phase() == Phase::Publishing && world.waits_to_be_known(at)
            };
            if next.is_some() {
                return next;
            }
            if !asks_again(proxy) {
                if let Some(Ok(next)) = self.send(world, at) {
                    return Some(next);
                }
            }
        }
        let waits = world.server().barrier || self.strangers_wait_for_nobody(world);
        self.time_passes(world, None).filter(|_| waits)
    }

    pub fn settle(&self, mut world: World) -> Option<World> {
        for _ in 0..1_000 {
            match self.quiet(&world) {
                Some(next) => world = next,
                None => return Some(world),
            }
        }
        None
    }

    /// What is wrong with a world in which nothing is left to do.
    pub fn fault_at_rest(&self, world: &World) -> Option<&'static str> {
        if world.server().barrier {
            return Some("the barrier never ends");
        }
        for proxy in world.proxies.iter().filter(|_| !self.clones) {
            if !proxy.is_member() || !proxy.trusts() || !world.is_current(proxy) {
                return Some("a node never becomes a member again");
            }
            for scope in 0..self.limits.len() {
                let claim = world.server().claim(key(scope), proxy.number());
                let counts = proxy.ledger.0[scope];
                if claim > counts.calls {
                    return Some("a claim that no call covers stays");
                }
                if claim < counts.calls {
                    return Some("calls that no claim covers stay");
                }
                if counts.granted != counts.calls {
                    return Some("granted differs from the calls");
                }
            }
            if self.beats_for_ever(world, proxy) {
                return Some("a node beats for ever");
            }
        }
        None
    }

    /// Beats tell all there is to tell.
    fn beats_for_ever(&self, world: &World, proxy: &Proxy) -> bool {
        let (mut server, mut node) = (world.server().clone(), proxy.node.clone());
        for _ in 0..3 {
            let Some(beat) = node.beat() else { return false };
            let reply = server.run(&beat, world.clock, &TIMES, &self.server);
            node.beaten(reply, true, proxy.now);
        }
        node.session().wants_beat()
    }

    /// What is wrong with a world whatever comes next.
    pub fn fault_now(&self, world: &World) -> Option<&'static str> {
        if world.unfair {
            return Some("a call is refused by a scope that it does not lack");
        }
        for proxy in world.proxies.iter().filter(|proxy| world.is_current(proxy)) {
            let admits = proxy.is_member() && proxy.trusts() && !proxy.frozen;
            for scope in 0..self.limits.len() {
                let claim = world.server().claim(key(scope), proxy.number());
                if admits && proxy.ledger.0[scope].granted > claim {
                    return Some("more is granted than claimed");
                }
            }
        }
        None
    }
}

impl World {
    /// Whether some member has not told yet that it knows this node.
    fn waits_to_be_known(&self, at: usize) -> bool {
        let server = self.server();
        let number = self.proxies[at].number();
        let since = server.members.get(&number).map_or(0, |member| member.since);
        let unknown = |(n, m): (&u64, &Member)| *n != number && m.knows < since;
        server.members.iter().any(unknown)
    }
}
