//! If the tables cannot be loaded at start-up, those of `tables_file` serve until the database
//! can be read again.
//!
//! After such a start a process of its own tries again: a database that does not answer may
//! block it for minutes, which must happen neither to a SIP worker nor to the warden.

use std::cell::Cell;

use super::{tables, tables_file};
use crate::clock;
use crate::host::contract::log;
use crate::host::state::{State, with_snapshot};

const MINUTE: u64 = 60_000;

/// Loads the tables at start-up, from the file if the database has none to serve.
///
/// # Errors
/// Both cannot be used, or there is no file.
pub fn start(state: &State) -> Result<(), String> {
    let Err(why) = tables::reload(state) else { return Ok(()) };
    let Some(path) = state.values.tables_file() else {
        return Err(format!(
            "{why}; with tables_file set, the tables of the last run would serve meanwhile"
        ));
    };
    let shown = path.display();
    match tables_file::load(state, &path) {
        Ok(Some(generation)) => {
            state.fallback.begin(generation, &why);
            say(state);
            Ok(())
        }
        Ok(None) => Err(format!("{why}; tables_file {shown}: there is none yet")),
        Err(file) => Err(format!("{why}; tables_file {shown}: {file}")),
    }
}

fn say(state: &State) {
    let date = with_snapshot(|view, _| clock::date(view.compiled_at())).unwrap_or_default();
    let path = state.values.tables_file().unwrap_or_default();
    log::error(format_args!(
        "the tables of {date} serve, from {}, since {} (tried again, said once a minute)",
        path.display(),
        state.fallback.reason()
    ));
}

thread_local! {
    static SAID: Cell<u64> = const { Cell::new(0) };
}

/// Logs once a minute that the tables of the file serve; in the warden.
pub fn tell(state: &State, now: u64) {
    if !state.fallback.is_on() || now < SAID.get() + MINUTE {
        return;
    }
    // The start has logged it for the first minute.
    if SAID.replace(now) > 0 {
        say(state);
    }
}
