//! Reads, compiles and publishes the tables; one reload at a time.

use std::time::{Duration, Instant};

use super::process::with_snapshot;
use super::state::State;
use super::statistics::{self, Own};
use super::values::without_password;
use super::{clock, database, events, geoip, log, report};
use crate::shm::PublishError;
use crate::snapshot::{self, Counts, View};
use crate::tables::{Broadest, Loader, Problem, Problems, Table};

/// A reload that published a generation.
pub struct Reloaded {
    /// Number of the generation, from 1.
    pub generation: u64,
    /// What it holds.
    pub counts: Counts,
    /// The database, without its password.
    pub database: String,
    /// The database of countries: what it is, and how many networks it tells.
    pub countries: Option<String>,
    /// Its size.
    pub bytes: usize,
    /// Reading the tables.
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

/// How long a reload waits for those before it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Reloads. Everything found wrong is logged and kept for `sipwarden.problems`.
///
/// The reload lock is held throughout, also while the database answers: only
/// other reloads ever wait for it, and not for ever.
///
/// # Errors
/// What is wrong, first of all the table, row and value of the first bad row;
/// the old generation stays.
pub fn reload(state: &State) -> Result<Reloaded, String> {
    let result = match state.store.writer(PATIENCE) {
        Ok(writer) => run(state, &writer),
        Err(pid) => {
            let waited = PATIENCE.as_secs();
            statistics::count_own(Own::ReloadFailures);
            return Err(format!(
                "process {pid} has been reloading for {waited} s; nothing was done"
            ));
        }
    };
    match &result {
        Ok(done) => {
            statistics::count_own(Own::Reloads);
            events::reloaded(state, Ok(done.generation));
            log_success(done);
            let kinds = [("skipped", &done.skipped), ("warning", &done.warnings)];
            for (kind, problems) in kinds {
                for problem in problems.kept() {
                    log::warning(format_args!("{kind}: {problem}"));
                }
            }
            report::keep(state, "", &kinds);
        }
        Err(failure) => {
            statistics::count_own(Own::ReloadFailures);
            events::reloaded(state, Err(&failure.summary));
            log::error(format_args!("the tables were not loaded: {}", failure.summary));
            for problem in failure.rows.kept() {
                log::error(format_args!("bad row: {problem}"));
            }
            report::keep(state, &failure.summary, &[("bad row", &failure.rows)]);
        }
    }
    result.map_err(|failure| failure.summary)
}

fn log_success(done: &Reloaded) {
    let rows = Table::ALL.map(|t| format!("{} {}", done.counts.rows_of(t), t.short_name()));
    if let Some(countries) = &done.countries {
        log::info(format_args!("countries: {countries}"));
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

/// A database without companies refuses everybody: hardly what anyone wants of
/// a platform that is running.
fn refuse_to_forget_everybody(companies: usize, table: &str) -> Result<(), String> {
    let loaded = with_snapshot(|view, _| view.counts().rows_of(Table::Company)).unwrap_or(0);
    if companies == 0 && loaded > 0 {
        return Err(format!(
            "no company is left in table {table}; the {loaded} that are loaded stay in force"
        ));
    }
    Ok(())
}

fn run(state: &State, writer: &crate::shm::Writer<'_>) -> Result<Reloaded, Failure> {
    let source = state.values.table_source();
    let started = Instant::now();
    let flood = state.flood_rules.settings();
    let mut loader = Loader::new(source.tables.clone(), source.bad_rows).flood(
        state.settings.classes.clone(),
        Broadest { v4: flood.broadest_v4 as u8, v6: flood.broadest_v6 as u8 },
    );
    let mut countries = None;
    if let Some(path) = &source.geoip_db {
        let networks = geoip::load(path)?;
        countries = Some(networks.summary());
        loader = loader.networks(networks);
    }
    database::read_tables(&source, &mut loader)?;
    let fetched = Instant::now();

    let [_, table, ..] = &source.tables;
    // First, since each row of another table would name a company that is gone.
    refuse_to_forget_everybody(loader.rows_read(Table::Company), table)?;
    let (mut config, skipped) = loader.finish().map_err(bad_rows)?;
    refuse_to_forget_everybody(config.companies.len(), table)?;
    let warnings = std::mem::take(&mut config.warnings);
    let blob = snapshot::compile(config, hash_key()?, clock::seconds())
        .map_err(|_| "the tables are larger than 4 GiB".to_owned())?;
    let bytes = blob.bytes();
    let counts = View::new(bytes).map(|view| view.counts());
    let counts = counts.ok_or_else(|| "BUG: the compiled snapshot is damaged".to_owned())?;
    let compiled = Instant::now();

    let published = writer.publish(bytes).map_err(|error| not_published(&error, bytes.len()))?;
    if let Some(pid) = published.lingering {
        log::warning(format_args!(
            "process {pid} still reads the generation before {}; its memory is given back later",
            published.generation
        ));
    }
    Ok(Reloaded {
        generation: published.generation,
        database: without_password(&source.db_url),
        counts,
        countries,
        bytes: bytes.len(),
        fetch: fetched - started,
        compile: compiled - fetched,
        publish: compiled.elapsed(),
        skipped,
        warnings,
    })
}

/// Two random words.
pub fn hash_key() -> Result<[u64; 2], String> {
    let random = || getrandom::u64().map_err(|e| format!("no random numbers: {e}"));
    Ok([random()?, random()?])
}

fn bad_rows(rows: Problems) -> Failure {
    let first = rows.kept().first().map(Problem::to_string).unwrap_or_default();
    let summary = match rows.count() {
        0 | 1 => first,
        // First, because JSON-RPC cuts a reason after 127 bytes.
        count => format!("{count} bad rows: {first}"),
    };
    Failure { summary, rows }
}

fn not_published(error: &PublishError, bytes: usize) -> Failure {
    match error {
        PublishError::TooLarge { room } => format!(
            "snapshot_memory is too small: {bytes} bytes do not fit in {room}; {} (MiB) would do",
            (2 * bytes).div_ceil(1 << 20)
        ),
        PublishError::Busy { pid } => {
            format!("process {pid} has not left an old generation for 5 s")
        }
    }
    .into()
}
