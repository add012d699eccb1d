//! Calls in the checker's world: they begin, wait, are counted or refused, and end.

use sipwarden::cluster::{Answer, Ask, Reply, Request, Take, Want};

use super::instances::Instance;
use super::server::Member;
use super::world::{Exceeded, Message, Next, Proxy, Step, Worker, World, key};

/// The claim for a scope that an answer tells a node, whatever the server has forgotten since.
fn coming(message: &Message, scope: usize) -> u32 {
    let Message {
        request: Request::Batch { lowers, forces, takes, .. },
        reply: Some(Reply::Batch { claims, takes: taken, .. }),
        ..
    } = message
    else {
        return 0;
    };
    let told = lowers.iter().chain(forces).zip(claims);
    let granted = takes.iter().zip(taken).filter_map(|(group, take)| match take {
        Take::Granted(claims) => Some(group.lacks.iter().zip(claims)),
        _ => None,
    });
    let of_scope = told.chain(granted.flatten()).filter(|(claim, _)| claim.key == key(scope));
    of_scope.map(|(_, slots)| *slots).max().unwrap_or(0)
}

impl Instance {
    pub fn scopes_of(&self, kind: usize) -> impl Iterator<Item = usize> {
        let mask = self.kinds[kind].scopes;
        (0..self.limits.len()).filter(move |scope| mask & 1 << scope != 0)
    }

    pub fn covered(&self, proxy: &Proxy, kind: usize) -> bool {
        proxy.trusts() && self.scopes_of(kind).all(|at| proxy.ledger.0[at].covers_one_more())
    }

    /// An ordinary call was counted: whether the limit allows it.
    pub fn allowed(&self, world: &World, at: usize, kind: usize) -> bool {
        if world.proxies[at].buried {
            // Its slots were given to others.
            return false;
        }
        self.scopes_of(kind).all(|scope| {
            let there = || world.proxies.iter().filter(|proxy| !proxy.buried);
            let live: u32 = there().map(|proxy| proxy.count(scope)).sum();
            let all: u32 = there().map(|proxy| proxy.forced).sum();
            let fresh: u32 = there().map(|proxy| proxy.fresh_forced).sum();
            let limit = self.limits[scope];
            let claims = world.server().total(key(scope));
            let weak = self.faults.deaths > 0 || live.saturating_sub(all) <= limit;
            let strong = !self.strong
                || live.saturating_sub(fresh) <= limit.max(claims).max(limit + world.over);
            weak && strong
        })
    }

    /// Live calls and slots given out beyond the limit.
    pub fn excess(&self, world: &World) -> u32 {
        let used = |proxy: &Proxy, scope: usize| {
            let coming = proxy.claims.as_ref().map_or(0, |message| coming(message, scope));
            proxy.count(scope).max(proxy.ledger.0[scope].granted).max(coming)
        };
        let excess = |scope| {
            let there = world.proxies.iter().filter(|proxy| !proxy.buried);
            there.map(|proxy| used(proxy, scope)).sum::<u32>().saturating_sub(self.limits[scope])
        };
        (0..self.limits.len()).map(excess).max().unwrap_or(0)
    }

    pub fn remember_excess(&self, world: &mut World) {
        let claimed = |scope| world.server().total(key(scope)).saturating_sub(self.limits[scope]);
        let over = (0..self.limits.len()).map(claimed).max().unwrap_or(0);
        world.over = world.over.max(over);
    }

    /// A node that was given up is back: its calls count again. A batch that was late is no
    /// heartbeat: whoever is silent for longer than T_dead may be given up at any moment.
    pub fn back(&self, world: &mut World, at: usize) {
        let proxy = &world.proxies[at];
        let server = &world.servers[proxy.to];
        let is_silent =
            |member: &Member| world.clock.saturating_sub(member.heartbeat) > server.dead;
        let lives = server.members.get(&proxy.number()).is_some_and(|member| !is_silent(member));
        if proxy.buried && lives {
            world.proxy(at).buried = false;
            world.over = world.over.max(self.excess(world));
        }
    }

    pub fn admit(&self, world: &mut World, at: usize, kind: usize, waited: bool) -> bool {
        let proxy = world.proxy(at);
        proxy.calls[kind] += 1;
        for scope in self.scopes_of(kind) {
            let counts = &mut proxy.ledger.0[scope];
            if waited { counts.admit_waiting() } else { counts.admit() }
        }
        self.allowed(world, at, kind)
    }

    pub fn leave(&self, proxy: &mut Proxy, place: usize) {
        let worker = proxy.workers.remove(place);
        proxy.node.withdraw(worker.id);
        for scope in self.scopes_of(worker.kind) {
            let marked = proxy.ledger.0[scope].marked;
            proxy.ledger.0[scope].leave();
            if !self.node.settles {
                proxy.ledger.0[scope].marked = marked;
            }
        }
        if self.kinds[worker.kind].urgent {
            self.count_anyway(proxy, worker.kind);
        }
    }

    pub fn count_anyway(&self, proxy: &mut Proxy, kind: usize) {
        proxy.calls[kind] += 1;
        self.scopes_of(kind).for_each(|scope| proxy.ledger.0[scope].count_anyway());
        proxy.forced += 1;
        proxy.fresh_forced += 1;
    }

