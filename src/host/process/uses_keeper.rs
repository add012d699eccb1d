//! Keeps in a file when ranges were last used, beside that of the tables.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;

use super::blocks_keeper::SLOW;
use super::trouble::Trouble;
use crate::host::contract::log;
use crate::host::files::{self, FileWriter};
use crate::host::state::{State, with_snapshot};
use crate::memory;
use crate::snapshot::{self, View, uses};

/// Ms between two looks.
const PERIOD: u64 = 1000;
/// Ms between two files: so much of what a range was used for may be lost.
const PATIENCE: u64 = 300_000;
/// Ms between two attempts after a failure.
const RETRY: u64 = 10_000;
/// Bytes of the largest file that is read.
const MOST_BYTES: u64 = 1 << 30;

/// Writes the file when marks have changed; one process, the warden.
pub struct UsesKeeper {
    /// The file, as `tables_file` was at the last look.
    path: Option<PathBuf>,
    writer: FileWriter,
    /// Changes in what was written last, and the generation of the tables.
    written: (u32, u64),
    began: u64,
    /// When it last looked; not before `due` it writes.
    looked: u64,
    due: u64,
    trouble: Trouble,
}

impl UsesKeeper {
    pub const NEW: Self = UsesKeeper {
        path: None,
        writer: FileWriter::NEW,
        written: (0, 0),
        began: 0,
        looked: 0,
        due: 0,
        trouble: Trouble::NONE,
    };

    /// Begins to write the file if something has changed. Never waits.
    pub fn keep(&mut self, state: &State, now: u64) {
        match self.writer.done() {
            Some(Err(why)) => {
                // Seen as changed.
                self.written.0 = self.written.0.wrapping_sub(1);
                self.due = now + RETRY;
                self.complain(&why, now);
            }
            Some(Ok(_)) if self.trouble.is_over() => {
                log::info(format_args!("uses of ranges are kept in {} again", self.shown()));
            }
            _ => {}
        }
        if now.saturating_sub(self.looked) < PERIOD {
            return;
        }
        self.looked = now;
        let path = state.values.tables_file().map(|path| path_beside(&path));
        if self.path != path {
            *self = UsesKeeper { path, looked: now, ..UsesKeeper::NEW };
        }
        if self.writer.is_busy() {
            if now.saturating_sub(self.began) >= SLOW {
                self.complain("the disk does not answer", now);
            }
            return;
        }
        let changes = (state.uses.changes(), state.store.publication().current());
        // What is in the way of the tables' file is in the way of this one, and is said there.
        if state.fallback.kept() != changes.1 {
            return;
        }
        // New tables are kept at once, as in the file beside.
        let is_new = changes.1 != self.written.1;
        if self.written == changes || (now < self.due && !is_new) {
            return;
        }
        let Some(path) = self.path.clone() else { return };
        (self.written, self.began, self.due) = (changes, now, now + PATIENCE);
        if let Err(why) = self.begin(&path) {
            self.complain(&why, now);
        }
    }

    fn begin(&mut self, path: &Path) -> Result<(), String> {
        // Private copies: no reload waits while they are written.
        let copy = with_snapshot(|view, pinned| {
            memory::ask_for(snapshot::kept_room(view))?;
            let marks = pinned.marks().iter().map(|mark| mark.load(Relaxed));
            Ok::<_, String>((view.copied(), marks.collect::<Vec<_>>()))
        });
        let (snapshot, marks) = copy.ok_or("no tables can be read")??;
        self.writer.start(path, refuse_foreign, move || {
            let view = View::new(bytemuck::cast_slice(&snapshot));
            let view = view.ok_or("BUG: the copy of the tables is damaged")?;
            Ok(uses::file(&view, &marks))
        })
    }

    fn shown(&self) -> std::path::Display<'_> {
        self.path.as_deref().unwrap_or(Path::new("")).display()
    }

    fn complain(&mut self, why: &str, now: u64) {
        if self.trouble.is_due(now) {
            log::error(format_args!(
                "uses of ranges are not kept in {}: {why} (tried again, said once a minute)",
                self.shown()
            ));
        }
    }
}

fn path_beside(tables: &Path) -> PathBuf {
    let mut name = tables.as_os_str().to_owned();
    name.push(".uses");
    name.into()
}

fn refuse_foreign(path: &Path) -> Result<(), String> {
    files::refuse_others(path)?;
    match files::begins_with(path, uses::MAGIC)? {
        true => Ok(()),
        false => Err("it is not a file of uses; remove it".into()),
    }
}

/// Adds what the file of an earlier run knows, at the start. Without it, all ranges are known
/// from now on.
pub fn load(state: &State) {
    let Some(path) = state.values.tables_file().map(|path| path_beside(&path)) else { return };
    let restored = files::read_trusted(&path, MOST_BYTES).and_then(|file| {
        let Some(file) = file else { return Ok(None) };
        let restore = with_snapshot(|view, pinned| uses::restore(&file, view, pinned.marks()));
        restore.transpose()
    });
    match restored {
        Ok(None) => {}
        Ok(Some(ranges)) => {
            log::info(format_args!("uses of {ranges} ranges loaded from {}", path.display()));
        }
        Err(why) => log::warning(format_args!(
            "uses of ranges before this start are not known: {}: {why}",
            path.display()
        )),
    }
}
