//! The server's rules, as plainly as they can be said: what the script must do.

use std::collections::{BTreeMap, BTreeSet};

use sipwarden::cluster::{Claim, Group, Join, Key, Reply, Request, Seen, Stamp, Take, Times};

use super::rules::Rules;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    pub instance: u128,
    pub name: String,
    pub session: u64,
    /// The session with which its record began.
    pub since: u64,
    pub heartbeat: u64,
    /// The newest member that it has told that it knows.
    pub knows: u64,
    /// Its claims are published in this incarnation.
    pub published: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Scope {
    pub incarnation: u64,
    pub claims: BTreeMap<u64, u32>,
}

/// What the server knows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Server {
    /// 0: its memory is empty.
    pub incarnation: u64,
    pub server: String,
    pub fingerprint: u128,
    /// How long its nodes may be silent.
    pub dead: u64,
    pub barrier: bool,
    /// The barrier lasts as long as nodes may be silent, whatever is published.
    pub whole: bool,
    /// When the incarnation began.
    pub begun: u64,
    /// When the last request came.
    pub last: u64,
    /// Nobody is dead before.
    pub hold: u64,
    /// When the dead were last searched for.
    pub searched: u64,
    /// The last session number.
    pub next: u64,
    /// Numbers for whose publication the barrier waits.
    pub expected: BTreeSet<u64>,
    pub members: BTreeMap<u64, Member>,
    pub scopes: BTreeMap<Key, Scope>,
}

/// Of a session; one that JOIN has yet to begin has none.
fn stamp(request: &Request) -> Stamp {
    match request {
        Request::Join(_) => Stamp::default(),
        Request::Publish(stamp, _)
        | Request::Published(stamp)
        | Request::Beat(stamp)
        | Request::Batch { stamp, .. }
        | Request::Leave(stamp) => *stamp,
    }
}

impl Server {
    /// Answers a request that comes at `now`, in ms.
    pub fn run(&mut self, request: &Request, now: u64, times: &Times, rules: &Rules) -> Reply {
        let mut own = *times;
        if rules.keeps_times && self.incarnation != 0 {
            own.dead = self.dead;
        }
        self.watch_the_clock(now, &own, rules);
        if let Request::Join(join) = request {
            return self.join(join, now, (times, own), rules);
        }
        let stamp = stamp(request);
        if let Some(refused) = self.refuse(stamp, rules) {
            return refused;
        }
        let times = &own;
        if let Some(member) = self.members.get_mut(&stamp.number) {
            // A node has two connections: what it said later may come first.
            member.knows = member.knows.max(stamp.knows);
        }
        match request {
            Request::Publish(_, claims) => self.publish(stamp, claims),
            Request::Published(_) => self.published(stamp, now, times, rules),
            Request::Beat(_) => self.beat(stamp, now, times, rules),
            Request::Batch { lowers, forces, takes, .. } => {
                let mut state = Batch { stamp, now, times, rules, full: BTreeSet::new() };
                state.run(self, lowers, forces, takes)
            }
            _ => self.leave(stamp),
        }
    }

    /// The server slept, or its clock was set: nobody is dead only because of that.
    fn watch_the_clock(&mut self, now: u64, times: &Times, rules: &Rules) {
        if self.incarnation == 0 {
            return;
        }
        let back = now < self.last;
        if rules.spares && (back || now - self.last > 3 * times.beat) {
            self.hold = now + times.dead;
        }
        if back {
            self.members.values_mut().for_each(|member| member.heartbeat = now);
            (self.begun, self.searched) = (now, now);
        }
        self.last = now;
    }

    /// Whether it refuses a request of that session.
    pub fn refuses(&self, request: &Request, rules: &Rules) -> bool {
        !matches!(request, Request::Join(_)) && self.refuse(stamp(request), rules).is_some()
    }

