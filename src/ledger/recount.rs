//! Counts all calls anew, after a process has died while it counted one.
//!
//! Such a process leaves locks, which others take over, and whatever it had written by then:
//! counts that are too high, records that nobody refers to. Chains are whole at each step, and
//! slots never name a record that is not linked, so leases say what the counts must be.

use super::lease::{Lease, Slot};
use super::ledger::Ledger;
use super::record::{COUNTS, Count, REFS, halves, word_of};
use super::scope::Direction;
use super::scopes::{Locks, Scopes, kind_of, link};
use crate::shm::Locked;
use crate::shm::atomic::Ordering::Relaxed;
use crate::shm::takeovers;

/// What leases say of a scope.
#[derive(Clone, Copy, Default)]
struct Told {
    refs: u32,
    /// In any direction, in, out.
    counts: [Count; 3],
}

impl Told {
    fn add(&mut self, slot: &Slot, lease: Lease<'_>) {
        self.refs += 1;
        for (direction, count) in Direction::ALL.into_iter().zip(&mut self.counts) {
            let counts = lease.is_live() && slot.counts.has(direction);
            count.calls += u32::from(counts);
            count.emergencies += u32::from(counts && lease.is_emergency());
            count.ringing += u32::from(counts && lease.is_ringing());
        }
    }
}

impl Ledger {
    /// Counts anew if a lock was taken over from a process that has died since the last time.
    /// How many numbers were wrong; None: nobody has died. Called by the process that
    /// [sweeps](Ledger::sweep), without any lock.
    pub fn recount_if_due(&self) -> Option<u32> {
        if self.recounted.load(Relaxed) == takeovers() {
            return None;
        }
        Some(self.recount())
    }

    /// Takes over the locks of processes that have ended, in the `n`-th of `parts` parts of all
    /// dialogs. Each change of a call has such a lock, so with this a death is seen although
    /// nobody waits for what it has left. Without any lock.
    pub fn free_left_locks(&self, n: u32, parts: u32) {
        let size = self.dialogs.count().div_ceil(parts);
        let from = size.saturating_mul(n).min(self.dialogs.count());
        self.dialogs.free_left(from..from.saturating_add(size).min(self.dialogs.count()));
    }

    /// With all dialogs locked no lease, and no record of a pool, is changed by others.
    fn recount(&self) -> u32 {
        let chains: Vec<Locked> =
            (0..self.dialogs.count()).filter_map(|index| self.dialogs.lock(index)).collect();
        let mut told = vec![Told::default(); self.scopes.positions() as usize];
        let mut used = vec![false; self.leases.used_up_to() as usize];
        let mut live = 0;
        for chain in &chains {
            let mut next = chain.first();
            while let Some((position, record)) =
                next.and_then(|position| Some((position, self.leases.get(position)?)))
            {
                let lease = Lease(record);
                for (_, slot) in lease.slots() {
                    if let Some(scope) = told.get_mut(slot.position as usize) {
                        scope.add(&slot, lease);
                    }
                }
                live += u64::from(lease.is_live());
                if let Some(used) = used.get_mut(position as usize) {
                    *used = true;
                }
                next = lease.next();
            }
        }
        let wrong = self.scopes.correct(&told);
        self.leases.repair(&used);
        let wrong = wrong + u32::from(self.live.swap(live, Relaxed) != live);
        // While all dialogs are locked: who dies after this is seen the next time. Locks of
        // scopes that were taken over just now are those of processes that died before.
        self.recounted.store(takeovers(), Relaxed);
        drop(chains);
        wrong
    }
}

impl Scopes {
    /// Makes all records what leases say of them. How many were not.
    fn correct(&self, told: &[Told]) -> u32 {
        let mut used = vec![false; told.len()];
        let (mut wrong, mut idle, mut named) = (0, 0, 0);
        for index in 0..self.buckets.count() {
            let locks: Locks<1> = self.buckets.lock_all([index].into_iter());
            let mut next = locks.first(index);
            while let Some((position, record)) =
                next.and_then(|position| Some((position, self.pool.get(position)?)))
            {
                next = link(record);
                let mut said = told.get(position as usize).copied().unwrap_or_default();
                said.refs += self.shared_at(position).map_or(0, |shared| shared.waiters());
                let (refs, until) = halves(record[REFS].load(Relaxed));
                let counts = record.iter().skip(COUNTS).zip(said.counts);
                let differ = counts.filter(|(word, count)| {
                    let right = count.word();
                    word.swap(right, Relaxed) != right
                });
                wrong += u32::from(differ.count() > 0 || refs != said.refs);
                record[REFS].store(word_of(said.refs, until), Relaxed);
                if said.refs == 0 && until == 0 {
                    self.remove(&locks, position, record);
                    continue;
                }
                idle += u32::from(said.refs == 0);
                named += u32::from(kind_of(record).is_some_and(|kind| kind.is_named_by_script()));
                if let Some(used) = used.get_mut(position as usize) {
                    *used = true;
                }
            }
        }
        if let Some(shares) = &self.shares {
            shares.mark_all();
        }
        self.idle.store(idle, Relaxed);
        self.named.store(named, Relaxed);
        self.pool.repair(&used);
        wrong
    }
}
