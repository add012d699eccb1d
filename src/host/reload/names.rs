//! The current tables with other meanings of host names.

use std::time::Duration;

use super::compile::{compile, loader, publish};
use crate::host::state::{State, with_snapshot};
use crate::memory;
use crate::names::Answers;
use crate::snapshot;
use crate::tables::kept::Kept;
use crate::tables::{BadRows, HostNames, Problem, Table};

/// Publishes the current tables again, as a new generation with these meanings. Asks no
/// database, and does not wait for a reload: false, nothing was published while one runs.
///
/// # Errors
/// Why it could not; the generation before stays.
pub fn publish_answers(state: &State, answers: Answers) -> Result<bool, String> {
    let Ok(writer) = state.store.writer(Duration::ZERO) else { return Ok(false) };
    let current = with_snapshot(|view, _| {
        memory::ask_for(snapshot::kept_room(view))?;
        let rows = snapshot::kept(view, &state.settings.classes);
        Ok::<_, String>((rows, view.counts(), view.min_prefix()))
    });
    let (rows, counts, min_prefix) = current.ok_or("no tables can be read")??;
    let rows = Kept::read(&rows)?;
    let names = HostNames::new(state.settings.host_names, answers);
    let tables = Table::ALL.map(|table| table.short_name().to_owned());
    let loader = loader(state, tables, BadRows::Fail);
    let loader = loader.flood(state.settings.classes.clone(), min_prefix).host_names(names);
    let (mut config, _) = rows.load(loader)?.finish().map_err(|bad| {
        let first = bad.kept().first().map(Problem::to_string);
        format!("BUG: a row of the current tables is bad: {}", first.unwrap_or_default())
    })?;
    config.rows = counts.rows.map(u64::from);
    config.contained = Some(counts.contained_ranges);
    let published = publish(&writer, &compile(state, config, rows.date)?)?;
    if state.fallback.is_on() {
        // The file keeps these tables already.
        state.fallback.keep(published.generation);
    }
    Ok(true)
}
