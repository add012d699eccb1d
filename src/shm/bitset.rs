//! A set of positions that all processes change.

use std::io;

use super::area::Area;
use super::atomic::{AtomicU64, Ordering::Relaxed};

/// Positions from 0 on; lock-free. A position is changed only under the lock of the line it
/// stands for; that orders the changes.
pub struct BitSet(&'static [AtomicU64]);

impl BitSet {
    /// Maps an empty set with room for `count` positions.
    pub fn new(count: usize) -> io::Result<Self> {
        Ok(BitSet(Area::share_slice(count.div_ceil(64))?))
    }

    /// Puts a position in or takes it out.
    pub fn set(&self, position: usize, within: bool) {
        let (Some(word), bit) = (self.0.get(position / 64), 1 << (position % 64)) else { return };
        if (word.load(Relaxed) & bit != 0) == within {
            return;
        }
        if within {
            word.fetch_or(bit, Relaxed);
        } else {
            word.fetch_and(!bit, Relaxed);
        }
    }

    /// Puts a position in. Whether it was not there: of all who put it in at once, one hears so.
    pub fn insert(&self, position: usize) -> bool {
        let (word, bit) = (self.0.get(position / 64), 1 << (position % 64));
        word.is_some_and(|word| word.fetch_or(bit, Relaxed) & bit == 0)
    }

    /// Ascending.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        let numbered = self.0.iter().enumerate();
        numbered.flat_map(|(n, word)| bits(word.load(Relaxed)).map(move |bit| n * 64 + bit))
    }

    pub fn bytes(&self) -> usize {
        size_of_val(self.0)
    }
}

/// Positions of the bits that are set, ascending.
pub fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = word.trailing_zeros();
        (bit < 64).then(|| {
            word &= word - 1;
            bit as usize
        })
    })
}
