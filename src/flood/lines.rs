//! Where entries lie: each in a cache line of its own, with its lock.
//!
//! Eight lines make a bucket. A source has a home line in its bucket and lies
//! there, or where its home was taken in the next one that was free. So a check
//! of a known source mostly touches one line and no other source's.
//!
//! Who looks for a source takes one lock at a time. Who adds one takes all eight
//! of the bucket, in ascending order, and looks once more: so a source never
//! stands twice. An entry may be removed under its own lock alone.

use std::io;

use super::entry::Entry;
use super::rules::Rules;
use crate::limiter::Key;
use crate::shm::{Area, ShortGuard, ShortMutex};

/// Lines of a bucket.
const WAYS: usize = 8;

/// All lines, in shared memory.
pub(super) struct Lines {
    lines: &'static [ShortMutex<Entry>],
    seed: [u64; 2],
}

/// An entry whose lock is held.
pub(super) type Locked = ShortGuard<'static, Entry>;

/// How a new source found its place.
pub(super) enum Place {
    /// It was there already.
    Known,
    /// The place was free.
    Free,
    /// Another source went, whose requests still counted or did not.
    Instead { victim: Entry, fresh: bool },
}

#[cfg(not(shuttle))]
const _: () = assert!(size_of::<ShortMutex<Entry>>() == 64);

impl Lines {
    /// Maps at least `capacity` lines. `seed` keys the hash.
    pub fn new(capacity: usize, seed: [u64; 2]) -> io::Result<Self> {
        let count = capacity.max(WAYS).next_power_of_two();
        Ok(Lines { lines: Area::share_slice(count)?, seed })
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Bytes of address space.
    pub fn bytes(&self) -> usize {
        size_of_val(self.lines)
    }

    /// The lines where a source can lie, home first.
    fn places(&self, key: &Key) -> impl Iterator<Item = usize> + use<> {
        let hash = key.hash(self.seed) as usize & (self.lines.len() - 1);
        let (first, home) = (hash & !(WAYS - 1), hash & (WAYS - 1));
        (0..WAYS).map(move |n| first + ((home + n) & (WAYS - 1)))
    }

    /// Locks a line.
    pub fn lock(&self, number: usize) -> Option<Locked> {
        self.lines.get(number).map(|line| line.lock())
    }

    /// The entry of a source, locked, and the number of its line.
    #[inline(always)]
    pub fn find(&self, key: &Key) -> Option<(usize, Locked)> {
        let mut places = self.places(key);
        let home = places.next()?;
        let entry = self.lock(home)?;
        if entry.is(key) {
            return Some((home, entry));
        }
        drop(entry);
        self.find_in(places, key)
    }

    #[inline(never)]
    fn find_in(&self, places: impl Iterator<Item = usize>, key: &Key) -> Option<(usize, Locked)> {
        for number in places {
            let entry = self.lock(number)?;
            if entry.is(key) {
                return Some((number, entry));
            }
        }
        None
    }

    /// As [`Lines::find`]; `new` is added if the source is not there, in a free line,
    /// or instead of the least useful entry that is not blocked. None if all are
    /// blocked. `clock` is read under the locks.
    pub fn find_or_add(
        &self,
        key: &Key,
        new: Entry,
        rules: &Rules,
        clock: impl Fn() -> u64,
    ) -> Option<(usize, Locked, Place)> {
        let mut order = [0; WAYS];
        order.iter_mut().zip(self.places(key)).for_each(|(slot, number)| *slot = number);
        let first = order.iter().min().copied()?;
        let mut guards: [Option<Locked>; WAYS] = std::array::from_fn(|n| self.lock(first + n));
        let entry = |number: usize| guards.get(number - first)?.as_deref();
        let found = order.into_iter().find(|n| entry(*n).is_some_and(|entry| entry.is(key)));
        let free = || order.into_iter().find(|n| entry(*n).is_some_and(Entry::is_free));
        let chosen = match (found, free) {
            (Some(number), _) => Some((number, Place::Known)),
            (None, free) => free().map(|number| (number, Place::Free)),
        };
        let (number, place) = match chosen {
            Some(chosen) => chosen,
            None => {
                let now = clock();
                let worth = |n: usize| {
                    let entry = entry(n).filter(|entry| !entry.is_blocked())?;
                    Some((entry.worth(rules.class(entry.class()), now), n))
                };
                let ((requests, _), number) = order.into_iter().filter_map(worth).min()?;
                (number, Place::Instead { victim: *entry(number)?, fresh: requests > 0 })
            }
        };
        let mut entry = guards.get_mut(number - first)?.take()?;
        drop(guards);
        if !matches!(place, Place::Known) {
            *entry = new;
        }
        Some((number, entry, place))
    }
}
