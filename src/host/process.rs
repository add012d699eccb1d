//! What belongs to one process: its reader slot.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering::Relaxed};

use super::log;
use super::state;
use crate::shm::{Pinned, ReaderSlot};
use crate::snapshot::View;

/// This process's slot, null until it reads for the first time and again after
/// a fork.
static SLOT: AtomicPtr<ReaderSlot> = AtomicPtr::new(ptr::null_mut());

extern "C" fn forget_slot() {
    SLOT.store(ptr::null_mut(), Relaxed);
}

/// Makes children claim slots of their own, of whatever rank they are.
///
/// # Errors
/// No memory for the fork handler.
pub fn watch_forks() -> Result<(), &'static str> {
    // SAFETY: the handler is async-signal-safe, a single store.
    match unsafe { libc::pthread_atfork(None, None, Some(forget_slot)) } {
        0 => Ok(()),
        _ => Err("no memory for a fork handler"),
    }
}

fn slot() -> Option<&'static ReaderSlot> {
    let slot = SLOT.load(Relaxed);
    if !slot.is_null() {
        // SAFETY: only `claim_slot` stores here, and slots are never unmapped.
        return Some(unsafe { &*slot });
    }
    claim_slot()
}

#[cold]
fn claim_slot() -> Option<&'static ReaderSlot> {
    let claimed = state::get()?.store.publication().claim(std::process::id());
    match claimed {
        Some(slot) => SLOT.store(ptr::from_ref(slot).cast_mut(), Relaxed),
        None => log::critical(format_args!(
            "more than {} processes read the tables: all their checks fail closed",
            crate::shm::MAX_READERS
        )),
    }
    claimed
}

/// Runs `f` on the current snapshot; None if there is none.
pub fn with_snapshot<R>(f: impl FnOnce(&View<'_>, &Pinned<'_>) -> R) -> Option<R> {
    let pinned = state::get()?.store.pin(slot()?)?;
    View::new(pinned.bytes()).map(|view| f(&view, &pinned))
}
