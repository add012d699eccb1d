//! The ledger itself: taking, releasing, listing.

use std::io;

use super::lease::{Lease, LeaseInfo, LeaseRef, WORDS};
use super::scope::{Key, LockedScopes, Scope, ScopeKind, Scopes};
use super::{Call, DialogId};
use crate::shm::atomic::{AtomicU64, Ordering::Relaxed};
use crate::shm::{Area, Buckets, Locked, Pool, Record};

/// All leases and scopes, in shared memory.
pub struct Ledger {
    leases: Pool<WORDS>,
    dialogs: Buckets,
    scopes: Scopes,
    /// Leases that count. A lease is changed under the lock of its dialog's bucket, so
    /// each of its changes is counted once.
    live: &'static AtomicU64,
    seed: u64,
}

/// A scope that a call shall count against.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The scope.
    pub scope: Scope<'a>,
    /// Live calls that it admits; 0 is off.
    pub limit: u32,
    /// Whether the call counts against it. A company may be named only for whom a
    /// call is shown: then no limit holds, and nothing is counted.
    pub counts: bool,
}

/// How an attempt to count a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It counts in all wanted scopes now.
    Counted,
    /// It counted already; nothing has changed.
    Held,
    /// It counts for another company or user already; nothing has changed.
    HeldByOther,
    /// Another INVITE with the same Call-ID and From tag counts; nothing has
    /// changed.
    Duplicate,
    /// This scope has reached its limit; nothing has changed.
    Refused(ScopeKind),
    /// No room for another call; nothing has changed.
    Full,
}

/// An outcome, and the live calls of the wanted scopes right then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// How it ended.
    pub outcome: Outcome,
    /// Live calls in the order of [`ScopeKind::ALL`], for the wanted scopes.
    pub counts: [Option<u32>; ScopeKind::COUNT],
}

/// Sizes and use.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Leases that fit.
    pub capacity: usize,
    /// Leases there are, released ones that wait for their dialog too.
    pub leases: u32,
    /// Scopes that leases refer to.
    pub scopes: u32,
    /// Bytes of address space; only what was used takes memory.
    pub bytes: usize,
}

type Scoped<T> = [Option<T>; ScopeKind::COUNT];

