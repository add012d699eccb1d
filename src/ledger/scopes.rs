//! The records of scopes: found by kind and id, counted under the lock of their bucket.

use std::io;

use siphasher::sip128::SipHasher13;

use super::info::ScopeInfo;
use super::lease::Slot;
use super::limit::{Calls, Wanted};
use super::record::{COUNTS, Change, Count, KEPT_ID, NAME, REFS, WORDS, halves, word_of};
use super::scope::{Direction, Few, Scope, ScopeKey, ScopeKind};
use super::shares::Shares;
use crate::cluster::Part;
use crate::shm::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use crate::shm::{Area, Buckets, LockedSet, Pool, Record, words_of};

const UPPER: u64 = !0xffff_ffff;

/// All scopes that leases refer to, and those whose rates remember calls that are over.
pub(super) struct Scopes {
    pub(super) pool: Pool<WORDS>,
    pub(super) buckets: Buckets,
    seed: [u64; 2],
    /// Records to which no lease refers.
    pub(super) idle: &'static AtomicU32,
    /// Records whose ids the script names.
    pub(super) named: &'static AtomicU32,
    /// As many of them as fit: the others are left for brands, companies and roadwarriors.
    named_room: u32,
    /// Where the next sweep begins.
    cursor: &'static AtomicU32,
    /// Counts that would have gone below zero.
    miscounted: &'static AtomicU64,
    /// None: no limit is shared with other nodes.
    pub(super) shares: Option<Shares>,
}

/// Whether there is a rate for a kind and id.
pub(super) type HasRate<'a> = &'a dyn Fn(ScopeKind, &[u8]) -> bool;

/// Locked buckets of scopes.
pub(super) type Locks<const N: usize> = LockedSet<N>;

