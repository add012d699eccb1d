//! The table.

use std::io;

use super::proof::{Proof, Proofs};
use crate::address::Prefix;
use crate::limiter::{PrefixKey, WAYS};
use crate::shm::Area;
use crate::shm::atomic::{AtomicU64, Ordering::Relaxed};

/// Proven sources, in shared memory. Any process may call anything; nothing waits.
///
/// A source is known by a tag of 32 bits in its bucket. Both follow from a keyed hash, so
/// nobody can aim at them; another source is taken for it with a chance of 8 in 2^32.
pub struct ProvenTable {
    /// Tag and time of the last proof; [`WAYS`] words are a cache line.
    proofs: &'static [AtomicU64],
    /// Of each of them the [`Details`].
    details: &'static [AtomicU64],
    seed: [u64; 2],
}

/// What is known of a proven source. Times are ms of the caller's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    pub proofs: Proofs,
    pub since: u64,
    /// The last proof, some minutes late at most.
    pub last: u64,
}

/// Seconds by which the clock of a process may be behind.
const AHEAD: u32 = 60;

/// A word of [`ProvenTable::proofs`]; 0 is free.
#[derive(Clone, Copy)]
struct Word(u64);

impl Word {
    /// `second` is never 0, so neither is the word.
    fn new(tag: u32, second: u32) -> Self {
        Word(u64::from(tag) << 32 | u64::from(second))
    }

    fn has(self, tag: u32) -> bool {
        self.0 != 0 && (self.0 >> 32) as u32 == tag
    }

    fn tag(self) -> u32 {
        (self.0 >> 32) as u32
    }

    fn second(self) -> u32 {
        self.0 as u32
    }

    /// Whether it is a proof that is kept, `keep` seconds long. One of a time to come, from
    /// before the clock was set back, is none; but another process may have seen the next
    /// second already.
    fn is_kept(self, keep: u32, second: u32) -> bool {
        let is_to_come = self.second() > second.saturating_add(AHEAD);
        self.0 != 0 && !is_to_come && second.saturating_sub(self.second()) < keep
    }
}

/// A word of [`ProvenTable::details`]: the proofs (8 bits), the lower 24 bits of the tag, and
/// the second of the first proof. A process changes it after the word of the source, if it is
/// not killed in between: the tag says whose proofs these are.
#[derive(Clone, Copy)]
struct Details(u64);

impl Details {
    fn new(tag: u32, proofs: Proofs, since: u32) -> Self {
        Details(u64::from(proofs.bits()) << 56 | u64::from(tag << 8) << 24 | u64::from(since))
    }

    /// None if they are of another source.
    fn of(self, tag: u32) -> Option<(Proofs, u32)> {
        let is_own = (self.0 >> 24) as u32 & !0xff == tag << 8;
        is_own.then_some((Proofs::from_bits((self.0 >> 56) as u8), self.0 as u32))
    }
}

/// Notes a proof in the details of the source with a tag, as its first one in place of `old`;
/// whether it is new. Another process may have noted one of the source by now, or have given its
/// place away.
fn note(details: &AtomicU64, old: Option<u64>, tag: u32, proof: Proof, second: u32) -> bool {
    let noted = |now: u64| {
        let (proofs, since) = match old {
            Some(old) if old == now => (Proofs::default(), second),
            _ => Details(now).of(tag)?,
        };
        (!proofs.have(proof)).then(|| Details::new(tag, proofs.with(proof), since).0)
    };
    details.fetch_update(Relaxed, Relaxed, noted).is_ok()
}

/// Seconds of a time in ms, from 1 on.
fn second_of(now: u64) -> u32 {
    u32::try_from(now / 1000 + 1).unwrap_or(u32::MAX)
}

fn ms_of(second: u32) -> u64 {
    u64::from(second.saturating_sub(1)) * 1000
}

impl ProvenTable {
    /// Maps a table for at least `capacity` sources. `seed` keys its hash.
    pub fn new(capacity: usize, seed: [u64; 2]) -> io::Result<Self> {
        let count = capacity.max(WAYS).next_power_of_two();
        Ok(ProvenTable {
            proofs: Area::share_slice(count)?,
            details: Area::share_slice(count)?,
            seed,
        })
    }

    /// The first word of the bucket of a source, and its tag.
    #[inline]
    fn place(&self, source: Prefix) -> (usize, u32) {
        let hash = PrefixKey::from(source).hash(self.seed);
        (hash as usize & (self.proofs.len() - 1) & !(WAYS - 1), (hash >> 32) as u32)
    }

