//! Reads, compiles and publishes the tables; one reload at a time.

use std::time::{Duration, Instant};

use super::compile::{PATIENCE, compile, loader, publish};
use super::{geoip, problems, tables_file};
use crate::clock;
use crate::host::contract::counters::{self, Own};
use crate::host::contract::{database, log};
use crate::host::report::events;
use crate::host::state::{State, with_snapshot};
use crate::printable::without_password;
use crate::shm::Writer;
use crate::snapshot::{Blob, Counts, View};
use crate::tables::{Problem, Problems, Table};

/// A reload that published a generation.
pub struct Reloaded {
    pub generation: u64,
    pub counts: Counts,
    /// The database, without its password.
    pub database: String,
    /// The database of countries: its type and size.
    pub countries: Option<String>,
    pub bytes: usize,
    pub fetch: Duration,
    /// Checking references, sorting, building the blob.
    pub compile: Duration,
    /// Copying, switching and waiting for the last reader of the old one.
    pub publish: Duration,
    /// Rows left out (`reload_bad_rows` is `skip`).
    pub skipped: Problems,
    /// Rows that look like a mistake.
    pub warnings: Problems,
}

/// Why a reload failed: a summary, and bad rows if those are the reason.
struct Failure {
    summary: String,
    rows: Problems,
}

impl From<String> for Failure {
    fn from(summary: String) -> Self {
        Failure { summary, rows: Problems::default() }
    }
}

/// Reloads. Everything found wrong is logged and kept for `sipwarden.problems`.
///
/// It has the reload lock throughout, also while the database answers: only other reloads
/// wait for that lock, and with a timeout.
///
/// # Errors
/// What is wrong, first of all the table, row and value of the first bad row;
/// the old generation stays.
pub fn reload(state: &State) -> Result<Reloaded, String> {
    let result = match state.store.writer(PATIENCE) {
        Ok(writer) => run(state, &writer),
        Err(pid) => {
            let waited = PATIENCE.as_secs();
            counters::count_own(Own::ReloadFailures);
            return Err(format!(
                "process {pid} has been reloading for {waited} s; nothing was done"
            ));
        }
    };
    match &result {
        Ok(done) => tell_success(state, done),
        Err(failure) => {
            counters::count_own(Own::ReloadFailures);
            events::reloaded(state, Err(&failure.summary));
            log::error(format_args!("the tables were not loaded: {}", failure.summary));
            for problem in failure.rows.kept() {
                log::error(format_args!("bad row: {problem}"));
            }
            keep_failure(state, failure);
        }
    }
    result.map_err(|failure| failure.summary)
}

fn keep_failure(state: &State, failure: &Failure) {
    problems::keep(state, &failure.summary, &[("bad row", &failure.rows)]);
    state.fallback.explain(&failure.summary);
}

/// Reloads while the tables of a file serve. If it fails again, only the reason is kept. Other
/// reloads do not wait for its database: it takes the lock after reading, and gives way if
/// another reload has published in between.
pub fn try_again(state: &State) {
    let read = read(state);
    let Ok(writer) = state.store.writer(PATIENCE) else { return };
    if !state.fallback.is_on() {
        return;
    }
    match read.and_then(|(blob, read)| serve(state, &writer, &blob, read)) {
        Ok(done) => tell_success(state, &done),
        Err(failure) => keep_failure(state, &failure),
    }
}

fn tell_success(state: &State, done: &Reloaded) {
    counters::count_own(Own::Reloads);
    events::reloaded(state, Ok(done.generation));
    log_success(done);
    let kinds = [("skipped", &done.skipped), ("warning", &done.warnings)];
    for (kind, problems) in kinds {
        for problem in problems.kept() {
            log::warning(format_args!("{kind}: {problem}"));
        }
    }
    problems::keep(state, "", &kinds);
}

