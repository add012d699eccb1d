//! What other nodes leave to this one, beside each record of a scope; mapped only if limits
//! are shared. All of it is read and changed under the lock of the scope.

use std::io;

use super::limit::Limit;
use super::record::{COUNTS, Count, WORDS, halves, word_of};
use super::scope::{Direction, KINDS, ScopeKind};
use crate::cluster::{self, Counts, Keys, PLACES, Part};
use crate::shm::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use crate::shm::{Area, Bell, Record, Ring};

/// Words beside the record of a scope:
///
/// ```text
/// 0..6    slots granted (low half) | workers that wait << 32: for each of PLACES
/// 6       bits of places that have a limit | those that are marked for the broker << 8
/// 7       calls of all nodes in any direction, as last heard (low half)
/// ```
const BESIDE: usize = 8;
const FLAGS: usize = PLACES;
const HEARD: usize = PLACES + 1;
const MARKED: u32 = 8;
/// Marks that wait for the broker. If there are more, it looks at all scopes.
const MARKS: usize = 16_384;

/// What is shared of all scopes.
pub(super) struct Shares {
    beside: &'static [Record<BESIDE>],
    /// Two words for each kind.
    seeds: &'static [AtomicU64],
    keys: Keys,
    marks: Ring<2>,
    missed: &'static AtomicU32,
    bell: &'static Bell,
}

/// The place of a direction and part.
pub(super) fn place_of(direction: Direction, part: Part) -> usize {
    direction as usize * Part::BOTH.len() + part as usize
}

/// A scope's record, with what is beside it.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a> {
    shares: &'a Shares,
    record: &'static Record<WORDS>,
    beside: &'static Record<BESIDE>,
    hash: u128,
}

impl Shares {
    /// For so many scopes.
    pub fn new(scopes: usize, keys: Keys, bell: &'static Bell) -> io::Result<Self> {
        let shares = Shares {
            beside: Area::share_slice(scopes)?,
            seeds: Area::share_slice(2 * KINDS)?,
            keys,
            marks: Ring::new(MARKS)?,
            missed: Area::share_atomic()?,
            bell,
        };
        for kind in (0..KINDS).filter_map(ScopeKind::of) {
            if let Some(word) = kind.word() {
                shares.name_kind(kind, word);
            }
        }
        Ok(shares)
    }

    /// The operator's word of a kind; before the first call that has it.
    pub fn name_kind(&self, kind: ScopeKind, word: &[u8]) {
        let words = self.seeds.iter().skip(2 * kind.number());
        words.zip(self.keys.kind(word)).for_each(|(to, from)| to.store(from, Relaxed));
    }

    /// Keys the hashes of a kind's ids.
    pub fn seed(&self, kind: ScopeKind) -> [u64; 2] {
        let word =
            |n: usize| self.seeds.get(2 * kind.number() + n).map_or(0, |seed| seed.load(Relaxed));
        [word(0), word(1)]
    }

    /// A record whose lock the caller has.
    pub fn of(
        &self,
        position: u32,
        record: &'static Record<WORDS>,
        hash: u128,
    ) -> Option<Shared<'_>> {
        let beside = self.beside.get(position as usize)?;
        Some(Shared { shares: self, record, beside, hash })
    }

    /// Marks that have come since the last time. False: some did not fit.
    pub fn marked(&self, mut each: impl FnMut(cluster::Key)) -> bool {
        while let Some([high, low]) = self.marks.pop() {
            each(cluster::Key(u128::from(high) << 64 | u128::from(low)));
        }
        self.missed.swap(0, Relaxed) == 0
    }

    /// The broker shall look at all scopes.
    pub fn mark_all(&self) {
        self.missed.store(1, Relaxed);
        self.bell.ring();
    }

    pub fn bytes(&self) -> usize {
        size_of_val(self.beside) + size_of_val(self.seeds) + self.marks.bytes()
    }
}

