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
        self.pop().or_else(|| self.first_unused())
    }

    /// Gives back a record from [`Pool::take`].
    pub fn give(&self, position: u32) {
        let Some(record) = self.records.get(position as usize) else { return };
        let mut head = self.free.head.load(Acquire);
        loop {
            // As in `pop`: if the first free record is taken meanwhile, this is not used.
            let free = u64::from(self.free_from(head)) + 1;
            record[0].store(free << 32 | head & 0xffff_ffff, Relaxed);
            let new = next_tag(head) | u64::from(position + 1);
            match self.free.head.compare_exchange(head, new, AcqRel, Acquire) {
                Ok(_) => return,
                Err(seen) => head = seen,
            }
        }
    }

    fn pop(&self) -> Option<u32> {
        let mut head = self.free.head.load(Acquire);
        loop {
            let position = (head as u32).checked_sub(1)?;
            // If another process takes this record and writes to it, the tag changes and the
            // link read here is not used.
            let link = self.records.get(position as usize)?[0].load(Relaxed);
            let new = next_tag(head) | (link & 0xffff_ffff);
            match self.free.head.compare_exchange(head, new, Acquire, Acquire) {
                Ok(_) => return Some(position),
                Err(seen) => head = seen,
            }
        }
    }

    fn first_unused(&self) -> Option<u32> {
        let capacity = self.records.len() as u32;
        let raise = |unused: u32| (unused < capacity).then(|| unused + 1);
        self.free.unused.fetch_update(Relaxed, Relaxed, raise).ok()
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
}
