//! The right of this thread to read what is published.

use crate::host::contract::log;
use crate::shm::{MAX_READERS, NoReader, Reader, SnapshotStore, own_reader, process_id};

/// That for a store; without one, why is logged.
#[inline]
pub(super) fn reader_of(store: &SnapshotStore) -> Option<Reader> {
    own_reader(store.publication()).map_err(complain).ok()
}

#[cold]
fn complain(why: NoReader) {
    let pid = process_id();
    match why {
        NoReader::Full => log::critical(format_args!(
            "more than {MAX_READERS} processes read the tables: the checks of process {pid} fail \
             closed"
        )),
        NoReader::Waiting => {}
    }
}
