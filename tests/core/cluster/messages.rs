//! Messages in the checker's world: sent, run by a server, read. Here rules of nodes are left out.

use std::rc::Rc;

use sipwarden::cluster::{Claim, Group, Outcome, Phase, Reply, Request, Setup, Take};

use super::instances::{ANY, Instance};
use super::secrets::fingerprint;
use super::server::Member;
use super::world::{Exceeded, Ledger, Message, Next, Proxy, SERVERS, STARTS, Step, World, key};

impl Instance {
    pub fn setup(&self, proxy: &Proxy) -> Setup {
        let name = if self.clones { 0 } else { proxy.setup };
        Setup {
            instance: STARTS * (proxy.starts + 1) + proxy.setup as u128,
            name: char::from(b'a' + name as u8).to_string(),
            fingerprint: fingerprint(proxy),
            times: self.times(fingerprint(proxy)),
        }
    }

    pub fn down(&self, world: &mut World, at: usize) {
        let proxy = world.proxy(at);
        (proxy.claims, proxy.control, proxy.sent) = (None, None, 0);
        let outcome = proxy.node.end();
        self.tell(world, at, outcome.answers);
    }

    /// The next request of claims.
    pub fn send(&self, world: &World, at: usize) -> Option<Result<World, Exceeded>> {
        let proxy = &world.proxies[at];
        if proxy.frozen || proxy.claims.is_some() {
            return None;
        }
        let mut next = world.clone();
        let proxy = next.proxy(at);
        let before = proxy.ledger.clone();
        let (request, answers) = proxy.node.next(&mut proxy.ledger);
        if let Some(mut request) = request {
            self.spoil(&mut request, proxy, &before);
            proxy.sent = proxy.node.asks().iter().fold(0, |ids, ask| ids | 1 << ask.id);
            let (to, sent) = (proxy.to, proxy.now);
            proxy.claims = Some(Message { request, to, sent, reply: None, proven: false });
        } else if answers.is_empty() && *proxy == *world.proxies[at] {
            return None;
        }
        let allowed = self.tell(&mut next, at, answers);
        Some(if allowed { Ok(next) } else { Err(Exceeded) })
    }

    /// Leaves out rules of the node in what it sends.
    pub fn spoil(&self, request: &mut Request, proxy: &mut Proxy, before: &Ledger) {
        let Request::Batch { lowers, takes, .. } = request else { return };
        if let (false, [ask]) = (self.node.asks_for_what_lacks, proxy.node.asks()) {
            let all = ask.wants.iter().map(|want| Claim { key: want.key, slots: want.limit });
            takes.iter_mut().for_each(|group| group.lacks = all.clone().collect());
        }
        if !self.node.lowers_here_first {
            for claim in lowers.iter() {
                let at = claim.key.0 as usize;
                proxy.ledger.0[at].granted = before.0[at].granted;
            }
        }
    }

    pub fn control(&self, world: &World, at: usize, request: Request, to: usize) -> World {
        let mut next = world.clone();
        let proxy = next.proxy(at);
        let sent = proxy.now;
        proxy.control = Some(Message { request, to, sent, reply: None, proven: false });
        proxy.to = to;
        next
    }

    pub fn join(&self, world: &World, at: usize, to: usize) -> Option<World> {
        let proxy = &world.proxies[at];
        let down = proxy.node.session().phase() == Phase::Down;
        if proxy.frozen || proxy.control.is_some() || !down {
            return None;
        }
        let mut next = world.clone();
        let proxy = next.proxy(at);
        let setup = self.setup(proxy);
        let now = proxy.now;
        let mut request = proxy.node.join(&setup, SERVERS[to], 0, now);
        if let (false, Request::Join(join)) = (self.node.tells_whom_it_knows, &mut request) {
            join.known.clear();
        }
        // Others of this name are long gone, unless they are clones.
        if !self.clones {
            let old = |m: &&mut Member| m.name == setup.name && m.instance != setup.instance;
            let clock = next.clock;
            let server = Rc::make_mut(&mut next.servers[to]);
            let old: Vec<_> = server.members.values_mut().filter(old).collect();
            if !old.is_empty() {
                server.hold = server.hold.min(clock + server.dead - 2_501);
            }
            let ago = clock - 2_501;
            old.into_iter().for_each(|member| member.heartbeat = member.heartbeat.min(ago));
        }
        Some(self.control(&next, at, request, to))
    }

    pub fn beat(&self, world: &World, at: usize) -> Option<World> {
        let proxy = &world.proxies[at];
        let session = proxy.node.session();
        if proxy.frozen || proxy.control.is_some() || session.phase() < Phase::Publishing {
            return None;
        }
        let server = &world.servers[proxy.to];
        let news = session.is_member()
            && (!proxy.trusts() || session.is_fresh() && !server.barrier)
            || session.wants_beat()
            || server.members.values().any(|member| member.since > session.named().knows)
            || proxy.to == world.current && !world.is_current(proxy)
            || server.barrier && !server.whole && server.expected.is_empty();
        if !news {
            return None;
        }
        let mut next = world.clone();
        let request = next.proxy(at).node.beat()?;
        let to = next.proxies[at].to;
        Some(self.control(&next, at, request, to))
    }

