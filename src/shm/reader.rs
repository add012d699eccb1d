//! The readers of the calling thread, one for each publication.

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

/// Publications that one thread reads: the tables, and the feeds.
const PUBLICATIONS: usize = 2;

/// A reader of this thread, what it reads, and the process in which it was claimed.
#[derive(Clone, Copy)]
struct Own {
    publication: &'static Publication,
    process: u32,
    reader: Reader,
}

thread_local! {
    static OWN: [Cell<Option<Own>>; PUBLICATIONS] =
        const { [const { Cell::new(None) }; PUBLICATIONS] };
    /// Requests to go before the next attempt to claim a slot.
    static RETRY_IN: Cell<u32> = const { Cell::new(0) };
}

/// The reader of this thread for a publication: claimed with the first call, and again after
/// a fork.
#[inline]
pub fn own_reader(publication: &'static Publication) -> Result<Reader, NoReader> {
    let process = own_process();
    let is_own = |own: &Own| own.process == process && std::ptr::eq(own.publication, publication);
    let own = OWN.with(|slots| slots.iter().find_map(|slot| slot.get().filter(is_own)));
    match own {
        Some(own) => Ok(own.reader),
        None => claim(publication, process),
    }
}

#[cold]
fn claim(publication: &'static Publication, process: u32) -> Result<Reader, NoReader> {
    if let Some(wait) = RETRY_IN.get().checked_sub(1) {
        RETRY_IN.set(wait);
        return Err(NoReader::Waiting);
    }
    let may_be_replaced = |own: Own| own.process != process;
    let claimed = OWN.with(|slots| {
        let slot = slots.iter().find(|slot| slot.get().is_none_or(may_be_replaced))?;
        // SAFETY: this thread of this process has no slot for the publication, else
        // `own_reader` had found it: a slot is given to another one only in the child of a fork.
        let reader = unsafe { publication.claim() }?;
        slot.set(Some(Own { publication, process, reader }));
        Some(reader)
    });
    claimed.ok_or_else(|| {
        RETRY_IN.set(RETRY_AFTER);
        NoReader::Full
    })
}
