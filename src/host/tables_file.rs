//! The file that keeps the last tables of a database.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::complaint::Trouble;
use super::files::{self, Writer};
use super::persist::SLOW;
use super::process::with_snapshot;
use super::settings::check_absolute;
use super::state::State;
use super::{log, reload};
use crate::shm::Pinned;
use crate::snapshot::{self, View};
use crate::tables::{BadRows, Table, kept};

/// Ms between two looks whether there are new tables, and two attempts after a failure.
const PERIOD: u64 = 1000;
const PATIENCE: u64 = 10_000;
/// Bytes of the largest file that is read.
const MOST_BYTES: u64 = 4 << 30;

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
                 tables (tried on, said once a minute)"
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

/// What was never written by us is not overwritten: a wrong name costs nobody a file.
fn refuse_foreign(path: &Path) -> Result<(), String> {
    files::refuse_others(path)?;
    let mut begin = Vec::new();
    if let Some(file) = files::open_trusted(path)? {
        let _ = file.take(kept::MAGIC.len() as u64).read_to_end(&mut begin);
    }
    match begin.is_empty() || kept::MAGIC == begin {
        true => Ok(()),
        false => Err("it is no file of tables; remove it, or name another".into()),
    }
}

/// Whether the tables could be kept in a file.
///
/// # Errors
/// A sentence that says why not.
pub fn check(path: &Path) -> Result<(), String> {
    check_absolute(path)?;
    let cannot = |why| format!("\"{}\" cannot be written: {why}", path.display());
    refuse_foreign(path).and_then(|()| files::check_writable(path)).map_err(cannot)
}

/// The bytes of a file; None if there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let Some(file) = files::open_trusted(path)? else { return Ok(None) };
    let cannot = |e: std::io::Error| format!("it cannot be read: {e}");
    let size = file.metadata().map_err(cannot)?.len();
    if size > MOST_BYTES {
        return Err(format!("it has {size} bytes, more than {MOST_BYTES}"));
    }
    let mut bytes = Vec::with_capacity(size as usize);
    file.take(size).read_to_end(&mut bytes).map_err(cannot)?;
    Ok(Some(bytes))
}

/// Publishes the tables of a file, with their date; the generation, or None if there is
/// no file. Rows that are not valid here, for example of a class that is gone, are left
/// out and logged: without the others nobody would be served.
///
/// # Errors
/// What is wrong with it.
pub fn load(state: &State, path: &Path) -> Result<Option<u64>, String> {
    let started = Instant::now();
    let Some(bytes) = read(path)? else { return Ok(None) };
    let file = kept::Kept::read(&bytes)?;
    let names = Table::ALL.map(|table| table.short_name().to_owned());
    let loader = file.load(reload::loader(state, names, BadRows::Skip))?;
    let (config, skipped) =
        loader.finish().map_err(|bad| format!("{} of its rows are bad", bad.count()))?;
    for problem in skipped.kept() {
        log::warning(format_args!("tables_file {}: left out: {problem}", path.display()));
    }
    let companies = config.companies.len();
    let generation = reload::publish_kept(state, config, file.date)?;
    let (ms, shown, size) = (started.elapsed().as_millis(), path.display(), bytes.len());
    log::info(format_args!(
        "generation {generation} loaded from {shown}: {companies} companies; {size} bytes, {ms} ms"
    ));
    Ok(Some(generation))
}

/// Companies in a file; 0 if there is none.
///
/// # Errors
/// What is wrong with it.
pub fn companies(state: &State, path: &Path) -> Result<usize, String> {
    let Some(bytes) = read(path)? else { return Ok(0) };
    let names = Table::ALL.map(|table| table.short_name().to_owned());
    let file = kept::Kept::read(&bytes)?;
    let loaded = file.load(reload::loader(state, names, BadRows::Skip))?.finish();
    let (config, _) = loaded.map_err(|bad| format!("{} of its rows are bad", bad.count()))?;
    Ok(config.companies.len())
}
