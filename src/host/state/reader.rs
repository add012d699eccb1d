//! What belongs to one process: its right to read snapshots.

use std::cell::Cell;

use super::get;
use crate::host::contract::log;
use crate::shm::{Pinned, Reader};
use crate::snapshot::View;

/// After a claim has failed, how many requests go by before the next one.
const RETRY_AFTER: u32 = 10_000;

thread_local! {
    /// Set when this process reads for the first time, and again after a fork.
    static READER: Cell<Option<Reader>> = const { Cell::new(None) };
    /// Requests to go before the next attempt to claim a slot.
    static RETRY_IN: Cell<u32> = const { Cell::new(0) };
}

/// Runs in the child of a fork, in its only thread.
extern "C" fn forget_reader() {
    READER.set(None);
    RETRY_IN.set(0);
}

/// Makes children claim slots of their own, of whatever rank they are.
///
/// # Errors
/// No memory for the fork handler.
pub fn watch_forks() -> Result<(), &'static str> {
    // SAFETY: the handler only stores to initialised thread-local cells.
    match unsafe { libc::pthread_atfork(None, None, Some(forget_reader)) } {
        0 => Ok(()),
        _ => Err("no memory for a fork handler"),
    }
}

fn reader() -> Option<Reader> {
    READER.get().or_else(claim)
}

#[cold]
fn claim() -> Option<Reader> {
    match RETRY_IN.get() {
        0 => {}
        wait => {
            RETRY_IN.set(wait - 1);
            return None;
        }
    }
    let publication = get()?.store.publication();
    // SAFETY: the thread asks only while it has no reader.
    let claimed = unsafe { publication.claim() };
    if claimed.is_none() {
        RETRY_IN.set(RETRY_AFTER);
        log::critical(format_args!(
            "more than {} processes read the tables: the checks of process {} fail closed",
            crate::shm::MAX_READERS,
            std::process::id()
        ));
    }
    READER.set(claimed);
    claimed
}

/// Runs `f` on the current snapshot; None if there is none.
pub fn with_snapshot<R>(f: impl FnOnce(&View<'_>, &Pinned<'_>) -> R) -> Option<R> {
    let pinned = get()?.store.pin(reader()?)?;
    View::new(pinned.bytes()).map(|view| f(&view, &pinned))
}
