//! A grant in 32 words of shared memory, read and written under the lock of its bucket.
//!
//! ```text
//! word 0     link: position + 1 of the next record of the chain, 0 for none
//! word 1..3  address bits      word 3  lengths of company and note, giver, kind of prefix
//! word 4     since, ms         word 5  until, ms         word 6  requests allowed
//! word 7..23 company           word 23..31 note
//! ```

use super::grant::{Grant, GrantedBy, MAX_NOTE};
use crate::address::{Address, Prefix};
use crate::limiter::PrefixKey;
use crate::shm::Record;
use crate::shm::atomic::{AtomicU64, Ordering::Relaxed};

/// Words of a record.
pub const WORDS: usize = 32;

const BITS: usize = 1;
const KINDS: usize = 3;
const SINCE: usize = 4;
const UNTIL: usize = 5;
const USED: usize = 6;
const COMPANY: std::ops::Range<usize> = 7..23;
const NOTE: std::ops::Range<usize> = 23..31;

/// Longest id of a company in bytes.
pub const MAX_COMPANY: usize = (COMPANY.end - COMPANY.start) * 8;

const _: () = assert!(MAX_NOTE == (NOTE.end - NOTE.start) * 8 && NOTE.end <= WORDS);

/// What has a fixed size, in one word.
struct Kinds {
    company: u8,
    note: u8,
    by: u8,
    prefix: u8,
}

impl Kinds {
    fn read(record: &Record<WORDS>) -> Self {
        let [company, note, by, prefix, ..] = record[KINDS].load(Relaxed).to_le_bytes();
        Kinds { company, note, by, prefix }
    }

    fn write(&self, record: &Record<WORDS>) {
        let bytes = [self.company, self.note, self.by, self.prefix, 0, 0, 0, 0];
        record[KINDS].store(u64::from_le_bytes(bytes), Relaxed);
    }
}

/// The next record of the chain.
pub fn link(record: &Record<WORDS>) -> Option<u32> {
    (record[0].load(Relaxed) as u32).checked_sub(1)
}

pub fn set_link(record: &Record<WORDS>, next: Option<u32>) {
    record[0].store(next.map_or(0, |position| u64::from(position) + 1), Relaxed);
}

/// Writes all but the link.
pub fn write(record: &Record<WORDS>, grant: &Grant) {
    let (words, prefix) = PrefixKey::from(grant.source).parts();
    let [a, b, c, d] = words.map(u64::from);
    record[BITS].store(a | b << 32, Relaxed);
    record[BITS + 1].store(c | d << 32, Relaxed);
    record[SINCE].store(grant.since, Relaxed);
    record[UNTIL].store(grant.until, Relaxed);
    record[USED].store(grant.used, Relaxed);
    let company = put(record.get(COMPANY), &grant.company);
    let note = put(record.get(NOTE), &grant.note);
    Kinds { company, note, by: grant.by as u8, prefix }.write(record);
}

/// None of a record that was never written.
pub fn read(record: &Record<WORDS>) -> Option<Grant> {
    let kinds = Kinds::read(record);
    Some(Grant {
        company: get(record.get(COMPANY), kinds.company),
        source: source(record)?,
        since: record[SINCE].load(Relaxed),
        until: until(record),
        used: record[USED].load(Relaxed),
        by: GrantedBy::ALL.get(usize::from(kinds.by)).copied()?,
        note: get(record.get(NOTE), kinds.note),
    })
}

pub fn source(record: &Record<WORDS>) -> Option<Prefix> {
    let words = [record[BITS].load(Relaxed), record[BITS + 1].load(Relaxed)];
    let [low, high] = words.map(|word| [word as u32, (word >> 32) as u32]);
    let [a, b] = low;
    let [c, d] = high;
    PrefixKey::from_parts([a, b, c, d], Kinds::read(record).prefix).prefix()
}

pub fn until(record: &Record<WORDS>) -> u64 {
    record[UNTIL].load(Relaxed)
}

/// Whether it is for an address.
pub fn has(record: &Record<WORDS>, address: Address) -> bool {
    source(record).is_some_and(|source| source.contains(address.prefix(128)))
}

/// Whether it is of a company.
pub fn is_of(record: &Record<WORDS>, company: &[u8]) -> bool {
    if usize::from(Kinds::read(record).company) != company.len() {
        return false;
    }
    let words = record.get(COMPANY).unwrap_or_default().iter();
    words.zip(company.chunks(8)).all(|(word, bytes)| word.load(Relaxed) == word_of(bytes))
}

/// One more request was allowed by it.
pub fn count_use(record: &Record<WORDS>) {
    record[USED].fetch_add(1, Relaxed);
}

/// Up to 8 bytes as a word.
fn word_of(bytes: &[u8]) -> u64 {
    let mut whole = [0; 8];
    whole.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    u64::from_le_bytes(whole)
}

/// Writes what fits; its length.
fn put(words: Option<&[AtomicU64]>, text: &[u8]) -> u8 {
    let words = words.unwrap_or_default();
    let text = text.get(..words.len() * 8).unwrap_or(text);
    words.iter().zip(text.chunks(8)).for_each(|(word, bytes)| word.store(word_of(bytes), Relaxed));
    text.len() as u8
}

fn get(words: Option<&[AtomicU64]>, len: u8) -> Vec<u8> {
    let words = words.unwrap_or_default().iter();
    let mut bytes: Vec<u8> = words.flat_map(|word| word.load(Relaxed).to_le_bytes()).collect();
    bytes.truncate(len.into());
    bytes
}