    fn refuse(&self, stamp: Stamp, rules: &Rules) -> Option<Reply> {
        if self.incarnation == 0 || rules.fence && stamp.incarnation != self.incarnation {
            return Some(Reply::Rejoin);
        }
        let session = self.members.get(&stamp.number).map(|member| member.session);
        (rules.fence && session != Some(stamp.session)).then_some(Reply::Fenced)
    }

    /// Whether a node may live that has another fingerprint than these.
    pub fn keeps_out(&self, fingerprint: u128, now: u64, dead: u64, rules: &Rules) -> bool {
        if self.incarnation == 0 || self.fingerprint == fingerprint {
            return false;
        }
        let hold = if rules.strangers_wait_after_sleep { self.hold } else { 0 };
        let lives = |member: &Member| now < hold || now.saturating_sub(member.heartbeat) <= dead;
        let comes = !self.expected.is_empty() && now < hold.max(self.begun + dead);
        !rules.strangers_begin
            || rules.strangers_wait && self.members.values().any(lives)
            || rules.strangers_wait_for_expected && comes
    }

    /// `times`: those of the node, and those of the incarnation that it finds.
    fn join(&mut self, join: &Join, now: u64, times: (&Times, Times), rules: &Rules) -> Reply {
        let (of_node, mut times) = times;
        let known_server = self.incarnation != 0 && self.server == join.server;
        if self.keeps_out(join.fingerprint, now, times.dead, rules) {
            return Reply::Differs;
        }
        if !known_server || self.fingerprint != join.fingerprint {
            times = *of_node;
            self.begin(join, now, &times, rules);
        }
        let times = &times;
        let named = |member: &Member| member.name == join.name && member.instance != join.instance;
        let other = self.members.iter().find(|(_, member)| rules.one_instance && named(member));
        if let Some((&number, member)) = other {
            let woke =
                if rules.names_after_sleep { self.hold.saturating_sub(times.dead) } else { 0 };
            if now.saturating_sub(member.heartbeat.max(woke)) * 2 <= 5 * times.beat {
                return Reply::NameTaken;
            }
            self.remove(number, true);
        }
        if self.next == 0 {
            self.next = now * 1000;
        }
        self.next += 1;
        let session = self.next;
        // A JOIN that comes late makes no second record of an instance.
        let own = self.members.iter().find(|(_, member)| member.instance == join.instance);
        let is_void = |number: &u64| {
            join.incarnation == self.incarnation && !self.members.contains_key(number)
        };
        let number = match (own, join.number) {
            (Some((&number, _)), _) => number,
            // Without a record in its incarnation it was given up: what it had claimed is void.
            (None, Some(number)) if !is_void(&number) => number,
            _ => session,
        };
        let published = !rules.waits_for_published;
        let member = self.members.entry(number).or_insert(Member {
            instance: join.instance,
            name: join.name.clone(),
            session,
            since: session,
            heartbeat: now,
            knows: session,
            published,
        });
        (member.session, member.heartbeat) = (session, now);
        if self.barrier {
            let expects = |server: &Self, number| {
                !server.members.get(&number).is_some_and(|member| member.published)
            };
            for number in join.known.iter().copied().chain([number]) {
                if expects(self, number) {
                    self.expected.insert(number);
                }
            }
            self.whole &= join.fresh;
        }
        if !rules.waits_for_published {
            self.expected.remove(&number);
        }
        if !rules.keeps_claims {
            self.scopes.values_mut().for_each(|scope| _ = scope.claims.remove(&number));
        }
        let seen = self.seen(now, times);
        let stamp = Stamp { number, session, incarnation: self.incarnation, knows: seen.newest };
        Reply::Joined { stamp, seen, members: self.list() }
    }