impl Shared<'_> {
    /// The record is that of another scope now.
    pub fn begin(self) {
        self.beside.iter().for_each(|word| word.store(0, Relaxed));
    }

    pub fn key(self, place: usize) -> cluster::Key {
        cluster::Key::new(self.hash, place)
    }

    pub fn counts(self, place: usize) -> Counts {
        self.counts_with(place, self.calls(place))
    }

    /// Keeps what was changed, but for the calls.
    pub fn keep(self, place: usize, counts: Counts) {
        let Some(word) = self.beside.get(place).filter(|_| place < PLACES) else { return };
        word.store(word_of(counts.granted, counts.waiting), Relaxed);
        let flags = self.beside[FLAGS].load(Relaxed);
        let bit = 1 << (MARKED as usize + place);
        if counts.marked == (flags & bit != 0) {
            return;
        }
        self.beside[FLAGS].store(flags ^ bit, Relaxed);
        if counts.marked {
            self.tell(place);
        }
    }

    /// The live calls of a direction have changed, as the record says by now: all of them,
    /// and those that are not emergencies.
    pub fn changed(self, direction: Direction, by: [i32; 2]) {
        for (part, by) in Part::BOTH.into_iter().zip(by) {
            let place = place_of(direction, part);
            if by == 0 || !self.is_on(place) {
                continue;
            }
            let before = self.calls(place).saturating_add_signed(-by);
            let mut counts = self.counts_with(place, before);
            match by {
                ..0 => counts.end(),
                _ if counts.covers_one_more() => counts.admit(),
                _ => counts.count_anyway(),
            }
            self.keep(place, counts);
        }
    }

    /// Which of its places have a limit, and so are shared.
    pub fn limit(self, direction: Direction, limit: &Limit) {
        for part in Part::BOTH {
            let on = limit.calls > 0 && (part == Part::All || limit.reserved > 0);
            let (place, flags) = (place_of(direction, part), self.beside[FLAGS].load(Relaxed));
            let bit = 1 << place;
            if on == (flags & bit != 0) {
                continue;
            }
            self.beside[FLAGS].store(flags ^ bit, Relaxed);
            let counts = self.counts(place);
            if counts.calls > 0 || counts.granted > 0 {
                self.keep(place, Counts { marked: true, ..counts });
            }
        }
    }

    /// Workers that wait: each of them refers to the record.
    pub fn waiters(self) -> u32 {
        (0..PLACES).map(|place| self.counts(place).waiting).sum()
    }

    /// Whether a place needs a claim.
    pub fn is_used(self, place: usize) -> bool {
        let counts = self.counts(place);
        counts.calls > 0 || counts.granted > 0 || counts.waiting > 0
    }

    /// Calls of all nodes in any direction, as last heard.
    pub fn heard(self) -> u32 {
        self.beside[HEARD].load(Relaxed) as u32
    }

    pub fn hear(self, total: u32) {
        self.beside[HEARD].store(total.into(), Relaxed);
    }

    fn is_on(self, place: usize) -> bool {
        self.beside[FLAGS].load(Relaxed) & 1 << place != 0
    }

    /// Live calls; none where nothing is shared.
    fn calls(self, place: usize) -> u32 {
        let counted = self.record.get(COUNTS + place / Part::BOTH.len());
        let Some(word) = counted.filter(|_| self.is_on(place)) else { return 0 };
        let Count { calls, emergencies, .. } = Count::of(word.load(Relaxed));
        if place % Part::BOTH.len() == Part::All as usize {
            calls
        } else {
            calls.saturating_sub(emergencies)
        }
    }

    fn counts_with(self, place: usize, calls: u32) -> Counts {
        let word = self.beside.get(place).filter(|_| place < PLACES);
        let (granted, waiting) = word.map_or((0, 0), |word| halves(word.load(Relaxed)));
        let marked = self.beside[FLAGS].load(Relaxed) & 1 << (MARKED as usize + place) != 0;
        Counts { calls, granted, waiting, marked }
    }

    fn tell(self, place: usize) {
        let cluster::Key(key) = self.key(place);
        if !self.shares.marks.push(&[(key >> 64) as u64, key as u64]) {
            self.shares.missed.store(1, Relaxed);
        }
        self.shares.bell.ring();
    }
}
