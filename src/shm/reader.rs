//! The reader of the calling process.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::process_id::process_id;
use super::publication::{Publication, Reader};

/// After a claim has failed, how many requests go by before the next one.
const RETRY_AFTER: u32 = 10_000;

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoReader {
    /// All slots are taken by processes that live.
    Full,
    /// Another thread of this process has the reader.
    OtherThread,
    /// It was asked for a moment ago.
    Waiting,
}

/// The process whose reader some thread has: in the child of a fork it is another one.
static CLAIMED: AtomicU32 = AtomicU32::new(0);

thread_local! {
    /// That of this thread, and the process for which it was claimed.
    static OWN: Cell<Option<(u32, Reader)>> = const { Cell::new(None) };
    /// Requests to go before the next attempt to claim a slot.
    static RETRY_IN: Cell<u32> = const { Cell::new(0) };
}

/// The reader of this process, claimed when it first asks and again after a fork. One
/// thread has it: all others get none.
///
/// # Errors
/// Why there is none.
#[inline]
pub fn own_reader(publication: &'static Publication) -> Result<Reader, NoReader> {
    let pid = process_id();
    match OWN.get() {
        Some((owner, reader)) if owner == pid => Ok(reader),
        _ => claim(publication, pid),
    }
}

#[cold]
fn claim(publication: &'static Publication, pid: u32) -> Result<Reader, NoReader> {
    if let Some(wait) = RETRY_IN.get().checked_sub(1) {
        RETRY_IN.set(wait);
        return Err(NoReader::Waiting);
    }
    let refuse = |why| {
        RETRY_IN.set(RETRY_AFTER);
        Err(why)
    };
    if CLAIMED.swap(pid, Relaxed) == pid {
        return refuse(NoReader::OtherThread);
    }
    // SAFETY: CLAIMED lets one thread of each process pass, once.
    match unsafe { publication.claim(pid) } {
        Some(reader) => {
            OWN.set(Some((pid, reader)));
            Ok(reader)
        }
        None => {
            CLAIMED.store(0, Relaxed);
            refuse(NoReader::Full)
        }
    }
}
