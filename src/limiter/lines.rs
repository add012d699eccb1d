//! Entries in shared memory, each in a line with a lock of its own.
//!
//! Eight lines make a bucket. An entry is in its home line or, where that was taken, in the
//! next free line of the bucket. So the search for a known entry mostly touches one line.
//!
//! A search takes one lock at a time. An entry is added under all eight locks of the
//! bucket, taken in ascending order, after one more search: so no key has two entries. An
//! entry may be removed under its own lock alone. A search during an addition may miss the
//! new entry, as if it had come before.

use std::io;

use bytemuck::Pod;

use super::rules::{Rules, Values};
use super::tally::Tally;
use super::window::EvictionRank;
use crate::shm::atomic::{AtomicU32, Ordering::Relaxed, keep_order};
use crate::shm::{Area, ShortGuard, ShortMutex};

/// Lines of a bucket.
pub const WAYS: usize = 8;

/// An entry; all zero is free. Whoever calls its methods has locked its line.
pub trait TableEntry: Pod + Default + Send {
    type Key<'a>: Copy;
    type Values: Values;
    /// What ends when the entry is evicted.
    type Ended;

    /// A keyed hash, the same in all processes: strangers cannot aim at a bucket.
    fn hash(key: &Self::Key<'_>) -> u64;

    fn has_key(&self, key: &Self::Key<'_>) -> bool;

    fn tally(&self) -> &Tally;

    fn tally_mut(&mut self) -> &mut Tally;

    fn ended(&self) -> Self::Ended;

    fn is_free(&self) -> bool {
        self.tally().is_free()
    }

    /// Becomes another entry. Whoever dies in the midst leaves a free one.
    fn replace_by(&mut self, mut new: Self) {
        let kind = new.tally_mut().take_kind();
        self.tally_mut().take_kind();
        keep_order();
        *self = new;
        keep_order();
        self.tally_mut().set_kind(kind);
    }

    /// None: the entry must be kept.
    fn eviction_rank(&self, rules: &Rules<Self::Values>, now: u64) -> Option<EvictionRank> {
        let tally = self.tally();
        tally.eviction_rank(&rules.class(tally.class()).counting, now)
    }
}

pub type LockedEntry<E> = ShortGuard<'static, E>;

/// How an entry came into its line.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum Insertion<T> {
    Existing,
    /// Into a free line.
    Added,
    /// In place of another entry.
    Replaced {
        /// What ended with that one.
        ended: T,
        /// Whether its events still counted.
        counted: bool,
    },
}

/// All entries of the bucket must be kept.
#[derive(Debug, PartialEq, Eq)]
pub struct NoRoom;

/// Size and use of a table.
#[derive(Clone, Copy, Debug)]
pub struct TableUsage {
    /// Entries that fit.
    pub capacity: usize,
    pub used: u32,
    /// Entries that are blocked or banned.
    pub blocked: u32,
    /// Address space; only what was used takes memory.
    pub bytes: usize,
}

/// All lines, in shared memory.
pub struct Lines<E: TableEntry> {
    lines: &'static [ShortMutex<E>],
    /// Lines that are not free.
    used: &'static AtomicU32,
}

impl<E: TableEntry> Lines<E> {
    /// Maps at least `capacity` lines.
    pub fn new(capacity: usize) -> io::Result<Self> {
        let count = capacity.max(WAYS).next_power_of_two();
        let used = Area::share_atomic()?;
        Ok(Lines { lines: Area::share_slice(count)?, used })
    }

    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn used(&self) -> u32 {
        self.used.load(Relaxed)
    }

    pub fn bytes(&self) -> usize {
        size_of_val(self.lines)
    }

    #[inline]
    pub fn lock(&self, number: usize) -> Option<LockedEntry<E>> {
        self.lines.get(number).map(|line| line.lock())
    }

    /// The lines where the entry of a key can be, home first.
    #[inline]
    pub fn candidates(&self, key: &E::Key<'_>) -> impl Iterator<Item = usize> + use<E> {
        let line = E::hash(key) as usize & (self.lines.len() - 1);
        let (first, home) = (line & !(WAYS - 1), line & (WAYS - 1));
        (0..WAYS).map(move |n| first + ((home + n) & (WAYS - 1)))
    }

    /// The lowest number of them; all [`WAYS`] follow one another.
    #[inline]
    pub fn bucket(&self, key: &E::Key<'_>) -> usize {
        E::hash(key) as usize & (self.lines.len() - 1) & !(WAYS - 1)
    }

    /// The entry of a key, locked, and the number of its line.
    #[inline(always)]
    pub fn find(&self, key: &E::Key<'_>) -> Option<(usize, LockedEntry<E>)> {
        let mut candidates = self.candidates(key);
        let home = candidates.next()?;
        let entry = self.lock(home)?;
        if entry.has_key(key) {
            return Some((home, entry));
        }
        drop(entry);
        self.find_elsewhere(candidates, key)
    }

