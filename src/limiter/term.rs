//! Terms: how long, and why, an entry is refused.

use bytemuck::{Pod, Zeroable};

use super::classes::ClassId;

/// Ms in a unit of times; 2^32 of them are 13 years.
const UNIT: u64 = 100;
/// Units in a second.
pub const UNITS_PER_SECOND: u32 = 1000 / UNIT as u32;
/// Longest term in seconds: a year.
pub const LONGEST_TERM: u32 = 31_536_000;

/// A time in ms in units, rounded down.
#[inline]
pub fn units(ms: u64) -> u32 {
    u32::try_from(ms / UNIT).unwrap_or(u32::MAX)
}

/// Why an entry is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// A source has sent more requests than its limit.
    Flood,
    /// An AoR has failed to authenticate too often.
    Failures,
    /// An operator has set the term.
    Manual,
    /// A source has failed to authenticate for too many AoRs.
    Spraying,
    /// A feed lists the source.
    Listed,
}

impl Reason {
    /// In the order of their numbers.
    pub const ALL: [Reason; 5] =
        [Reason::Flood, Reason::Failures, Reason::Manual, Reason::Spraying, Reason::Listed];

    /// As listings print it.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::Flood => "flood",
            Reason::Failures => "failures",
            Reason::Manual => "manual",
            Reason::Spraying => "spraying",
            Reason::Listed => "listed",
        }
    }

    /// The reverse of [`Reason::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Reason::ALL.into_iter().find(|reason| reason.name() == name)
    }

    /// The reverse of `reason as u32`.
    pub fn from_number(number: u32) -> Option<Self> {
        Reason::ALL.get(number as usize).copied()
    }

    /// Whether a source of this class is refused: only an operator refuses an exempt one.
    pub fn applies_to(self, class: Option<ClassId>) -> bool {
        class.is_some() || self == Reason::Manual
    }
}

/// A term. Times are units since the clock's zero.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Term {
    since: u32,
    until: u32,
    /// Requests since then.
    seen: u32,
}

impl Term {
    pub const NONE: Self = Term { since: 0, until: 0, seen: 0 };

    /// From `since` to `until`, in ms, with the requests that have come so far.
    pub fn new(since: u64, until: u64, seen: u32) -> Self {
        let until = u32::try_from(until.div_ceil(UNIT)).unwrap_or(u32::MAX);
        Term { since: units(since), until, seen }
    }

    /// Whether it runs at `now`, in ms. A clock that steps back makes it no longer.
    #[inline]
    pub fn runs(&mut self, now: u64) -> bool {
        let now = units(now);
        if now < self.since {
            self.until = now.saturating_add(self.until.saturating_sub(self.since));
            self.since = now;
        }
        now < self.until
    }

    #[inline]
    pub fn count(&mut self) {
        self.seen = self.seen.saturating_add(1);
    }

    /// Its start in ms.
    pub fn since(&self) -> u64 {
        u64::from(self.since) * UNIT
    }

    /// Its end in ms.
    #[inline]
    pub fn until(&self) -> u64 {
        u64::from(self.until) * UNIT
    }

    /// Its end in units.
    pub fn end(&self) -> u32 {
        self.until
    }

    pub fn seen(&self) -> u32 {
        self.seen
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_ends_in_the_tenth_of_a_second_that_it_names_or_the_next() {
        let mut term = Term::new(1000, 61_001, 1);
        assert_eq!((term.since(), term.until(), term.end()), (1000, 61_100, 611));
        assert!(term.runs(1000) && term.runs(61_099) && !term.runs(61_100));
        term.count();
        assert_eq!(term.seen(), 2);
        let mut full = Term::new(0, u64::MAX, u32::MAX);
        full.count();
        assert_eq!((full.seen(), full.end()), (u32::MAX, u32::MAX));
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_term_longer() {
        let mut term = Term::new(90_000_000, 90_060_000, 0);
        assert!(term.runs(10_000_000));
        assert_eq!((term.since(), term.until()), (10_000_000, 10_060_000));
        assert!(term.runs(10_059_999) && !term.runs(10_060_000));
    }
}