impl Scopes {
    /// `seed` is the same in all processes. Of the room for `capacity` scopes, `kept` is
    /// left for those whose ids come from the tables.
    pub fn new(capacity: usize, kept: usize, seed: [u64; 2]) -> io::Result<Self> {
        let [idle, named, cursor] = Area::share_slice::<AtomicU32>(3)? else {
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        let miscounted = Area::share_slice(1)?.first().ok_or(io::ErrorKind::OutOfMemory)?;
        let named_room = u32::try_from(capacity.saturating_sub(kept)).unwrap_or(u32::MAX);
        let (pool, buckets) = (Pool::new(capacity)?, Buckets::new(capacity)?);
        let shares = None;
        Ok(Scopes { pool, buckets, seed, idle, named, named_room, cursor, miscounted, shares })
    }

    pub fn key(&self, scope: &Scope<'_>) -> ScopeKey {
        let kind = scope.kind.number() as u64;
        let [one, other] = match &self.shares {
            None => [self.seed[0] ^ kind, self.seed[1]],
            Some(shares) => shares.seed(scope.kind),
        };
        let hash = SipHasher13::new_with_keys(one, other).hash(scope.id);
        ScopeKey(hash.h1, hash.h2)
    }

    /// The key of a scope that a call shall count against.
    #[inline(always)]
    pub fn key_for(&self, want: &Wanted<'_>) -> ScopeKey {
        debug_assert!(want.key.is_none_or(|key| key == self.key(&want.scope)));
        want.key.unwrap_or_else(|| self.key(&want.scope))
    }

    /// Locks the buckets of the keys.
    pub fn lock<const N: usize>(&self, keys: impl Iterator<Item = ScopeKey>) -> Locks<N> {
        self.buckets.lock_all(keys.map(|key| self.bucket_of(key)))
    }

    pub fn bucket_of(&self, key: ScopeKey) -> u32 {
        self.buckets.of(key.0)
    }

    /// The scope with this key; its bucket is among `locks`.
    pub fn find<const N: usize>(&self, locks: &Locks<N>, key: ScopeKey) -> Option<u32> {
        let mut next = locks.first(self.bucket_of(key));
        while let Some(position) = next {
            let record = self.pool.get(position)?;
            if key_of(record) == key {
                return Some(position);
            }
            next = link(record);
        }
        None
    }

    /// Records for scopes that are not there, of which the script names so many: one for each
    /// place, or none and false if there is no room. They are linked.
    pub fn reserve(&self, places: &mut [u32], named: u32) -> bool {
        if named > 0 {
            let more = |count: u32| count.checked_add(named).filter(|all| *all <= self.named_room);
            if self.named.fetch_update(Relaxed, Relaxed, more).is_err() {
                return false;
            }
        }
        let taken = self.pool.take_all(places);
        if !taken && named > 0 {
            self.named.fetch_sub(named, Relaxed);
        }
        taken
    }

    /// Gives records back that are not linked, of which the script names so many.
    fn give_back(&self, positions: &[u32], named: u32) {
        if named > 0 {
            self.named.fetch_sub(named, Relaxed);
        }
        self.pool.give_all(positions);
    }

    /// Makes a reserved record that of a scope to which one lease refers. Its bucket is
    /// among `locks`.
    pub fn link<const N: usize>(
        &self,
        locks: &Locks<N>,
        position: u32,
        key: ScopeKey,
        scope: &Scope<'_>,
    ) {
        let Some(record) = self.pool.get(position) else { return };
        let bucket = self.bucket_of(key);
        let first = locks.first(bucket).map_or(0, |p| u64::from(p) + 1);
        // 33 says that the id is longer than what is kept.
        let length = scope.id.len().min(KEPT_ID + 1) as u64;
        let kind = scope.kind.number() as u64;
        record[0].store(first | kind << 32 | length << 40, Relaxed);
        record[1].store(key.0, Relaxed);
        record[2].store(key.1, Relaxed);
        record.iter().skip(COUNTS).take(NAME - COUNTS).for_each(|word| word.store(0, Relaxed));
        let name: [u64; KEPT_ID / 8] = words_of(scope.id);
        record.iter().skip(NAME).zip(name).for_each(|(to, word)| to.store(word, Relaxed));
        record[REFS].store(1, Relaxed);
        if let Some(shared) = self.shared_at(position) {
            shared.begin();
        }
        locks.set_first(bucket, Some(position));
    }

    /// Changes the calls of a scope, and what they are, in all directions that `slot` names.
    /// Its bucket is among the locked ones.
    pub fn count(&self, slot: &Slot, by: Change) {
        let Some(record) = self.pool.get(slot.position) else { return };
        let change = |direction: Direction, word: &AtomicU64| {
            if slot.counts.has(direction) {
                let before = word.load(Relaxed);
                let after = by.of_word(before).unwrap_or_else(|| self.bounded(before, by));
                word.store(after, Relaxed);
            }
        };
        // One by one: a loop over three costs more than what it does.
        change(Direction::Any, &record[COUNTS]);
        change(Direction::In, &record[COUNTS + 1]);
        change(Direction::Out, &record[COUNTS + 2]);
        if self.shares.is_some() {
            self.share_changes(slot, by);
        }
    }

    /// A word after a change that takes out what is not in it.
    #[cold]
    fn bounded(&self, word: u64, by: Change) -> u64 {
        let Count { calls, emergencies, ringing } = Count::of(word);
        let [of_calls, of_emergencies, of_ringing] = by.numbers();
        let calls = self.changed(calls, of_calls);
        let emergencies = self.changed(emergencies, of_emergencies);
        Count { calls, emergencies, ringing: self.changed(ringing, of_ringing) }.word()
    }

    #[cold]
    fn share_changes(&self, slot: &Slot, by: Change) {
        let Some(shared) = self.shared_at(slot.position) else { return };
        for direction in Direction::ALL.into_iter().filter(|of| slot.counts.has(*of)) {
            shared.changed(direction, [by.of(Part::All), by.of(Part::Others)]);
        }
    }

    /// A count after a change. One that would go below zero stays there, and is counted:
    /// in silence it would hide that calls are taken out twice.
    fn changed(&self, count: u32, by: i32) -> u32 {
        count.checked_add_signed(by).unwrap_or_else(|| {
            self.miscounted.fetch_add(1, Relaxed);
            count.saturating_add_signed(by)
        })
    }

    pub fn miscounted(&self) -> u64 {
        self.miscounted.load(Relaxed)
    }

    /// One more lease refers to a scope. Its bucket is among the locked ones.
    pub fn refer(&self, position: u32) {
        let Some(record) = self.pool.get(position) else { return };
        let (refs, until) = halves(record[REFS].load(Relaxed));
        if refs == 0 {
            self.idle.fetch_sub(1, Relaxed);
        }
        record[REFS].store(word_of(self.changed(refs, 1), until), Relaxed);
    }

    /// One lease less refers to each of some scopes. Their buckets are among `locks`. A scope to
    /// which none refers goes, at once or when its rates have forgotten its calls.
    pub fn leave<const N: usize>(&self, locks: &Locks<N>, positions: impl Iterator<Item = u32>) {
        let (mut gone, mut named, mut idle) = (Few::<u32, N>::new(), 0, 0);
        for position in positions {
            let Some(record) = self.pool.get(position) else { continue };
            let (refs, until) = halves(record[REFS].load(Relaxed));
            let refs = self.changed(refs, -1);
            record[REFS].store(word_of(refs, until), Relaxed);
            match (refs, until) {
                (0, 0) => {
                    named += self.unlink(locks, position, record);
                    gone.push(position);
                }
                (0, _) => idle += 1,
                _ => {}
            }
        }
        if idle > 0 {
            self.idle.fetch_add(idle, Relaxed);
        }
        self.give_back(gone.as_slice(), named);
    }

    /// The rates of a scope remember a call until a time in s; after `now` they have
    /// forgotten all before. Its bucket is among the locked ones.
    pub fn remember_until(&self, position: u32, now: u32, until: u32) {
        let Some(record) = self.pool.get(position) else { return };
        let (refs, before) = halves(record[REFS].load(Relaxed));
        let before = if before <= now { 0 } else { before };
        record[REFS].store(word_of(refs, before.max(until)), Relaxed);
    }

    /// Looks at the next `budget` records, and removes those that no lease refers to and
    /// whose rates have forgotten their calls at `now`, in s, or are none any more. The caller
    /// has locked no scope. How many were removed.
    pub fn sweep(&self, budget: u32, now: u32, has_rate: HasRate<'_>) -> u32 {
        let used = self.pool.used_up_to();
        if used == 0 || self.idle.load(Relaxed) == 0 {
            return 0;
        }
        let budget = budget.min(used);
        let first = self.cursor.fetch_add(budget, Relaxed);
        let is_over = |at: u32, until: u32| until <= now || !self.has_rate(at, has_rate);
        let removed = |n: &u32| self.remove_idle(first.wrapping_add(*n) % used, is_over);
        (0..budget).filter(removed).count() as u32
    }

    /// Removes a record that only a rate keeps, if that is over by what `is_over` says of its
    /// position and the time until which it remembers.
    fn remove_idle(&self, position: u32, is_over: impl Fn(u32, u32) -> bool) -> bool {
        let Some(record) = self.pool.get(position) else { return false };
        let goes = || idle_until(record).is_some_and(|until| is_over(position, until));
        // Without the lock this only tells where it is worth to look.
        if !goes() {
            return false;
        }
        let key = key_of(record);
        let locks = self.lock::<1>([key].into_iter());
        let goes = self.find(&locks, key) == Some(position) && goes();
        if goes {
            self.idle.fetch_sub(1, Relaxed);
            self.remove(&locks, position, record);
        }
        goes
    }

    /// Whether there is a rate for the scope at a position; true if that cannot be told.
    fn has_rate(&self, position: u32, has_rate: HasRate<'_>) -> bool {
        let Some(kind) = self.kind_at(position) else { return true };
        let (id, length) = self.kept_name(position);
        id.get(..length).is_none_or(|id| has_rate(kind, id))
    }

    /// Frees a record without leases. Its bucket is among `locks`.
    pub(super) fn remove<const N: usize>(
        &self,
        locks: &Locks<N>,
        position: u32,
        record: &Record<WORDS>,
    ) {
        let named = self.unlink(locks, position, record);
        self.give_back(&[position], named);
    }

    /// Takes a record without leases out of its chain. How many the script names: it, or none.
    fn unlink<const N: usize>(
        &self,
        locks: &Locks<N>,
        position: u32,
        record: &Record<WORDS>,
    ) -> u32 {
        let bucket = self.bucket_of(key_of(record));
        let after = link(record);
        let mut next = locks.first(bucket);
        if next == Some(position) {
            locks.set_first(bucket, after);
        } else {
            while let Some(previous) = next.and_then(|p| self.pool.get(p)) {
                next = link(previous);
                if next == Some(position) {
                    set_link(previous, after);
                    break;
                }
            }
        }
        // So that a sweep that still looks at it sees no scope.
        record[REFS].store(0, Relaxed);
        u32::from(kind_of(record).is_some_and(ScopeKind::is_named_by_script))
    }

    pub fn record(&self, position: u32) -> Option<&'static Record<WORDS>> {
        self.pool.get(position)
    }

