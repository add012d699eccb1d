//! A bounded queue from many processes to one.
//!
//! After D. Vyukov's bounded queue (2011): each slot counts its laps, so a producer takes a
//! slot with one exchange and never waits. The exchange leaves the producer's name in the
//! slot: one that dies before its item is whole does not stop the queue. Nor does a reader that
//! dies, whose successor goes on. A full queue takes no more items; those that are lost are
//! counted. All zero is an empty queue.

use std::io;

use super::area::Area;
use super::atomic::{AtomicU64, Ordering::*, keep_order};
use super::owner::{is_gone, own_process};

/// A slot: its state, then the words. The state has the lap in its upper half, below it 0 for
/// free, the owner's word of the producer that writes the item, or [`WHOLE`].
struct Slot<'a> {
    state: &'a AtomicU64,
    words: &'a [AtomicU64],
}

/// The item can be read.
const WHOLE: u64 = u32::MAX as u64;

/// A queue of items of `WORDS` words.
pub struct Ring<const WORDS: usize> {
    slots: &'static [AtomicU64],
    capacity: u64,
    /// Items that were ever put in; then those taken out, and those lost. Each has
    /// a cache line of its own.
    ends: &'static [AtomicU64],
}

/// Words of a cache line.
const LINE: usize = 8;

impl<const WORDS: usize> Ring<WORDS> {
    /// Maps a queue for `capacity` items.
    pub fn new(capacity: usize) -> io::Result<Self> {
        let slots = Area::share_slice(capacity * (WORDS + 1))?;
        Ok(Ring { slots, capacity: capacity as u64, ends: Area::share_slice(3 * LINE)? })
    }

    fn slot(&self, position: u64) -> Option<Slot<'static>> {
        let at = (position % self.capacity) as usize * (WORDS + 1);
        let (state, words) = self.slots.get(at..at + WORDS + 1)?.split_first()?;
        Some(Slot { state, words })
    }

    /// The state of a position's slot while it is free.
    fn free_at(&self, position: u64) -> u64 {
        (position / self.capacity) << 32
    }

    fn end(&self, number: usize) -> Option<&'static AtomicU64> {
        self.ends.get(number * LINE)
    }

    pub fn push(&self, item: &[u64; WORDS]) -> bool {
        let Some(head) = self.end(0) else { return false };
        let mut position = head.load(Relaxed);
        loop {
            let Some(slot) = self.slot(position) else { return false };
            let free = self.free_at(position);
            let own = free | u64::from(own_process());
            let taken = slot.state.compare_exchange(free, own, Acquire, Relaxed);
            if taken.is_err_and(|seen| seen < free) {
                return false;
            }
            // Whoever took the slot may be stopped, or dead: others move the end on too.
            let moved = head.compare_exchange(position, position + 1, Relaxed, Relaxed);
            if taken.is_ok() {
                slot.words.iter().zip(item).for_each(|(to, from)| to.store(*from, Relaxed));
                slot.state.store(free | WHOLE, Release);
                return true;
            }
            position = moved.map_or_else(|seen| seen, |before| before + 1);
        }
    }

    /// As [`Ring::push`], but leaves room for others: false if `room` items wait. Several
    /// processes may check that at once, so as many more may get in.
    pub fn push_within(&self, room: u64, item: &[u64; WORDS]) -> bool {
        let (end, read) = self.positions();
        end.saturating_sub(read) < room && self.push(item)
    }

    /// Takes the oldest item out. One process at a time may call this. Items of producers
    /// that have died while they wrote them are lost, and one that a reader had when it died.
    pub fn pop(&self) -> Option<[u64; WORDS]> {
        let tail = self.end(1)?;
        loop {
            let position = tail.load(Relaxed);
            let slot = self.slot(position)?;
            let free = self.free_at(position);
            let state = slot.state.load(Acquire);
            if state <= free {
                return None;
            }
            if state >= self.free_at(position + self.capacity) {
                // The last reader had given the slot back, and died: what is there now, if
                // anything, is of the next lap.
                self.pass_lost(tail, position)?;
                continue;
            }
            let owner = (state - free) as u32;
            let is_whole = u64::from(owner) == WHOLE;
            // One that is only stopped would write into a later item.
            if !is_whole && !is_gone(owner) {
                return None;
            }
            let mut item = [0; WORDS];
            item.iter_mut().zip(slot.words).for_each(|(to, from)| *to = from.load(Relaxed));
            slot.state.store(self.free_at(position + self.capacity), Release);
            keep_order();
            if is_whole {
                tail.store(position + 1, Relaxed);
                return Some(item);
            }
            self.pass_lost(tail, position)?;
        }
    }

    /// Goes on behind an item that nobody gets.
    fn pass_lost(&self, tail: &AtomicU64, position: u64) -> Option<()> {
        tail.store(position + 1, Relaxed);
        // Its producer may have died before the end was moved on.
        let _ = self.end(0)?.compare_exchange(position, position + 1, Relaxed, Relaxed);
        self.lose(1);
        Some(())
    }

    /// How many items were ever put in, and taken out.
    pub fn positions(&self) -> (u64, u64) {
        let position = |number| self.end(number).map_or(0, |end| end.load(Acquire));
        (position(0), position(1))
    }

    /// Counts what was lost: an item that did not fit, or more that it stood for.
    pub fn lose(&self, count: u64) {
        if let Some(lost) = self.end(2) {
            lost.fetch_add(count, Relaxed);
        }
    }

    pub fn lost(&self) -> u64 {
        self.end(2).map_or(0, |lost| lost.load(Relaxed))
    }

    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    pub fn bytes(&self) -> usize {
        size_of_val(self.slots) + size_of_val(self.ends)
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn it_is_first_in_first_out_over_many_laps_and_counts_what_is_lost() {
        let ring: Ring<2> = Ring::new(4).unwrap();
        assert_eq!(ring.pop(), None);
        for lap in 0..100u64 {
            for n in 0..4 {
                assert!(ring.push(&[lap, n]));
            }
            assert!(!ring.push(&[9, 9]));
            ring.lose(lap);
            for n in 0..4 {
                assert_eq!(ring.pop(), Some([lap, n]));
            }
            assert_eq!(ring.pop(), None);
        }
        assert_eq!(ring.lost(), (0..100).sum::<u64>());
    }

    #[test]
    fn many_producers_lose_nothing_that_fits_and_tear_nothing() {
        const EACH: u64 = 100_000;
        let ring: &Ring<3> = Box::leak(Box::new(Ring::new(64).unwrap()));
        let producers: Vec<_> = (0..4u64)
            .map(|p| {
                std::thread::spawn(move || {
                    (0..EACH).filter(|n| ring.push(&[p, *n, p ^ n])).count() as u64
                })
            })
            .collect();
        let (mut taken, mut last) = (0, [None; 4]);
        let mut take = || {
            let Some([p, n, check]) = ring.pop() else { return false };
            assert_eq!(check, p ^ n);
            assert!(last[p as usize].is_none_or(|before| before < n), "out of order");
            last[p as usize] = Some(n);
            taken += 1;
            true
        };
        while producers.iter().any(|p| !p.is_finished()) {
            take();
        }
        let pushed: u64 = producers.into_iter().map(|p| p.join().unwrap()).sum();
        while take() {}
        assert_eq!(taken, pushed);
    }
}
