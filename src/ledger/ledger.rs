//! The ledger itself: forgetting, listing.

use std::hash::Hash;
use std::io;

use ahash::RandomState;

use super::DialogId;
use super::info::{LeaseInfo, LeaseScope, ScopeInfo};
use super::lease::{Lease, LeaseRef, MOST_SCOPES, Slot, WORDS};
use super::limit::{Calls, Rate};
use super::rate::{RateOf, seconds};
use super::record::{Change, MOST_CALLS};
use super::scope::{Direction, Few, NAMED, SCOPES, Scope, ScopeKey, ScopeKind, USUAL};
use super::scopes::{Locks, Scopes};
use crate::shm::atomic::{AtomicU64, Ordering::Relaxed, keep_order};
use crate::shm::{Area, Buckets, Locked, Pool, Record, takeovers};

/// All leases and scopes, in shared memory.
pub struct Ledger {
    pub(super) leases: Pool<WORDS>,
    pub(super) dialogs: Buckets,
    pub(super) scopes: Scopes,
    /// Leases that count. A lease is changed under the lock of its dialog's bucket, so
    /// each of its changes is counted once.
    pub(super) live: &'static AtomicU64,
    /// Locks that were taken over when calls were counted anew.
    pub(super) recounted: &'static AtomicU64,
    /// Keyed, and the same in all processes.
    hasher: RandomState,
}

/// Scopes for each call that fits: more than calls have in the mean, since most share
/// theirs. The rest is for scopes whose calls are over while a rate remembers them.
const SCOPES_PER_CALL: usize = 8;
/// Of these are left for brands, companies and roadwarriors: as many as a call between
/// two companies has.
const KEPT_PER_CALL: usize = 5;

/// Sizes and use.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Leases that fit.
    pub capacity: usize,
    /// Leases there are, released ones that wait for their dialog too.
    pub leases: u32,
    /// Scopes that leases refer to.
    pub scopes: u32,
    /// Scopes whose calls are over, but not forgotten by their rates.
    pub idle_scopes: u32,
    /// Bytes of address space; only what was used takes memory.
    pub bytes: usize,
}

