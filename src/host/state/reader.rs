//! The current snapshot, and the current feeds.

use std::num::NonZeroU32;

use super::feeds::Feeds;
use super::get;
use crate::feeds;
use crate::host::contract::log;
use crate::shm::{MAX_READERS, NoReader, Pinned, Reader, SnapshotStore, own_reader, process_id};
use crate::snapshot::View;

fn reader_of(store: &SnapshotStore) -> Option<Reader> {
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

/// Runs `f` on the current snapshot; None if there is none.
pub fn with_snapshot<R>(f: impl FnOnce(&View<'_>, &Pinned<'_>) -> R) -> Option<R> {
    let store = &get()?.store;
    let pinned = store.pin(reader_of(store)?)?;
    View::new(pinned.bytes()).map(|view| f(&view, &pinned))
}

/// Runs `f` on what the feeds list; None if none was ever loaded.
#[inline]
pub fn with_feeds<R>(
    feeds: &Feeds,
    f: impl FnOnce(&feeds::View<'_>, &Pinned<'_>) -> R,
) -> Option<R> {
    let pinned = feeds.store.pin(reader_of(&feeds.store)?)?;
    feeds::View::new(pinned.bytes()).map(|view| f(&view, &pinned))
}

/// Notes that the range at a place of the snapshot has granted a request.
#[inline]
pub fn note_use(pinned: &Pinned<'_>, place: Option<NonZeroU32>) {
    let Some(place) = place else { return };
    if let (Some(slot), Some(state)) = (pinned.mark(place.get() as usize - 1), get()) {
        state.uses.note(slot);
    }
}
