//! The process that loads the database's tables: while those of a file serve, and when another
//! node asks all nodes for it.

use std::cell::Cell;

use crate::clock;
use crate::desk::Desk;
use crate::host::reload::{feeds, tables};
use crate::host::state::{self, State};

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
    state::get().is_some_and(|state| state.fallback.is_on() || state.desk.is_some())
}

/// Called each second, in a process that may wait for a database.
pub fn load() {
    let Some(state) = state::get() else { return };
    if let Some(desk) = &state.desk {
        reload_as_asked(state, desk);
    }
    if state.fallback.is_on() {
        load_again(state);
    }
}

/// As `sipwarden.reload` here.
fn reload_as_asked(state: &State, desk: &Desk) {
    let Some(number) = desk.reloads.due() else { return };
    // Should it panic, it is not tried for ever.
    desk.reloads.begin(number);
    feeds::load(state);
    let outcome = match tables::reload(state) {
        Ok(_) => "reloaded".to_owned(),
        Err(why) => format!("failed: {why}"),
    };
    desk.reloads.answer(number, &outcome);
    desk.bell.ring();
}

fn load_again(state: &State) {
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
