//! Keeps the last tables of the database in a file.

use std::path::{Path, PathBuf};
use std::time::Instant;

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

/// Writes the file after each publication; one process, that of the module.
pub struct Keeper {
    /// The file, as `tables_file` was at the last look.
    path: Option<PathBuf>,
    writer: Writer,
    /// Not before then.
    due: u64,
    trouble: Trouble,
}

impl Keeper {
    /// Nothing written yet.
    pub const NEW: Self =
        Keeper { path: None, writer: Writer::NEW, due: 0, trouble: Trouble::NONE };

    /// Writes the file if there are tables that it does not keep.
    pub fn keep(&mut self, state: &State, now: u64) {
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
        let current = state.store.publication().current();
        if state.fallback.is_on() || state.fallback.kept() == current {
            return;
        }
        if let Some(path) = self.path.clone() {
            self.try_to_write(state, &path, now);
        }
    }

    fn try_to_write(&mut self, state: &State, path: &Path, now: u64) {
        let shown = path.display();
        match self.write(state, path) {
            Ok(generation) => {
                state.fallback.keep(generation);
                if self.trouble.is_over() {
                    log::info(format_args!("tables_file {shown}: written again"));
                }
            }
            Err(error) => {
                self.due = now + PATIENCE;
                if self.trouble.is_due(now) {
                    log::error(format_args!(
                        "tables_file {shown}: {error}; a start without the database would not \
                         have these tables (tried again, said once a minute)"
                    ));
                }
            }
        }
    }

    fn write(&mut self, state: &State, path: &Path) -> Result<u64, String> {
        refuse_foreign(path)?;
        let started = Instant::now();
        let (mut written, mut bytes) = (0, 0);
        self.writer.replace(path, || {
            let (generation, snapshot) = copy_of_current().ok_or("no tables can be read")?;
            let view = View::new(bytemuck::cast_slice(&snapshot));
            let view = view.ok_or("BUG: the copy of the tables is damaged")?;
            let file = snapshot::kept(&view, &state.settings.classes);
            (written, bytes) = (generation, file.len());
            Ok(file)
        })?;
        let (ms, shown) = (started.elapsed().as_millis(), path.display());
        log::debug(format_args!("generation {written} is kept in {shown}: {bytes} bytes, {ms} ms"));
        Ok(written)
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