impl Ledger {
    /// Maps a ledger for `capacity` calls. `seed` keys its hashes.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new(capacity: usize, seed: [u64; 2]) -> io::Result<Self> {
        Self::with_scopes(capacity, capacity.saturating_mul(SCOPES_PER_CALL), seed)
    }

    /// As [`Ledger::new`], with room for so many scopes.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn with_scopes(capacity: usize, scopes: usize, seed: [u64; 2]) -> io::Result<Self> {
        if scopes > MOST_SCOPES || capacity > MOST_CALLS {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let [live, recounted] = Area::share_slice::<AtomicU64>(2)? else {
            return Err(io::ErrorKind::OutOfMemory.into());
        };
        recounted.store(takeovers(), Relaxed);
        Ok(Ledger {
            leases: Pool::new(capacity)?,
            dialogs: Buckets::new(capacity)?,
            scopes: Scopes::new(scopes, capacity.saturating_mul(KEPT_PER_CALL), seed)?,
            live,
            recounted,
            hasher: RandomState::with_seeds(seed[0], seed[1], !seed[0], !seed[1]),
        })
    }

    /// Says that a dialog's call is about to be counted. Its bucket is in no cache, since the
    /// hash spreads dialogs: this way it is fetched while the call is looked at.
    pub fn expect(&self, dialog: DialogId) {
        self.dialogs.prefetch(self.bucket_of(dialog));
    }

    /// Whether the call of a dialog counts now.
    pub fn is_live(&self, dialog: DialogId) -> bool {
        self.with_lease(dialog, |lease| lease.is_live()).unwrap_or(false)
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
        self.calls(kind, id).any
    }

    /// Live calls of a scope, also by direction.
    pub fn calls(&self, kind: ScopeKind, id: &[u8]) -> Calls {
        let calls = self.scopes.with(&Scope { kind, id }, |at| self.scopes.calls_at(at));
        calls.unwrap_or_default()
    }

    /// Live calls of a scope and direction that were not answered yet.
    pub fn ringing(&self, kind: ScopeKind, id: &[u8], direction: Direction) -> u32 {
        let ringing = |at| self.scopes.counted_at(at, direction).ringing;
        self.scopes.with(&Scope { kind, id }, ringing).unwrap_or(0)
    }

    /// New calls of a scope and direction in the window of a rate at `now`, in ms of the
    /// clock of [`super::Call::came`].
    pub fn new_calls(
        &self,
        kind: ScopeKind,
        id: &[u8],
        direction: Direction,
        rate: &Rate,
        now: u64,
    ) -> u32 {
        let calls = self.scopes.with(&Scope { kind, id }, |at| {
            let record = self.scopes.record(at)?;
            Some(RateOf { record, direction }.calls(rate, now))
        });
        calls.flatten().unwrap_or(0)
    }

    /// The scope in a record, if calls count or may come back there. Positions run up to
    /// [`Ledger::scope_positions`].
    pub fn scope_at(&self, position: u32) -> Option<ScopeInfo> {
        self.scopes.at(position)
    }

    /// Positions that ever held a scope.
    pub fn scope_positions(&self) -> u32 {
        self.scopes.positions()
    }

    /// Looks at the next `budget` scopes and frees those whose calls are over and
    /// forgotten at `now`, in ms of the clock of [`super::Call::came`]. How many were freed.
    pub fn sweep(&self, budget: u32, now: u64) -> u32 {
        self.sweep_where(budget, now, |_, _| true)
    }

    /// As [`Ledger::sweep`]; also frees those for which there is no rate any more. `has_rate`
    /// is asked with kind and id, unless the id is longer than what is kept of it.
    pub fn sweep_where(
        &self,
        budget: u32,
        now: u64,
        has_rate: impl Fn(ScopeKind, &[u8]) -> bool,
    ) -> u32 {
        self.scopes.sweep(budget, seconds(now), &has_rate)
    }

    /// Hash by which a scope is told from others.
    pub fn scope_hash(&self, kind: ScopeKind, id: &[u8]) -> u128 {
        self.scopes.key(&Scope { kind, id }).hash()
    }

    /// The key of a scope, if it stays: one that is shared with other nodes may come to have
    /// another one.
    pub fn lasting_key(&self, kind: ScopeKind, id: &[u8]) -> Option<ScopeKey> {
        self.scopes.shares.is_none().then(|| self.scopes.key(&Scope { kind, id }))
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

    /// The lease in a record, if its call is live and must have ended by `now`, in
    /// s of [`super::Call::began`]'s clock. Costs one look where that is not so.
    pub fn overdue(&self, position: u32, now: i64) -> Option<LeaseInfo> {
        let is_over = |ends: Option<i64>| ends.is_some_and(|ends| ends <= now);
        if !is_over(Lease(self.leases.get(position)?).ends()) {
            return None;
        }
        self.at(position).filter(|info| info.live && is_over(info.ends))
    }

    /// A call that had to end could not be ended: it must end at `until`.
    pub fn postpone_end(&self, dialog: DialogId, until: i64) {
        self.with_lease(dialog, |lease| {
            lease.set_ends(Some(until));
            lease.set_stuck();
        });
    }

    /// The call may last as long as it likes. Whether it had an end before.
    pub fn clear_end(&self, dialog: DialogId) -> bool {
        self.with_lease(dialog, |lease| {
            let had_end = lease.ends().is_some();
            lease.set_ends(None);
            had_end
        })
        .unwrap_or(false)
    }

    /// A call that counts is an emergency.
    pub fn note_emergency(&self, dialog: DialogId) {
        self.with_lease(dialog, |lease| lease.is_live() && self.becomes_emergency(lease));
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

    /// Hash by which a Call-ID is found, or an INVITE told from others.
    pub fn hash(&self, text: impl Hash) -> u64 {
        self.hasher.hash_one(text)
    }

    /// Sizes and use.
    pub fn memory(&self) -> Memory {
        let leases = self.leases.capacity() * size_of::<Record<WORDS>>();
        let (scopes, idle_scopes) = self.scopes.in_use();
        Memory {
            capacity: self.leases.capacity(),
            leases: self.leases.live(),
            scopes,
            idle_scopes,
            bytes: leases + self.dialogs.bytes() + self.scopes.bytes(),
        }
    }

    pub(super) fn info(&self, position: u32, lease: Lease<'_>) -> LeaseInfo {
        let scope = |slot: Slot| {
            Some(LeaseScope {
                kind: self.scopes.kind_at(slot.position)?,
                id: self.scopes.name_at(slot.position),
                hash: self.scopes.key_at(slot.position)?.hash(),
                counts: slot.is_counted(),
                inbound: slot.counts.has(Direction::In),
                outbound: slot.counts.has(Direction::Out),
            })
        };
        LeaseInfo {
            lease: LeaseRef { position, generation: lease.generation() },
            dialog: lease.dialog(),
            call_id: lease.call_id(),
            call_id_hash: lease.call_id_hash(),
            scopes: lease.slots().filter_map(|(_, slot)| scope(slot)).collect(),
            direction: lease.direction(),
            emergency: lease.is_emergency(),
            ringing: lease.is_ringing(),
            live: lease.is_live(),
            started: lease.started(),
            ends: lease.ends().filter(|_| !lease.is_emergency()),
            is_stuck: lease.is_stuck(),
        }
    }

    pub(super) fn bucket_of(&self, dialog: DialogId) -> u32 {
        // Fibonacci hashing: the upper half of a product spreads consecutive ids.
        self.dialogs.of(dialog.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32)
    }

    pub(super) fn find(&self, chain: &Locked, dialog: DialogId) -> Option<(u32, Lease<'static>)> {
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

    pub(super) fn with_lease<R>(
        &self,
        dialog: DialogId,
        f: impl FnOnce(Lease<'_>) -> R,
    ) -> Option<R> {
        let chain = self.dialogs.lock(self.bucket_of(dialog))?;
        self.find(&chain, dialog).map(|(_, lease)| f(lease))
    }

    /// Notes whether a lease counts, in it and in the number of those that do; its
    /// dialog's bucket is locked.
    pub(super) fn set_live(&self, lease: Lease<'_>, live: bool) {
        match (lease.is_live(), live) {
            (false, true) => self.live.fetch_add(1, Relaxed),
            (true, false) => self.live.fetch_sub(1, Relaxed),
            _ => return,
        };
        lease.set_live(live);
    }

    /// Takes a live call out of all its scopes; its dialog's bucket is locked.
    pub(super) fn count_no_more(&self, lease: Lease<'_>) {
        // First: a process that dies in between leaves counts that are too high, not some
        // that are taken out twice.
        self.set_live(lease, false);
        keep_order();
        self.change(lease, Change::one_less(lease.is_emergency(), lease.is_ringing()));
    }

    /// A live call is an emergency from now on. False if it was one before. Its dialog's
    /// bucket is locked.
    pub(super) fn becomes_emergency(&self, lease: Lease<'_>) -> bool {
        let becomes = !lease.is_emergency();
        if becomes {
            // First: a process that dies in between leaves counts that are too high.
            self.change(lease, Change::EMERGENCY);
            keep_order();
            lease.set_emergency();
        }
        becomes
    }

    /// Changes all scopes of a lease; its dialog's bucket is locked.
    pub(super) fn change(&self, lease: Lease<'_>, by: Change) {
        match (lease.slot(USUAL), lease.slot(NAMED)) {
            (None, _) => self.change_in::<USUAL>(lease, by),
            (_, None) => self.change_in::<NAMED>(lease, by),
            _ => self.change_in::<SCOPES>(lease, by),
        }
    }

    fn change_in<const N: usize>(&self, lease: Lease<'_>, by: Change) {
        let locks: Locks<N> = self.scopes.lock(self.keys(lease));
        for (_, slot) in lease.slots() {
            self.scopes.count(&slot, by);
        }
        drop(locks);
    }

    /// Takes a lease out of its scopes, releasing it if it is live.
    pub(super) fn detach(&self, lease: Lease<'_>) {
        match (lease.slot(USUAL), lease.slot(NAMED)) {
            (None, _) => self.detach_in::<USUAL>(lease),
            (_, None) => self.detach_in::<NAMED>(lease),
            _ => self.detach_in::<SCOPES>(lease),
        }
        lease.set_ends(None);
    }

    fn detach_in<const N: usize>(&self, lease: Lease<'_>) {
        let mut slots = Few::<Slot, N>::new();
        for (_, slot) in lease.slots() {
            slots.push(slot);
        }
        let locks: Locks<N> = self.scopes.lock(slots.iter().map(|slot| self.key_of(slot)));
        let live = lease.is_live();
        let ends = Change::one_less(lease.is_emergency(), lease.is_ringing());
        self.set_live(lease, false);
        // A slot must not name a scope that is gone.
        lease.clear_slots();
        for slot in slots.iter().filter(|_| live) {
            self.scopes.count(slot, ends);
        }
        self.scopes.leave(&locks, slots.iter().map(|slot| slot.position));
    }

    fn keys(&self, lease: Lease<'_>) -> impl Iterator<Item = ScopeKey> {
        lease.slots().map(|(_, slot)| self.key_of(&slot))
    }

    fn key_of(&self, slot: &Slot) -> ScopeKey {
        self.scopes.key_at(slot.position).unwrap_or_default()
    }

    /// A lease refers no more to a company that it was only shown for.
    pub(super) fn leave(&self, position: u32) {
        let locks: Locks<1> = self.scopes.lock(self.scopes.key_at(position).into_iter());
        self.scopes.leave(&locks, std::iter::once(position));
    }

    pub(super) fn remove(&self, chain: &Locked, position: u32, lease: Lease<'_>) {
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
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::ledger::{Call, Enforcement, Outcome, Wanted};

    #[test]
    fn the_number_of_calls_is_told_without_any_lock() {
        let ledger = Ledger::new(8, [1, 2]).unwrap();
        let call = Call {
            dialog: DialogId(1),
            call_id: b"a",
            invite: 1,
            direction: Direction::Any,
            emergency: false,
            rings: true,
            came: 0,
            began: 1,
        };
        let wanted = [Wanted::new(ScopeKind::COMPANY, b"c", 0)];
        assert_eq!(ledger.take(&call, &wanted, Enforcement::Full).outcome, Outcome::Counted);
        // With this lock held, whoever asked each lease would wait for ever.
        let bucket = ledger.dialogs.lock(ledger.bucket_of(call.dialog));
        assert_eq!(ledger.live_calls(), 1);
        drop(bucket);
        assert!(ledger.release(call.dialog));
        assert_eq!((ledger.live_calls(), ledger.miscounted()), (0, 0));
    }
}
