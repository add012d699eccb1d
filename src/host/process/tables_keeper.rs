//! Keeps the last tables of the database in a file.

use std::path::{Path, PathBuf};

use super::blocks_keeper::SLOW;
use super::trouble::Trouble;
use crate::host::contract::log;
use crate::host::files::FileWriter;
use crate::host::reload::tables_file::refuse_foreign;
use crate::host::state::{State, with_snapshot};
use crate::memory;
use crate::snapshot::{self, View};

/// Ms between two looks for new tables, and between two attempts after a failure.
const PERIOD: u64 = 1000;
const PATIENCE: u64 = 10_000;

/// Writes the file after each publication; one process, the warden.
pub struct TablesKeeper {
    /// The file, as `tables_file` was at the last look.
    path: Option<PathBuf>,
    writer: FileWriter,
    /// Generation that is being written, and since when.
    writing: (u64, u64),
    /// Not before then.
    due: u64,
    trouble: Trouble,
}

impl TablesKeeper {
    pub const NEW: Self = TablesKeeper {
        path: None,
        writer: FileWriter::NEW,
        writing: (0, 0),
        due: 0,
        trouble: Trouble::NONE,
    };

    /// Begins to write the file if it does not keep the current tables. Never waits.
    pub fn keep(&mut self, state: &State, now: u64) {
        if let Some(done) = self.writer.done() {
            self.set_done(state, done, now);
        }
        if now < self.due {
            return;
        }
        self.due = now + PERIOD;
        let path = state.values.tables_file();
        if self.path != path {
            // Tables that came from a file are not copied to another one.
            if self.path.is_some() && !state.fallback.is_on() {
                state.fallback.keep(0);
            }
            *self = TablesKeeper { path, due: self.due, ..TablesKeeper::NEW };
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
        let Some(path) = self.path.clone() else { return };
        if let Err(why) = self.begin(state, &path, now) {
            self.complain(&why, now);
        }
    }

    fn begin(&mut self, state: &State, path: &Path, now: u64) -> Result<(), String> {
        let (generation, snapshot) = copy_of_current()?;
        let classes = state.settings.classes.clone();
        self.writing = (generation, now);
        self.writer.start(path, refuse_foreign, move || {
            let view = View::new(bytemuck::cast_slice(&snapshot));
            let view = view.ok_or("BUG: the copy of the tables is damaged")?;
            Ok(snapshot::kept(&view, &classes))
        })
    }

    fn set_done(&mut self, state: &State, done: Result<usize, String>, now: u64) {
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
                    log::info(format_args!("the tables are kept in {path} again"));
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
                "the tables are not kept in {path}: {why}; a start without the database would not \
                 have them (tried again, said once a minute)"
            ));
        }
    }
}

/// A private copy of the snapshot, so that no reload waits while it is written.
///
/// # Errors
/// There are none, or there is no memory to write them.
fn copy_of_current() -> Result<(u64, Vec<u128>), String> {
    with_snapshot(|view, pinned| {
        memory::ask_for(snapshot::kept_room(view))?;
        Ok((pinned.generation(), view.copied()))
    })
    .unwrap_or_else(|| Err("no tables can be read".into()))
}
