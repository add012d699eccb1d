//! Keeps the last tables of the database in a file.

use std::path::{Path, PathBuf};

use super::keeper::SLOW;
use super::trouble::Trouble;
use crate::host::contract::log;
use crate::host::files::Writer;
use crate::host::reload::tables_file::refuse_foreign;
use crate::host::state::{State, with_snapshot};
use crate::shm::Pinned;
use crate::snapshot::{self, View};

/// Ms between two looks whether there are new tables, and two attempts after a failure.
const PERIOD: u64 = 1000;
const PATIENCE: u64 = 10_000;

/// Writes the file after each publication; one process, the warden.
pub struct Keeper {
    /// The file, as `tables_file` was at the last look.
    path: Option<PathBuf>,
    writer: Writer,
    /// Generation that is being written, and since when.
    writing: (u64, u64),
    /// Not before then.
    due: u64,
    trouble: Trouble,
}

impl Keeper {
    /// Nothing written yet.
    pub const NEW: Self =
        Keeper { path: None, writer: Writer::NEW, writing: (0, 0), due: 0, trouble: Trouble::NONE };

    /// Begins to write the file if there are tables that it does not keep. Waits for
    /// nothing.
    pub fn keep(&mut self, state: &State, now: u64) {
        if let Some(done) = self.writer.done() {
            self.settle(state, done, now);
        }
        if now < self.due {
            return;
        }
        self.due = now + PERIOD;
        let path = state.values.tables_file();
        if self.path != path {
            // The tables that came from a file stay in it, and are copied to no other.
            if self.path.is_some() && !state.fallback.is_on() {
                state.fallback.keep(0);
            }
            *self = Keeper { path, due: self.due, ..Keeper::NEW };
        }
        let (_, began) = self.writing;
        if self.writer.is_busy() {
            if now.saturating_sub(began) >= SLOW {
                self.complain("the disk does not answer", now);
            }
            return;
        }
        let current = state.store.publication().current();
        if state.fallback.is_on() || state.fallback.kept() == current {
            return;
        }
        if let Some(path) = self.path.clone()
            && let Err(why) = self.begin(state, &path, now)
        {
            self.complain(&why, now);
        }
    }

    fn begin(&mut self, state: &State, path: &Path, now: u64) -> Result<(), String> {
        let (generation, snapshot) = copy_of_current().ok_or("no tables can be read")?;
        let classes = state.settings.classes.clone();
        self.writing = (generation, now);
        self.writer.start(path, refuse_foreign, move || {
            let view = View::new(bytemuck::cast_slice(&snapshot));
            let view = view.ok_or("BUG: the copy of the tables is damaged")?;
            Ok(snapshot::kept(&view, &classes))
        })
    }

    fn settle(&mut self, state: &State, done: Result<usize, String>, now: u64) {
        let (generation, began) = self.writing;
        match done {
            Ok(bytes) => {
                state.fallback.keep(generation);
                let path = self.path.as_deref().unwrap_or(Path::new("")).display();
                let ms = now.saturating_sub(began);
                log::debug(format_args!(
                    "generation {generation} is kept in {path}: {bytes} bytes, {ms} ms"
                ));
                if self.trouble.is_over() {
                    log::info(format_args!("tables_file {path}: written again"));
                }
            }
            Err(error) => {
                self.due = now + PATIENCE;
                self.complain(&error, now);
            }
        }
    }

    fn complain(&mut self, why: &str, now: u64) {
        if self.trouble.is_due(now) {
            let path = self.path.as_deref().unwrap_or(Path::new("")).display();
            log::error(format_args!(
                "tables_file {path}: {why}; a start without the database would not have these \
                 tables (tried again, said once a minute)"
            ));
        }
    }
}

/// The snapshot in memory of our own, so that no reload waits while it is written.
fn copy_of_current() -> Option<(u64, Vec<u128>)> {
    let copy = |pinned: &Pinned<'_>| {
        let chunks = pinned.bytes().as_chunks::<16>().0;
        (pinned.generation(), chunks.iter().map(|chunk| u128::from_ne_bytes(*chunk)).collect())
    };
    with_snapshot(|_, pinned| copy(pinned))
}