    /// A new incarnation: nothing is known but the names of those that had claims. Those of
    /// another fingerprint cannot come back.
    fn begin(&mut self, join: &Join, now: u64, times: &Times, rules: &Rules) {
        let mut kept: BTreeSet<u64> = self.members.keys().chain(&self.expected).copied().collect();
        if self.fingerprint != join.fingerprint {
            kept.clear();
        }
        *self = Server {
            incarnation: join.next_incarnation,
            server: join.server.clone(),
            fingerprint: join.fingerprint,
            dead: times.dead,
            barrier: rules.barrier,
            whole: join.fresh && kept.is_empty() && rules.fresh_waits,
            begun: now,
            last: now,
            hold: 0,
            searched: now,
            next: self.next,
            expected: if rules.barrier { kept } else { BTreeSet::new() },
            members: BTreeMap::new(),
            scopes: BTreeMap::new(),
        };
    }

    fn publish(&mut self, stamp: Stamp, claims: &[Claim]) -> Reply {
        for claim in claims {
            self.set(claim.key, stamp.number, claim.slots);
        }
        Reply::Set
    }

    fn end_publication(&mut self, number: u64) {
        self.expected.remove(&number);
        if let Some(member) = self.members.get_mut(&number) {
            member.published = true;
        }
    }

    fn published(&mut self, stamp: Stamp, now: u64, times: &Times, rules: &Rules) -> Reply {
        let since = self.members.get(&stamp.number).map_or(0, |member| member.since);
        let unknown =
            |(number, member): (&u64, &Member)| *number != stamp.number && member.knows < since;
        if rules.known_by_all && self.members.iter().any(unknown) {
            self.search(now, times, rules);
            return Reply::Unknown(self.seen(now, times));
        }
        self.end_publication(stamp.number);
        Reply::Member(self.seen(now, times))
    }

    fn beat(&mut self, stamp: Stamp, now: u64, times: &Times, rules: &Rules) -> Reply {
        if let Some(member) = self.members.get_mut(&stamp.number) {
            member.heartbeat = now;
        }
        self.search(now, times, rules);
        Reply::Beaten { seen: self.seen(now, times), members: self.list() }
    }

    fn leave(&mut self, stamp: Stamp) -> Reply {
        self.remove(stamp.number, true);
        Reply::Left
    }

    /// Once a beat.
    fn search(&mut self, now: u64, times: &Times, rules: &Rules) {
        if now - self.searched >= times.beat {
            self.bury(now, times, rules);
        }
    }

    pub fn bury(&mut self, now: u64, times: &Times, rules: &Rules) {
        self.searched = now;
        if now < self.hold {
            return;
        }
        let silent = |member: &Member| now.saturating_sub(member.heartbeat) > times.dead;
        let dead: Vec<u64> =
            self.members.iter().filter(|(_, member)| silent(member)).map(|(n, _)| *n).collect();
        for number in dead {
            self.remove(number, rules.buries_records);
        }
    }

    /// Removes a member, and so all its claims: those of numbers without a record are void.
    fn remove(&mut self, number: u64, record: bool) {
        if record {
            self.members.remove(&number);
        } else {
            self.scopes.values_mut().for_each(|scope| _ = scope.claims.remove(&number));
        }
        self.expected.remove(&number);
    }

    /// What nodes are told. Ends the barrier when its time has come.
    fn seen(&mut self, now: u64, times: &Times) -> Seen {
        if self.barrier {
            if now >= self.hold.max(self.begun + times.dead) {
                // Nobody that never came is still alive, as far as this server goes.
                let members = &self.members;
                self.expected.retain(|number| members.contains_key(number));
                self.whole = false;
            }
            self.barrier = self.whole || !self.expected.is_empty();
        }
        let newest = self.members.values().map(|member| member.since).max();
        Seen { barrier: self.barrier, newest: newest.unwrap_or(0) }
    }

    fn list(&self) -> Vec<u64> {
        let numbers: BTreeSet<u64> = self.members.keys().chain(&self.expected).copied().collect();
        numbers.into_iter().collect()
    }

