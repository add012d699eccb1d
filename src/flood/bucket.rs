//! Eight entries under one lock, found by tags that share the lock's cache line.

use bytemuck::{Pod, Zeroable};

use super::entry::Entry;
use super::key::Key;
use super::rules::Rules;

/// Entries in a bucket.
pub(super) const ENTRIES: usize = 8;

/// A bucket without its lock of 4 bytes; with it, 512 bytes.
#[repr(C)]
#[derive(Clone, Copy, Default, Pod, Zeroable)]
pub(super) struct Bucket {
    /// Part of each entry's hash, 0 for a free one.
    tags: [u16; ENTRIES],
    /// Bit n: entry n is blocked or throttled.
    marks: u32,
    padding: [u32; 2],
    entries: [Entry; ENTRIES],
}

/// Where a new entry went.
pub(super) enum Added {
    /// In a free place.
    Free(usize),
    /// In the place of another one, whose evidence counted or not.
    Instead { place: usize, fresh: bool },
}

impl Bucket {
    pub fn find(&self, tag: u16, key: &Key) -> Option<usize> {
        let mut tags = self.tags.iter().zip(&self.entries);
        tags.position(|(own, entry)| *own == tag && entry.is(key))
    }

    pub fn entry(&mut self, place: usize) -> Option<&mut Entry> {
        self.entries.get_mut(place)
    }

    /// Puts an entry in a free place, or instead of the least useful one that is
    /// not blocked. None if all are blocked.
    pub fn add(&mut self, tag: u16, entry: Entry, rules: &Rules, now: u64) -> Option<Added> {
        let added = match self.tags.iter().position(|tag| *tag == 0) {
            Some(place) => Added::Free(place),
            None => {
                let others = self.entries.iter().enumerate().filter(|(_, e)| !e.is_blocked());
                let (place, worth) = others
                    .map(|(place, e)| (place, e.worth(rules.class(e.class()), now)))
                    .min_by_key(|(_, worth)| *worth)?;
                Added::Instead { place, fresh: worth.0 > 0 }
            }
        };
        let (Added::Free(place) | Added::Instead { place, .. }) = added;
        *self.tags.get_mut(place)? = tag;
        *self.entries.get_mut(place)? = entry;
        self.note(place);
        Some(added)
    }

    pub fn remove(&mut self, place: usize) {
        if let (Some(tag), Some(entry)) = (self.tags.get_mut(place), self.entries.get_mut(place)) {
            *tag = 0;
            *entry = Entry::default();
            self.note(place);
        }
    }

    /// Keeps the mark of an entry; whether the bucket has marks.
    pub fn note(&mut self, place: usize) -> bool {
        let marked = self.entries.get(place).is_some_and(Entry::is_marked);
        let bit = 1 << place;
        self.marks = if marked { self.marks | bit } else { self.marks & !bit };
        self.marks != 0
    }

    /// Places in use, or only those with a mark.
    pub fn places(&self, marked: bool) -> impl Iterator<Item = usize> + use<> {
        let (tags, marks) = (self.tags, self.marks);
        let used = move |place: &usize| tags.get(*place).is_some_and(|tag| *tag != 0);
        (0..ENTRIES).filter(used).filter(move |place| !marked || marks & 1 << place != 0)
    }
}
