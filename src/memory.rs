//! Memory of one process: a reserve for when there is none left, and whether there is room for
//! a job whose needs grow with its data.
//!
//! Where address space is limited (`ulimit -v`), or the kernel promises no more memory than it
//! has, an allocation can fail. Rust ends the process then, and a host stops when a process
//! ends. So large jobs ask for room before they need it, and give up if there is none; what
//! small allocations need meanwhile is in the reserve.

use std::alloc::{GlobalAlloc, Layout, System};
use std::ptr::{self, null_mut};
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use libc::c_void;

/// Bytes of the reserve: what a job needs to give up, and to say why.
const RESERVE: usize = 1 << 20;
/// Bytes that are asked for beyond what a job counts.
const REST: usize = 4 << 20;

/// The reserve of this process, mapped and never touched; NULL: given up, or not mapped yet.
static MAPPED: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

/// Maps the reserve; the processes that are forked later have theirs then.
pub fn keep_reserve() -> bool {
    if !MAPPED.load(Relaxed).is_null() {
        return true;
    }
    let Some(mapped) = map(RESERVE) else { return false };
    if MAPPED.compare_exchange(null_mut(), mapped, Relaxed, Relaxed).is_err() {
        unmap(mapped, RESERVE);
    }
    true
}

/// Whether a job may use so many bytes more. Costs two system calls.
pub fn has_room(bytes: usize) -> bool {
    if !keep_reserve() {
        return false;
    }
    let bytes = bytes.saturating_add(REST);
    let mapped = map(bytes);
    mapped.inspect(|at| unmap(*at, bytes)).is_some()
}

/// As [`has_room`], with what is wrong in words.
pub fn ask_for(bytes: usize) -> Result<(), String> {
    match has_room(bytes) {
        true => Ok(()),
        false => Err(none_for(bytes)),
    }
}

fn none_for(bytes: usize) -> String {
    let mib = bytes.saturating_add(REST).div_ceil(1 << 20);
    format!("no memory: the process cannot have the {mib} MiB more that this may need (ulimit -v?)")
}

/// Counts what a job uses, and asks for room in steps.
#[derive(Debug, Default)]
pub struct Growth {
    used: usize,
    asked: usize,
    refused: bool,
}

impl Growth {
    /// Adds bytes: whether there is room for them. If there is none once, there is none any
    /// more.
    pub fn add(&mut self, bytes: usize) -> bool {
        self.used = self.used.saturating_add(bytes);
        if !self.refused && self.used > self.asked {
            // Half as much again, so that few steps are needed.
            self.asked = self.used + self.used / 2 + REST;
            self.refused = !has_room(self.asked);
        }
        !self.refused
    }

    /// What is wrong, once there was no room.
    pub fn refusal(&self) -> Option<String> {
        self.refused.then(|| none_for(self.asked))
    }
}

fn map(bytes: usize) -> Option<*mut c_void> {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a new mapping, at an address that the kernel chooses.
    let mapped = unsafe { libc::mmap(null_mut(), bytes, protection, flags, -1, 0) };
    (mapped != libc::MAP_FAILED).then_some(mapped)
}

fn unmap(mapped: *mut c_void, bytes: usize) {
    // SAFETY: mapped by `map` with this length, unmapped once, and never used.
    unsafe { libc::munmap(mapped, bytes) };
}

/// Gives the reserve up: whether there was one.
fn give_up() -> bool {
    let mapped = MAPPED.swap(null_mut(), Relaxed);
    if mapped.is_null() {
        return false;
    }
    unmap(mapped, RESERVE);
    true
}

/// The C library's allocator; where that has no memory left, with the reserve's.
struct WithReserve;

#[global_allocator]
static ALLOCATOR: WithReserve = WithReserve;

/// Tries again, once the reserve was given up.
#[cold]
fn again(allocate: impl FnOnce() -> *mut u8) -> *mut u8 {
    if give_up() { allocate() } else { ptr::null_mut() }
}

// SAFETY: all memory is the system allocator's; nothing here unwinds or allocates.
unsafe impl GlobalAlloc for WithReserve {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller guarantees.
        let allocate = || unsafe { System.alloc(layout) };
        let memory = allocate();
        if memory.is_null() { again(allocate) } else { memory }
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller guarantees.
        let allocate = || unsafe { System.alloc_zeroed(layout) };
        let memory = allocate();
        if memory.is_null() { again(allocate) } else { memory }
    }

    #[inline]
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller guarantees.
        unsafe { System.dealloc(memory, layout) };
    }

    #[inline]
    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as the caller guarantees; the old memory stays where this fails.
        let allocate = || unsafe { System.realloc(old, layout, size) };
        let memory = allocate();
        if memory.is_null() { again(allocate) } else { memory }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_had_is_refused_and_stays_refused() {
        assert!(has_room(1 << 20));
        assert!(!has_room(usize::MAX));
        let mut growth = Growth::default();
        assert!(growth.add(1 << 20) && growth.refusal().is_none());
        assert!(!growth.add(1 << 60) && !growth.add(1));
        assert!(growth.refusal().is_some_and(|why| why.contains("no memory")));
        assert!(ask_for(1 << 60).is_err() && ask_for(1 << 20).is_ok());
    }

    #[test]
    fn the_reserve_is_given_up_once_and_taken_back() {
        assert!(keep_reserve());
        assert!(give_up());
        assert!(has_room(0) && give_up());
        assert!(keep_reserve());
    }
}