    #[inline(never)]
    fn find_elsewhere(
        &self,
        numbers: impl Iterator<Item = usize>,
        key: &E::Key<'_>,
    ) -> Option<(usize, LockedEntry<E>)> {
        self.find_among(numbers, key)
    }

    /// As [`Lines::find`], in these lines only.
    #[inline]
    pub fn find_among(
        &self,
        numbers: impl Iterator<Item = usize>,
        key: &E::Key<'_>,
    ) -> Option<(usize, LockedEntry<E>)> {
        for number in numbers {
            let entry = self.lock(number)?;
            if entry.has_key(key) {
                return Some((number, entry));
            }
        }
        None
    }

    /// As [`Lines::find`]; an entry that is not there is added, in a free line or in place
    /// of the entry with the lowest rank. `clock` is read under the locks.
    #[allow(clippy::type_complexity)]
    pub fn find_or_add(
        &self,
        key: &E::Key<'_>,
        new: impl FnOnce() -> E,
        rules: &Rules<E::Values>,
        clock: impl Fn() -> u64,
    ) -> Result<(usize, LockedEntry<E>, Insertion<E::Ended>), NoRoom> {
        let mut order = [0; WAYS];
        order.iter_mut().zip(self.candidates(key)).for_each(|(slot, number)| *slot = number);
        let first = self.bucket(key);
        let mut guards: [Option<LockedEntry<E>>; WAYS] =
            std::array::from_fn(|n| self.lock(first + n));
        let entry = |number: usize| guards.get(number - first)?.as_deref();
        let found = order.into_iter().find(|n| entry(*n).is_some_and(|entry| entry.has_key(key)));
        let free = || order.into_iter().find(|n| entry(*n).is_some_and(E::is_free));
        let (number, insertion) = if let Some(number) = found {
            (number, Insertion::Existing)
        } else if let Some(number) = free() {
            (number, Insertion::Added)
        } else {
            let now = clock();
            let ranked = |n: usize| Some((entry(n)?.eviction_rank(rules, now)?, n));
            let lowest = order.into_iter().filter_map(ranked).min().ok_or(NoRoom)?;
            let ((events, _), number) = lowest;
            let ended = entry(number).ok_or(NoRoom)?.ended();
            (number, Insertion::Replaced { ended, counted: events > 0 })
        };
        let mut entry = guards.get_mut(number - first).and_then(Option::take).ok_or(NoRoom)?;
        drop(guards);
        match insertion {
            Insertion::Existing => {}
            Insertion::Replaced { .. } => entry.replace_by(new()),
            Insertion::Added => {
                entry.replace_by(new());
                self.used.fetch_add(1, Relaxed);
            }
        }
        Ok((number, entry, insertion))
    }

    /// Looks at lines one after the other: `look` runs under the lock of a line, `then`
    /// without any lock.
    pub fn visit<T>(
        &self,
        numbers: impl Iterator<Item = usize>,
        mut look: impl FnMut(usize, &mut LockedEntry<E>) -> Option<T>,
        mut then: impl FnMut(T),
    ) {
        for number in numbers {
            let Some(mut entry) = self.lock(number) else { continue };
            let found = look(number, &mut entry);
            drop(entry);
            found.into_iter().for_each(&mut then);
        }
    }

