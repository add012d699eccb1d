//! Which generation is current, and which ones are being read.
//!
//! Hazard slots after M. Michael, "Hazard Pointers" (2004), one per thread that reads: a
//! reader announces the generation it is about to read, then checks that it is still
//! current. A writer that has replaced a generation waits until no slot names it (the grace
//! period). Readers never wait.

use std::marker::PhantomData;

use super::area::Shared;
use super::atomic::{AtomicU32, AtomicU64, Ordering::*};
use super::owner::{id_of, is_gone, is_unknown, own_thread};

/// Processes, or threads, that can read at the same time. Kamailio runs tens to hundreds; a
/// schedule has few.
pub const MAX_READERS: usize = if cfg!(shuttle) { 4 } else { 2048 };

/// The current generation and the readers' slots. All zero: nothing published.
#[repr(C)]
#[cfg_attr(shuttle, derive(Default))]
pub struct Publication {
    current: AtomicU64,
    slots: [ReaderSlot; MAX_READERS],
}

// SAFETY: atomics only, all zero is "nothing published, no reader".
unsafe impl Shared for Publication {}

/// One thread's announcement; a cache line of its own.
#[repr(C, align(64))]
#[derive(Default)]
pub struct ReaderSlot {
    /// Generation that is being read, 0 for none.
    pinned: AtomicU64,
    /// The thread that it belongs to, 0 for none.
    owner: AtomicU32,
    /// Nested pins; only the owner touches it.
    depth: AtomicU32,
}

/// The right of one thread of one process to read; neither `Send` nor `Sync`.
#[derive(Clone, Copy)]
pub struct Reader {
    slot: &'static ReaderSlot,
    /// Ties the reader to its thread.
    thread: PhantomData<*const ()>,
}

impl Publication {
    /// A reader for the calling thread; None if live threads have all slots. Slots of dead
    /// threads are taken over, that of one with the same id first.
    ///
    /// Slots belong to threads, not processes: two threads with one slot would clear each
    /// other's announcements.
    ///
    /// # Safety
    /// A thread calls this once, and again only in the child of a fork: two readers of
    /// one thread would share a slot.
    pub unsafe fn claim(&'static self) -> Option<Reader> {
        self.claim_for(own_thread())
    }

    fn claim_for(&'static self, owner: u32) -> Option<Reader> {
        let take = |from: u32, slot: &ReaderSlot| {
            slot.owner.compare_exchange(from, owner, AcqRel, Relaxed).is_ok()
        };
        // The earlier thread with this id is dead, since the caller has the id now.
        let earlier = |slot: &ReaderSlot| {
            let seen = slot.owner.load(Relaxed);
            id_of(seen) == id_of(owner) && take(seen, slot)
        };
        let dead = |slot: &ReaderSlot| {
            let seen = slot.owner.load(Relaxed);
            is_unknown(seen) && take(seen, slot)
        };
        let slot = (self.slots.iter().find(|slot| earlier(slot)))
            .or_else(|| self.slots.iter().find(|slot| take(0, slot)))
            .or_else(|| self.slots.iter().find(|slot| dead(slot)))?;
        slot.depth.store(0, Relaxed);
        slot.pinned.store(0, Release);
        Some(Reader { slot, thread: PhantomData })
    }

    /// The current generation, 0 if nothing was published.
    pub fn current(&self) -> u64 {
        self.current.load(Acquire)
    }

    /// Announces that `reader` reads, and returns the generation to read; 0 if
    /// there is none. [`Publication::unpin`] must follow. Pins nest.
    pub fn pin(&self, reader: Reader) -> u64 {
        let slot = reader.slot;
        let depth = slot.depth.load(Relaxed);
        slot.depth.store(depth.wrapping_add(1), Relaxed);
        if depth > 0 {
            return slot.pinned.load(Relaxed);
        }
        let mut generation = self.current.load(Acquire);
        loop {
            // SeqCst, as in `reader_of`: the announcement must be visible
            // before `current` is read again.
            slot.pinned.store(generation, SeqCst);
            let again = self.current.load(SeqCst);
            if again == generation {
                return generation;
            }
            generation = again;
        }
    }

