//! A tag for each line: some bits of the hash of its entry, 0 if it is free.
//!
//! Nearly every AoR that authenticates has no entry. Eight tags, which share half a cache
//! line, show that without a lock.

use std::io;

use crate::limiter::WAYS;
use crate::shm::Area;
use crate::shm::atomic::{AtomicU32, Ordering::*};

/// The tags of all lines, in shared memory. Each is changed under its line's lock.
pub(super) struct Tags(&'static [AtomicU32]);

impl Tags {
    pub fn new(lines: usize) -> io::Result<Self> {
        Ok(Tags(Area::share_slice(lines)?))
    }

    /// The tag of a hash: bits that do not choose the bucket, never 0.
    pub fn of(hash: u64) -> u32 {
        ((hash >> 32) as u32).max(1)
    }

    pub fn has(&self, line: usize, tag: u32) -> bool {
        self.0.get(line).is_some_and(|own| own.load(Acquire) == tag)
    }

    /// Whether any line of the bucket that begins at a line has this tag.
    #[inline]
    pub fn any_has(&self, bucket: usize, tag: u32) -> bool {
        let tags = self.0.get(bucket..).and_then(|tags| tags.first_chunk::<WAYS>());
        // Without a branch for each: nearly always none has it.
        tags.is_some_and(|tags| {
            tags.iter().fold(false, |any, own| any | (own.load(Acquire) == tag))
        })
    }

    pub fn set(&self, line: usize, tag: u32) {
        if let Some(own) = self.0.get(line) {
            own.store(tag, Release);
        }
    }

    pub fn clear(&self, line: usize) {
        self.set(line, 0);
    }

    /// Lines that are not free.
    pub fn taken(&self) -> impl Iterator<Item = usize> {
        let used = self.0.iter().enumerate().filter(|(_, tag)| tag.load(Acquire) != 0);
        used.map(|(line, _)| line)
    }

    pub fn bytes(&self) -> usize {
        size_of_val(self.0)
    }
}