    pub fn free(&self, entry: &mut LockedEntry<E>) {
        entry.replace_by(E::default());
        self.used.fetch_sub(1, Relaxed);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::collections::HashMap;
    use std::sync::OnceLock;

    use bytemuck::Zeroable;
    use proptest::prelude::*;

    use super::*;
    use crate::address::Prefix;
    use crate::limiter::test_values::TestValues;

    const RULES: Rules<TestValues> = Rules::NONE;

    /// Found by a number, of some rank; 0 is kept.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
    struct TestEntry {
        tally: Tally,
        rank: u32,
    }

    impl TestEntry {
        fn new(name: u32, rank: u32) -> Self {
            TestEntry { tally: Tally::new(Prefix::V4(name, 32).into(), None), rank }
        }
    }

    impl TableEntry for TestEntry {
        type Key<'a> = u32;
        type Values = TestValues;
        type Ended = u32;

        fn hash(key: &u32) -> u64 {
            u64::from(*key).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
        }

        fn has_key(&self, key: &u32) -> bool {
            self.tally.source() == Some(Prefix::V4(*key, 32))
        }

        fn tally(&self) -> &Tally {
            &self.tally
        }

        fn tally_mut(&mut self) -> &mut Tally {
            &mut self.tally
        }

        fn eviction_rank(&self, _: &Rules<TestValues>, _: u64) -> Option<EvictionRank> {
            (self.rank > 0).then(|| (self.rank - 1, 0))
        }

        fn ended(&self) -> u32 {
            match self.tally.source() {
                Some(Prefix::V4(name, _)) => name,
                _ => 0,
            }
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Add(u32, u32),
        Find(u32),
        Free(u32),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let name = || 1u32..40;
        let step = prop_oneof![
            4 => (name(), 0u32..5).prop_map(|(name, rank)| Step::Add(name, rank)),
            2 => name().prop_map(Step::Find),
            1 => name().prop_map(Step::Free),
        ];
        prop::collection::vec(step, 1..300)
    }

    /// Names and ranks.
    type Bucket = HashMap<u32, u32>;

    proptest! {
        /// Against a map for each bucket.
        #[test]
        fn lines_have_the_entries_that_a_map_has(steps in steps()) {
            const BUCKETS: usize = 2;
            // Mappings are never given back: all cases share one.
            static LINES: OnceLock<Lines<TestEntry>> = OnceLock::new();
            let lines = LINES.get_or_init(|| Lines::new(BUCKETS * WAYS).unwrap());
            for number in 0..lines.len() {
                let mut entry = lines.lock(number).unwrap();
                if !entry.is_free() {
                    lines.free(&mut entry);
                }
            }
            let mut model: [Bucket; BUCKETS] = Default::default();
            let bucket_of = |name: u32| lines.candidates(&name).next().unwrap() / WAYS;
            for step in steps {
                match step {
                    Step::Add(name, rank) => {
                        let bucket = &mut model[bucket_of(name)];
                        let new = || TestEntry::new(name, rank);
                        let added = lines.find_or_add(&name, new, &RULES, || 0);
                        let least = bucket.values().filter(|rank| **rank > 0).min().copied();
                        match added.map(|(_, entry, how)| (*entry, how)) {
                            Ok((entry, Insertion::Existing)) => {
                                prop_assert_eq!(Some(&entry.rank), bucket.get(&name));
                            }
                            Ok((entry, Insertion::Added)) => {
                                prop_assert!(bucket.len() < WAYS && !bucket.contains_key(&name));
                                prop_assert_eq!(entry, new());
                                bucket.insert(name, rank);
                            }
                            Ok((entry, Insertion::Replaced { ended, counted })) => {
                                prop_assert!(bucket.len() == WAYS && !bucket.contains_key(&name));
                                prop_assert_eq!(entry, new());
                                let gone = bucket.remove(&ended);
                                prop_assert!(gone.is_some() && gone == least);
                                prop_assert_eq!(counted, gone > Some(1));
                                bucket.insert(name, rank);
                            }
                            Err(NoRoom) => {
                                prop_assert!(bucket.len() == WAYS && !bucket.contains_key(&name));
                                prop_assert_eq!(least, None);
                            }
                        }
                    }
                    Step::Find(name) => {
                        let found = lines.find(&name).map(|(_, entry)| entry.rank);
                        prop_assert_eq!(found.as_ref(), model[bucket_of(name)].get(&name));
                    }
                    Step::Free(name) => {
                        let known = model[bucket_of(name)].remove(&name).is_some();
                        let found = lines.find(&name).map(|(_, mut entry)| lines.free(&mut entry));
                        prop_assert_eq!(found.is_some(), known);
                    }
                }
                let used: usize = model.iter().map(HashMap::len).sum();
                prop_assert_eq!(lines.used() as usize, used);
            }
        }
    }

    #[test]
    fn an_entry_is_at_home_or_in_the_next_free_line_of_its_bucket() {
        let lines = Lines::<TestEntry>::new(5).unwrap();
        assert_eq!((lines.len(), lines.bytes()), (WAYS, WAYS * 60));
        let add = |name| {
            let new = || TestEntry::new(name, 1);
            lines.find_or_add(&name, new, &RULES, || 0).ok().map(|(number, _, how)| (number, how))
        };
        for name in 1..=8 {
            let mut candidates = lines.candidates(&name);
            let free = candidates.find(|number| lines.lock(*number).unwrap().is_free()).unwrap();
            assert_eq!(add(name), Some((free, Insertion::Added)));
            assert_eq!(add(name), Some((free, Insertion::Existing)));
        }
        assert!(matches!(add(9), Some((_, Insertion::Replaced { counted: false, .. }))));
        assert_eq!(lines.candidates(&3).collect::<std::collections::HashSet<_>>().len(), WAYS);
        assert!(lines.lock(WAYS).is_none());
    }

    #[test]
    fn a_search_touches_only_the_lines_it_is_given() {
        let lines = Lines::<TestEntry>::new(8).unwrap();
        let found = lines.find_or_add(&7, || TestEntry::new(7, 1), &RULES, || 0);
        let number = found.map(|(number, ..)| number).unwrap();
        assert!(lines.find_among([number].into_iter(), &7).is_some());
        assert!(lines.find_among((0..8).filter(|n| *n != number), &7).is_none());
    }
}
