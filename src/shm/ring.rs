//! A bounded queue from many processes to one.
//!
//! After D. Vyukov's bounded queue (2011): each slot counts its turns, so a producer takes a
//! slot with one exchange and never waits. A full queue takes no more items; those that are
//! lost are counted. All zero is an empty queue.

use std::io;

use super::area::Area;
use super::atomic::{AtomicU64, Ordering::*};

/// A slot: turn, then the words. Its turn is 2 * lap while it is free for that lap, and one
/// more with an item in it.
struct Slot<'a> {
    turn: &'a AtomicU64,
    words: &'a [AtomicU64],
}

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
        let (turn, words) = self.slots.get(at..at + WORDS + 1)?.split_first()?;
        Some(Slot { turn, words })
    }

    fn end(&self, number: usize) -> Option<&'static AtomicU64> {
        self.ends.get(number * LINE)
    }

    pub fn push(&self, item: &[u64; WORDS]) -> bool {
        let Some(head) = self.end(0) else { return false };
        let mut position = head.load(Relaxed);
        loop {
            let Some(slot) = self.slot(position) else { return false };
            let lap = position / self.capacity;
            let turn = slot.turn.load(Acquire);
            if turn < 2 * lap {
                return false;
            }
            if turn > 2 * lap {
                position = head.load(Relaxed);
                continue;
            }
            match head.compare_exchange(position, position + 1, Relaxed, Relaxed) {
                Ok(_) => {
                    slot.words.iter().zip(item).for_each(|(to, from)| to.store(*from, Relaxed));
                    slot.turn.store(2 * lap + 1, Release);
                    return true;
                }
                Err(seen) => position = seen,
            }
        }
    }

    /// As [`Ring::push`], but leaves room for others: false if `room` items wait. Several
    /// processes may check that at once, so as many more may get in.
    pub fn push_within(&self, room: u64, item: &[u64; WORDS]) -> bool {
        let (end, read) = self.positions();
        end.saturating_sub(read) < room && self.push(item)
    }

    /// Takes the oldest item out. One process at a time may call this.
    pub fn pop(&self) -> Option<[u64; WORDS]> {
        let tail = self.end(1)?;
        let position = tail.load(Relaxed);
        let slot = self.slot(position)?;
        let lap = position / self.capacity;
        if slot.turn.load(Acquire) != 2 * lap + 1 {
            return None;
        }
        let mut item = [0; WORDS];
        item.iter_mut().zip(slot.words).for_each(|(to, from)| *to = from.load(Relaxed));
        slot.turn.store(2 * (lap + 1), Release);
        tail.store(position + 1, Relaxed);
        Some(item)
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
