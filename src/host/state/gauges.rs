//! Statistics: counters, then gauges.

use std::ffi::CStr;
use std::sync::atomic::Ordering::Relaxed;

use super::rules::with_rules;
use super::{State, budgets, get, listed, with_snapshot};
use crate::clock;
use crate::desk::{Desk, Numbers};
use crate::firewall::Mode;
use crate::host::contract::counters::{OWN, counted};
use crate::snapshot::View;
use crate::tables::Table;
use crate::verdict::{FUNCTIONS, STATISTICS};

/// A statistic that is computed when it is read.
pub struct Gauge {
    pub name: &'static CStr,
    value: fn(&State) -> u64,
}

/// In the statistics, they follow [`OWN`].
pub const GAUGES: [Gauge; 39] = [
    Gauge { name: c"calls_active", value: |s| s.ledger.live_calls() },
    Gauge { name: c"calls_miscounted", value: |s| s.ledger.miscounted() },
    Gauge { name: c"calls_room", value: |s| s.ledger.memory().capacity as u64 },
    Gauge { name: c"blocks_active", value: |s| s.flood.usage().blocked.into() },
    Gauge { name: c"sources_known", value: |s| s.flood.usage().used.into() },
    Gauge { name: c"sources_room", value: |s| s.flood.usage().capacity as u64 },
    Gauge { name: c"sources_proven", value: proven },
    Gauge { name: c"budget_percent", value: budgets::percent },
    Gauge { name: c"spraying_known", value: |s| s.spraying.usage().used.into() },
    Gauge { name: c"spraying_room", value: |s| s.spraying.usage().capacity as u64 },
    Gauge { name: c"auth_bans_active", value: |s| s.auth.usage().blocked.into() },
    Gauge { name: c"auth_known", value: |s| s.auth.usage().used.into() },
    Gauge { name: c"auth_room", value: |s| s.auth.usage().capacity as u64 },
    Gauge { name: c"grants_active", value: |s| s.grants.usage().used.into() },
    Gauge { name: c"grants_room", value: |s| s.grants.usage().capacity as u64 },
    Gauge { name: c"host_names_known", value: |_| with_view(|view| view.answers().len() as u64) },
    Gauge { name: c"host_names_silent", value: |s| s.names.silent() as u64 },
    Gauge { name: c"listed_prefixes", value: listed::prefixes },
    Gauge { name: c"feeds_failing", value: listed::failing },
    Gauge { name: c"feed_age_seconds", value: listed::oldest_age },
    Gauge { name: c"snapshot_generation", value: |s| s.store.publication().current() },
    Gauge { name: c"snapshot_age_seconds", value: snapshot_age },
    Gauge { name: c"snapshot_bytes", value: |_| with_view(|view| view.bytes() as u64) },
    Gauge { name: c"tables_from_file", value: |s| s.fallback.is_on().into() },
    Gauge { name: c"tables_kept", value: tables_kept },
    Gauge { name: c"country_networks", value: |_| with_view(|v| v.country_networks().into()) },
    Gauge { name: c"firewall_on", value: |s| u64::from(s.firewall.mode() == Mode::On) },
    Gauge { name: c"firewall_elements", value: |s| s.firewall.elements() },
    Gauge { name: c"cluster_exact", value: cluster_is_exact },
    Gauge { name: c"cluster_members", value: |s| cluster(s).members },
    Gauge { name: c"cluster_claims", value: |s| cluster(s).claims },
    Gauge { name: c"cluster_sessions", value: |s| cluster(s).sessions },
    Gauge { name: c"cluster_timeouts", value: |s| cluster(s).timed_out },
    Gauge { name: c"cluster_on", value: |s| s.desk.is_some().into() },
    Gauge { name: c"cluster_not_asked", value: |s| of_desk(s, |d| d.standing.is_open().into()) },
    Gauge { name: c"cluster_other_tables", value: |s| of_desk(s, |d| d.reloads.others()) },
    Gauge { name: c"events_lost", value: |s| s.journal.lost() },
    Gauge { name: c"gauges_left_out", value: |s| s.gauges_left_out.load(Relaxed) },
    Gauge {
        name: c"companies",
        value: |_| with_view(|v| v.counts().rows_of(Table::Company).into()),
    },
];

fn with_view(value: impl FnOnce(&View<'_>) -> u64) -> u64 {
    with_snapshot(|view, _| value(view)).unwrap_or(0)
}

fn of_desk(state: &State, value: impl FnOnce(&Desk) -> u64) -> u64 {
    state.desk.as_ref().map_or(0, value)
}

fn cluster(state: &State) -> Numbers {
    state.desk.as_ref().map(|desk| desk.standing.numbers()).unwrap_or_default()
}

/// Whether calls are judged by all nodes' numbers.
fn cluster_is_exact(state: &State) -> u64 {
    let is_exact = |desk: &Desk| desk.standing.is_exact(clock::boottime());
    state.desk.as_ref().is_some_and(is_exact).into()
}

/// Sources that are proven.
fn proven(state: &State) -> u64 {
    let keep = with_rules(state, |rules| rules.common.proven_keep);
    state.proven.count(keep, clock::monotonic()) as u64
}

fn snapshot_age(_: &State) -> u64 {
    with_view(|view| clock::age(view.compiled_at()))
}

/// Whether a file keeps the current tables.
fn tables_kept(state: &State) -> u64 {
    let current = state.store.publication().current();
    u64::from(current > 0 && state.fallback.kept() == current)
}

/// The value of a gauge, by its position among all statistics.
pub fn value_of(index: usize) -> u64 {
    let gauge = index.checked_sub(STATISTICS + OWN.len()).and_then(|place| GAUGES.get(place));
    gauge.zip(get()).map_or(0, |(gauge, state)| (gauge.value)(state))
}

/// Names of all statistics, in the order of registration, and which are gauges.
pub fn names() -> impl Iterator<Item = (&'static CStr, bool)> {
    let verdicts = FUNCTIONS.into_iter().flat_map(|f| f.verdicts.iter().map(|(_, name)| *name));
    let counted = verdicts.chain(OWN).map(|name| (name, false));
    counted.chain(GAUGES.iter().map(|gauge| (gauge.name, true)))
}

/// Name and value, summed over all processes.
pub fn values() -> impl Iterator<Item = (&'static CStr, u64)> {
    names().enumerate().map(|(index, (name, is_gauge))| {
        // A host need not know that a gauge is computed.
        (name, if is_gauge { value_of(index) } else { counted(index) })
    })
}
