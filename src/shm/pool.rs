//! Fixed pools of records with a lock-free list of free ones.
//!
//! Records that were never used are not linked but follow a mark, so a new pool is all zero
//! and takes no memory. The list is R. K. Treiber's stack
//! (1986); a tag in its head, raised with every change, rules out ABA.

use std::io;

use super::area::{Area, Shared};
use super::atomic::{AtomicU32, AtomicU64, Ordering::*};

/// A record of N words. While the record is free, word 0 is the pool's: the link to the next
/// free one, and how many are free from this one on, << 32. Its owner may use it otherwise.
pub type Record<const N: usize> = [AtomicU64; N];

// SAFETY: atomics, zero is a value.
unsafe impl<const N: usize> Shared for Record<N> {}

/// Head of the free list and the mark of what was never used.
#[derive(Default)]
struct Free {
    /// Tag in the upper half, position + 1 in the lower.
    head: AtomicU64,
    /// Records from here on were never used.
    unused: AtomicU32,
}

// SAFETY: atomics; all zero is an empty list before the first record.
unsafe impl Shared for Free {}

/// Records in shared memory.
pub struct Pool<const N: usize> {
    records: &'static [Record<N>],
    free: &'static Free,
}

impl<const N: usize> Pool<N>
where
    Record<N>: Default,
{
    /// Maps a pool of `capacity` records.
    pub fn new(capacity: usize) -> io::Result<Self> {
        let free = Area::share_atomic()?;
        Ok(Pool { records: Area::share_slice(capacity)?, free })
    }

    /// A free record; None if all are in use.
    pub fn take(&self) -> Option<u32> {
        let mut one = [0];
        self.take_all(&mut one).then_some(one[0])
    }

    /// A free record for each place, at the cost of one; false, and none is taken, if there are
    /// not so many.
    pub fn take_all(&self, places: &mut [u32]) -> bool {
        let mut taken = 0;
        loop {
            let (before, rest) = places.split_at_mut(taken);
            let popped = self.pop(rest);
            let lacking = rest.get_mut(popped..).unwrap_or_default();
            if lacking.is_empty() || self.take_unused(lacking) {
                return true;
            }
            // While there are some others may give some back.
            if popped == 0 {
                self.give_all(before);
                return false;
            }
            taken += popped;
        }
    }

    /// Gives back a record from [`Pool::take`].
    pub fn give(&self, position: u32) {
        self.give_all(&[position]);
    }

    /// Gives records back, at the cost of one.
    pub fn give_all(&self, positions: &[u32]) {
        if positions.is_empty() {
            return;
        }
        let mut head = self.free.head.load(Acquire);
        loop {
            // As in `pop`: if the first free record is taken meanwhile, this is not used.
            let mut free = u64::from(self.free_from(head));
            let mut first = head & LINK;
            for position in positions {
                let Some(record) = self.get(*position) else { continue };
                free += 1;
                record[0].store(free << 32 | first, Relaxed);
                first = u64::from(*position) + 1;
            }
            let new = next_tag(head) | first;
            match self.free.head.compare_exchange(head, new, AcqRel, Acquire) {
                Ok(_) => return,
                Err(seen) => head = seen,
            }
        }
    }

    /// Takes records from the list, as many as there are places and it has. How many.
    fn pop(&self, places: &mut [u32]) -> usize {
        let mut head = self.free.head.load(Acquire);
        loop {
            // If another process takes one of these records and writes to it, the tag changes
            // and the links read here are not used.
            let mut first = head & LINK;
            let mut popped = 0;
            for place in places.iter_mut() {
                let Some(position) = (first as u32).checked_sub(1) else { break };
                let Some(record) = self.get(position) else { break };
                *place = position;
                popped += 1;
                first = record[0].load(Relaxed) & LINK;
            }
            if popped == 0 {
                return 0;
            }
            let new = next_tag(head) | first;
            match self.free.head.compare_exchange(head, new, Acquire, Acquire) {
                Ok(_) => return popped,
                Err(seen) => head = seen,
            }
        }
    }

    /// Takes records that were never used, one for each place, or none and false.
    fn take_unused(&self, places: &mut [u32]) -> bool {
        let (capacity, count) = (self.records.len() as u32, places.len() as u32);
        let raise = |unused: u32| unused.checked_add(count).filter(|after| *after <= capacity);
        let Ok(first) = self.free.unused.fetch_update(Relaxed, Relaxed, raise) else {
            return false;
        };
        places.iter_mut().zip(first..).for_each(|(place, position)| *place = position);
        true
    }

    /// Frees all records that are not in use, whatever processes that have died left of the
    /// list. `in_use` is by position; nobody else takes or gives meanwhile.
    pub fn repair(&self, in_use: &[bool]) {
        let mut first = 0;
        let free = in_use.iter().enumerate().filter(|(_, in_use)| !**in_use);
        let free = free.filter_map(|(at, _)| Some((at, self.records.get(at)?)));
        for (before, (position, record)) in (1..).zip(free) {
            record[0].store(before << 32 | first, Relaxed);
            first = position as u64 + 1;
        }
        let head = self.free.head.load(Relaxed);
        self.free.head.store(next_tag(head) | first, Release);
    }

    /// The record at a position.
    pub fn get(&self, position: u32) -> Option<&'static Record<N>> {
        self.records.get(position as usize)
    }

    pub fn capacity(&self) -> usize {
        self.records.len()
    }

    /// Records in use.
    pub fn live(&self) -> u32 {
        let free = self.free_from(self.free.head.load(Acquire));
        self.used_up_to().saturating_sub(free)
    }

    /// Free records of the list with this head. Wrong if the list changes meanwhile.
    fn free_from(&self, head: u64) -> u32 {
        let first = (head as u32).checked_sub(1).and_then(|position| self.get(position));
        first.map_or(0, |record| (record[0].load(Relaxed) >> 32) as u32)
    }

    /// Records at and above this position were never used.
    pub fn used_up_to(&self) -> u32 {
        self.free.unused.load(Relaxed)
    }
}

