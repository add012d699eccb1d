//! What happens when the tables cannot be loaded at start-up: those of `tables_file`
//! serve until the database's can be read again.
//!
//! A process of its own tries, and only after such a start: a database that does not
//! answer may keep it waiting for minutes, which neither a SIP worker nor the warden may.

use std::cell::Cell;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::entry::{Entry, guard};
use super::process::with_snapshot;
use super::state::{self, State};
use super::{clock, log, reload, tables_file};
use crate::shm::{Area, SharedMutex};

/// Ms between two attempts, unless they take long themselves.
const PATIENCE: u64 = 10_000;
const MINUTE: u64 = 60_000;
/// Share of its time that the process spends on attempts: one of so many.
const SHARE: u64 = 10;
/// Bytes kept of why the database's tables do not serve.
const REASON: usize = 512;

/// What all processes know of it.
pub struct Fallback {
    /// 1 while the tables come from the file.
    on: &'static AtomicU64,
    /// Generation that the file keeps.
    kept: &'static AtomicU64,
    reason: &'static SharedMutex<[u8; REASON]>,
}

impl Fallback {
    /// Off; no file.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new() -> io::Result<Self> {
        Ok(Fallback { on: Area::share()?, kept: Area::share()?, reason: Area::share()? })
    }

    /// Whether the tables that serve come from the file.
    pub fn is_on(&self) -> bool {
        self.on.load(Relaxed) != 0
    }

    /// Why; empty if they come from the database.
    pub fn reason(&self) -> String {
        if !self.is_on() {
            return String::new();
        }
        let reason = *self.reason.lock();
        let text = reason.split(|b| *b == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    /// The database's tables could not be loaded.
    pub fn explain(&self, why: &str) {
        let mut reason = self.reason.lock();
        *reason = [0; REASON];
        // The last byte stays zero.
        let room = reason.iter_mut().take(REASON - 1);
        room.zip(why.bytes()).for_each(|(to, from)| *to = from);
    }

    /// The tables of the database serve; whether those of the file did before.
    pub fn end(&self) -> bool {
        self.on.swap(0, Relaxed) != 0
    }

    /// The file keeps this generation.
    pub fn keep(&self, generation: u64) {
        self.kept.store(generation, Relaxed);
    }

    /// Generation that the file keeps.
    pub fn kept(&self) -> u64 {
        self.kept.load(Relaxed)
    }
}

/// Loads the tables at start-up, from the file if the database has none to serve.
///
/// # Errors
/// Both cannot be used, or there is no file.
pub fn start(state: &State) -> Result<(), String> {
    let Err(why) = reload::reload(state) else { return Ok(()) };
    let Some(path) = state.values.tables_file() else {
        return Err(format!(
            "{why}; with tables_file set, the tables of the last run would serve meanwhile"
        ));
    };
    let shown = path.display();
    match tables_file::load(state, &path) {
        Ok(Some(generation)) => {
            state.fallback.explain(&why);
            state.fallback.keep(generation);
            state.fallback.on.store(1, Relaxed);
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
        "the tables of {date} serve, from {}, since {} (tried on, said once a minute)",
        path.display(),
        state.fallback.reason()
    ));
}

thread_local! {
    static SAID: Cell<u64> = const { Cell::new(0) };
    /// When the next attempt is due.
    static DUE: Cell<u64> = const { Cell::new(0) };
}

/// Says once a minute that the file serves; in the warden.
pub fn tell(state: &State, now: u64) {
    if !state.fallback.is_on() || now < SAID.get() + MINUTE {
        return;
    }
    // The start has said it for the first minute.
    if SAID.replace(now) > 0 {
        say(state);
    }
}

/// Whether a process is needed that tries; after `init`.
pub unsafe extern "C" fn can_load() -> i32 {
    guard(Entry::CanLoad, 0, || state::get().is_some_and(|state| state.fallback.is_on()).into())
}

/// Tries, if it is time; each second, in a process that may wait for a database.
pub unsafe extern "C" fn load() {
    guard(Entry::Load, (), || {
        let Some(state) = state::get().filter(|state| state.fallback.is_on()) else { return };
        let started = clock::monotonic();
        if DUE.get() == 0 {
            DUE.set(started + PATIENCE);
        }
        if started < DUE.get() {
            return;
        }
        reload::try_again(state);
        let ended = clock::monotonic();
        DUE.set(ended + PATIENCE.max(SHARE * (ended - started)));
    });
}
