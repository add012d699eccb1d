//! Budgets: how many requests the unknown sources of a class may send together.

use std::io;

use crate::limiter::{ClassId, MAX_CLASSES};
use crate::shm::Area;
use crate::shm::atomic::{AtomicU64, Ordering::*};

/// Slices of a window.
const SLICES: u64 = 14;
/// Words of a class: one for each slice, with room for the next ones; then the times below.
const SLOTS: usize = 16;
const WORDS: usize = SLOTS + 2;
/// Ms that refusals go on before nothing is answered any more.
pub const PATIENCE: u64 = 10_000;

/// In shared memory; lock-free. Only what is admitted counts, so a budget is spent whatever
/// comes above it. Processes that admit at the same moment may exceed it by one request each.
pub struct Budgets(&'static [AtomicU64]);

/// What a budget says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spending {
    Admitted,
    /// Above the budget, since `since` without a pause.
    Refused {
        since: u64,
        begins: bool,
    },
}

impl Budgets {
    /// Maps those of all classes.
    pub fn new() -> io::Result<Self> {
        Ok(Budgets(Area::share_slice(WORDS * MAX_CLASSES)?))
    }

    fn words(&self, class: ClassId) -> Option<&[AtomicU64; WORDS]> {
        self.0.get(usize::from(class.0) * WORDS..)?.first_chunk()
    }

    /// Admits a request of a class with `budget` requests in `window` ms, or not.
    pub fn spend(&self, class: ClassId, (budget, window): (u32, u32), now: u64) -> Spending {
        let Some(words) = self.words(class) else { return Spending::Admitted };
        let slice = slice_of(window, now);
        if spent(words, slice) < u64::from(budget) {
            if let Some(word) = words.get(slice as usize % SLOTS) {
                add_one(word, slice);
            }
            return Spending::Admitted;
        }
        let [.., since, last] = words;
        let calm = u64::from(window).max(1000);
        let before = last.load(Acquire);
        let is_first = before == 0 || now.saturating_sub(before) >= calm;
        if is_first {
            // Before others see that refusals have begun.
            since.store(now, Relaxed);
        }
        let begins = is_first && last.compare_exchange(before, now, Release, Relaxed).is_ok();
        if !begins {
            last.store(now, Release);
        }
        Spending::Refused { since: since.load(Relaxed).min(now), begins }
    }

    /// Requests admitted in the window that ends at `now`.
    pub fn spent(&self, class: ClassId, window: u32, now: u64) -> u32 {
        let words = self.words(class);
        words.map_or(0, |words| spent(words, slice_of(window, now)) as u32)
    }

    /// Since when requests are refused; None if none was lately.
    pub fn refused_since(&self, class: ClassId, window: u32, now: u64) -> Option<u64> {
        let [.., since, last] = self.words(class)?;
        let (since, last) = (since.load(Relaxed), last.load(Relaxed));
        let is_recent = last > 0 && now.saturating_sub(last) < u64::from(window).max(1000);
        is_recent.then_some(since)
    }
}

/// Never 0: a word of zeros is empty. The window that is enforced is not longer than `window`.
fn slice_of(window: u32, now: u64) -> u64 {
    (now / (u64::from(window) / SLICES).max(1) + 1) & 0xffff_ffff
}

fn spent(words: &[AtomicU64; WORDS], slice: u64) -> u64 {
    let [slots @ .., _, _] = words;
    let counts = slots.iter().map(|word| word.load(Relaxed));
    let is_counted = |of: u64| {
        // Another process may have seen the next slice already.
        slice.wrapping_sub(of) < SLICES || of.wrapping_sub(slice) <= SLOTS as u64 - SLICES
    };
    let counts = counts.filter(|word| is_counted(word >> 32));
    counts.map(|word| word & 0xffff_ffff).sum()
}

fn add_one(word: &AtomicU64, slice: u64) {
    let new = |before: u64| Some(if before >> 32 == slice { before + 1 } else { slice << 32 | 1 });
    let _ = word.fetch_update(Relaxed, Relaxed, new);
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLASS: ClassId = ClassId(0);

    #[test]
    fn refusals_begin_and_end() {
        let budgets = Budgets::new().unwrap();
        let spend = |now| budgets.spend(CLASS, (3, 1400), now);
        for _ in 0..3 {
            assert_eq!(spend(10_000), Spending::Admitted);
        }
        assert_eq!(spend(10_050), Spending::Refused { since: 10_050, begins: true });
        assert_eq!(spend(10_900), Spending::Refused { since: 10_050, begins: false });
        assert_eq!(budgets.refused_since(CLASS, 1400, 10_900), Some(10_050));
        assert_eq!(budgets.refused_since(CLASS, 1400, 12_300), None);
        // Another class has a budget of its own.
        let other = budgets.spend(ClassId(1), (3, 1400), 10_900);
        assert_eq!((other, budgets.spent(CLASS, 1400, 10_900)), (Spending::Admitted, 3));
        assert_eq!(spend(11_500), Spending::Admitted);
        (0..2).for_each(|_| assert_eq!(spend(13_000), Spending::Admitted));
        assert_eq!(spend(13_000), Spending::Admitted);
        assert_eq!(spend(13_000), Spending::Refused { since: 13_000, begins: true });
    }

    proptest! {
        /// Against a list of all admitted requests.
        #[test]
        fn no_window_admits_more_than_the_budget(
            waits in prop::collection::vec(0u64..300, 1..300),
            budget in 1u32..20,
            window in 100u32..3000,
        ) {
            let budgets = Budgets::new().unwrap();
            let (mut now, mut admitted) = (5_000u64, Vec::new());
            for wait in waits {
                now += wait;
                let slice = u64::from(window) / SLICES;
                let counts = |at: &&u64| now / slice - **at / slice < SLICES;
                let spent = admitted.iter().filter(counts).count() as u32;
                prop_assert_eq!(budgets.spent(CLASS, window, now), spent);
                let is_admitted = budgets.spend(CLASS, (budget, window), now) == Spending::Admitted;
                prop_assert_eq!(is_admitted, spent < budget);
                if is_admitted {
                    admitted.push(now);
                }
            }
        }
    }
}
