//! Limits that are shared with other nodes: calls that lack a slot wait until the broker has
//! asked for it.

use std::collections::BTreeSet;
use std::io;

use super::Call;
use super::ledger::Ledger;
use super::limit::{Bound, Enforcement, Limit, Wanted};
use super::outcome::{Outcome, Taken};
use super::plan::Attempt;
use super::scope::{Direction, Few, Scope, ScopeKind};
use super::scopes::{Locks, Scopes, key_of, link};
use super::shares::{Shared, Shares, place_of};
use super::take::limits_added;
use super::waiting::{WAITED, Waited, Waiting};
use crate::cluster::{self, Books, Counts, Keys, PLACES, Part, parts};
use crate::shm::{Bell, Locked};

impl Ledger {
    /// Shares limits with other nodes; before the first call, and before the host forks.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn share(&mut self, keys: Keys, bell: &'static Bell) -> io::Result<()> {
        self.scopes.shares = Some(Shares::new(self.scopes.pool.capacity(), keys, bell)?);
        Ok(())
    }

    /// The operator's word of a kind; before the first call that has it.
    pub fn name_kind(&self, kind: ScopeKind, word: &[u8]) {
        if let Some(shares) = &self.scopes.shares {
            shares.name_kind(kind, word);
        }
    }

    /// As [`Ledger::take`], but limits of live calls are those of all nodes: the outcome may
    /// be [`Outcome::Ask`], and then the call waits.
    pub fn take_shared(
        &self,
        call: &Call<'_>,
        wanted: &[Wanted<'_>],
        enforcement: Enforcement,
        waiting: &mut Waiting,
    ) -> Taken {
        let mut taken = Taken::nothing(Outcome::Full);
        self.take_or_wait(&mut taken, call, wanted, enforcement, Some(waiting));
        taken
    }

    /// The call waits no more, counted or not.
    pub fn stop_waiting(&self, waiting: &Waiting) {
        if waiting.places.as_slice().is_empty() {
            return;
        }
        // As for each change of a call: with all dialogs locked, calls are counted anew.
        let _chain = self.dialogs.lock(self.bucket_of(waiting.dialog));
        for of in waiting.places.iter() {
            let key = self.scopes.key_at(of.position).unwrap_or_default();
            let locks: Locks<1> = self.scopes.lock([key].into_iter());
            self.leave_place(&locks, of);
        }
    }

    fn leave_place<const N: usize>(&self, locks: &Locks<N>, of: &Waited) {
        if let Some(shared) = self.scopes.shared_at(of.position) {
            let mut counts = shared.counts(of.key.place());
            let marked = counts.marked;
            counts.leave();
            // Where nothing is idle there is nothing to do for the broker.
            counts.marked = marked || counts.granted > counts.calls.saturating_add(counts.waiting);
            shared.keep(of.key.place(), counts);
        }
        self.scopes.leave(locks, std::iter::once(of.position));
    }

    /// Whether the call has to wait, or its attempt ends here otherwise. All its scopes are
    /// locked.
    #[cold]
    #[inline(never)]
    pub(super) fn must_wait<const N: usize>(
        &self,
        locks: &Locks<N>,
        attempt: &mut Attempt<'_, N>,
        taken: &mut Taken,
    ) -> bool {
        if !self.lacks(attempt) {
            return false;
        }
        // Who asks again has what it refers to.
        let trusted =
            attempt.waiting.as_ref().is_some_and(|w| w.trusted && w.places.iter().len() == 0);
        let fits = !trusted || self.wait_in(locks, attempt);
        taken.outcome = if fits { Outcome::Ask } else { Outcome::ScopesFull };
        true
    }

    fn lacks<const N: usize>(&self, attempt: &Attempt<'_, N>) -> bool {
        let trusted = attempt.waiting.as_ref().is_some_and(|waiting| waiting.trusted);
        let covers = |(place, of): &(usize, Option<u32>)| {
            let shared = of.and_then(|position| self.scopes.shared_at(position));
            shared.is_some_and(|shared| shared.counts(*place).covers_one_more())
        };
        let mut asked = asked(attempt).map(|(of, position)| (of.key.place(), position));
        asked.any(|place| !trusted || !covers(&place))
    }

    /// Refers to all scopes that are asked for, with new records where there are none. False
    /// if there is no room.
    fn wait_in<const N: usize>(&self, locks: &Locks<N>, attempt: &mut Attempt<'_, N>) -> bool {
        let mut places = Few::<Waited, WAITED>::new();
        for (of, _) in asked(attempt) {
            places.push(of);
        }
        let mut done = Few::<Waited, WAITED>::new();
        for of in places.iter() {
            let Some(position) = self.refer_or_link(locks, attempt, usize::from(of.at)) else {
                done.iter().for_each(|of| self.leave_place(locks, of));
                return false;
            };
            if let Some(shared) = self.scopes.shared_at(position) {
                let mut counts = shared.counts(of.key.place());
                counts.wait();
                shared.keep(of.key.place(), counts);
            }
            done.push(Waited { position, ..*of });
        }
        if let Some(waiting) = &mut attempt.waiting {
            (waiting.dialog, waiting.places) = (attempt.call.dialog, done);
        }
        true
    }

    fn refer_or_link<const N: usize>(
        &self,
        locks: &Locks<N>,
        attempt: &mut Attempt<'_, N>,
        at: usize,
    ) -> Option<u32> {
        let (want, key) = (attempt.wanted.get(at)?, attempt.parts.as_slice().get(at)?.key);
        let position = match self.scopes.find(locks, key) {
            Some(position) => {
                self.scopes.refer(position);
                position
            }
            None => {
                let mut place = [0];
                let named = u32::from(want.scope.kind.is_named_by_script());
                let [position] = self.scopes.reserve(&mut place, named).then_some(place)?;
                self.scopes.link(locks, position, key, &want.scope);
                position
            }
        };
        self.scopes.share_limits(position, want);
        Some(position)
    }

    /// The limits of all scopes may have changed: tells which are shared. `limits` says those
    /// of a kind and id in the order of directions, or that it does not know.
    pub fn revise_shared(&self, limits: impl Fn(ScopeKind, &[u8]) -> Option<[Limit; 3]>) {
        if self.scopes.shares.is_none() {
            return;
        }
        for position in 0..self.scopes.positions() {
            self.scopes.with_shared(position, |shared| {
                let kind = self.scopes.kind_at(position)?;
                let (name, length) = self.scopes.kept_name(position);
                let limits = limits(kind, name.get(..length)?)?;
                for (direction, limit) in Direction::ALL.into_iter().zip(&limits) {
                    shared.limit(direction, limit);
                }
                Some(())
            });
        }
    }

    /// The key by which nodes share the calls of a scope in a direction.
    pub fn shared_key(&self, kind: ScopeKind, id: &[u8], direction: Direction) -> cluster::Key {
        let hash = self.scope_hash(kind, id);
        cluster::Key::new(hash, place_of(direction, Part::All))
    }

    /// The slots that a new call would need.
    pub fn would_ask(&self, wanted: &[Wanted<'_>], emergency: bool) -> Vec<Needed> {
        let enforcement = if emergency { Enforcement::Reserved } else { Enforcement::Full };
        let all = wanted.iter().enumerate().filter(|(_, want)| want.counts);
        let limits = all.flat_map(|(at, want)| {
            let hash = self.scope_hash(want.scope.kind, want.scope.id);
            want.limits().map(move |(direction, limit)| (at, hash, direction, limit))
        });
        let held = limits.filter(|(.., limit)| enforcement.asks(limit));
        let needed = held.flat_map(|(at, hash, direction, limit)| {
            parts(limit.calls, limit.reserved, emergency).map(move |(part, limit)| {
                let key = cluster::Key::new(hash, place_of(direction, part));
                let bound = if part == Part::All { Bound::Calls } else { Bound::Unreserved };
                Needed { at, direction, bound, key, limit }
            })
        });
        needed.collect()
    }

    /// What all nodes have of a scope in any direction, as last heard, and what this one may
    /// have.
    pub fn shared_calls(&self, kind: ScopeKind, id: &[u8]) -> Option<(u32, u32)> {
        let place = place_of(Direction::Any, Part::All);
        let told = |at| {
            let shared = self.scopes.shared_at(at)?;
            Some((shared.heard(), shared.counts(place).granted))
        };
        self.scopes.with(&Scope { kind, id }, told).flatten()
    }

    /// What the server said of all nodes' calls.
    pub fn hear(&self, key: cluster::Key, total: u32) {
        if key.place() == place_of(Direction::Any, Part::All) {
            self.scopes.find_shared(key, |shared| {
                if let Some(shared) = shared {
                    shared.hear(total);
                }
            });
        }
    }
}

/// A slot that a call needs of those that nodes share.
pub struct Needed {
    /// Position of the scope in what was wanted.
    pub at: usize,
    /// The calls that the limit is for.
    pub direction: Direction,
    /// All of its slots, or those that are not reserved.
    pub bound: Bound,
    /// By which nodes share them.
    pub key: cluster::Key,
    /// Slots there are.
    pub limit: u32,
}

/// The places that a call is admitted to only with a slot, with their records.
fn asked<'a, const N: usize>(
    attempt: &'a Attempt<'_, N>,
) -> impl Iterator<Item = (Waited, Option<u32>)> + use<'a, N> {
    attempt.changes().flat_map(move |(at, want, part)| {
        let limits = limits_added(want, part);
        let limits = limits.filter(|(_, limit)| attempt.enforcement.asks(limit));
        limits.flat_map(move |(direction, limit)| {
            let parts = parts(limit.calls, limit.reserved, attempt.emergency);
            parts.map(move |(which, slots)| {
                let key = cluster::Key::new(part.key.hash(), place_of(direction, which));
                let waited = Waited { key, limit: slots, position: 0, at: at as u8 };
                (waited, part.position())
            })
        })
    })
}

