//! A window of two halves: the current one, and the one before it.
//!
//! So what counts is from less than one window, and from half a window at least.

use bytemuck::{Pod, Zeroable};

/// Number of the current half.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub(super) struct Halves(u32);

impl Halves {
    /// Moves on to the half that is current at `now`, in ms, with a window in seconds: its
    /// place, and the places that must be cleared.
    pub fn advance(&mut self, window: u32, now: u64) -> (usize, impl Iterator<Item = usize>) {
        let half = (u64::from(window.max(1)) * 500).max(1);
        let current = (now / half) as u32;
        let place = current as usize % 2;
        // A step back in time, as after a change of the window, begins anew.
        let over = match current.wrapping_sub(self.0) {
            0 => [false; 2],
            1 => [place == 0, place == 1],
            _ => [true; 2],
        };
        self.0 = current;
        (place, (0..).zip(over).filter(|(_, over)| *over).map(|(place, _)| place))
    }
}

/// Events in both halves.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub(super) struct Count {
    halves: Halves,
    events: [u32; 2],
}

impl Count {
    /// Adds one event.
    pub fn add(&mut self, window: u32, now: u64) {
        let place = self.advance(window, now);
        if let Some(events) = self.events.get_mut(place) {
            *events = events.saturating_add(1);
        }
    }

    /// Events in the window that ends at `now`.
    pub fn count(&mut self, window: u32, now: u64) -> u32 {
        self.advance(window, now);
        let [a, b] = self.events;
        a.saturating_add(b)
    }

    fn advance(&mut self, window: u32, now: u64) -> usize {
        let (place, over) = self.halves.advance(window, now);
        for gone in over {
            if let Some(events) = self.events.get_mut(gone) {
                *events = 0;
            }
        }
        place
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against a list of all events: exact for the current half and the one before it,
        /// so never more than those of a whole window.
        #[test]
        fn a_count_is_that_of_two_halves(
            waits in prop::collection::vec(0u64..3000, 1..200),
            window in 1u32..12,
        ) {
            let mut count = Count::default();
            let (mut now, mut all) = (1_000_000u64, Vec::new());
            for wait in waits {
                now += wait;
                count.add(window, now);
                all.push(now);
                let half = u64::from(window) * 500;
                let exact = all.iter().filter(|at| **at / half + 1 >= now / half).count() as u32;
                let whole = all.iter().filter(|at| now - **at < 2 * half).count() as u32;
                let counted = count.count(window, now);
                prop_assert_eq!(counted, exact);
                prop_assert!(counted <= whole);
            }
            prop_assert_eq!(count.count(window, now + u64::from(window) * 1000), 0);
        }
    }
}
