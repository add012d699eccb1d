//! The reader of the calling thread.

use std::cell::Cell;

use super::owner::own_process;
use super::publication::{Publication, Reader};

/// Requests between a failed claim and the next one.
const RETRY_AFTER: u32 = 10_000;

/// Why a thread has no reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoReader {
    /// Live threads have all slots.
    Full,
    /// A claim has just failed.
    Waiting,
}

thread_local! {
    /// This thread's reader, and the process in which it was claimed.
    static OWN: Cell<Option<(u32, Reader)>> = const { Cell::new(None) };
    /// Requests to go before the next attempt to claim a slot.
    static RETRY_IN: Cell<u32> = const { Cell::new(0) };
}

/// The reader of this thread: claimed with the first call, and again after a fork.
#[inline]
pub fn own_reader(publication: &'static Publication) -> Result<Reader, NoReader> {
    let process = own_process();
    match OWN.get() {
        Some((owner, reader)) if owner == process => Ok(reader),
        _ => claim(publication, process),
    }
}

#[cold]
fn claim(publication: &'static Publication, process: u32) -> Result<Reader, NoReader> {
    if let Some(wait) = RETRY_IN.get().checked_sub(1) {
        RETRY_IN.set(wait);
        return Err(NoReader::Waiting);
    }
    // SAFETY: OWN lets this thread pass once, and again only in the child of a fork.
    match unsafe { publication.claim() } {
        Some(reader) => {
            OWN.set(Some((process, reader)));
            Ok(reader)
        }
        None => {
            RETRY_IN.set(RETRY_AFTER);
            Err(NoReader::Full)
        }
    }
}
