//! What the entries of all limiters have: a source, its class, a window of events, and
//! whether a term runs.

use bytemuck::{Pod, Zeroable};

use super::classes::{ClassId, MAX_CLASSES};
use super::key::PrefixKey;
use super::window::{Counting, EvictionRank, SLICES, Window};
use crate::address::Prefix;
use crate::shm::atomic::keep_order;

/// All zero is free.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Tally {
    bits: [u32; 4],
    kind: u8,
    state: u8,
    /// For the owner's use.
    pub own: u8,
    /// Of the [`Counting`] that counted last.
    window_id: u8,
    /// Events; while a term runs, the slices are for the owner's use.
    window: Window,
}

/// Bits of a state: the class, whether a term runs, whether an operator has set it. The
/// other two are marks of the owner.
const CLASS: u8 = 0x0f;
const TERM: u8 = 1 << 4;
const MANUAL: u8 = 1 << 5;
/// In place of a class.
const EXEMPT: u8 = 0x0f;

const _: () = assert!(MAX_CLASSES <= EXEMPT as usize);
const _: () = assert!(PrefixKey::KINDS <= u8::MAX as usize);

const fn class_bits(class: Option<ClassId>) -> u8 {
    match class {
        Some(ClassId(class)) => class & CLASS,
        None => EXEMPT,
    }
}

impl Tally {
    pub const FIRST_MARK: u8 = 1 << 6;
    pub const SECOND_MARK: u8 = 1 << 7;
    pub const FREE: Self =
        Tally { bits: [0; 4], kind: 0, state: 0, own: 0, window_id: 0, window: Window::NONE };

    pub fn new(source: PrefixKey, class: Option<ClassId>) -> Self {
        let (bits, kind) = source.parts();
        Tally { bits, kind, state: class_bits(class), ..Tally::FREE }
    }

    /// Makes it free; the kind of source that it was of.
    pub fn take_kind(&mut self) -> u8 {
        std::mem::take(&mut self.kind)
    }

    /// From [`Tally::take_kind`].
    pub fn set_kind(&mut self, kind: u8) {
        self.kind = kind;
    }

    pub fn is_free(&self) -> bool {
        self.kind == 0
    }

    #[inline]
    pub fn key(&self) -> PrefixKey {
        PrefixKey::from_parts(self.bits, self.kind)
    }

    pub fn source(&self) -> Option<Prefix> {
        self.key().prefix()
    }

    /// None: exempt.
    #[inline]
    pub fn class(&self) -> Option<ClassId> {
        match self.state & CLASS {
            EXEMPT => None,
            class => Some(ClassId(class)),
        }
    }

    /// Changes nothing but the class.
    pub fn set_class(&mut self, class: Option<ClassId>) {
        self.state = self.state & !CLASS | class_bits(class);
    }

    /// A term begins; marks go.
    pub fn begin_term(&mut self, manual: bool) {
        self.state = self.state & CLASS | TERM | if manual { MANUAL } else { 0 };
    }

    /// No term runs; marks and events go.
    pub fn clear(&mut self) {
        // First: else whoever dies in between leaves the words of a term, as counts.
        self.window.clear();
        keep_order();
        self.state &= CLASS;
    }

    /// No term runs; marks go. The count begins as if `events` had come at a time.
    pub fn restart(&mut self, counting: &Counting, at: u64, events: u32) {
        self.state &= CLASS;
        counting.restart(&mut self.window, &mut self.window_id, at, events);
    }

    /// Whether a term has begun and has not been ended yet.
    #[inline]
    pub fn has_term(&self) -> bool {
        self.state & TERM != 0
    }

    #[inline]
    pub fn is_manual(&self) -> bool {
        self.state & MANUAL != 0
    }

    #[inline]
    pub fn has(&self, mark: u8) -> bool {
        self.state & mark != 0
    }

    pub fn set(&mut self, mark: u8, on: bool) {
        self.state = self.state & !mark | if on { mark } else { 0 };
    }

    /// Events in the window that ends at `now`, 0 while a term runs; moves the window on.
    #[inline]
    pub fn count(&mut self, counting: &Counting, now: u64) -> u32 {
        if self.has_term() {
            return 0;
        }
        counting.count(&mut self.window, &mut self.window_id, now)
    }

    /// Adds an event to those that were just counted.
    #[inline]
    pub fn add_one(&mut self) {
        self.window.add_one();
    }

    /// Notes that something came, and counts nothing.
    pub fn touch(&mut self, counting: &Counting, now: u64) {
        counting.touch(&mut self.window, now);
    }

    /// None while a term runs: the entry must be kept.
    pub fn eviction_rank(&self, counting: &Counting, now: u64) -> Option<EvictionRank> {
        (!self.has_term()).then(|| counting.eviction_rank(&self.window, self.window_id, now))
    }

    /// The space of the slices, while a term runs.
    #[inline]
    pub fn spare(&self) -> &[u32; SLICES / 2] {
        self.window.words()
    }

    #[inline]
    pub fn spare_mut(&mut self) -> &mut [u32; SLICES / 2] {
        self.window.words_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_keeps_its_class_and_nothing_else_over_terms() {
        let key = PrefixKey::from(Prefix::V4(7, 32));
        for class in (0..MAX_CLASSES as u8).map(|n| Some(ClassId(n))).chain([None]) {
            let mut tally = Tally::new(key, class);
            let (mark, other) = (Tally::FIRST_MARK, Tally::SECOND_MARK);
            tally.set(mark, true);
            assert!(tally.has(mark) && !tally.has(other) && !tally.has_term());
            for manual in [true, false] {
                tally.begin_term(manual);
                assert_eq!((tally.class(), tally.has_term()), (class, true));
                assert_eq!((tally.is_manual(), tally.has(mark)), (manual, false));
                tally.set(other, true);
                assert!(tally.has(other) && tally.has_term());
                tally.set(other, false);
                assert!(!tally.has(other));
            }
            tally.spare_mut().fill(u32::MAX);
            assert_eq!(tally.eviction_rank(&Counting::NONE, 0), None);
            tally.clear();
            assert_eq!(tally, Tally::new(key, class));
            tally.begin_term(true);
            tally.set_class(Some(ClassId(3)));
            assert_eq!((tally.class(), tally.is_manual()), (Some(ClassId(3)), true));
        }
        assert!(Tally::FREE.is_free() && !Tally::new(key, None).is_free());
        assert_eq!((Tally::FREE.source(), Tally::new(key, None).key()), (None, key));
    }
}
