//! Hash buckets in shared memory: a lock and the first record of a chain.

use std::io;

use parking_lot::lock_api::RawMutex;

use super::area::{Area, Shared};
use super::atomic::{AtomicU32, Ordering::Relaxed, keep_order};
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

    /// Locks a bucket.
    pub fn lock(&self, index: u32) -> Option<Locked> {
        let bucket = self.0.get(index as usize)?;
        bucket.lock.lock();
        Some(Locked { bucket })
    }

    /// Locks up to `N` buckets: in ascending order, as all processes do, and each once.
    pub fn lock_all<const N: usize>(&self, indexes: impl Iterator<Item = u32>) -> LockedSet<N> {
        let mut all = LockedSet { buckets: self.0, indexes: [0; N], locked: 0 };
        let mut count = 0;
        for index in indexes {
            // Each lock waits until what comes before it has been fetched.
            self.prefetch(index);
            count += usize::from(insert(&mut all.indexes, count, index));
        }
        while all.locked < count {
            let Some(bucket) = all.bucket_at(all.locked) else { break };
            bucket.lock.lock();
            all.locked += 1;
        }
        all
    }

    /// Takes those of a part over whose owners have ended, and frees them.
    pub fn free_left(&self, part: std::ops::Range<u32>) {
        let part = self.0.get(part.start as usize..part.end as usize).unwrap_or_default();
        for bucket in part.iter().filter(|bucket| bucket.lock.is_left()) {
            bucket.lock.lock();
            drop(Locked { bucket });
        }
    }

    /// Has a bucket fetched into the cache, so that it is there when the caller has done what
    /// comes before.
    pub fn prefetch(&self, index: u32) {
        #[cfg(target_arch = "x86_64")]
        if let Some(bucket) = self.0.get(index as usize) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: a hint, which reads nothing.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(bucket).cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = index;
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
        keep_order();
        self.bucket.head.store(position.map_or(0, |p| p + 1), Relaxed);
    }
}

/// Several locked buckets; dropping it unlocks them.
pub struct LockedSet<const N: usize> {
    buckets: &'static [Bucket],
    /// Ascending.
    indexes: [u32; N],
    /// So many of them are locked, the first ones.
    locked: usize,
}

impl<const N: usize> LockedSet<N> {
    /// Position of the first record of a chain. Its bucket is among the locked ones.
    pub fn first(&self, index: u32) -> Option<u32> {
        self.buckets.get(index as usize)?.head.load(Relaxed).checked_sub(1)
    }

    /// Makes another record the first one of a chain. Its bucket is among the locked ones.
    pub fn set_first(&self, index: u32, position: Option<u32>) {
        if let Some(bucket) = self.buckets.get(index as usize) {
            keep_order();
            bucket.head.store(position.map_or(0, |p| p + 1), Relaxed);
        }
    }

    fn bucket_at(&self, number: usize) -> Option<&'static Bucket> {
        self.buckets.get(*self.indexes.get(number)? as usize)
    }
}

impl<const N: usize> Drop for LockedSet<N> {
    fn drop(&mut self) {
        for bucket in (0..self.locked).filter_map(|number| self.bucket_at(number)) {
            // SAFETY: `lock_all` has taken it, and this value is its only guard.
            unsafe { bucket.lock.unlock() };
        }
    }
}

/// Puts an index in its place among the first `count` ones, which ascend. False if it is
/// among them, or there is no room.
fn insert(indexes: &mut [u32], count: usize, index: u32) -> bool {
    let room = indexes.get_mut(..=count).and_then(<[u32]>::split_last_mut);
    let Some((free, before)) = room else { return false };
    let mut carried = index;
    for other in before {
        // Before it nothing is moved: all there are lower.
        if *other == index {
            return false;
        }
        if *other > carried {
            std::mem::swap(other, &mut carried);
        }
    }
    *free = carried;
    true
}

impl Drop for Locked {
    fn drop(&mut self) {
        // SAFETY: `lock` has taken it, and this value is its only guard.
        unsafe { self.bucket.lock.unlock() };
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn several_buckets_are_locked_once_each_in_ascending_order() {
        let buckets = Buckets::new(8).unwrap();
        let locked = || -> Vec<u32> {
            (0..8).filter(|index| buckets.0[*index as usize].lock.owner() != 0).collect()
        };
        let all = buckets.lock_all::<4>([5, 2, 5, 7].into_iter());
        assert_eq!((all.indexes, all.locked), ([2, 5, 7, 0], 3));
        assert_eq!(locked(), [2, 5, 7]);
        all.set_first(5, Some(3));
        assert_eq!((all.first(5), all.first(2)), (Some(3), None));
        drop(all);
        assert!(locked().is_empty());
    }
}
