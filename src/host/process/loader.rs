//! The process that tries to load the database's tables while those of a file serve.

use std::cell::Cell;

use crate::clock;
use crate::host::reload::tables;
use crate::host::state;

/// Ms between two attempts, unless they take long themselves.
const PATIENCE: u64 = 10_000;
/// Attempts take at most one part in so many of the time.
const SHARE: u64 = 10;

thread_local! {
    /// When the next attempt is due.
    static DUE: Cell<u64> = const { Cell::new(0) };
}

/// After `init`: whether the process is needed.
pub fn is_needed() -> bool {
    state::get().is_some_and(|state| state.fallback.is_on())
}

/// Called each second, in a process that may wait for a database.
pub fn load() {
    let Some(state) = state::get().filter(|state| state.fallback.is_on()) else { return };
    let started = clock::monotonic();
    if DUE.get() == 0 {
        DUE.set(started + PATIENCE);
    }
    if started < DUE.get() {
        return;
    }
    tables::try_again(state);
    let ended = clock::monotonic();
    DUE.set(ended + PATIENCE.max(SHARE * (ended - started)));
}
