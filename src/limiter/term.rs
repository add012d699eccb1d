//! Terms: what an entry is refused, or granted, for a while.

use bytemuck::{Pod, Zeroable};

use super::classes::{ClassId, MAX_CLASSES};

/// Ms in a unit of times; 2^32 of them are 13 years.
const UNIT: u64 = 100;
/// Units in a second.
pub const UNITS_PER_SECOND: u32 = 1000 / UNIT as u32;
/// Longest term in seconds: a year.
pub const LONGEST_TERM: u32 = 31_536_000;

/// A time in ms as whole units that have passed.
#[inline]
pub fn units(ms: u64) -> u32 {
    u32::try_from(ms / UNIT).unwrap_or(u32::MAX)
}

/// A term. Times are units since the clock's zero.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Term {
    since: u32,
    until: u32,
    /// Requests since.
    seen: u32,
}

impl Term {
    /// None.
    pub const NONE: Self = Term { since: 0, until: 0, seen: 0 };

    /// From `since` to `until`, in ms, with the requests that have come so far.
    pub fn new(since: u64, until: u64, seen: u32) -> Self {
        let until = u32::try_from(until.div_ceil(UNIT)).unwrap_or(u32::MAX);
        Term { since: units(since), until, seen }
    }

    /// Whether it runs at `now`, in ms. It never lasts longer because the clock has
    /// stepped back.
    #[inline]
    pub fn holds(&mut self, now: u64) -> bool {
        let now = units(now);
        if now < self.since {
            self.until = now.saturating_add(self.until.saturating_sub(self.since));
            self.since = now;
        }
        now < self.until
    }

    /// Counts a request.
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

    /// Requests since it began.
    pub fn seen(&self) -> u32 {
        self.seen
    }
}

/// The class of an entry, whether a term runs, and whether by hand, in one byte. Two
/// bits are left for marks of its owner.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct State(u8);

const CLASS: u8 = 0x0f;
/// In place of a class: the source is exempt.
const EXEMPT: u8 = 0x0f;
const TERM: u8 = 1 << 4;
const MANUAL: u8 = 1 << 5;

const _: () = assert!(MAX_CLASSES <= EXEMPT as usize);

impl State {
    /// A mark that an owner may use.
    pub const FIRST_MARK: u8 = 1 << 6;
    /// Another one.
    pub const SECOND_MARK: u8 = 1 << 7;
    /// Of a free entry.
    pub const NONE: Self = State(0);

    /// Of a class, None if exempt; no term, no marks.
    pub fn new(class: Option<ClassId>) -> Self {
        State(class.map_or(EXEMPT, |ClassId(class)| class & CLASS))
    }

    /// The class; None: exempt.
    #[inline]
    pub fn class(self) -> Option<ClassId> {
        match self.0 & CLASS {
            EXEMPT => None,
            class => Some(ClassId(class)),
        }
    }

    /// Changes the class only.
    pub fn set_class(&mut self, class: Option<ClassId>) {
        self.0 = self.0 & !CLASS | State::new(class).0;
    }

    /// A term begins; marks go.
    pub fn begin(&mut self, manual: bool) {
        self.0 = self.0 & CLASS | TERM | if manual { MANUAL } else { 0 };
    }

    /// No term runs; marks go.
    pub fn end(&mut self) {
        self.0 &= CLASS;
    }

    /// Whether a term has begun and nobody has ended it yet.
    #[inline]
    pub fn has_term(self) -> bool {
        self.0 & TERM != 0
    }

    /// Whether an operator has set the term.
    #[inline]
    pub fn is_manual(self) -> bool {
        self.0 & MANUAL != 0
    }

    /// Whether a mark is set.
    #[inline]
    pub fn has(self, mark: u8) -> bool {
        self.0 & mark != 0
    }

    /// Sets or clears a mark.
    pub fn set(&mut self, mark: u8, on: bool) {
        self.0 = self.0 & !mark | if on { mark } else { 0 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_ends_in_the_tenth_of_a_second_that_it_names_or_the_next() {
        let mut term = Term::new(1000, 61_001, 1);
        assert_eq!((term.since(), term.until(), term.end()), (1000, 61_100, 611));
        assert!(term.holds(1000) && term.holds(61_099) && !term.holds(61_100));
        term.count();
        assert_eq!(term.seen(), 2);
        let mut full = Term::new(0, u64::MAX, u32::MAX);
        full.count();
        assert_eq!((full.seen(), full.end()), (u32::MAX, u32::MAX));
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_term_longer() {
        let mut term = Term::new(90_000_000, 90_060_000, 0);
        assert!(term.holds(10_000_000));
        assert_eq!((term.since(), term.until()), (10_000_000, 10_060_000));
        assert!(term.holds(10_059_999) && !term.holds(10_060_000));
    }

    #[test]
    fn a_state_keeps_its_class_and_nothing_else_over_terms() {
        for class in (0..MAX_CLASSES as u8).map(|n| Some(ClassId(n))).chain([None]) {
            let mut state = State::new(class);
            let (mark, other) = (State::FIRST_MARK, State::SECOND_MARK);
            state.set(mark, true);
            assert!(state.has(mark) && !state.has(other) && !state.has_term());
            for manual in [true, false] {
                state.begin(manual);
                assert_eq!((state.class(), state.has_term()), (class, true));
                assert_eq!((state.is_manual(), state.has(mark)), (manual, false));
                state.set(other, true);
                assert!(state.has(other) && state.has_term());
                state.set(other, false);
                assert!(!state.has(other));
            }
            state.end();
            assert_eq!(state, State::new(class));
            state.begin(true);
            state.set_class(Some(ClassId(3)));
            assert_eq!((state.class(), state.is_manual()), (Some(ClassId(3)), true));
        }
    }
}