    /// The kept word of a source, and its number.
    #[inline]
    fn find(&self, source: Prefix, keep: u32, second: u32) -> Option<(usize, Word)> {
        let (bucket, tag) = self.place(source);
        let words = self.proofs.get(bucket..)?.first_chunk::<WAYS>()?;
        let words = words.iter().map(|word| Word(word.load(Relaxed)));
        let mut numbered = (bucket..).zip(words);
        numbered.find(|(_, word)| word.has(tag) && word.is_kept(keep, second))
    }

    /// Whether a source was proven within the last `keep` seconds.
    #[inline]
    pub fn is_proven(&self, source: Prefix, keep: u32, now: u64) -> bool {
        self.find(source, keep, second_of(now)).is_some()
    }

    /// A source has proven itself; whether it had not done so in this way before.
    pub fn prove(&self, source: Prefix, proof: Proof, keep: u32, now: u64) -> bool {
        if keep == 0 {
            return false;
        }
        let second = second_of(now);
        let Some((number, word)) = self.find(source, keep, second) else {
            self.add(source, proof, keep, second);
            return true;
        };
        let Some(details) = self.details.get(number) else { return false };
        let before = details.load(Relaxed);
        let known = Details(before).of(word.tag());
        let proofs = known.map_or(Proofs::default(), |(proofs, _)| proofs);
        // Whoever guesses at passwords keeps no proof of somebody else's login.
        let lengthens = proof != Proof::Nonce || !proofs.spare_budget();
        // Not written with every request, so that processes do not take the line from each
        // other.
        if lengthens && second.saturating_sub(word.second()) > keep / 64 {
            self.refresh(number, word, second);
        }
        // If there are none of it, its own were not written yet.
        note(details, known.is_none().then_some(before), word.tag(), proof, second)
    }

    /// If another process has changed the word, that one is as good.
    fn refresh(&self, number: usize, word: Word, second: u32) {
        if let Some(slot) = self.proofs.get(number) {
            let new = Word::new(word.tag(), second);
            let _ = slot.compare_exchange(word.0, new.0, Relaxed, Relaxed);
        }
    }

    /// In place of an old one: of the source itself, of one that is not kept, or of the one
    /// that has proven itself least lately. Two processes may add a source twice, which
    /// changes nothing.
    fn add(&self, source: Prefix, proof: Proof, keep: u32, second: u32) {
        let (bucket, tag) = self.place(source);
        for _ in 0..WAYS {
            let rank = |number: &usize| {
                let word = self.proofs.get(*number).map_or(0, |slot| slot.load(Relaxed));
                let word = Word(word);
                let kept = word.is_kept(keep, second);
                (!word.has(tag), kept, if kept { word.second() } else { 0 })
            };
            let Some(number) = (bucket..bucket + WAYS).min_by_key(rank) else { return };
            let (Some(slot), Some(details)) = (self.proofs.get(number), self.details.get(number))
            else {
                return;
            };
            let (before, of_before) = (slot.load(Relaxed), details.load(Relaxed));
            let new = Word::new(tag, second).0;
            if slot.compare_exchange(before, new, Relaxed, Relaxed).is_ok() {
                let begins = !Word(before).has(tag)
                    || !Word(before).is_kept(keep, second)
                    || Details(of_before).of(tag).is_none();
                note(details, begins.then_some(of_before), tag, proof, second);
                return;
            }
        }
    }

    /// What is known of a source that is proven: at first maybe not yet how.
    pub fn look(&self, source: Prefix, keep: u32, now: u64) -> Option<Proven> {
        let (number, word) = self.find(source, keep, second_of(now))?;
        let known = Details(self.details.get(number)?.load(Relaxed)).of(word.tag());
        let (proofs, since) = known.unwrap_or((Proofs::default(), word.second()));
        Some(Proven { proofs, since: ms_of(since), last: ms_of(word.second()) })
    }

    /// Forgets a source, or all.
    pub fn forget(&self, source: Option<Prefix>) {
        let Some(source) = source else {
            self.proofs.iter().for_each(|word| word.store(0, Relaxed));
            return;
        };
        let (bucket, tag) = self.place(source);
        for slot in self.proofs.get(bucket..bucket + WAYS).unwrap_or_default() {
            let word = slot.load(Relaxed);
            if Word(word).has(tag) {
                let _ = slot.compare_exchange(word, 0, Relaxed, Relaxed);
            }
        }
    }

    /// Sources that are proven; looks at the whole table.
    pub fn count(&self, keep: u32, now: u64) -> usize {
        let second = second_of(now);
        let words = self.proofs.iter().map(|word| Word(word.load(Relaxed)));
        words.filter(|word| word.is_kept(keep, second)).count()
    }

    pub fn capacity(&self) -> usize {
        self.proofs.len()
    }

    pub fn bytes(&self) -> usize {
        size_of_val(self.proofs) + size_of_val(self.details)
    }
}
