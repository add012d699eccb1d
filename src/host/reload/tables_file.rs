//! The file that keeps the last tables of a database.

use std::path::Path;
use std::time::Instant;

use super::compile::{loader, publish_kept};
use crate::host::contract::log;
use crate::host::files::{self, check_absolute};
use crate::host::state::State;
use crate::tables::{BadRows, Table, kept};

/// Only a file of tables is overwritten: a wrong name destroys nothing.
pub fn refuse_foreign(path: &Path) -> Result<(), String> {
    files::refuse_others(path)?;
    match files::begins_with(path, kept::MAGIC)? {
        true => Ok(()),
        false => Err("it is not a file of tables; remove it, or name another".into()),
    }
}

/// Whether the tables could be kept in a file.
pub fn check(path: &Path) -> Result<(), String> {
    check_absolute(path)?;
    let cannot = |why| format!("\"{}\" cannot be written: {why}", path.display());
    refuse_foreign(path).and_then(|()| files::check_writable(path)).map_err(cannot)
}

/// Publishes the tables of a file, with their date; the generation, or None if there is
/// no file. Rows that are no longer valid, for example of a class that is gone, are left out
/// and logged: the others serve.
pub fn load(state: &State, path: &Path) -> Result<Option<u64>, String> {
    let started = Instant::now();
    let Some(bytes) = files::read_trusted(path, kept::MOST_BYTES)? else { return Ok(None) };
    let file = kept::Kept::read(&bytes)?;
    let names = Table::ALL.map(|table| table.short_name().to_owned());
    let loader = file.load(loader(state, names, BadRows::Skip))?;
    let (config, skipped) =
        loader.finish().map_err(|bad| format!("{} of its rows are bad", bad.count()))?;
    for problem in skipped.kept() {
        log::warning(format_args!("a row of {} is left out: {problem}", path.display()));
    }
    let companies = config.companies.len();
    let generation = publish_kept(state, config, file.date)?;
    let (ms, shown, size) = (started.elapsed().as_millis(), path.display(), bytes.len());
    log::info(format_args!(
        "generation {generation} loaded from {shown}: {companies} companies; {size} bytes, {ms} ms"
    ));
    Ok(Some(generation))
}

/// Companies in a file; 0 if there is none.
pub fn companies(state: &State, path: &Path) -> Result<usize, String> {
    let Some(bytes) = files::read_trusted(path, kept::MOST_BYTES)? else { return Ok(0) };
    let names = Table::ALL.map(|table| table.short_name().to_owned());
    let file = kept::Kept::read(&bytes)?;
    let loaded = file.load(loader(state, names, BadRows::Skip))?.finish();
    let (config, _) = loaded.map_err(|bad| format!("{} of its rows are bad", bad.count()))?;
    Ok(config.companies.len())
}
