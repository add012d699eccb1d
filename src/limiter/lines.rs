//! Where entries lie, each with its lock, in shared memory.
//!
//! Eight lines make a bucket. An entry has a home line in its bucket and lies there, or
//! where its home was taken in the next one that was free. So a look at a known entry
//! mostly touches one line.
//!
//! A search takes one lock at a time. An entry is added under all eight locks of the
//! bucket, taken in ascending order, after one more search: so no key has two entries. An
//! entry may be removed under its own lock alone. A search during an addition may miss the
//! new entry, as if it had come before.

use std::io;

use bytemuck::Pod;

use super::window::Worth;
use crate::shm::atomic::{AtomicU32, Ordering::Relaxed};
use crate::shm::{Area, ShortGuard, ShortMutex};

/// Lines of a bucket.
pub const WAYS: usize = 8;

/// What lies in a line. All zero is free. Its caller holds the line's lock.
pub trait Occupant: Pod + Default + Send {
    /// What an entry is found by.
    type Key<'a>: Copy;
    /// What tells how useful an entry is.
    type Rules;
    /// What is over when an entry makes room for another one.
    type Over;

    /// A keyed hash, the same in all processes: nobody outside can aim at a bucket.
    fn place(key: &Self::Key<'_>) -> u64;

    /// Whether this is the entry of a key.
    fn is(&self, key: &Self::Key<'_>) -> bool;

    /// Whether the line is free.
    fn is_free(&self) -> bool;

    /// How useful it is to keep; None: it must be kept.
    fn worth(&self, rules: &Self::Rules, now: u64) -> Option<Worth>;

    /// What is over without it.
    fn over(&self) -> Self::Over;
}

/// An entry whose lock is held.
pub type Locked<E> = ShortGuard<'static, E>;

/// How an entry found its place.
#[must_use]
#[derive(Debug, PartialEq, Eq)]
pub enum Place<O> {
    /// It was there already.
    Known,
    /// The place was free.
    Free,
    /// Another entry made room, whose events still counted or did not.
    Instead {
        /// What is over with that one.
        over: O,
        /// Whether its events still counted.
        fresh: bool,
    },
}

/// All lines, in shared memory.
pub struct Lines<E: Occupant> {
    lines: &'static [ShortMutex<E>],
    /// Lines that are not free.
    used: &'static AtomicU32,
}

impl<E: Occupant> Lines<E> {
    /// Maps at least `capacity` lines.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new(capacity: usize) -> io::Result<Self> {
        let count = capacity.max(WAYS).next_power_of_two();
        let used = Area::share_slice(1)?.first().ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Lines { lines: Area::share_slice(count)?, used })
    }

    /// Lines there are.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Lines that are not free.
    pub fn used(&self) -> u32 {
        self.used.load(Relaxed)
    }

    /// Bytes of address space.
    pub fn bytes(&self) -> usize {
        size_of_val(self.lines)
    }

    /// Locks a line.
    #[inline]
    pub fn lock(&self, number: usize) -> Option<Locked<E>> {
        self.lines.get(number).map(|line| line.lock())
    }

    /// The lines where the entry of a key can lie, home first.
    #[inline]
    pub fn places(&self, key: &E::Key<'_>) -> impl Iterator<Item = usize> + use<E> {
        let place = E::place(key) as usize & (self.lines.len() - 1);
        let (first, home) = (place & !(WAYS - 1), place & (WAYS - 1));
        (0..WAYS).map(move |n| first + ((home + n) & (WAYS - 1)))
    }

    /// The first of them by number; all [`WAYS`] follow one another.
    #[inline]
    pub fn bucket(&self, key: &E::Key<'_>) -> usize {
        E::place(key) as usize & (self.lines.len() - 1) & !(WAYS - 1)
    }

    /// The entry of a key, locked, and the number of its line.
    #[inline(always)]
    pub fn find(&self, key: &E::Key<'_>) -> Option<(usize, Locked<E>)> {
        let mut places = self.places(key);
        let home = places.next()?;
        let entry = self.lock(home)?;
        if entry.is(key) {
            return Some((home, entry));
        }
        drop(entry);
        self.find_elsewhere(places, key)
    }

    #[inline(never)]
    fn find_elsewhere(
        &self,
        places: impl Iterator<Item = usize>,
        key: &E::Key<'_>,
    ) -> Option<(usize, Locked<E>)> {
        self.find_among(places, key)
    }

    /// As [`Lines::find`], in these lines only.
    #[inline]
    pub fn find_among(
        &self,
        places: impl Iterator<Item = usize>,
        key: &E::Key<'_>,
    ) -> Option<(usize, Locked<E>)> {
        for number in places {
            let entry = self.lock(number)?;
            if entry.is(key) {
                return Some((number, entry));
            }
        }
        None
    }

    /// As [`Lines::find`]; `new` is added if the entry is not there, in a free line, or
    /// instead of the least useful entry that need not be kept. None if all must be kept.
    /// `clock` is read under the locks.
    pub fn find_or_add(
        &self,
        key: &E::Key<'_>,
        new: impl FnOnce() -> E,
        rules: &E::Rules,
        clock: impl Fn() -> u64,
    ) -> Option<(usize, Locked<E>, Place<E::Over>)> {
        let mut order = [0; WAYS];
        order.iter_mut().zip(self.places(key)).for_each(|(slot, number)| *slot = number);
        let first = order.iter().min().copied()?;
        let mut guards: [Option<Locked<E>>; WAYS] = std::array::from_fn(|n| self.lock(first + n));
        let entry = |number: usize| guards.get(number - first)?.as_deref();
        let found = order.into_iter().find(|n| entry(*n).is_some_and(|entry| entry.is(key)));
        let free = || order.into_iter().find(|n| entry(*n).is_some_and(E::is_free));
        let (number, place) = if let Some(number) = found {
            (number, Place::Known)
        } else if let Some(number) = free() {
            (number, Place::Free)
        } else {
            let now = clock();
            let worth = |n: usize| Some((entry(n)?.worth(rules, now)?, n));
            let ((events, _), number) = order.into_iter().filter_map(worth).min()?;
            (number, Place::Instead { over: entry(number)?.over(), fresh: events > 0 })
        };
        let mut entry = guards.get_mut(number - first)?.take()?;
        drop(guards);
        match place {
            Place::Known => {}
            Place::Instead { .. } => *entry = new(),
            Place::Free => {
                *entry = new();
                self.used.fetch_add(1, Relaxed);
            }
        }
        Some((number, entry, place))
    }