    /// The server runs a request.
    pub fn run(&self, world: &mut World, at: usize, message: &mut Message, is_late: bool) {
        // Drawn at random, so it is nobody else's: here it is drawn as late as it can be.
        let drawn = world.incarnations + 1;
        if let Request::Join(join) = &mut message.request {
            join.next_incarnation = drawn;
        }
        let clock = world.clock;
        let times = self.times(match &message.request {
            Request::Join(join) => join.fingerprint,
            _ => fingerprint(&world.proxies[at]),
        });
        let server = Rc::make_mut(&mut world.servers[message.to]);
        let reply = server.run(&message.request, clock, &times, &self.server);
        if server.incarnation == drawn {
            world.incarnations = drawn;
        }
        if let Request::Join(join) = &mut message.request {
            join.next_incarnation = 0;
        }
        if message.to == world.current && !is_late {
            match &reply {
                Reply::Member(_) => {
                    self.back(world, at);
                    self.all_told(world, at);
                }
                Reply::Beaten { .. } => self.back(world, at),
                Reply::Batch { takes, .. } => {
                    self.back(world, at);
                    if let Request::Batch { forces, takes: asked, .. } = &message.request {
                        if !forces.is_empty() {
                            self.all_told(world, at);
                        }
                        let mut pairs = asked.iter().zip(takes);
                        let proxy = &world.proxies[at];
                        world.unfair |=
                            pairs.any(|(group, take)| self.is_unfair(proxy, group, take));
                    }
                }
                _ => {}
            }
        }
        message.reply = Some(reply);
    }

    /// Whether a call that still waits is refused by a scope that has a slot for it here. Only
    /// where one waits at a time: others may leave what they were given.
    fn is_unfair(&self, proxy: &Proxy, group: &Group, take: &Take) -> bool {
        let (Take::Full { place, .. }, [ask]) = (take, proxy.node.asks()) else { return false };
        let key = group.lacks[*place as usize].key;
        let waits = ask.wants.iter().any(|want| want.key == key);
        self.workers == 1 && waits && !proxy.ledger.0[key.0 as usize].lacks(0)
    }

    /// Calls that were counted whatever the limit have claims.
    fn all_told(&self, world: &mut World, at: usize) {
        let claim = world.server().claim(key(0), world.proxies[at].number());
        let proxy = world.proxy(at);
        let bare = proxy.count(0).saturating_sub(claim);
        proxy.fresh_forced = proxy.fresh_forced.min(bare);
    }

    /// A node reads the answer about its claims.
    pub fn read(&self, world: &World, at: usize) -> Option<Result<World, Exceeded>> {
        let proxy = &world.proxies[at];
        let message = proxy.claims.as_ref().filter(|m| m.reply.is_some() && !proxy.frozen)?;
        let (request, reply) = (message.request.clone(), message.reply.clone()?);
        let mut next = world.clone();
        let proxy = next.proxy(at);
        (proxy.claims, proxy.sent) = (None, 0);
        let outcome = self.read_spoiled(proxy, &request, reply);
        if proxy.node.session().phase() == Phase::Down {
            proxy.control = None;
        }
        let allowed = self.tell(&mut next, at, outcome.answers);
        Some(if allowed { Ok(next) } else { Err(Exceeded) })
    }

    /// Leaves out rules of the node in what it makes of an answer.
    pub fn read_spoiled(&self, proxy: &mut Proxy, request: &Request, reply: Reply) -> Outcome {
        let before = proxy.ledger.clone();
        let due = proxy.node.parts().1.clone();
        let outcome = proxy.node.reply(reply.clone(), &mut proxy.ledger);
        if let (Request::Batch { lowers, forces, .. }, Reply::Batch { claims, .. }) =
            (request, &reply)
        {
            let (lowered, forced) = claims.split_at(lowers.len());
            for (claim, slots) in lowers.iter().zip(lowered) {
                if !self.node.lowers_here_first {
                    proxy.ledger.0[claim.key.0 as usize].granted = *slots;
                }
            }
            for (claim, slots) in forces.iter().zip(forced) {
                if !self.node.forces_make_no_room {
                    let at = claim.key.0 as usize;
                    proxy.ledger.0[at].granted = before.0[at].granted.max(*slots);
                }
            }
            let (mirror, now_due, _) = proxy.node.parts();
            if !self.node.settles {
                *now_due = due;
            }
            if !self.node.keeps_mirror {
                for at in 0..self.limits.len() {
                    if before.0[at].calls + before.0[at].waiting + before.0[at].granted == 0 {
                        mirror.note(key(at), 0, 0);
                        now_due.remove(&key(at));
                        proxy.ledger.0[at].granted = 0;
                    }
                }
            }
        }
        outcome
    }

