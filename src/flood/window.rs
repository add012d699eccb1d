//! A sliding window whose error is one-sided.
//!
//! Time is cut into slices, [`SLICES`] to a window. What counts is the current
//! slice and those before it that lie in the window with all of their length. So
//! all that is counted lies in less than one window: a source that keeps to its
//! limit in every window is never over it. And all of the last
//! `(SLICES - 1) / SLICES` of a window is counted: no span of that length ever
//! passes more than the limit.

use bytemuck::{Pod, Zeroable};

/// Slices of a window. The window that is enforced lies between 13/14 of the
/// configured one and all of it.
pub const SLICES: usize = 14;

/// How time is cut: slice number = time in ms * factor / 2^64.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Slicing {
    factor: u64,
}

impl Slicing {
    /// For a window of `window` ms, which is longer than [`SLICES`] ms.
    pub const fn new(window: u32) -> Self {
        // Rounded up: a slice is never too long, so that 14 of them fit.
        let numerator = (SLICES as u128) << 64;
        Slicing { factor: numerator.div_ceil(window as u128) as u64 }
    }

    /// Number of the slice at a time in ms, below [`PERIOD`].
    pub const fn at(self, now: u64) -> u32 {
        let number = (now as u128 * self.factor as u128) >> 64;
        (number as u64 % PERIOD as u64) as u32
    }
}

/// Slice numbers begin again here, after a year with the shortest window: a
/// multiple of [`SLICES`], so that neighbours lie side by side all the same.
const PERIOD: u32 = (SLICES as u32) << 28;

/// Slices from one number on to another.
const fn ahead(from: u32, to: u32) -> u32 {
    if to >= from { to - from } else { to + (PERIOD - from) }
}

/// Requests per slice; slice n lies at n modulo [`SLICES`].
pub type Slices = [u16; SLICES];

/// Moves a window that ends with slice `newest` on to slice `to`: slices that
/// have left it are cleared. A step back in time begins a new window, since the
/// same time would else be counted twice.
pub fn advance(slices: &mut Slices, newest: &mut u32, to: u32) {
    let ahead = ahead(*newest, to);
    if ahead == 0 {
        return;
    }
    if (ahead as usize) < SLICES {
        for n in 1..=ahead {
            if let Some(slice) = slices.get_mut(place(*newest + n)) {
                *slice = 0;
            }
        }
    } else {
        *slices = [0; SLICES];
    }
    *newest = to;
}

/// Requests in the window.
pub fn sum(slices: &Slices) -> u32 {
    slices.iter().map(|n| u32::from(*n)).sum()
}

/// Counts one request in slice `newest`.
pub fn count(slices: &mut Slices, newest: u32) {
    if let Some(slice) = slices.get_mut(place(newest)) {
        *slice = slice.saturating_add(1);
    }
}

/// Counts `more` requests at once in slice `newest`.
pub fn add(slices: &mut Slices, newest: u32, more: u32) {
    if let Some(slice) = slices.get_mut(place(newest)) {
        *slice = slice.saturating_add(u16::try_from(more).unwrap_or(u16::MAX));
    }
}

/// Slices by which `newest` lies before `now`, and whether any still count.
pub fn age(newest: u32, now: u32) -> (u32, bool) {
    let age = ahead(newest, now);
    (age, (age as usize) < SLICES)
}

fn place(number: u32) -> usize {
    number as usize % SLICES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fourteen_slices_never_exceed_the_window_and_thirteen_nearly_fill_it() {
        for window in [100u32, 101, 999, 1000, 1999, 2000, 2800, 3_600_000] {
            let slicing = Slicing::new(window);
            // At the start, and after half a year.
            for base in [0u64, 15_768_000_000] {
                let mut begins = Vec::new();
                let mut last = slicing.at(base);
                for now in base + 1..base + 4 * u64::from(window.min(5000)) + 100 {
                    let number = slicing.at(now);
                    assert!(number - last <= 1);
                    if number != last {
                        begins.push(now);
                    }
                    last = number;
                }
                for pair in begins.windows(SLICES + 1) {
                    // The last ms of the 14th slice against the first of the 1st.
                    assert!(pair[SLICES] - 1 - pair[0] < u64::from(window));
                }
                for pair in begins.windows(SLICES) {
                    let span = (pair[SLICES - 1] - pair[0]) as f64;
                    assert!(span >= f64::from(window) * 13.0 / 14.0 - 1.0, "{window}: {span}");
                }
            }
        }
    }

    #[test]
    fn a_window_forgets_what_has_left_it() {
        let (mut slices, mut newest) = ([0; SLICES], 0);
        for slice in 0..40 {
            advance(&mut slices, &mut newest, slice);
            count(&mut slices, newest);
            assert_eq!(sum(&slices), slice.min(13) + 1);
        }
        advance(&mut slices, &mut newest, 39 + 5);
        assert_eq!(sum(&slices), 9);
        advance(&mut slices, &mut newest, 39 + 14);
        assert_eq!(sum(&slices), 0);
    }

    #[test]
    fn numbers_begin_again_without_a_seam() {
        let (mut slices, mut newest) = ([0; SLICES], PERIOD - 20);
        for n in 0..40u32 {
            let to = (u64::from(PERIOD - 20 + n) % u64::from(PERIOD)) as u32;
            advance(&mut slices, &mut newest, to);
            count(&mut slices, newest);
            assert_eq!(sum(&slices), n.min(13) + 1);
        }
        assert_eq!(age(PERIOD - 1, 2), (3, true));
        let slicing = Slicing::new(1400);
        let last = u64::from(PERIOD) * 100;
        assert_eq!((slicing.at(last - 1), slicing.at(last)), (PERIOD - 1, 0));
    }

    #[test]
    fn a_step_back_begins_anew() {
        let (mut slices, mut newest) = ([3; SLICES], 100);
        advance(&mut slices, &mut newest, 99);
        assert_eq!((sum(&slices), newest), (0, 99));
    }
}
