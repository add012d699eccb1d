//! Scopes: what calls count against, found by kind and id.

use std::hash::Hasher;
use std::io;

use siphasher::sip128::{Hasher128, SipHasher13};

use crate::shm::atomic::{AtomicU64, Ordering::Relaxed};
use crate::shm::{Area, Buckets, Locked, Pool, Record};

/// Words of a scope record:
///
/// ```text
/// 0     next in the chain (low half) | kind << 32 | length of the name << 40
/// 1..3  key: keyed SipHash-1-3, 128 bits, of kind and id
/// 3     live leases (low half) | leases that refer to it << 32
/// 4..8  the id, cut after 32 bytes, for listings
/// ```
const WORDS: usize = 8;
const NAME_BYTES: usize = 32;

/// What a call can count against. The order is that in which limits are tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum ScopeKind {
    /// External calls of a brand.
    Brand,
    /// External calls of a company.
    Company,
    /// Calls that a user has placed from addresses that are not granted.
    User,
}

impl ScopeKind {
    /// Number of kinds.
    pub const COUNT: usize = 3;
    /// All kinds, in order.
    pub const ALL: [ScopeKind; Self::COUNT] =
        [ScopeKind::Brand, ScopeKind::Company, ScopeKind::User];
}

/// A scope: its kind and its id, compared byte by byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scope<'a> {
    /// What it is.
    pub kind: ScopeKind,
    /// Id of the brand or company, AoR of the user.
    pub id: &'a [u8],
}

/// Stands for kind and id; two scopes share one with a chance of 2^-128.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Key(u64, u64);

impl Key {
    pub fn hash(self) -> u128 {
        u128::from(self.0) << 64 | u128::from(self.1)
    }
}

/// All scopes that leases refer to.
pub(super) struct Scopes {
    pool: Pool<WORDS>,
    buckets: Buckets,
    /// Counts that would have gone below zero.
    miscounted: &'static AtomicU64,
    seed: [u64; 2],
}

/// Up to three buckets, locked in ascending order; a bucket once.
pub(super) type LockedScopes = [Option<Locked>; ScopeKind::COUNT];