    fn scope(&mut self, key: Key) -> &mut Scope {
        let incarnation = self.incarnation;
        let scope = self.scopes.entry(key).or_default();
        if scope.incarnation != incarnation {
            scope.incarnation = incarnation;
            scope.claims.clear();
        }
        scope
    }

    pub fn claim(&self, key: Key, number: u64) -> u32 {
        let scope = self.scopes.get(&key).filter(|scope| scope.incarnation == self.incarnation);
        scope.and_then(|scope| scope.claims.get(&number)).copied().unwrap_or(0)
    }

    /// A scope without claims is not there.
    fn set(&mut self, key: Key, number: u64, slots: u32) {
        let scope = self.scope(key);
        scope.claims.insert(number, slots);
        scope.claims.retain(|_, slots| *slots > 0);
        if scope.claims.is_empty() {
            self.scopes.remove(&key);
        }
    }

    /// The claims of all in a scope.
    pub fn total(&self, key: Key) -> u32 {
        let scope = self.scopes.get(&key).filter(|scope| scope.incarnation == self.incarnation);
        scope.map_or(0, |scope| scope.claims.values().sum())
    }

    /// Removes claims of numbers without a record.
    fn purge(&mut self, key: Key) {
        let members = &self.members;
        if let Some(scope) = self.scopes.get_mut(&key) {
            scope.claims.retain(|number, _| members.contains_key(number));
            if scope.claims.is_empty() {
                self.scopes.remove(&key);
            }
        }
    }
}

struct Batch<'a> {
    stamp: Stamp,
    now: u64,
    times: &'a Times,
    rules: &'a Rules,
    /// Scopes that were full stay full within the batch.
    full: BTreeSet<Key>,
}

impl Batch<'_> {
    fn run(
        &mut self,
        server: &mut Server,
        lowers: &[Claim],
        forces: &[Claim],
        takes: &[Group],
    ) -> Reply {
        let number = self.stamp.number;
        let mut claims = Vec::new();
        let mut change = |server: &mut Server, rules: &Rules| {
            for claim in lowers {
                let slots = server.claim(claim.key, number).min(claim.slots);
                server.set(claim.key, number, slots);
                claims.push(slots);
            }
            for claim in forces {
                let old = if rules.force_raises { server.claim(claim.key, number) } else { 0 };
                server.set(claim.key, number, old.max(claim.slots));
                claims.push(old.max(claim.slots));
            }
        };
        if self.rules.lowers_first {
            change(server, self.rules);
        }
        let barrier = server.seen(self.now, self.times).barrier;
        let takes = takes.iter().map(|group| self.take(server, group, barrier)).collect();
        if !self.rules.lowers_first {
            change(server, self.rules);
        }
        Reply::Batch { seen: server.seen(self.now, self.times), claims, takes }
    }

    fn take(&mut self, server: &mut Server, group: &Group, barrier: bool) -> Take {
        if barrier {
            return Take::Busy;
        }
        let full = group.lacks.iter().position(|claim| self.is_full(server, claim));
        let number = self.stamp.number;
        let mut raise = |claims: &[Claim]| {
            let one_more = |claim: &Claim| {
                let slots = server.claim(claim.key, number) + 1;
                server.set(claim.key, number, slots);
                slots
            };
            claims.iter().map(one_more).collect()
        };
        let Some(place) = full else { return Take::Granted(raise(&group.lacks)) };
        if !self.rules.all_or_none {
            let _: Vec<u32> = raise(&group.lacks[..place]);
        }
        Take::Full { place: place as u32, total: server.total(group.lacks[place].key) }
    }

    fn is_full(&mut self, server: &mut Server, claim: &Claim) -> bool {
        if server.total(claim.key) < claim.slots {
            return false;
        }
        if self.full.insert(claim.key) {
            server.search(self.now, self.times, self.rules);
            server.purge(claim.key);
        }
        server.total(claim.key) >= claim.slots
    }
}
