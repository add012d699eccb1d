//! How many different things came within a window: an estimate of fixed size.
//!
//! Linear counting: each thing sets the bit that its hash names, and the share of bits that are
//! still 0 tells how many different ones there were. What comes again sets the same bit.

use bytemuck::{Pod, Zeroable};

use super::halves::Halves;

const WORDS: usize = 11;
/// Bits for the things of one half of a window.
const BITS: u32 = WORDS as u32 * 32;

/// Of both halves. The standard error is below 5 % of 30 to 500 things, and about one thing
/// of up to 20.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub(super) struct Distinct {
    halves: Halves,
    bits: [[u32; WORDS]; 2],
}

impl Distinct {
    /// Adds a thing by its hash, which strangers cannot choose.
    pub fn add(&mut self, hash: u32, window: u32, now: u64) {
        let slot = self.advance(window, now);
        let bit = ((u64::from(hash) * u64::from(BITS)) >> 32) as usize;
        let word = self.bits.get_mut(slot).and_then(|words| words.get_mut(bit / 32));
        if let Some(word) = word {
            *word |= 1 << (bit % 32);
        }
    }

    /// How many different things came in the window that ends at `now`.
    pub fn estimate(&mut self, window: u32, now: u64) -> u32 {
        self.advance(window, now);
        let [a, b] = &self.bits;
        let ones: u32 = a.iter().zip(b).map(|(a, b)| (a | b).count_ones()).sum();
        // With no bit left there may be any number.
        let zeros = f64::from(BITS.saturating_sub(ones).max(1));
        (f64::from(BITS) * (f64::from(BITS) / zeros).ln()).round() as u32
    }

    /// Forgets what has left the window; the place of the current half.
    fn advance(&mut self, window: u32, now: u64) -> usize {
        let (slot, over) = self.halves.advance(window, now);
        for gone in over {
            if let Some(words) = self.bits.get_mut(gone) {
                *words = [0; WORDS];
            }
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;
    use siphasher::sip::SipHasher13;

    use super::*;

    /// The hash that AoRs have, of a number.
    fn hash(n: u64) -> u32 {
        SipHasher13::new_with_keys(1, 2).hash(&n.to_le_bytes()) as u32
    }

    #[test]
    fn the_error_is_as_stated() {
        for (count, most) in [(10u64, 1.1), (20, 1.1), (30, 1.5), (100, 5.0), (500, 25.0)] {
            let tries = 400;
            let squares: f64 = (0..tries)
                .map(|n| {
                    let mut distinct = Distinct::default();
                    (0..count).for_each(|k| distinct.add(hash(n << 32 | k), 1800, 0));
                    let wrong = f64::from(distinct.estimate(1800, 0)) - count as f64;
                    wrong * wrong
                })
                .sum();
            let error = (squares / tries as f64).sqrt();
            assert!(error < most, "{count}: {error}");
            assert!(error > 0.0, "{count}: it is an estimate");
        }
    }

    #[test]
    fn all_bits_are_used_and_a_full_one_is_still_a_number() {
        let mut distinct = Distinct::default();
        (0..100_000).for_each(|n| distinct.add(hash(n), 60, 0));
        assert!(distinct.estimate(60, 0) > 2000);
        assert_eq!(distinct.estimate(60, 60_000), 0);
    }

    proptest! {
        /// Against the set of all things of the last half and the one before it.
        #[test]
        fn the_estimate_follows_a_set_of_all_things(
            steps in prop::collection::vec((0u64..40, 0u64..4000), 1..200),
        ) {
            let (window, half) = (10, 5000);
            let mut distinct = Distinct::default();
            let mut all: Vec<(u64, u64)> = Vec::new();
            let mut now = 0;
            for (thing, wait) in steps {
                now += wait;
                distinct.add(hash(thing), window, now);
                all.push((thing, now / half));
                let current = now / half;
                let counts = all.iter().filter(|(_, at)| at + 1 >= current);
                let exact = counts.map(|(thing, _)| thing).collect::<HashSet<_>>().len();
                let wrong = f64::from(distinct.estimate(window, now)) - exact as f64;
                prop_assert!(wrong.abs() <= 6.0, "{exact}: {wrong}");
            }
        }
    }
}
