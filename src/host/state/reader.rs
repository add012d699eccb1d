//! The current snapshot.

use std::num::NonZeroU32;

use super::get;
use super::pins::reader_of;
use crate::shm::Pinned;
use crate::snapshot::View;

/// Runs `f` on the current snapshot; None if there is none.
pub fn with_snapshot<R>(f: impl FnOnce(&View<'_>, &Pinned<'_>) -> R) -> Option<R> {
    let store = &get()?.store;
    let pinned = store.pin(reader_of(store)?)?;
    View::new(pinned.bytes()).map(|view| f(&view, &pinned))
}

/// Notes that the range at a place of the snapshot has granted a request.
#[inline]
pub fn note_use(pinned: &Pinned<'_>, place: Option<NonZeroU32>) {
    let Some(place) = place else { return };
    if let (Some(slot), Some(state)) = (pinned.mark(place.get() as usize - 1), get()) {
        state.uses.note(slot);
    }
}