/// The bits of a head, or of a free record's word, that name a record.
const LINK: u64 = 0xffff_ffff;

fn next_tag(head: u64) -> u64 {
    ((head >> 32).wrapping_add(1)) << 32
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_free_records_knows_its_length() {
        let pool = Pool::<4>::new(8).unwrap();
        let taken: Vec<u32> = (0..5).map(|_| pool.take().unwrap()).collect();
        assert_eq!((taken.as_slice(), pool.live()), (&[0, 1, 2, 3, 4][..], 5));
        // What an owner leaves in the word of the list is not taken for a length.
        pool.get(1).unwrap()[0].store(u64::MAX, Relaxed);
        [1, 3, 4].into_iter().for_each(|position| pool.give(position));
        assert_eq!((pool.live(), pool.take(), pool.live()), (2, Some(4), 3));
        pool.repair(&[true, false, false, false, true]);
        assert_eq!((pool.live(), pool.take(), pool.live()), (2, Some(3), 3));
    }

    #[test]
    fn several_records_are_taken_or_none() {
        let pool = Pool::<4>::new(5).unwrap();
        let take = |count: usize| {
            let mut places = vec![9; count];
            pool.take_all(&mut places).then_some(places)
        };
        assert_eq!((take(0), take(3), pool.live()), (Some(vec![]), Some(vec![0, 1, 2]), 3));
        pool.give_all(&[]);
        pool.give_all(&[0, 2]);
        assert_eq!((pool.live(), take(5), pool.live()), (1, None, 1));
        // Those of the list, then one that was never used.
        assert_eq!((take(3), pool.live()), (Some(vec![0, 2, 3]), 4));
        assert_eq!((take(2), take(1), take(1), pool.live()), (None, Some(vec![4]), None, 5));
        pool.give_all(&[4, 0, 1, 3, 2]);
        assert_eq!((pool.live(), take(5), pool.live()), (0, Some(vec![2, 3, 1, 0, 4]), 5));
    }
}
