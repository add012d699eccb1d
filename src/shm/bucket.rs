//! Hash buckets in shared memory: a lock and the first record of a chain.

use std::io;

use parking_lot::lock_api::RawMutex;

use super::area::{Area, Shared};
use super::atomic::{AtomicU32, Ordering::Relaxed};
use super::mutex::RawSharedMutex;

/// One bucket. All zero: free and empty.
#[repr(C)]
struct Bucket {
    lock: RawSharedMutex,
    /// Position + 1 of the first record, 0 for none.
    head: AtomicU32,
}

// SAFETY: a zero-valid lock and an atomic.
unsafe impl Shared for Bucket {}

impl Default for Bucket {
    fn default() -> Self {
        Bucket { lock: RawSharedMutex::INIT, head: AtomicU32::new(0) }
    }
}

/// A power of two of buckets.
pub struct Buckets(&'static [Bucket]);

/// A locked bucket; dropping it unlocks.
pub struct Locked {
    bucket: &'static Bucket,
}

impl Buckets {
    /// Maps at least `count` buckets.
    pub fn new(count: usize) -> io::Result<Self> {
        Ok(Buckets(Area::share_slice(count.next_power_of_two())?))
    }

    /// The bucket of a hash.
    pub fn of(&self, hash: u64) -> u32 {
        (hash as usize & (self.0.len() - 1)) as u32
    }

    /// Locks a bucket. A process that locks several does so in ascending order, and does
    /// nothing but ledger work until it unlocks them.
    pub fn lock(&self, index: u32) -> Option<Locked> {
        let bucket = self.0.get(index as usize)?;
        bucket.lock.lock();
        Some(Locked { bucket })
    }

    /// Whether `locked` is the bucket of this index.
    pub fn is(&self, locked: &Locked, index: u32) -> bool {
        self.0.get(index as usize).is_some_and(|bucket| std::ptr::eq(bucket, locked.bucket))
    }

    /// Their number.
    pub fn count(&self) -> u32 {
        self.0.len() as u32
    }

    pub fn bytes(&self) -> usize {
        size_of_val(self.0)
    }
}

impl Locked {
    /// Position of the first record of the chain.
    pub fn first(&self) -> Option<u32> {
        self.bucket.head.load(Relaxed).checked_sub(1)
    }

    /// Makes another record the first one.
    pub fn set_first(&self, position: Option<u32>) {
        self.bucket.head.store(position.map_or(0, |p| p + 1), Relaxed);
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        // SAFETY: `lock` has taken it, and this value is its only guard.
        unsafe { self.bucket.lock.unlock() };
    }
}