impl Scopes {
    /// What is shared of the scope at a position, whose lock the caller has.
    pub fn shared_at(&self, position: u32) -> Option<Shared<'_>> {
        let shares = self.shares.as_ref()?;
        let record = self.pool.get(position)?;
        shares.of(position, record, key_of(record).hash())
    }

    /// The limits of a call's scope, whose lock the caller has.
    pub fn share_limits(&self, position: u32, want: &Wanted<'_>) {
        let Some(shared) = self.shared_at(position) else { return };
        // Restored calls do not say theirs.
        let unsaid = want.scope.kind == ScopeKind::ROADWARRIOR && want.limit.calls == 0;
        if !want.counts || unsaid {
            return;
        }
        shared.limit(Direction::Any, &want.limit);
        if want.direction != Direction::Any {
            shared.limit(want.direction, &want.directed);
        }
    }

    /// What `f` says of the scope in a record under its lock, None if there is none.
    fn with_shared<R>(&self, position: u32, f: impl FnOnce(Shared<'_>) -> Option<R>) -> Option<R> {
        let key = self.key_at(position)?;
        let locks = self.lock::<1>([key].into_iter());
        let found = self.find(&locks, key)? == position;
        self.shared_at(position).filter(|_| found).and_then(f)
    }

    /// The same for the scope with a key of the cluster's.
    fn find_shared<R>(&self, key: cluster::Key, f: impl FnOnce(Option<Shared<'_>>) -> R) -> R {
        let locked = self.buckets.lock(self.buckets.of((key.0 >> 64) as u64));
        let mut next = locked.as_ref().and_then(Locked::first);
        let mut found = None;
        while let Some((position, record)) = next.and_then(|at| Some((at, self.pool.get(at)?))) {
            if key.is_of(key_of(record).hash()) {
                found = self.shared_at(position);
                break;
            }
            next = link(record);
        }
        f(found)
    }
}

impl Books for &Ledger {
    fn with<R>(&mut self, key: cluster::Key, change: impl FnOnce(&mut Counts) -> R) -> R {
        let place = key.place();
        self.scopes.find_shared(key, |shared| {
            let mut counts = shared.map(|shared| shared.counts(place)).unwrap_or_default();
            let result = change(&mut counts);
            if let Some(shared) = shared {
                shared.keep(place, counts);
            }
            result
        })
    }

    fn marked(&mut self, into: &mut BTreeSet<cluster::Key>) -> bool {
        let shares = self.scopes.shares.as_ref();
        shares.is_none_or(|shares| shares.marked(|key| into.extend([key])))
    }

    fn all(&self) -> Vec<cluster::Key> {
        let mut keys = Vec::new();
        for position in 0..self.scopes.positions() {
            self.scopes.with_shared(position, |shared| {
                let used = (0..PLACES).filter(|place| shared.is_used(*place));
                keys.extend(used.map(|place| shared.key(place)));
                Some(())
            });
        }
        keys
    }
}