fn log_success(done: &Reloaded) {
    // Those that many do without.
    let is_optional = |table: &Table| matches!(table, Table::Limit | Table::Tool);
    let is_told = |table: &Table| !is_optional(table) || done.counts.rows_of(*table) > 0;
    let tables = Table::ALL.into_iter().filter(is_told);
    let rows = tables.map(|t| format!("{} {}", done.counts.rows_of(t), t.short_name()));
    let rows: Vec<_> = rows.collect();
    if let Some(countries) = &done.countries {
        log::info(format_args!("countries loaded from {countries}"));
    }
    log::info(format_args!(
        "generation {} loaded from {}: {}; {} bytes; fetch {} ms, compile {} ms, publish {} ms",
        done.generation,
        done.database,
        rows.join(", "),
        done.bytes,
        done.fetch.as_millis(),
        done.compile.as_millis(),
        done.publish.as_millis(),
    ));
}

/// A database without companies refuses every call: hardly what an operator wants on a
/// running platform.
fn refuse_to_forget_everybody(state: &State, companies: usize, table: &str) -> Result<(), String> {
    if companies > 0 {
        return Ok(());
    }
    let loaded = with_snapshot(|view, _| view.counts().rows_of(Table::Company));
    if let Some(loaded) = loaded.filter(|loaded| *loaded > 0) {
        return Err(format!(
            "no company is left in table {table}; the {loaded} that are loaded stay in force"
        ));
    }
    // Nor of one that was running.
    let path = state.values.tables_file().filter(|_| loaded.is_none());
    match path.map_or(Ok(0), |path| tables_file::companies(state, &path)) {
        Ok(0) => Ok(()),
        Err(why) => Err(format!(
            "no company is left in table {table}; tables_file cannot be used: {why} (remove it if \
             they are gone)"
        )),
        Ok(kept) => Err(format!(
            "no company is left in table {table}; tables_file keeps {kept} (remove it if they are \
             gone)"
        )),
    }
}

fn run(state: &State, writer: &Writer<'_>) -> Result<Reloaded, Failure> {
    let (blob, read) = read(state)?;
    serve(state, writer, &blob, read)
}

/// Reads and compiles; publishes nothing.
fn read(state: &State) -> Result<(Blob, Reloaded), Failure> {
    let source = state.values.table_source();
    let started = Instant::now();
    let mut loader = loader(state, source.tables.clone(), source.bad_rows);
    let mut countries = None;
    if let Some(path) = &source.geoip_db {
        let networks = geoip::load(path)?;
        countries = Some(networks.summary());
        loader = loader.networks(networks);
    }
    database::read_tables(&source, &mut loader)?;
    let fetched = Instant::now();

    let [_, table, ..] = &source.tables;
    // First, since every row of another table would name a missing company.
    refuse_to_forget_everybody(state, loader.rows_read(Table::Company), table)?;
    let (mut config, skipped) = loader.finish().map_err(bad_rows)?;
    refuse_to_forget_everybody(state, config.companies.len(), table)?;
    let warnings = std::mem::take(&mut config.warnings);
    let blob = compile(state, config, clock::seconds())?;
    let bytes = blob.bytes();
    let counts = View::new(bytes).map(|view| view.counts());
    let counts = counts.ok_or_else(|| "BUG: the compiled snapshot is damaged".to_owned())?;
    let read = Reloaded {
        generation: 0,
        database: without_password(&source.db_url),
        counts,
        countries,
        bytes: bytes.len(),
        fetch: fetched - started,
        compile: fetched.elapsed(),
        publish: Duration::ZERO,
        skipped,
        warnings,
    };
    Ok((blob, read))
}

fn serve(
    state: &State,
    writer: &Writer<'_>,
    blob: &Blob,
    read: Reloaded,
) -> Result<Reloaded, Failure> {
    let started = Instant::now();
    let published = publish(writer, blob)?;
    if state.fallback.end() {
        log::info(format_args!("the tables of {} serve again", read.database));
    }
    if let Some(pid) = published.lingering {
        log::warning(format_args!(
            "process {pid} still reads the generation before {}; its memory is given back later",
            published.generation
        ));
    }
    Ok(Reloaded { generation: published.generation, publish: started.elapsed(), ..read })
}

fn bad_rows(rows: Problems) -> Failure {
    let first = rows.kept().first().map(Problem::to_string).unwrap_or_default();
    let summary = match rows.count() {
        0 | 1 => first,
        // First, because hosts may cut a reason.
        count => format!("{count} bad rows: {first}"),
    };
    Failure { summary, rows }
}
