//! How the record of a scope is laid out.

use super::scope::Direction;
use crate::cluster::Part;

/// Words of a scope record:
///
/// ```text
/// 0       next in the chain (low half) | kind << 32 | length of the id << 40
/// 1..3    key: keyed SipHash-1-3, 128 bits, of kind and id
/// 3..6    live calls, a [`Count`] each: in any direction, in, out
/// 6       leases that refer to it (low half) | until when its rates remember, in s << 32
/// 7       lengths of the rates' windows in s: 3 of 21 bits
/// 8..12   the id, cut after 32 bytes, for listings
/// 12..24  rates, in any direction, in, out: newest slice (32 bits), 14 slices (16 bits)
/// ```
///
/// Three cache lines. Counting touches the first; rates that are not used, no other.
pub(super) const WORDS: usize = 24;
pub(super) const COUNTS: usize = 3;
pub(super) const REFS: usize = 6;
pub(super) const WINDOWS: usize = 7;
pub(super) const NAME: usize = 8;
/// Bytes of an id that are kept, for listings.
pub const KEPT_ID: usize = 32;
pub(super) const RATES: usize = 12;
/// Words of a rate in one direction.
pub(super) const RATE_WORDS: usize = 4;

const _: () = assert!(COUNTS + Direction::ALL.len() == REFS && REFS + 1 == WINDOWS);
const _: () = assert!(WINDOWS + 1 == NAME && NAME + KEPT_ID / 8 == RATES);
const _: () = assert!(RATES + Direction::ALL.len() * RATE_WORDS == WORDS);
#[cfg(not(shuttle))]
const _: () = assert!(size_of::<crate::shm::Record<WORDS>>() % 64 == 0);

/// Bits of each number of a [`Count`].
const COUNT_BITS: u32 = 21;
const COUNT_MASK: u64 = (1 << COUNT_BITS) - 1;

/// Calls that a scope, and so a ledger, can count.
pub(super) const MOST_CALLS: usize = COUNT_MASK as usize;

/// Live calls of a scope in one direction. In one word, so that whoever dies has changed all
/// of it or nothing, and a call that rings costs no more than another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub calls: u32,
    /// Emergencies among them.
    pub emergencies: u32,
    /// Those among them that ring.
    pub ringing: u32,
}

impl Count {
    /// Of one call.
    pub const fn one(emergency: bool, rings: bool) -> Self {
        Count { calls: 1, emergencies: emergency as u32, ringing: rings as u32 }
    }

    pub const fn of(word: u64) -> Self {
        Count {
            calls: (word & COUNT_MASK) as u32,
            emergencies: (word >> COUNT_BITS & COUNT_MASK) as u32,
            ringing: (word >> (2 * COUNT_BITS) & COUNT_MASK) as u32,
        }
    }

    pub const fn word(self) -> u64 {
        let (emergencies, ringing) = (self.emergencies as u64, self.ringing as u64);
        self.calls as u64 | emergencies << COUNT_BITS | ringing << (2 * COUNT_BITS)
    }

    /// A word without what is in another one; None if a number of it is lower than there. Told
    /// by the bits that a number has borrowed from the next one.
    pub const fn take(word: u64, others: u64) -> Option<u64> {
        const BORROWED: u64 = 1 << COUNT_BITS | 1 << (2 * COUNT_BITS) | 1 << (3 * COUNT_BITS);
        let rest = word.wrapping_sub(others);
        if (word ^ others ^ rest) & BORROWED == 0 { Some(rest) } else { None }
    }
}

/// What changes in a scope, as words with a [`Count`]: what is added, what is taken out.
#[derive(Clone, Copy)]
pub(super) struct Change {
    adds: u64,
    takes: u64,
}

impl Change {
    /// One of its calls turns out to be an emergency.
    pub const EMERGENCY: Self =
        Change { adds: Count { calls: 0, emergencies: 1, ringing: 0 }.word(), takes: 0 };
    /// One of its calls rings no more.
    pub const ANSWERED: Self =
        Change { adds: 0, takes: Count { calls: 0, emergencies: 0, ringing: 1 }.word() };

    pub fn one_more(emergency: bool, rings: bool) -> Self {
        Change { adds: Count::one(emergency, rings).word(), takes: 0 }
    }

    pub fn one_less(emergency: bool, rings: bool) -> Self {
        Change { adds: 0, takes: Count::one(emergency, rings).word() }
    }

    /// A word after the change; None if it lacks what is taken out.
    pub fn of_word(self, word: u64) -> Option<u64> {
        Count::take(word, self.takes).map(|rest| rest.wrapping_add(self.adds))
    }

    /// What changes in a part of the calls.
    pub fn of(self, part: Part) -> i32 {
        let [calls, emergencies, _] = self.numbers();
        match part {
            Part::All => calls,
            Part::Others => calls - emergencies,
        }
    }

    /// By how much the numbers of a [`Count`] change.
    pub fn numbers(self) -> [i32; 3] {
        let (adds, takes) = (Count::of(self.adds), Count::of(self.takes));
        let by = |more: u32, less: u32| more as i32 - less as i32;
        [
            by(adds.calls, takes.calls),
            by(adds.emergencies, takes.emergencies),
            by(adds.ringing, takes.ringing),
        ]
    }
}

pub(super) fn halves(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

pub(super) fn word_of(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_taken_out_number_by_number_or_not_at_all() {
        let some = [0, 1, 2, COUNT_MASK as u32 - 1, COUNT_MASK as u32];
        let all = || some.into_iter().flat_map(move |a| some.map(|b| (a, b)));
        let counts = || {
            all().flat_map(|(calls, emergencies)| {
                some.map(|ringing| Count { calls, emergencies, ringing })
            })
        };
        for (count, others) in
            counts().flat_map(|count| counts().map(move |others| (count, others)))
        {
            let [calls, emergencies, ringing] = [
                count.calls.checked_sub(others.calls),
                count.emergencies.checked_sub(others.emergencies),
                count.ringing.checked_sub(others.ringing),
            ];
            let rest = calls.zip(emergencies).zip(ringing);
            let rest =
                rest.map(|((calls, emergencies), ringing)| Count { calls, emergencies, ringing });
            let taken = Count::take(count.word(), others.word());
            assert_eq!(taken.map(Count::of), rest, "{others:?} out of {count:?}");
        }
    }
}