impl Scopes {
    /// `seed` is the same in all processes.
    pub fn new(capacity: usize, seed: [u64; 2]) -> io::Result<Self> {
        let buckets = Buckets::new(capacity)?;
        let miscounted = Area::share_slice(1)?.first().ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Scopes { pool: Pool::new(capacity)?, buckets, miscounted, seed })
    }

    pub fn key(&self, scope: &Scope<'_>) -> Key {
        let mut hasher = SipHasher13::new_with_keys(self.seed[0], self.seed[1]);
        hasher.write_u8(scope.kind as u8);
        hasher.write(scope.id);
        let hash = hasher.finish128();
        Key(hash.h1, hash.h2)
    }

    /// Locks the buckets of the keys.
    pub fn lock(&self, keys: &[Option<Key>; ScopeKind::COUNT]) -> LockedScopes {
        let mut indexes = keys.map(|key| key.map(|key| self.buckets.of(key.0)));
        // None sorts first; a bucket that stands twice is locked once.
        indexes.sort_unstable();
        let mut last = None;
        indexes.map(|index| {
            let again = index == last;
            last = index;
            self.buckets.lock(index.filter(|_| !again)?)
        })
    }

    fn bucket_of(&self, key: Key) -> u32 {
        self.buckets.of(key.0)
    }

    fn locked<'a>(&self, locks: &'a LockedScopes, key: Key) -> Option<&'a Locked> {
        let bucket = self.bucket_of(key);
        locks.iter().flatten().find(|locked| self.buckets.is(locked, bucket))
    }

    /// The scope with this key; its bucket is among `locks`.
    pub fn find(&self, locks: &LockedScopes, key: Key) -> Option<u32> {
        let mut next = self.locked(locks, key)?.first();
        while let Some(position) = next {
            let record = self.pool.get(position)?;
            if key_of(record) == key {
                return Some(position);
            }
            next = link(record);
        }
        None
    }

    /// As [`Scopes::find`]; adds the scope if it is not there. None if there is
    /// no room.
    pub fn find_or_add(&self, locks: &LockedScopes, key: Key, scope: &Scope<'_>) -> Option<u32> {
        if let Some(position) = self.find(locks, key) {
            return Some(position);
        }
        let locked = self.locked(locks, key)?;
        let position = self.pool.take()?;
        let record = self.pool.get(position)?;
        let shown = scope.id.get(..NAME_BYTES).unwrap_or(scope.id);
        let mut name = [0u8; NAME_BYTES];
        name.iter_mut().zip(shown).for_each(|(to, from)| *to = *from);
        let first = locked.first().map_or(0, |p| u64::from(p) + 1);
        // 33 says that the id is longer than what is kept.
        let length = scope.id.len().min(NAME_BYTES + 1) as u64;
        record[0].store(first | (scope.kind as u64) << 32 | length << 40, Relaxed);
        record[1].store(key.0, Relaxed);
        record[2].store(key.1, Relaxed);
        record[3].store(0, Relaxed);
        let (words, _) = name.as_chunks::<8>();
        for (to, from) in record.iter().skip(4).zip(words) {
            to.store(u64::from_ne_bytes(*from), Relaxed);
        }
        locked.set_first(Some(position));
        Some(position)
    }

    /// Changes how many leases are live in a scope and how many refer to it.
    /// Its bucket is among `locks`. A scope that nothing refers to goes.
    pub fn add(&self, locks: &LockedScopes, position: u32, live: i32, refs: i32) {
        let Some(record) = self.pool.get(position) else { return };
        let word = record[3].load(Relaxed);
        let live = self.changed(word as u32, live);
        let refs = self.changed((word >> 32) as u32, refs);
        record[3].store(u64::from(live) | u64::from(refs) << 32, Relaxed);
        if refs == 0 {
            self.remove(locks, position, record);
        }
    }

    /// A count after a change. One that would go below zero stays there, and is counted:
    /// in silence it would hide that calls are taken out twice.
    fn changed(&self, count: u32, by: i32) -> u32 {
        if count.checked_add_signed(by).is_none() {
            self.miscounted.fetch_add(1, Relaxed);
        }
        count.saturating_add_signed(by)
    }

    pub fn miscounted(&self) -> u64 {
        self.miscounted.load(Relaxed)
    }

    fn remove(&self, locks: &LockedScopes, position: u32, record: &Record<WORDS>) {
        let Some(locked) = self.locked(locks, key_of(record)) else { return };
        let after = link(record);
        if locked.first() == Some(position) {
            locked.set_first(after);
        } else {
            let mut next = locked.first();
            while let Some(previous) = next.and_then(|p| self.pool.get(p)) {
                next = link(previous);
                if next == Some(position) {
                    set_link(previous, after);
                    break;
                }
            }
        }
        self.pool.give(position);
    }

    pub fn key_at(&self, position: u32) -> Option<Key> {
        self.pool.get(position).map(key_of)
    }

    /// Live leases of the scope at a position.
    pub fn live_at(&self, position: u32) -> u32 {
        self.pool.get(position).map_or(0, |record| record[3].load(Relaxed) as u32)
    }

    /// Live leases of a scope, 0 if it is not there.
    pub fn live(&self, scope: &Scope<'_>) -> u32 {
        let key = self.key(scope);
        let locks = self.lock(&[Some(key), None, None]);
        self.find(&locks, key).map_or(0, |position| self.live_at(position))
    }

    /// The id of the scope at a position, with `...` behind it if it is cut. The
    /// caller holds a lease that refers to it.
    pub fn name_at(&self, position: u32) -> Vec<u8> {
        let Some(record) = self.pool.get(position) else { return Vec::new() };
        let length = (record[0].load(Relaxed) >> 40 & 0xff) as usize;
        let words = record.iter().skip(4);
        let mut name: Vec<u8> = words.flat_map(|w| w.load(Relaxed).to_ne_bytes()).collect();
        if length > NAME_BYTES {
            name.extend_from_slice(b"...");
        } else {
            name.truncate(length);
        }
        name
    }

    /// Scopes that leases refer to.
    pub fn in_use(&self) -> u32 {
        self.pool.live()
    }

    /// Bytes of address space.
    pub fn bytes(&self) -> usize {
        self.buckets.bytes() + self.pool.capacity() * size_of::<Record<WORDS>>()
    }
}

fn key_of(record: &Record<WORDS>) -> Key {
    Key(record[1].load(Relaxed), record[2].load(Relaxed))
}

fn link(record: &Record<WORDS>) -> Option<u32> {
    (record[0].load(Relaxed) as u32).checked_sub(1)
}

fn set_link(record: &Record<WORDS>, next: Option<u32>) {
    let kept = record[0].load(Relaxed) & !0xffff_ffff;
    record[0].store(kept | next.map_or(0, |p| u64::from(p) + 1), Relaxed);
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_would_go_below_zero_is_counted() {
        let scopes = Scopes::new(4, [1, 2]).unwrap();
        let scope = Scope { kind: ScopeKind::Company, id: b"c" };
        let key = scopes.key(&scope);
        let locks = scopes.lock(&[Some(key), None, None]);
        let at = scopes.find_or_add(&locks, key, &scope).unwrap();
        scopes.add(&locks, at, 1, 1);
        scopes.add(&locks, at, -1, 0);
        assert_eq!(scopes.miscounted(), 0);
        scopes.add(&locks, at, -1, 0);
        assert_eq!((scopes.miscounted(), scopes.live_at(at)), (1, 0));
    }
}
