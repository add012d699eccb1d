//! Repeats of an event become one, so that a flood makes few. A repeat is one
//! exchange of one word: no lock, and no wait for anybody.

use std::hash::Hash;
use std::io;

use ahash::RandomState;

use crate::shm::Area;
use crate::shm::atomic::{AtomicU64, Ordering::*};

/// Whose repeats a slot counts, since when, and how many. All zero is nobody's.
///
/// ```text
/// mark: 24 bits of a keyed hash, not 0 | start: 20 bits of ms | repeats: 20 bits
/// ```
#[derive(Clone, Copy)]
struct Tally(u64);

const FIELD: u32 = 20;
const MOST: u64 = (1 << FIELD) - 1;

impl Tally {
    const NOBODY: Self = Tally(0);

    fn new(mark: u32, now: u64) -> Self {
        Tally(u64::from(mark) << (2 * FIELD) | (now & MOST) << FIELD)
    }

    fn mark(self) -> u32 {
        (self.0 >> (2 * FIELD)) as u32
    }

    fn repeats(self) -> u64 {
        self.0 & MOST
    }

    /// Whether its period goes on at `now`, or begins later. Its start comes round after
    /// 17 minutes; what is over is cleared long before.
    fn goes_on(self, now: u64, period: u64) -> bool {
        let age = now.wrapping_sub(self.0 >> FIELD) & MOST;
        age < period || age > MOST / 2
    }
}

/// What makes events repeats of each other: their slot, and their mark in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    /// Position of the slot.
    pub slot: usize,
    /// Never 0.
    pub mark: u32,
}

/// Repeats of a key that were not told yet, and when the last one came.
#[derive(Clone, Copy)]
pub(super) struct Repeats {
    pub key: Key,
    pub count: u64,
    pub last: u64,
}

/// The first event of a period: it is made and told before its repeats are counted,
/// so that whoever reads knows what they are repeats of.
pub(super) struct First {
    pub key: Key,
    seen: Tally,
}

/// The periods that go on, in shared memory.
pub(super) struct Fold {
    tallies: &'static [AtomicU64],
    /// Ms since 1970 of the last repeat in each slot.
    lasts: &'static [AtomicU64],
    hash: RandomState,
    period: u64,
}

impl Fold {
    /// Maps `slots` slots, for periods of so many ms.
    pub fn new(slots: usize, period: u64, seed: [u64; 2]) -> io::Result<Self> {
        Ok(Fold {
            tallies: Area::share_slice(slots)?,
            lasts: Area::share_slice(slots)?,
            hash: RandomState::with_seeds(seed[0], seed[1], !seed[0], !seed[1]),
            period,
        })
    }

    fn slot(&self, key: Key) -> Option<(&AtomicU64, &AtomicU64)> {
        Some((self.tallies.get(key.slot)?, self.lasts.get(key.slot)?))
    }

    /// Counts an event that happens at `now` if it is a repeat; else it is the first
    /// of its period.
    pub fn count(&self, key: &impl Hash, now: u64) -> Option<First> {
        let hash = self.hash.hash_one(key);
        let slot = hash as usize % self.tallies.len().max(1);
        let key = Key { slot, mark: ((hash >> 40) as u32).max(1) };
        let (tally, last) = self.slot(key)?;
        let mut seen = Tally(tally.load(Acquire));
        while seen.mark() == key.mark && seen.goes_on(now, self.period) && seen.repeats() < MOST {
            match tally.compare_exchange_weak(seen.0, seen.0 + 1, AcqRel, Acquire) {
                Ok(_) => {
                    last.store(now, Relaxed);
                    return None;
                }
                Err(other) => seen = Tally(other),
            }
        }
        Some(First { key, seen })
    }

    /// Counts repeats of `first` from `now` on, in place of another key, whose repeats
    /// are given out. If somebody else took the place meanwhile, it is theirs.
    pub fn begin(&self, first: &First, now: u64) -> Option<Repeats> {
        let (tally, last) = self.slot(first.key)?;
        let since = last.load(Relaxed);
        let new = Tally::new(first.key.mark, now);
        tally.compare_exchange(first.seen.0, new.0, AcqRel, Relaxed).ok()?;
        let key = Key { mark: first.seen.mark(), ..first.key };
        let count = first.seen.repeats();
        (count > 0).then_some(Repeats { key, count, last: since })
    }

    /// Gives out the repeats of periods that are over at `now`; their next periods
    /// begin. `tell` says whether it knows what they are repeats of: if not, the next
    /// event is a first one again.
    pub fn flush(&self, now: u64, mut tell: impl FnMut(Repeats) -> bool) {
        for (slot, (tally, last)) in self.tallies.iter().zip(self.lasts).enumerate() {
            let seen = Tally(tally.load(Acquire));
            if seen.mark() == 0 || seen.goes_on(now, self.period) {
                continue;
            }
            let (key, last) = (Key { slot, mark: seen.mark() }, last.load(Relaxed));
            let next = match seen.repeats() {
                0 => Tally::NOBODY,
                _ => Tally::new(seen.mark(), now),
            };
            if tally.compare_exchange(seen.0, next.0, AcqRel, Relaxed).is_err() {
                continue;
            }
            let repeats = Repeats { key, count: seen.repeats(), last };
            if repeats.count > 0 && !tell(repeats) {
                // Whoever has counted on meanwhile keeps the place, until the next look.
                let _ = tally.compare_exchange(next.0, Tally::NOBODY.0, AcqRel, Relaxed);
            }
        }
    }

    /// Bytes of address space.
    pub fn bytes(&self) -> usize {
        size_of_val(self.tallies) + size_of_val(self.lasts)
    }
}