    pub fn end_call(&self, world: &mut World, at: usize, kind: usize) {
        let proxy = world.proxy(at);
        proxy.calls[kind] -= 1;
        for scope in self.scopes_of(kind) {
            let granted = proxy.ledger.0[scope].granted;
            proxy.ledger.0[scope].end();
            if !self.node.takes_slots_along {
                proxy.ledger.0[scope].granted = granted;
            }
        }
        proxy.forced = proxy.forced.saturating_sub(1);
        proxy.fresh_forced = proxy.fresh_forced.min(proxy.forced);
        world.over = world.over.min(self.excess(world));
    }

    /// What workers are told. False: a call was admitted that the limit does not allow.
    pub fn tell(&self, world: &mut World, at: usize, answers: Vec<(u64, Answer)>) -> bool {
        let mut allowed = true;
        for (id, answer) in answers {
            let proxy = world.proxy(at);
            let Some(place) = proxy.workers.iter().position(|worker| worker.id == id) else {
                continue;
            };
            let kind = proxy.workers[place].kind;
            match answer {
                Answer::Look => {
                    proxy.workers[place].looks = true;
                    match self.looks_at_once.then(|| self.look(world, at, place)).flatten() {
                        Some(Ok(next)) => *world = next,
                        Some(Err(Exceeded)) => allowed = false,
                        None => {}
                    }
                }
                Answer::Full { .. } if self.covered(proxy, kind) => {
                    proxy.workers.remove(place);
                    allowed &= self.admit(world, at, kind, true);
                }
                Answer::Full { .. } if self.kinds[kind].urgent => {
                    // Only a full scope refuses it.
                    let worker = proxy.workers.remove(place);
                    self.scopes_of(worker.kind).for_each(|s| proxy.ledger.0[s].leave());
                }
                _ => self.leave(proxy, place),
            }
        }
        allowed
    }

    fn ask(&self, id: u64, kind: usize) -> Ask {
        let want = |scope| Want { key: key(scope), limit: self.limits[scope] };
        let names = if self.kinds[kind].twice { 2 } else { 1 };
        let wants = (0..names).flat_map(|_| self.scopes_of(kind).map(want));
        if self.node.counts_once { Ask::new(id, wants) } else { Ask { id, wants: wants.collect() } }
    }

    pub fn next_calls(&self, world: &World, at: usize, out: &mut Next) {
        let proxy = &world.proxies[at];
        if proxy.frozen {
            return;
        }
        let total: u32 = proxy.calls.iter().sum();
        for kind in 0..self.kinds.len() {
            if proxy.is_member() && total < self.most_calls {
                let mut next = world.clone();
                if self.covered(proxy, kind) {
                    let allowed = self.admit(&mut next, at, kind, false);
                    out.push((
                        Step::Admit(at, kind),
                        if allowed { Ok(next) } else { Err(Exceeded) },
                    ));
                } else if proxy.trusts()
                    && proxy.workers.len() < self.workers
                    && !(self.kinds[kind].urgent && world.left.emergencies == 0)
                {
                    let proxy = next.proxy(at);
                    let taken = proxy.workers.iter().fold(proxy.sent, |ids, w| ids | 1 << w.id);
                    let id = u64::from(taken.trailing_ones());
                    proxy.workers.push(Worker { id, kind, looks: false });
                    self.scopes_of(kind).for_each(|scope| proxy.ledger.0[scope].wait());
                    proxy.node.ask(self.ask(id, kind));
                    if self.kinds[kind].urgent {
                        next.left.emergencies -= 1;
                    }
                    out.push((Step::Wait(at, kind), Ok(next)));
                }
            }
            if proxy.calls[kind] > 0 {
                let mut next = world.clone();
                self.end_call(&mut next, at, kind);
                out.push((Step::End(at, kind), Ok(next)));
            }
        }
        for place in 0..proxy.workers.len() {
            let kind = proxy.workers[place].kind;
            if let Some(next) = self.look(world, at, place) {
                out.push((Step::Look(at, kind), next));
            }
            let mut next = world.clone();
            let share = |scope: usize| (self.limits[scope] / self.nodes as u32).max(1);
            let may = !self.node.slow_calls_are_refused
                && self.scopes_of(kind).all(|scope| proxy.count(scope) < share(scope))
                && total < self.most_calls;
            self.leave(next.proxy(at), place);
            if may {
                let allowed = self.admit(&mut next, at, kind, false);
                out.push((Step::GiveUp(at, kind), if allowed { Ok(next) } else { Err(Exceeded) }));
            } else {
                out.push((Step::GiveUp(at, kind), Ok(next)));
            }
        }
        let plain = !self.kinds.iter().any(|kind| kind.urgent);
        if plain && world.left.emergencies > 0 && total < self.most_calls {
            let mut next = world.clone();
            next.left.emergencies -= 1;
            self.count_anyway(next.proxy(at), 0);
            out.push((Step::Emergency(at), Ok(next)));
        }
    }

    /// A worker that was told to looks.
    pub fn look(&self, world: &World, at: usize, place: usize) -> Option<Result<World, Exceeded>> {
        let worker = world.proxies[at].workers[place];
        if !worker.looks {
            return None;
        }
        let mut next = world.clone();
        let proxy = next.proxy(at);
        if self.covered(proxy, worker.kind) {
            proxy.workers.remove(place);
            let allowed = self.admit(&mut next, at, worker.kind, true);
            return Some(if allowed { Ok(next) } else { Err(Exceeded) });
        }
        if proxy.is_member() && proxy.trusts() {
            proxy.workers[place].looks = false;
            proxy.node.ask(self.ask(worker.id, worker.kind));
        } else {
            self.leave(proxy, place);
        }
        Some(Ok(next))
    }
}
