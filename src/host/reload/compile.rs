//! From rows to the current generation.

use std::time::Duration;

use super::answers;
use crate::clock;
use crate::desk::Tables;
use crate::host::settings::at;
use crate::host::state::{self, State, with_snapshot};
use crate::ledger::ScopeKind;
use crate::shm::{Generation, PublishError, Published, Writer};
use crate::snapshot::{self, Blob, View, uses};
use crate::tables::{BadRows, Configuration, HostNames, Kinds, Limits, Loader, MinPrefix, Table};

/// How long a reload waits for an earlier one.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A loader of tables with these names, by the current settings.
pub fn loader(state: &State, names: [String; Table::ALL.len()], bad_rows: BadRows) -> Loader {
    let flood = state.flood_rules.settings();
    let near_percent = u32::try_from(state.values.int(at::NEAR_PERCENT)).unwrap_or(0);
    let limits = Limits::new(kinds(), near_percent, clock::tick());
    let host_names = HostNames::new(state.settings.host_names, answers::known(state));
    Loader::new(names, bad_rows).limits(limits).host_names(host_names).flood(
        state.settings.classes.clone(),
        MinPrefix { v4: flood.common.min_prefix_v4 as u8, v6: flood.common.min_prefix_v6 as u8 },
    )
}

/// Publishes what a file keeps, at the start; the generation.
pub fn publish_kept(state: &State, config: Configuration, date: u64) -> Result<u64, String> {
    let busy = |pid| format!("process {pid} is reloading");
    let writer = state.store.writer(PATIENCE).map_err(busy)?;
    let blob = compile(state, config, date)?;
    let published = publish(&writer, &blob)?;
    Ok(published.generation)
}

pub fn compile(state: &State, config: Configuration, date: u64) -> Result<Blob, String> {
    let scope_key = |kind, id: &[u8]| state.ledger.lasting_key(kind, id);
    snapshot::compile_keyed(config, hash_key()?, date, scope_key)
        .map_err(|_| "the tables are larger than 4 GiB".to_owned())
}

pub fn publish(writer: &Writer<'_>, blob: &Blob) -> Result<Published, String> {
    let bytes = blob.bytes();
    let view = View::new(bytes).filter(|view| view.kinds().continues(&kinds()));
    let Some(view) = view else {
        return Err("another reload has brought a new kind of limit meanwhile".into());
    };
    name_kinds(&view);
    let ranges = view.range_count();
    let carry = |old: Option<Generation<'_>>, new: &Generation<'_>| {
        let old = old.as_ref().and_then(|old| Some((View::new(old.bytes)?, old.marks)));
        let old = old.as_ref().map(|(view, marks)| (view, *marks));
        uses::carry(old, &view, new.marks, clock::seconds());
    };
    let error = |error| not_published(&error, bytes.len() + size_of::<u16>() * ranges);
    let tables = tables_of(&view);
    let published = writer.publish(bytes, ranges, carry).map_err(error)?;
    tell_nodes(tables);
    Ok(published)
}

/// What other nodes are told of the tables, made of a copy that nobody else reads; None: there
/// are no other nodes.
fn tables_of(view: &View<'_>) -> Option<Tables> {
    let state = state::get().filter(|state| state.desk.is_some())?;
    let mark = snapshot::mark(view, &state.settings.classes);
    Some(Tables { mark, loaded_at: view.compiled_at() })
}

/// Under the reload lock.
fn tell_nodes(tables: Option<Tables>) {
    let desk = state::get().and_then(|state| state.desk.as_ref());
    if let (Some(desk), Some(tables)) = (desk, tables) {
        desk.reloads.set_tables(tables);
        desk.bell.ring();
    }
}

/// Before the first call of a new kind: other nodes may know it by another number.
fn name_kinds(view: &View<'_>) {
    let Some(state) = state::get() else { return };
    for (number, word) in view.own_kinds().enumerate() {
        if let Some(kind) = ScopeKind::own(number) {
            state.ledger.name_kind(kind, word);
        }
    }
}

/// The kinds of scopes that are known: the ledger counts calls under their numbers.
fn kinds() -> Kinds {
    with_snapshot(|view, _| view.kinds()).unwrap_or_default()
}

pub fn hash_key() -> Result<[u64; 2], String> {
    let random = || getrandom::u64().map_err(|e| format!("no random numbers: {e}"));
    Ok([random()?, random()?])
}

/// What to say where a generation does not fit into the memory that a parameter sets.
pub fn too_large(parameter: &str, bytes: usize, room: usize) -> String {
    format!(
        "{parameter} is too small: {bytes} bytes do not fit in {room}; {} (MiB) would do",
        (2 * bytes).div_ceil(1 << 20)
    )
}

fn not_published(error: &PublishError, bytes: usize) -> String {
    match error {
        PublishError::TooLarge { room } => too_large("snapshot_memory", bytes, *room),
        PublishError::Busy { pid } => {
            format!("process {pid} has not left an old generation for 5 s")
        }
    }
}
