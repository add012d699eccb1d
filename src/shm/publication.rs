//! Which generation is current, and who still reads which.
//!
//! Hazard slots after M. Michael, "Hazard Pointers" (2004), one per process: a
//! reader announces the generation it is about to read and looks again whether
//! it is still current. A writer that has replaced a generation waits until no
//! slot names it (the grace period). Readers never wait.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::*};

use super::area::Shared;
use super::mutex::is_alive;

/// Processes that can read at the same time. Kamailio runs tens to hundreds.
pub const MAX_READERS: usize = 2048;

/// The current generation and the readers' slots. All zero: nothing published.
#[repr(C)]
pub struct Publication {
    current: AtomicU64,
    slots: [ReaderSlot; MAX_READERS],
}

// SAFETY: atomics only, all zero is "nothing published, no reader".
unsafe impl Shared for Publication {}

/// One process's announcement; a cache line of its own.
#[repr(C, align(64))]
#[derive(Default)]
pub struct ReaderSlot {
    /// Generation that is being read, 0 for none.
    pinned: AtomicU64,
    /// Owner, 0 for none.
    pid: AtomicU32,
    /// Nested pins; only the owner touches it.
    depth: AtomicU32,
}

impl Publication {
    /// A slot for the calling process `pid`; None if all are taken by processes
    /// that live. Slots of dead processes are taken over.
    pub fn claim(&self, pid: u32) -> Option<&ReaderSlot> {
        let take = |from: u32, slot: &ReaderSlot| {
            slot.pid.compare_exchange(from, pid, AcqRel, Relaxed).is_ok()
        };
        if let Some(slot) = self.slots.iter().find(|slot| take(0, slot)) {
            return Some(slot);
        }
        let slot = self.slots.iter().find(|slot| {
            let owner = slot.pid.load(Relaxed);
            !is_alive(owner) && take(owner, slot)
        })?;
        slot.depth.store(0, Relaxed);
        slot.pinned.store(0, Release);
        Some(slot)
    }

    /// The current generation, 0 if nothing was published.
    pub fn current(&self) -> u64 {
        self.current.load(Acquire)
    }

    /// Announces that the owner of `slot` reads, and returns the generation to
    /// read; 0 if there is none. [`Publication::unpin`] must follow. Only the
    /// slot's owner may call this; pins nest.
    pub fn pin(&self, slot: &ReaderSlot) -> u64 {
        let depth = slot.depth.load(Relaxed);
        slot.depth.store(depth.wrapping_add(1), Relaxed);
        if depth > 0 {
            return slot.pinned.load(Relaxed);
        }
        let mut generation = self.current.load(Acquire);
        loop {
            // SeqCst, as in `readers_of`: the announcement must be visible
            // before `current` is read again.
            slot.pinned.store(generation, SeqCst);
            let again = self.current.load(SeqCst);
            if again == generation {
                return generation;
            }
            generation = again;
        }
    }

    /// Ends a [`Publication::pin`] of the same slot.
    pub fn unpin(&self, slot: &ReaderSlot) {
        let depth = slot.depth.load(Relaxed).saturating_sub(1);
        slot.depth.store(depth, Relaxed);
        if depth == 0 {
            slot.pinned.store(0, Release);
        }
    }

    /// Makes `generation` current. The caller holds the reload lock and has
    /// written the snapshot.
    pub fn publish(&self, generation: u64) {
        self.current.store(generation, SeqCst);
    }

    /// Pid of a live process that reads a generation for which `stale` holds,
    /// None if there is no such reader. The caller holds the reload lock and
    /// `stale` must not hold for the current generation; then None is final.
    pub fn reader_of(&self, stale: impl Fn(u64) -> bool) -> Option<u32> {
        self.slots.iter().find_map(|slot| {
            let pinned = slot.pinned.load(SeqCst);
            let pid = slot.pid.load(Relaxed);
            (pinned != 0 && stale(pinned) && is_alive(pid)).then_some(pid)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shm::Area;

    #[test]
    fn a_pin_holds_its_generation_and_nests() {
        let shared = Area::share::<Publication>().unwrap();
        let slot = shared.claim(std::process::id()).unwrap();
        assert_eq!(shared.pin(slot), 0);
        shared.unpin(slot);
        shared.publish(1);
        assert_eq!(shared.pin(slot), 1);
        shared.publish(2);
        assert_eq!(shared.pin(slot), 1);
        shared.unpin(slot);
        assert_eq!(shared.reader_of(|g| g < 2), Some(std::process::id()));
        shared.unpin(slot);
        assert_eq!(shared.reader_of(|g| g < 2), None);
        assert_eq!(shared.pin(slot), 2);
    }

    #[test]
    fn a_dead_process_neither_reads_nor_keeps_a_slot() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let dead = child.id();
        child.wait().unwrap();
        let shared = Area::share::<Publication>().unwrap();
        for _ in 0..MAX_READERS {
            let slot = shared.claim(dead).unwrap();
            shared.publish(1);
            shared.pin(slot);
        }
        assert_eq!(shared.reader_of(|_| true), None);
        let slot = shared.claim(std::process::id()).unwrap();
        assert_eq!(slot.depth.load(Relaxed), 0);
    }
}