    /// Ends a [`Publication::pin`] of the same reader.
    pub fn unpin(&self, reader: Reader) {
        let slot = reader.slot;
        let depth = slot.depth.load(Relaxed).saturating_sub(1);
        slot.depth.store(depth, Relaxed);
        if depth == 0 {
            slot.pinned.store(0, Release);
        }
    }

    /// Makes `generation` current. The caller has the reload lock and has written the
    /// snapshot.
    pub fn publish(&self, generation: u64) {
        self.current.store(generation, SeqCst);
    }

    /// Id of a live thread (its pid, in a process with one thread) that reads a generation
    /// that is `stale`. If the caller has the reload lock and the current generation is not
    /// `stale`, None is final.
    pub fn reader_of(&self, stale: impl Fn(u64) -> bool) -> Option<u32> {
        self.slots.iter().find_map(|slot| {
            let pinned = slot.pinned.load(SeqCst);
            let owner = slot.owner.load(Relaxed);
            (pinned != 0 && stale(pinned) && !is_gone(owner)).then_some(id_of(owner))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::Area;
    use crate::shm::owner::tests::{with_reused_id, zombie};

    #[allow(clippy::unwrap_used)] // a helper of tests
    fn claim(shared: &'static Publication) -> Reader {
        // SAFETY: a thread of a test claims once.
        unsafe { shared.claim() }.unwrap()
    }

    fn own_id() -> u32 {
        id_of(own_thread())
    }

    #[test]
    fn a_pin_holds_its_generation_and_nests() {
        let shared = Area::share::<Publication>().unwrap();
        let reader = claim(shared);
        assert_eq!(shared.pin(reader), 0);
        shared.unpin(reader);
        shared.publish(1);
        assert_eq!(shared.pin(reader), 1);
        shared.publish(2);
        assert_eq!(shared.pin(reader), 1);
        shared.unpin(reader);
        assert_eq!(shared.reader_of(|g| g < 2), Some(own_id()));
        shared.unpin(reader);
        assert_eq!(shared.reader_of(|g| g < 2), None);
        assert_eq!(shared.pin(reader), 2);
    }

    /// Ids above the kernel's highest: no process has them.
    const NOBODY: u32 = 1 << 22;

    #[test]
    fn a_dead_process_neither_reads_nor_keeps_a_slot() {
        let shared = Area::share::<Publication>().unwrap();
        shared.publish(1);
        for n in 0..MAX_READERS as u32 {
            shared.pin(shared.claim_for(NOBODY + n).unwrap());
        }
        assert_eq!(shared.reader_of(|_| true), None);
        let reader = claim(shared);
        assert_eq!(reader.slot.depth.load(Relaxed), 0);
        shared.pin(reader);
        assert_eq!(shared.reader_of(|_| true), Some(own_id()));
    }

    #[test]
    fn a_pid_that_comes_back_starts_afresh() {
        let shared = Area::share::<Publication>().unwrap();
        shared.publish(1);
        shared.pin(claim(shared));
        assert!(shared.reader_of(|_| true).is_some());
        claim(shared);
        assert_eq!(shared.reader_of(|_| true), None);
    }

    #[test]
    fn who_has_ended_reads_no_more_whatever_its_id_says() {
        let shared = Area::share::<Publication>().unwrap();
        shared.publish(1);
        let mut child = zombie();
        shared.pin(shared.claim_for(child.id()).unwrap());
        assert_eq!(shared.reader_of(|_| true), None);
        child.wait().unwrap();
        // Its id is now that of this process.
        shared.pin(shared.claim_for(with_reused_id()).unwrap());
        assert_eq!(shared.reader_of(|_| true), None);
    }

    #[test]
    fn threads_of_a_process_read_side_by_side() {
        let shared = Area::share::<Publication>().unwrap();
        shared.publish(1);
        let first = claim(shared);
        shared.pin(first);
        std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                let second = claim(shared);
                shared.pin(second);
                shared.unpin(second);
            });
            second.join().unwrap();
        });
        assert_eq!(shared.reader_of(|_| true), Some(own_id()));
        shared.unpin(first);
        assert_eq!(shared.reader_of(|_| true), None);
    }
}
