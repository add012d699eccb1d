//! New calls of a scope in a sliding window, in the scope's record.
//!
//! A call is counted in the slice of the time at which it came, also when one that
//! came later was counted before it: workers read the clock before they have the lock. One
//! that is late by a whole window is not compared with what came in the window since: a
//! source at its rate would be refused.

use super::limit::Rate;
use super::record::{RATE_WORDS, RATES, WINDOWS, WORDS};
use super::scope::Direction;
use crate::limiter::Window;
use crate::shm::Record;
use crate::shm::atomic::{Ordering::Relaxed, keep_order};

/// Bits of a window's length in seconds.
const WINDOW_BITS: u32 = 21;
const WINDOW_MASK: u64 = (1 << WINDOW_BITS) - 1;

const _: () = assert!(size_of::<Window>() == RATE_WORDS * 8);
const _: () = assert!(WINDOW_BITS * Direction::ALL.len() as u32 <= 64);
const _: () = assert!(Rate::MAX_WINDOW as u64 == WINDOW_MASK);

/// A rate of a scope in one direction. The caller holds the lock of the scope.
#[derive(Clone, Copy)]
pub(super) struct RateOf<'a> {
    pub record: &'a Record<WORDS>,
    pub direction: Direction,
}

impl RateOf<'_> {
    /// New calls in the window, for a call that came at `now`, in ms.
    pub fn calls(self, rate: &Rate, now: u64) -> u32 {
        rate.counting().count_in(&mut self.window(rate, now), now).map_or(0, |(calls, _)| calls)
    }

    /// Counts a call that came at `now`.
    pub fn count(self, rate: &Rate, now: u64) {
        let mut window = self.window(rate, now);
        let Some((_, slice)) = rate.counting().count_in(&mut window, now) else { return };
        window.add_in(slice);
        self.store(&window);
        self.set_length(rate.window());
    }

    /// The window. One of another length, which the limit had before, begins anew.
    fn window(self, rate: &Rate, now: u64) -> Window {
        let mut window = self.load();
        if self.length() != rate.window() {
            rate.counting().restart(&mut window, &mut 0, now, 0);
        }
        window
    }

    fn load(self) -> Window {
        let mut words = [0; RATE_WORDS];
        let kept = self.record.iter().skip(self.first());
        words.iter_mut().zip(kept).for_each(|(to, from)| *to = from.load(Relaxed));
        bytemuck::cast(words)
    }

    /// The word with the newest slice's number is the last one: slices that were to leave
    /// the window are never taken for new ones. A process that dies in between has counted
    /// nothing, as slices after the number that is kept are cleared again.
    fn store(self, window: &Window) {
        let words: [u64; RATE_WORDS] = bytemuck::cast(*window);
        let kept = self.record.get(self.first()..).unwrap_or_default();
        for (from, to) in words.iter().zip(kept).rev() {
            to.store(*from, Relaxed);
            keep_order();
        }
    }

    fn first(self) -> usize {
        RATES + RATE_WORDS * self.direction as usize
    }

    /// Seconds; 0: nothing was counted yet.
    fn length(self) -> u32 {
        (self.record[WINDOWS].load(Relaxed) >> self.shift() & WINDOW_MASK) as u32
    }

    fn set_length(self, seconds: u32) {
        let word = self.record[WINDOWS].load(Relaxed);
        let others = word & !(WINDOW_MASK << self.shift());
        self.record[WINDOWS].store(others | u64::from(seconds) << self.shift(), Relaxed);
    }

    fn shift(self) -> u32 {
        WINDOW_BITS * self.direction as u32
    }
}

/// A time in ms in seconds.
pub(super) fn seconds(ms: u64) -> u32 {
    u32::try_from(ms / 1000).unwrap_or(u32::MAX)
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::shm::atomic::AtomicU64;

    #[test]
    fn a_call_that_is_late_by_a_window_is_not_compared_with_it() {
        let record: Record<WORDS> = std::array::from_fn(|_| AtomicU64::new(0));
        let rate = Rate::new(1, 1, 0).unwrap();
        let of = RateOf { record: &record, direction: Direction::Any };
        of.count(&rate, 11_500);
        // A source of one call a second may have sent that of 10 s too.
        assert_eq!([10_000, 10_600, 11_500].map(|came| of.calls(&rate, came)), [0, 1, 1]);
        of.count(&rate, 10_000);
        assert_eq!(of.calls(&rate, 11_500), 1);
    }
}