    pub fn read_control(&self, world: &World, at: usize) -> Option<World> {
        let proxy = &world.proxies[at];
        let message = proxy.control.as_ref().filter(|m| m.reply.is_some() && !proxy.frozen)?;
        let proven = message.proven || !self.node.waits_for_proof;
        let (reply, sent) = (message.reply.clone()?, message.sent);
        let is_join = matches!(message.request, Request::Join(_));
        let mut next = world.clone();
        let proxy = next.proxy(at);
        proxy.control = None;
        let outcome = if is_join {
            proxy.node.joined(reply, proven, sent, &mut proxy.ledger)
        } else {
            proxy.node.beaten(reply, proven, sent)
        };
        if proxy.node.session().phase() == Phase::Down {
            (proxy.claims, proxy.sent) = (None, 0);
        }
        self.tell(&mut next, at, outcome.answers);
        Some(next)
    }

    pub fn next_messages(&self, world: &World, at: usize, out: &mut Next) {
        let proxy = &world.proxies[at];
        if let Some(next) = self.send(world, at) {
            out.push((Step::Send(at), next));
        }
        if let Some(next) = self.join(world, at, world.current) {
            out.push((Step::Join(at, world.current), Ok(next)));
        }
        if self.joins_old && world.current == 1 {
            out.extend(self.join(world, at, 0).map(|next| (Step::Join(at, 0), Ok(next))));
        }
        if let Some(next) = self.beat(world, at) {
            if self.beats_at_once {
                self.next_beats(&next, at, out);
            } else {
                out.push((Step::Beat(at), Ok(next)));
            }
        }
        if let Some(next) = self.run_claims(world, at) {
            out.push((Step::Run(at), Ok(next)));
        }
        for proven in [true, false] {
            if let Some(next) = self.run_control(world, at, proven) {
                out.push((Step::RunControl(at, proven), Ok(next)));
            }
        }
        if proxy.late.is_some() {
            out.push((Step::RunLate(at), Ok(self.run_late(world, at))));
        }
        if let Some(next) = self.read(world, at) {
            out.push((Step::Read(at), next));
        }
        if let Some(next) = self.read_control(world, at) {
            out.push((Step::ReadControl(at), Ok(next)));
        }
    }

    /// A beat that was sent arrives and is answered.
    fn next_beats(&self, world: &World, at: usize, out: &mut Next) {
        for proven in [true, false] {
            let beaten = self.run_control(world, at, proven);
            let next = beaten.and_then(|beaten| self.read_control(&beaten, at));
            out.extend(next.map(|next| (Step::BeatAtOnce(at, proven), Ok(next))));
        }
    }

    pub fn run_claims(&self, world: &World, at: usize) -> Option<World> {
        let mut message = world.proxies[at].claims.clone().filter(|m| m.reply.is_none())?;
        let mut next = world.clone();
        self.run(&mut next, at, &mut message, false);
        next.proxy(at).claims = Some(message);
        Some(next)
    }

    /// `proven`: the replica has it.
    pub fn run_control(&self, world: &World, at: usize, proven: bool) -> Option<World> {
        let mut message = world.proxies[at].control.clone().filter(|m| m.reply.is_none())?;
        let is_current = message.to == world.current;
        let counts = !proven && self.is_counted(world, &message);
        let possible = match proven {
            true => is_current && world.replica.is_none(),
            false if counts && world.left.unproven == 0 => false,
            false => !is_current || world.has_replica(),
        };
        if !possible {
            return None;
        }
        let mut next = world.clone();
        next.left.unproven -= u8::from(counts);
        self.run(&mut next, at, &mut message, false);
        message.proven = proven;
        next.proxy(at).control = Some(message);
        Some(next)
    }

    /// Whether it begins one of the sessions that replicas lack and that have a bound. On the old
    /// primary they end by themselves, unless nodes go on joining it.
    fn is_counted(&self, world: &World, message: &Message) -> bool {
        let begins = matches!(message.request, Request::Join(_));
        let counts = message.to == world.current || self.joins_old;
        begins && counts && self.faults.unproven != ANY
    }

    pub fn run_late(&self, world: &World, at: usize) -> World {
        let mut next = world.clone();
        let Some(mut message) = next.proxy(at).late.take() else { return next };
        // How many come late to the primary that is now, the breaks bound.
        if message.to != world.current && self.is_counted(world, &message) {
            match next.left.unproven.checked_sub(1) {
                Some(left) => next.left.unproven = left,
                None => return next,
            }
        }
        self.run(&mut next, at, &mut message, true);
        next
    }
}
