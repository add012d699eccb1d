//! The process that loads the database's tables: while those of a file serve, and when another
//! node asks all nodes for it. With several nodes it tells which tables this one has.

use std::cell::Cell;

use super::tables_keeper::copy_of_current;
use crate::clock;
use crate::desk::{Desk, Tables};
use crate::host::reload::{feeds, tables};
use crate::host::state::{self, State};
use crate::snapshot::{self, View};

/// Ms between two attempts, unless they take long themselves.
const PATIENCE: u64 = 10_000;
/// Attempts take at most one part in so many of the time.
const SHARE: u64 = 10;

thread_local! {
    /// When the next attempt is due.
    static DUE: Cell<u64> = const { Cell::new(0) };
    /// The generation that other nodes are told of.
    static MARKED: Cell<u64> = const { Cell::new(0) };
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
        mark(state, desk);
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
    mark(state, desk);
    desk.reloads.answer(number, &outcome);
    desk.bell.ring();
}

/// Notes which tables are in force, once for each generation.
fn mark(state: &State, desk: &Desk) {
    if state.store.publication().current() == MARKED.get() {
        return;
    }
    let Some((generation, copy)) = copy_of_current() else { return };
    let Some(view) = View::new(bytemuck::cast_slice(&copy)) else { return };
    let mark = snapshot::mark(&view, &state.settings.classes);
    MARKED.set(generation);
    desk.reloads.set_tables(Tables { mark, loaded_at: view.compiled_at() });
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