impl Ledger {
    /// Maps a ledger for `capacity` calls. `seed` keys its hashes.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new(capacity: usize, seed: [u64; 2]) -> io::Result<Self> {
        Ok(Ledger {
            leases: Pool::new(capacity)?,
            dialogs: Buckets::new(capacity)?,
            // Every call may have three scopes of its own, so this never fills.
            scopes: Scopes::new(capacity * ScopeKind::COUNT, seed)?,
            live: Area::share_slice(1)?.first().ok_or(io::ErrorKind::OutOfMemory)?,
            seed: seed[0] ^ seed[1],
        })
    }

    /// Counts a call in all wanted scopes or in none. `wanted` holds each kind
    /// at most once. A call that already counts in one of them is left as it
    /// is. With `force` the limits are not looked at.
    pub fn take(&self, call: &Call<'_>, wanted: &[Wanted<'_>], force: bool) -> Taken {
        let mut wanted = by_kind(wanted);
        let full = Taken { outcome: Outcome::Full, counts: [None; ScopeKind::COUNT] };
        let Some(chain) = self.dialogs.lock(self.bucket_of(call.dialog)) else { return full };
        let old = self.find(&chain, call.dialog);
        let mut shown = None;
        if let Some((_, lease)) = old {
            if let Some(outcome) = self.already(lease, call, &wanted) {
                return Taken { outcome, counts: self.counts_of(lease, &wanted) };
            }
            if !lease.is_live() {
                self.detach(lease);
            }
            if lease.named(ScopeKind::Company).is_some() {
                wanted = wanted.map(|w| w.filter(|w| w.counts));
            }
            shown = lease.shown_company();
        }
        let position = match old {
            Some((position, _)) => position,
            None => match self.leases.take() {
                Some(position) => position,
                None => return full,
            },
        };
        let Some(record) = self.leases.get(position) else { return full };
        let lease = Lease(record);
        if old.is_none() {
            lease.begin(call, self.hash(call.call_id));
        }
        let taken = self.attach(lease, &wanted, force);
        match (taken.outcome, old) {
            (Outcome::Counted, None) => {
                lease.set_next(chain.first());
                chain.set_first(Some(position));
            }
            (Outcome::Counted, Some(_)) => {
                lease.note(call);
                if let Some(at) = shown.filter(|_| lease.shown_company().is_none()) {
                    self.leave(at);
                }
            }
            (_, None) => self.free(position, lease),
            // A refusal leaves no trace: a released lease without scopes goes.
            (_, Some(_)) if !lease.is_live() => self.remove(&chain, position, lease),
            (_, Some(_)) => {}
        }
        taken
    }

    /// What becomes of a call whose dialog has a live lease: None if it lacks the
    /// wanted scopes.
    fn already(
        &self,
        lease: Lease<'_>,
        call: &Call<'_>,
        wanted: &Scoped<Wanted<'_>>,
    ) -> Option<Outcome> {
        if !lease.is_live() {
            return None;
        }
        if lease.is_other_invite(call.invite) {
            return Some(Outcome::Duplicate);
        }
        // The last kind decides: company before brand, which may have changed.
        let (want, at) = (wanted.iter().flatten().filter(|want| want.counts).rev())
            .find_map(|want| Some((want, lease.scope(want.scope.kind)?)))?;
        match self.scopes.key_at(at) == Some(self.scopes.key(&want.scope)) {
            true => Some(Outcome::Held),
            false => Some(Outcome::HeldByOther),
        }
    }

    /// Tests and takes the wanted scopes under their locks.
    fn attach(&self, lease: Lease<'_>, wanted: &Scoped<Wanted<'_>>, force: bool) -> Taken {
        let keys = wanted.map(|w| w.map(|w| self.scopes.key(&w.scope)));
        let locks = self.scopes.lock(&keys);
        let live = |key| self.scopes.find(&locks, key).map_or(0, |at| self.scopes.live_at(at));
        let mut counts = keys.map(|key| key.map(live));
        for (want, count) in wanted.iter().zip(&mut counts) {
            *count = count.filter(|_| want.is_some_and(|want| want.counts));
        }
        for (want, count) in wanted.iter().zip(&counts) {
            if let (Some(want), Some(count), false) = (want, count, force)
                && want.limit > 0
                && *count >= want.limit
            {
                return Taken { outcome: Outcome::Refused(want.scope.kind), counts };
            }
        }
        let mut positions: Scoped<u32> = [None; ScopeKind::COUNT];
        for ((slot, want), key) in positions.iter_mut().zip(wanted).zip(keys) {
            if let (Some(want), Some(key)) = (want, key) {
                *slot = self.scopes.find_or_add(&locks, key, &want.scope);
                if slot.is_none() {
                    // What was added and is referred to by nothing goes again.
                    positions.iter().flatten().for_each(|&at| self.scopes.add(&locks, at, 0, 0));
                    return Taken { outcome: Outcome::Full, counts };
                }
            }
        }
        for ((want, position), count) in wanted.iter().zip(positions).zip(&mut counts) {
            if let (Some(want), Some(position)) = (want, position) {
                self.scopes.add(&locks, position, i32::from(want.counts), 1);
                lease.set_scope(want.scope.kind, position, want.counts);
                *count = count.map(|n| n + 1);
            }
        }
        self.set_live(lease, true);
        Taken { outcome: Outcome::Counted, counts }
    }

    /// As [`Ledger::release`]; what call it was, if it counted.
    pub fn expire(&self, dialog: DialogId) -> Option<LeaseInfo> {
        let chain = self.dialogs.lock(self.bucket_of(dialog))?;
        let (position, lease) = self.find(&chain, dialog).filter(|(_, lease)| lease.is_live())?;
        let info = self.info(position, lease);
        self.change(lease, -1, 0);
        self.set_live(lease, false);
        Some(info)
    }

    /// Whether the call of a dialog counts now.
    pub fn is_live(&self, dialog: DialogId) -> bool {
        self.with_lease(dialog, |lease| lease.is_live()).unwrap_or(false)
    }

    /// The call counts no more, and may come back. False if it did not count.
    pub fn release(&self, dialog: DialogId) -> bool {
        self.with_lease(dialog, |lease| {
            let live = lease.is_live();
            if live {
                self.change(lease, -1, 0);
                self.set_live(lease, false);
            }
            live
        })
        .unwrap_or(false)
    }

    /// A released call turns out to live: it counts again, whatever the limits
    /// say. False if there is nothing to take back.
    pub fn resume(&self, dialog: DialogId) -> bool {
        self.with_lease(dialog, |lease| {
            let released = !lease.is_live();
            if released {
                self.change(lease, 1, 0);
                self.set_live(lease, true);
            }
            released
        })
        .unwrap_or(false)
    }

    /// The dialog is gone, and its lease with it. Whether there was one.
    pub fn forget(&self, dialog: DialogId) -> bool {
        let Some(chain) = self.dialogs.lock(self.bucket_of(dialog)) else { return false };
        let Some((position, lease)) = self.find(&chain, dialog) else { return false };
        self.detach(lease);
        self.remove(&chain, position, lease);
        true
    }

    /// As [`Ledger::forget`], for just this lease.
    pub fn forget_lease(&self, dialog: DialogId, named: LeaseRef) -> bool {
        let Some(chain) = self.dialogs.lock(self.bucket_of(dialog)) else { return false };
        match self.find(&chain, dialog) {
            Some((position, lease))
                if position == named.position && lease.generation() == named.generation =>
            {
                self.detach(lease);
                self.remove(&chain, position, lease);
                true
            }
            _ => false,
        }
    }

    /// Notes whether a reconciliation found the lease's dialog. True if this one
    /// and the last one did not.
    pub fn note_missing(&self, dialog: DialogId, named: LeaseRef, missing: bool) -> bool {
        self.with_lease(dialog, |lease| {
            let again = missing && lease.is_suspect() && lease.generation() == named.generation;
            lease.set_suspect(missing);
            again
        })
        .unwrap_or(false)
    }

    /// Live calls of a scope.
    pub fn live(&self, kind: ScopeKind, id: &[u8]) -> u32 {
        self.scopes.live(&Scope { kind, id })
    }

    /// Hash by which a scope is told from others.
    pub fn scope_hash(&self, kind: ScopeKind, id: &[u8]) -> u128 {
        self.scopes.key(&Scope { kind, id }).hash()
    }

    /// The lease in a record, if it is one. Positions run up to
    /// [`Ledger::positions`].
    pub fn at(&self, position: u32) -> Option<LeaseInfo> {
        let record = self.leases.get(position)?;
        let dialog = Lease(record).dialog();
        let chain = self.dialogs.lock(self.bucket_of(dialog))?;
        let (found, lease) = self.find(&chain, dialog)?;
        (found == position && lease.is_used()).then(|| self.info(position, lease))
    }

    /// Calls that count now.
    pub fn live_calls(&self) -> u64 {
        self.live.load(Relaxed)
    }

    /// Times in which a count would have gone below zero: a call was taken out of it
    /// that was not in it. Always 0, but for a bug.
    pub fn miscounted(&self) -> u64 {
        self.scopes.miscounted()
    }

    /// Positions that ever held a lease.
    pub fn positions(&self) -> u32 {
        self.leases.used_up_to()
    }

    /// Hash by which a Call-ID is found.
    pub fn hash(&self, text: &[u8]) -> u64 {
        let seed = (self.seed, !self.seed);
        siphasher::sip::SipHasher13::new_with_keys(seed.0, seed.1).hash(text)
    }

    /// Sizes and use.
    pub fn memory(&self) -> Memory {
        let leases = self.leases.capacity() * size_of::<Record<WORDS>>();
        Memory {
            capacity: self.leases.capacity(),
            leases: self.leases.live(),
            scopes: self.scopes.in_use(),
            bytes: leases + self.dialogs.bytes() + self.scopes.bytes(),
        }
    }

    fn info(&self, position: u32, lease: Lease<'_>) -> LeaseInfo {
        let name = |kind| lease.named(kind).map(|at| self.scopes.name_at(at));
        LeaseInfo {
            lease: LeaseRef { position, generation: lease.generation() },
            dialog: lease.dialog(),
            call_id: lease.call_id(),
            call_id_hash: lease.call_id_hash(),
            scope_hashes: ScopeKind::ALL
                .map(|kind| self.scopes.key_at(lease.named(kind)?).map(Key::hash)),
            scopes: ScopeKind::ALL.map(name),
            direction: lease.direction(),
            emergency: lease.is_emergency(),
            counts_for_company: lease.scope(ScopeKind::Company).is_some(),
            live: lease.is_live(),
            started: lease.started(),
        }
    }

    fn bucket_of(&self, dialog: DialogId) -> u32 {
        // Fibonacci hashing: the upper half of a product spreads consecutive ids.
        self.dialogs.of(dialog.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32)
    }

    fn find(&self, chain: &Locked, dialog: DialogId) -> Option<(u32, Lease<'static>)> {
        let mut next = chain.first();
        while let Some(position) = next {
            let lease = Lease(self.leases.get(position)?);
            if lease.dialog() == dialog {
                return Some((position, lease));
            }
            next = lease.next();
        }
        None
    }

    fn with_lease<R>(&self, dialog: DialogId, f: impl FnOnce(Lease<'_>) -> R) -> Option<R> {
        let chain = self.dialogs.lock(self.bucket_of(dialog))?;
        self.find(&chain, dialog).map(|(_, lease)| f(lease))
    }

    /// Notes whether a lease counts; its dialog's bucket is locked.
    fn set_live(&self, lease: Lease<'_>, live: bool) {
        if lease.is_live() == live {
            return;
        }
        lease.set_live(live);
        match live {
            true => self.live.fetch_add(1, Relaxed),
            false => self.live.fetch_sub(1, Relaxed),
        };
    }

    /// Changes counts of all scopes of a lease; its dialog's bucket is locked.
    fn change(&self, lease: Lease<'_>, live: i32, refs: i32) {
        let positions = ScopeKind::ALL.map(|kind| lease.scope(kind));
        let keys: Scoped<Key> = positions.map(|at| self.scopes.key_at(at?));
        let locks: LockedScopes = self.scopes.lock(&keys);
        for position in positions.into_iter().flatten() {
            self.scopes.add(&locks, position, live, refs);
        }
    }

    /// Takes a lease out of its scopes, releasing it if it is live.
    fn detach(&self, lease: Lease<'_>) {
        if let Some(at) = lease.shown_company() {
            self.leave(at);
        }
        self.change(lease, if lease.is_live() { -1 } else { 0 }, -1);
        self.set_live(lease, false);
        lease.clear_scopes();
    }

    /// A lease refers no more to a company that it was only shown for.
    fn leave(&self, position: u32) {
        let locks = self.scopes.lock(&[self.scopes.key_at(position), None, None]);
        self.scopes.add(&locks, position, 0, -1);
    }

    fn remove(&self, chain: &Locked, position: u32, lease: Lease<'_>) {
        let after = lease.next();
        if chain.first() == Some(position) {
            chain.set_first(after);
        } else {
            let mut next = chain.first();
            while let Some(previous) = next.and_then(|p| self.leases.get(p)).map(Lease) {
                next = previous.next();
                if next == Some(position) {
                    previous.set_next(after);
                    break;
                }
            }
        }
        self.free(position, lease);
    }

    fn free(&self, position: u32, lease: Lease<'_>) {
        lease.end();
        self.leases.give(position);
    }

    /// Live calls of the wanted scopes, for a lease that may count in others.
    fn counts_of(&self, lease: Lease<'_>, wanted: &Scoped<Wanted<'_>>) -> Scoped<u32> {
        wanted.map(|want| {
            let want = want.filter(|want| want.counts)?;
            let own = lease.scope(want.scope.kind);
            let same = |at: &u32| self.scopes.key_at(*at) == Some(self.scopes.key(&want.scope));
            Some(match own.filter(same) {
                Some(at) => self.scopes.live_at(at),
                None => self.scopes.live(&want.scope),
            })
        })
    }
}

fn by_kind<'a>(wanted: &[Wanted<'a>]) -> Scoped<Wanted<'a>> {
    ScopeKind::ALL.map(|kind| wanted.iter().find(|w| w.scope.kind == kind).copied())
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::ledger::Direction;

    #[test]
    fn the_number_of_calls_is_told_without_any_lock() {
        let ledger = Ledger::new(8, [1, 2]).unwrap();
        let call = Call {
            dialog: DialogId(1),
            call_id: b"a",
            invite: 1,
            direction: Direction::Unknown,
            emergency: false,
            now: 1,
        };
        let scope = Scope { kind: ScopeKind::Company, id: b"c" };
        let wanted = [Wanted { scope, limit: 0, counts: true }];
        assert_eq!(ledger.take(&call, &wanted, false).outcome, Outcome::Counted);
        // With this lock held, whoever asked each lease would wait for ever.
        let bucket = ledger.dialogs.lock(ledger.bucket_of(call.dialog));
        assert_eq!(ledger.live_calls(), 1);
        drop(bucket);
        assert!(ledger.release(call.dialog));
        assert_eq!((ledger.live_calls(), ledger.miscounted()), (0, 0));
    }
}
