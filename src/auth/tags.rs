//! A tag for each line: some bits of the hash of its entry, 0 if it is free.
//!
//! Nearly everybody who authenticates well has no entry. A look at eight tags, which share
//! half a cache line, says so without a lock.

use std::io;

use crate::limiter::WAYS;
use crate::shm::Area;
use crate::shm::atomic::{AtomicU32, Ordering::*};

/// The tags of all lines, in shared memory. Each is changed under its line's lock.
pub(super) struct Tags(&'static [AtomicU32]);

impl Tags {
    /// Maps tags for so many lines.
    pub fn new(lines: usize) -> io::Result<Self> {
        Ok(Tags(Area::share_slice(lines)?))
    }

    /// The tag of a hash: bits that its place does not use, never 0.
    pub fn of(place: u64) -> u32 {
        ((place >> 32) as u32).max(1)
    }

    /// Whether a line has this tag.
    pub fn has(&self, line: usize, tag: u32) -> bool {
        self.0.get(line).is_some_and(|own| own.load(Acquire) == tag)
    }

    /// Whether any line of a bucket, given by its first one, has this tag.
    #[inline]
    pub fn any_has(&self, bucket: usize, tag: u32) -> bool {
        let tags = self.0.get(bucket..).and_then(|tags| tags.first_chunk::<WAYS>());
        // No branch for each: nearly always none has it.
        tags.is_some_and(|tags| {
            tags.iter().fold(false, |any, own| any | (own.load(Acquire) == tag))
        })
    }

    /// Sets the tag of a line.
    pub fn set(&self, line: usize, tag: u32) {
        if let Some(own) = self.0.get(line) {
            own.store(tag, Release);
        }
    }

    /// Says that a line is free.
    pub fn clear(&self, line: usize) {
        self.set(line, 0);
    }

    /// Lines that are not free.
    pub fn taken(&self) -> impl Iterator<Item = usize> {
        let used = self.0.iter().enumerate().filter(|(_, tag)| tag.load(Acquire) != 0);
        used.map(|(line, _)| line)
    }

    /// Bytes of address space.
    pub fn bytes(&self) -> usize {
        size_of_val(self.0)
    }
}