    pub fn key_at(&self, position: u32) -> Option<ScopeKey> {
        self.pool.get(position).map(key_of)
    }

    /// The kind of the scope at a position. The caller holds a lease that refers to it.
    pub fn kind_at(&self, position: u32) -> Option<ScopeKind> {
        self.pool.get(position).and_then(kind_of)
    }

    /// Live calls of the scope at a position.
    pub fn calls_at(&self, position: u32) -> Calls {
        self.pool.get(position).map(calls_in).unwrap_or_default()
    }

    /// Live calls of a direction.
    pub fn counted_at(&self, position: u32, direction: Direction) -> Count {
        let word = self.pool.get(position).and_then(|r| r.get(COUNTS + direction as usize));
        word.map_or(Count::default(), |word| Count::of(word.load(Relaxed)))
    }

    /// What `f` says of the scope under its lock, None if it is not there.
    pub fn with<R>(&self, scope: &Scope<'_>, f: impl FnOnce(u32) -> R) -> Option<R> {
        let key = self.key(scope);
        let locks = self.lock::<1>([key].into_iter());
        self.find(&locks, key).map(f)
    }

    /// The id of the scope at a position, with `...` behind it if it is cut. The
    /// caller holds a lease that refers to it, or its lock.
    pub fn name_at(&self, position: u32) -> Vec<u8> {
        let (name, length) = self.kept_name(position);
        match name.get(..length) {
            Some(whole) => whole.to_vec(),
            None => [&name[..], b"..."].concat(),
        }
    }

