//! All grants, in shared memory.

use std::io;

use ahash::RandomState;

use super::grant::Grant;
use super::record::{self, WORDS};
use crate::address::{Address, Prefix};
use crate::shm::atomic::{AtomicU64, Ordering::Relaxed};
use crate::shm::{Area, Buckets, Locked, Pool};

/// All grants. Any process may call anything; each call takes one lock at a time.
///
/// A process that is killed while it adds or removes a grant leaves each chain whole; at most
/// the room of that one grant is lost until the restart.
pub struct GrantTable {
    pool: Pool<WORDS>,
    /// Chains by company.
    buckets: Buckets,
    seed: [u64; 2],
    changes: &'static AtomicU64,
}

/// There are as many grants as fit.
#[derive(Debug, PartialEq, Eq)]
pub struct NoRoom;

/// Size and use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    pub capacity: usize,
    pub used: u32,
    /// Address space; only what was used takes memory.
    pub bytes: usize,
}

impl GrantTable {
    /// Maps room for `capacity` grants; `seed` keys the hash of companies.
    pub fn new(capacity: usize, seed: [u64; 2]) -> io::Result<Self> {
        let buckets = Buckets::new(capacity.max(1))?;
        Ok(GrantTable { pool: Pool::new(capacity)?, buckets, seed, changes: Area::share_atomic()? })
    }

    fn bucket(&self, company: &[u8]) -> u32 {
        let [a, b] = self.seed;
        self.buckets.of(RandomState::with_seeds(a, b, !a, !b).hash_one(company))
    }

    /// The source of a grant by which an address is allowed at `now`. `counts`: by a request.
    #[inline]
    pub fn allows(
        &self,
        company: &[u8],
        address: Address,
        now: u64,
        counts: bool,
    ) -> Option<Prefix> {
        if self.pool.live() == 0 {
            return None;
        }
        let bucket = self.buckets.lock(self.bucket(company))?;
        let (_, position) = self.find(&bucket, |record| {
            now < record::until(record)
                && record::is_of(record, company)
                && record::has(record, address)
        })?;
        let record = self.pool.get(position)?;
        if counts {
            record::count_use(record);
        }
        record::source(record)
    }

    /// Whether any company may use an address of a prefix at `now`. Looks at all grants,
    /// without a lock where none is meant.
    pub fn touches(&self, prefix: Prefix, now: u64) -> bool {
        if self.pool.live() == 0 {
            return false;
        }
        let overlaps = |source: Prefix| source.contains(prefix) || prefix.contains(source);
        // A record that is being written, or was given back, may be of anything: then the
        // grants are asked under their locks.
        let maybe = (0..self.pool.used_up_to())
            .filter_map(|position| self.pool.get(position))
            .any(|record| record::source(record).is_some_and(overlaps));
        maybe && self.all(None, now).iter().any(|grant| overlaps(grant.source))
    }

    /// The first record of a chain that is meant, and the one before it.
    fn find(
        &self,
        bucket: &Locked,
        is_meant: impl Fn(&'static crate::shm::Record<WORDS>) -> bool,
    ) -> Option<(Option<u32>, u32)> {
        let (mut before, mut next) = (None, bucket.first());
        while let Some(position) = next {
            let record = self.pool.get(position)?;
            if is_meant(record) {
                return Some((before, position));
            }
            (before, next) = (Some(position), record::link(record));
        }
        None
    }

    /// Adds a grant; the earlier one of the same company and source, which it replaces.
    pub fn grant(&self, grant: &Grant) -> Result<Option<Grant>, NoRoom> {
        let bucket = self.buckets.lock(self.bucket(&grant.company)).ok_or(NoRoom)?;
        let same = |record| {
            record::source(record) == Some(grant.source) && record::is_of(record, &grant.company)
        };
        let earlier = self.find(&bucket, same).and_then(|(_, position)| self.pool.get(position));
        let before = match earlier {
            Some(record) => {
                let before = record::read(record);
                record::write(record, grant);
                before
            }
            None => {
                let position = self.pool.take().ok_or(NoRoom)?;
                let record = self.pool.get(position).ok_or(NoRoom)?;
                record::write(record, grant);
                record::set_link(record, bucket.first());
                bucket.set_first(Some(position));
                None
            }
        };
        self.changes.fetch_add(1, Relaxed);
        Ok(before)
    }

    /// Takes a record out of its chain.
    fn remove(&self, bucket: &Locked, (before, position): (Option<u32>, u32)) -> Option<Grant> {
        let record = self.pool.get(position)?;
        let grant = record::read(record);
        let next = record::link(record);
        match before.and_then(|before| self.pool.get(before)) {
            Some(before) => record::set_link(before, next),
            None => bucket.set_first(next),
        }
        self.pool.give(position);
        self.changes.fetch_add(1, Relaxed);
        grant
    }

    /// Ends the grants of a company whose sources lie within a prefix, or all of them.
    /// `ended` runs without any lock.
    pub fn revoke(&self, company: &[u8], within: Option<Prefix>, mut ended: impl FnMut(Grant)) {
        let is_meant = |record| {
            record::is_of(record, company)
                && within.is_none_or(|prefix| {
                    record::source(record).is_some_and(|source| prefix.contains(source))
                })
        };
        self.take_out(self.bucket(company), is_meant).into_iter().for_each(&mut ended);
    }

    /// Ends the grants that have run out. `ended` runs without any lock.
    pub fn sweep(&self, now: u64, mut ended: impl FnMut(Grant)) {
        if self.pool.live() == 0 {
            return;
        }
        for bucket in 0..self.buckets.count() {
            let over = self.take_out(bucket, |record| record::until(record) <= now);
            over.into_iter().for_each(&mut ended);
        }
    }

    fn take_out(
        &self,
        bucket: u32,
        is_meant: impl Fn(&'static crate::shm::Record<WORDS>) -> bool,
    ) -> Vec<Grant> {
        let mut taken = Vec::new();
        let Some(bucket) = self.buckets.lock(bucket) else { return taken };
        while let Some(found) = self.find(&bucket, &is_meant) {
            taken.extend(self.remove(&bucket, found));
        }
        taken
    }

    /// All grants that run at `now`, in no order; of one company, if it is given.
    pub fn all(&self, company: Option<&[u8]>, now: u64) -> Vec<Grant> {
        let buckets = match company {
            Some(company) => {
                let bucket = self.bucket(company);
                bucket..bucket + 1
            }
            None => 0..self.buckets.count(),
        };
        let mut all = Vec::new();
        for bucket in buckets {
            let Some(bucket) = self.buckets.lock(bucket) else { continue };
            let mut next = bucket.first();
            while let Some(record) = next.and_then(|position| self.pool.get(position)) {
                let runs = now < record::until(record);
                if runs && company.is_none_or(|company| record::is_of(record, company)) {
                    all.extend(record::read(record));
                }
                next = record::link(record);
            }
        }
        all
    }

    /// Raised when a grant begins, changes or ends.
    pub fn changes(&self) -> u64 {
        self.changes.load(Relaxed)
    }

    pub fn usage(&self) -> Usage {
        Usage {
            capacity: self.pool.capacity(),
            used: self.pool.live(),
            bytes: self.pool.capacity() * WORDS * 8 + self.buckets.bytes(),
        }
    }
}
