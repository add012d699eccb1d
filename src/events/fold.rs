//! Repeats of an event become one event. To count a repeat is one exchange of one word: no
//! lock, no wait.

use std::hash::Hash;
use std::io;

use ahash::RandomState;

use crate::shm::Area;
use crate::shm::atomic::{AtomicU64, Ordering::*};

/// The repeats that a slot counts: of which key, since when, how many. All zero is free.
///
/// ```text
/// mark: 24 bits of a keyed hash, not 0 | start: 20 bits of ms | repeats: 20 bits
/// ```
#[derive(Clone, Copy)]
struct Period(u64);

const FIELD: u32 = 20;
const MOST: u64 = (1 << FIELD) - 1;

impl Period {
    const FREE: Self = Period(0);

    fn new(mark: u32, now: u64) -> Self {
        Period(u64::from(mark) << (2 * FIELD) | (now & MOST) << FIELD)
    }

    fn mark(self) -> u32 {
        (self.0 >> (2 * FIELD)) as u32
    }

    fn repeats(self) -> u64 {
        self.0 & MOST
    }

    /// Whether it goes on at `now`, or begins later. The 20-bit start wraps after 17
    /// minutes; finished periods are cleared long before.
    fn goes_on(self, now: u64, period: u64) -> bool {
        let age = now.wrapping_sub(self.0 >> FIELD) & MOST;
        age < period || age > MOST / 2
    }
}

/// Events with the same key are repeats of each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FoldKey {
    /// Position of the slot.
    pub slot: usize,
    /// Never 0.
    pub mark: u32,
}

/// Repeats of a key that were not reported yet, and when the last one came.
#[derive(Clone, Copy)]
pub(super) struct Repeats {
    pub key: FoldKey,
    pub count: u64,
    pub last: u64,
}

/// The first event of a period. It enters the ring before its repeats are counted, so the
/// reader always knows what a repeat repeats.
pub(super) struct First {
    pub key: FoldKey,
    seen: Period,
}

/// The periods that go on, in shared memory.
pub(super) struct Fold {
    periods: &'static [AtomicU64],
    /// Ms since 1970 of the last repeat in each slot.
    lasts: &'static [AtomicU64],
    hash: RandomState,
    period: u64,
}

impl Fold {
    /// Maps `slots` slots, for periods of so many ms.
    pub fn new(slots: usize, period: u64, seed: [u64; 2]) -> io::Result<Self> {
        Ok(Fold {
            periods: Area::share_slice(slots)?,
            lasts: Area::share_slice(slots)?,
            hash: RandomState::with_seeds(seed[0], seed[1], !seed[0], !seed[1]),
            period,
        })
    }

    pub fn slots(&self) -> usize {
        self.periods.len()
    }

    fn slot(&self, key: FoldKey) -> Option<(&AtomicU64, &AtomicU64)> {
        Some((self.periods.get(key.slot)?, self.lasts.get(key.slot)?))
    }

    /// Mark of the key whose repeats a slot counts; 0 for none.
    pub fn mark_at(&self, slot: usize) -> u32 {
        self.periods.get(slot).map_or(0, |word| Period(word.load(Acquire)).mark())
    }

    /// Counts an event that happens at `now` if it is a repeat; else it is the first
    /// of its period.
    pub fn count(&self, key: &impl Hash, now: u64) -> Option<First> {
        let hash = self.hash.hash_one(key);
        let slot = hash as usize % self.periods.len().max(1);
        let key = FoldKey { slot, mark: ((hash >> 40) as u32).max(1) };
        let (word, last) = self.slot(key)?;
        let mut seen = Period(word.load(Acquire));
        while seen.mark() == key.mark && seen.goes_on(now, self.period) && seen.repeats() < MOST {
            match word.compare_exchange_weak(seen.0, seen.0 + 1, AcqRel, Acquire) {
                Ok(_) => {
                    last.store(now, Relaxed);
                    return None;
                }
                Err(other) => seen = Period(other),
            }
        }
        Some(First { key, seen })
    }

    /// Counts repeats of `first` from `now` on, in place of another key: returns the repeats
    /// of that one. Does nothing if another process was faster.
    pub fn begin(&self, first: &First, now: u64) -> Option<Repeats> {
        let (word, last) = self.slot(first.key)?;
        let since = last.load(Relaxed);
        let new = Period::new(first.key.mark, now);
        word.compare_exchange(first.seen.0, new.0, AcqRel, Relaxed).ok()?;
        let key = FoldKey { mark: first.seen.mark(), ..first.key };
        let count = first.seen.repeats();
        (count > 0).then_some(Repeats { key, count, last: since })
    }

    /// Reports the repeats of periods that are over at `now`, and begins their next periods.
    /// `report` returns whether it knows what they repeat: if not, the next event is a first
    /// one again.
    pub fn flush(&self, now: u64, mut report: impl FnMut(Repeats) -> bool) {
        for (slot, (word, last)) in self.periods.iter().zip(self.lasts).enumerate() {
            let seen = Period(word.load(Acquire));
            if seen.mark() == 0 || seen.goes_on(now, self.period) {
                continue;
            }
            let (key, last) = (FoldKey { slot, mark: seen.mark() }, last.load(Relaxed));
            let next = match seen.repeats() {
                0 => Period::FREE,
                _ => Period::new(seen.mark(), now),
            };
            if word.compare_exchange(seen.0, next.0, AcqRel, Relaxed).is_err() {
                continue;
            }
            let repeats = Repeats { key, count: seen.repeats(), last };
            if repeats.count > 0 && !report(repeats) {
                // If a repeat was counted in between, the slot is freed with the next flush.
                let _ = word.compare_exchange(next.0, Period::FREE.0, AcqRel, Relaxed);
            }
        }
    }

    pub fn bytes(&self) -> usize {
        size_of_val(self.periods) + size_of_val(self.lasts)
    }
}