    /// Frees a line.
    pub fn free(&self, entry: &mut Locked<E>) {
        **entry = E::default();
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

    /// Found by a number, of some worth; 0 is kept for ever.
    #[repr(C)]
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
    struct Guest {
        name: u32,
        worth: u32,
    }

    impl Occupant for Guest {
        type Key<'a> = u32;
        type Rules = ();
        type Over = u32;

        fn place(key: &u32) -> u64 {
            u64::from(*key).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
        }

        fn is(&self, key: &u32) -> bool {
            self.name == *key
        }

        fn is_free(&self) -> bool {
            self.name == 0
        }

        fn worth(&self, (): &(), _: u64) -> Option<Worth> {
            (self.worth > 0).then(|| (self.worth - 1, 0))
        }

        fn over(&self) -> u32 {
            self.name
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
            4 => (name(), 0u32..5).prop_map(|(name, worth)| Step::Add(name, worth)),
            2 => name().prop_map(Step::Find),
            1 => name().prop_map(Step::Free),
        ];
        prop::collection::vec(step, 1..300)
    }

    /// The names of a bucket with the worth of each.
    type Bucket = HashMap<u32, u32>;

    proptest! {
        /// Against a map per bucket, which knows who must go.
        #[test]
        fn lines_know_whom_a_map_knows(steps in steps()) {
            const BUCKETS: usize = 2;
            // Mappings are never given back: all cases share one.
            static LINES: OnceLock<Lines<Guest>> = OnceLock::new();
            let lines = LINES.get_or_init(|| Lines::new(BUCKETS * WAYS).unwrap());
            for number in 0..lines.len() {
                let mut entry = lines.lock(number).unwrap();
                if !entry.is_free() {
                    lines.free(&mut entry);
                }
            }
            let mut model: [Bucket; BUCKETS] = Default::default();
            let bucket_of = |name: u32| lines.places(&name).next().unwrap() / WAYS;
            for step in steps {
                match step {
                    Step::Add(name, worth) => {
                        let bucket = &mut model[bucket_of(name)];
                        let new = || Guest { name, worth };
                        let added = lines.find_or_add(&name, new, &(), || 0);
                        let least = bucket.values().filter(|worth| **worth > 0).min().copied();
                        match added.map(|(_, entry, place)| (*entry, place)) {
                            Some((entry, Place::Known)) => {
                                prop_assert_eq!(Some(&entry.worth), bucket.get(&name));
                            }
                            Some((entry, Place::Free)) => {
                                prop_assert!(bucket.len() < WAYS && !bucket.contains_key(&name));
                                prop_assert_eq!(entry, new());
                                bucket.insert(name, worth);
                            }
                            Some((entry, Place::Instead { over, fresh })) => {
                                prop_assert!(bucket.len() == WAYS && !bucket.contains_key(&name));
                                prop_assert_eq!(entry, new());
                                let gone = bucket.remove(&over);
                                prop_assert!(gone.is_some() && gone == least);
                                prop_assert_eq!(fresh, gone > Some(1));
                                bucket.insert(name, worth);
                            }
                            None => {
                                prop_assert!(bucket.len() == WAYS && !bucket.contains_key(&name));
                                prop_assert_eq!(least, None);
                            }
                        }
                    }
                    Step::Find(name) => {
                        let found = lines.find(&name).map(|(_, entry)| entry.worth);
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
    fn an_entry_lies_at_home_or_in_the_next_free_line_of_its_bucket() {
        let lines = Lines::<Guest>::new(5).unwrap();
        assert_eq!((lines.len(), lines.bytes()), (WAYS, WAYS * 12));
        let add = |name| {
            let new = || Guest { name, worth: 1 };
            lines.find_or_add(&name, new, &(), || 0).map(|(number, _, place)| (number, place))
        };
        for name in 1..=8 {
            let mut places = lines.places(&name);
            let free = places.find(|number| lines.lock(*number).unwrap().is_free()).unwrap();
            assert_eq!(add(name), Some((free, Place::Free)));
            assert_eq!(add(name), Some((free, Place::Known)));
        }
        assert!(matches!(add(9), Some((_, Place::Instead { fresh: false, .. }))));
        assert_eq!(lines.places(&3).collect::<std::collections::HashSet<_>>().len(), WAYS);
        assert!(lines.lock(WAYS).is_none());
    }

    #[test]
    fn a_search_touches_only_the_lines_it_is_given() {
        let lines = Lines::<Guest>::new(8).unwrap();
        let found = lines.find_or_add(&7, || Guest { name: 7, worth: 1 }, &(), || 0);
        let number = found.map(|(number, ..)| number).unwrap();
        assert!(lines.find_among([number].into_iter(), &7).is_some());
        assert!(lines.find_among((0..8).filter(|n| *n != number), &7).is_none());
    }
}