    /// What is kept of the id of the scope at a position, and its length, if that is not
    /// more.
    pub(super) fn kept_name(&self, position: u32) -> ([u8; KEPT_ID], usize) {
        let mut name = [0; KEPT_ID];
        let Some(record) = self.pool.get(position) else { return (name, 0) };
        let length = (record[0].load(Relaxed) >> 40 & 0xff) as usize;
        for (to, word) in name.chunks_exact_mut(8).zip(record.iter().skip(NAME)) {
            to.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
        }
        (name, length)
    }

    /// The scope in a record, if there is one with leases.
    pub fn at(&self, position: u32) -> Option<ScopeInfo> {
        let key = self.key_at(position)?;
        let locks = self.lock::<1>([key].into_iter());
        let found = self.find(&locks, key)? == position;
        let (refs, _) = halves(self.pool.get(position)?[REFS].load(Relaxed));
        let (kind, is_cut) = (self.kind_at(position)?, self.kept_name(position).1 > KEPT_ID);
        let (id, calls) = (self.name_at(position), self.calls_at(position));
        (found && refs > 0).then(|| ScopeInfo { kind, id, is_cut, hash: key.hash(), calls })
    }

    /// Records below this position have been used.
    pub fn positions(&self) -> u32 {
        self.pool.used_up_to()
    }

    /// Scopes that leases refer to, and those that only remember.
    pub fn in_use(&self) -> (u32, u32) {
        let idle = self.idle.load(Relaxed);
        (self.pool.live().saturating_sub(idle), idle)
    }

    /// Bytes of address space.
    pub fn bytes(&self) -> usize {
        let shares = self.shares.as_ref().map_or(0, Shares::bytes);
        self.buckets.bytes() + self.pool.capacity() * size_of::<Record<WORDS>>() + shares
    }
}

fn calls_in(record: &Record<WORDS>) -> Calls {
    let of = |word: &AtomicU64| Count::of(word.load(Relaxed));
    let Count { calls: any, emergencies, .. } = of(&record[COUNTS]);
    let (inbound, outbound) = (of(&record[COUNTS + 1]).calls, of(&record[COUNTS + 2]).calls);
    Calls { any, inbound, outbound, emergencies }
}

pub(super) fn key_of(record: &Record<WORDS>) -> ScopeKey {
    ScopeKey(record[1].load(Relaxed), record[2].load(Relaxed))
}

pub(super) fn kind_of(record: &Record<WORDS>) -> Option<ScopeKind> {
    ScopeKind::of((record[0].load(Relaxed) >> 32 & 0xff) as usize)
}

pub(super) fn link(record: &Record<WORDS>) -> Option<u32> {
    (record[0].load(Relaxed) as u32).checked_sub(1)
}

fn set_link(record: &Record<WORDS>, next: Option<u32>) {
    let kept = record[0].load(Relaxed) & UPPER;
    record[0].store(kept | next.map_or(0, |p| u64::from(p) + 1), Relaxed);
}

/// Until when a record that only a rate keeps remembers; None: calls keep it, or it is free.
fn idle_until(record: &Record<WORDS>) -> Option<u32> {
    let (refs, until) = halves(record[REFS].load(Relaxed));
    Some(until).filter(|until| refs == 0 && *until != 0)
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::ledger::lease::Directions;

    #[test]
    fn a_count_that_would_go_below_zero_is_counted() {
        let scopes = Scopes::new(4, 0, [1, 2]).unwrap();
        let scope = Scope { kind: ScopeKind::COMPANY, id: b"c" };
        let key = scopes.key(&scope);
        let locks = scopes.lock::<1>([key].into_iter());
        let mut place = [9];
        assert!(scopes.reserve(&mut place, 0));
        let [position] = place;
        scopes.link(&locks, position, key, &scope);
        let slot = Slot { position, counts: Directions::of(Direction::Any) };
        scopes.count(&slot, Change::one_more(false, true));
        scopes.count(&slot, Change::ANSWERED);
        scopes.count(&slot, Change::one_less(false, false));
        assert_eq!(scopes.miscounted(), 0);
        scopes.count(&slot, Change::one_less(false, false));
        assert_eq!((scopes.miscounted(), scopes.calls_at(position).any), (1, 0));
        scopes.count(&slot, Change::one_more(true, false));
        scopes.count(&slot, Change::ANSWERED);
        let count = Count { calls: 1, emergencies: 1, ringing: 0 };
        assert_eq!(scopes.counted_at(position, Direction::Any), count);
        assert_eq!(scopes.miscounted(), 2);
    }
}
