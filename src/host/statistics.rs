//! Statistics: verdicts per function, then what the module counts of itself.

use std::ffi::CStr;
use std::sync::atomic::Ordering::Relaxed;

use super::abi;
use super::clock;
use super::entry::{Entry, guard};
use super::firewall::Mode;
use super::process::with_snapshot;
use super::state::{self, State};
use crate::snapshot::View;
use crate::tables::Table;
use crate::verdict::{FUNCTIONS, Function, STATISTICS, Verdict};

/// What the module counts of itself; follows the verdicts.
#[derive(Clone, Copy, Debug)]
pub enum Own {
    /// Reloads that published a generation, the first load too.
    Reloads,
    /// Reloads that failed and left the old generation.
    ReloadFailures,
    /// Calls counted with flag `i`.
    CallsInbound,
    /// Calls counted with flag `o`.
    CallsOutbound,
    /// Emergency calls that could be allowed but not counted.
    EmergencyUncounted,
    /// Calls that turned out to live after their release.
    CallsResumed,
    /// Calls that counted and ended although neither end hung up.
    CallsExpired,
    /// Leases that were found without a dialog and freed.
    LeasesLeaked,
    /// Blocks that have begun.
    FloodBlocksStarted,
    /// Blocks that have ended, lifted ones too.
    FloodBlocksEnded,
    /// Times in which a source of a class that is never blocked was throttled.
    FloodThrottlings,
    /// Sources that counted and were forgotten for others.
    FloodEvictions,
    /// Bans that have begun.
    AuthBansStarted,
    /// Bans that have ended, lifted ones too.
    AuthBansEnded,
    /// AoRs that counted and were forgotten for others.
    AuthEvictions,
    /// Rows that could not be recorded in the audit table.
    AuditLost,
    /// Runs of nft that failed.
    FirewallFailures,
    /// Waits for a lock that lasted longer than a second.
    LockWaits,
    /// Panics that were caught.
    Panics,
}

/// Names of [`Own`], in its order.
pub const OWN: [&CStr; 19] = [
    c"reloads",
    c"reload_failures",
    c"calls_inbound",
    c"calls_outbound",
    c"emergency_uncounted",
    c"calls_resumed",
    c"calls_expired",
    c"leases_leaked",
    c"flood_blocks_started",
    c"flood_blocks_ended",
    c"flood_throttlings",
    c"flood_evictions",
    c"auth_bans_started",
    c"auth_bans_ended",
    c"auth_evictions",
    c"audit_lost",
    c"firewall_failures",
    c"lock_waits",
    c"panics",
];

/// A statistic that is asked for its value.
pub struct Gauge {
    /// Its name.
    pub name: &'static CStr,
    value: fn(&State) -> u64,
}

/// What is asked for its value; follows [`OWN`].
pub const GAUGES: [Gauge; 20] = [
    Gauge { name: c"calls_active", value: |s| s.ledger.live_calls() },
    Gauge { name: c"calls_miscounted", value: |s| s.ledger.miscounted() },
    Gauge { name: c"calls_room", value: |s| s.ledger.memory().capacity as u64 },
    Gauge { name: c"blocks_active", value: |s| s.flood.memory().blocked.into() },
    Gauge { name: c"sources_known", value: |s| s.flood.memory().used.into() },
    Gauge { name: c"sources_room", value: |s| s.flood.memory().capacity as u64 },
    Gauge { name: c"auth_bans_active", value: |s| s.auth.memory().bans.into() },
    Gauge { name: c"auth_known", value: |s| s.auth.memory().used.into() },
    Gauge { name: c"auth_room", value: |s| s.auth.memory().capacity as u64 },
    Gauge { name: c"snapshot_generation", value: |s| s.store.publication().current() },
    Gauge { name: c"snapshot_age_seconds", value: snapshot_age },
    Gauge { name: c"snapshot_bytes", value: |_| with_view(|view| view.bytes() as u64) },
    Gauge { name: c"tables_from_file", value: |s| s.fallback.is_on().into() },
    Gauge { name: c"tables_kept", value: tables_kept },
    Gauge { name: c"country_networks", value: |_| with_view(|v| v.country_networks().into()) },
    Gauge { name: c"firewall_on", value: |s| u64::from(s.firewall.mode() == Mode::On) },
    Gauge { name: c"firewall_elements", value: |s| s.firewall.elements() },
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

fn snapshot_age(_: &State) -> u64 {
    with_view(|view| clock::age(view.compiled_at()))
}

/// Whether a file keeps the tables that serve.
fn tables_kept(state: &State) -> u64 {
    let current = state.store.publication().current();
    u64::from(current > 0 && state.fallback.kept() == current)
}

/// The value of a statistic that is asked for it.
pub unsafe extern "C" fn gauge(index: u32) -> u64 {
    guard(Entry::Gauge, 0, || {
        let first = STATISTICS + OWN.len();
        let gauge = (index as usize).checked_sub(first).and_then(|n| GAUGES.get(n));
        gauge.zip(state::get()).map_or(0, |(gauge, state)| (gauge.value)(state))
    })
}

/// Names of all statistics, in the order of registration, and which are gauges.
pub fn names() -> impl Iterator<Item = (&'static CStr, bool)> {
    let verdicts = FUNCTIONS.into_iter().flat_map(|f| f.verdicts.iter().map(|(_, name)| *name));
    let counted = verdicts.chain(OWN).map(|name| (name, false));
    counted.chain(GAUGES.iter().map(|gauge| (gauge.name, true)))
}

/// Counts a verdict of a function.
pub fn count_verdict(function: &'static Function, verdict: Verdict) {
    if let Some(index) = function.statistic(verdict) {
        count(index);
    }
}

/// Counts an event of the module itself.
pub fn count_own(own: Own) {
    count(STATISTICS + own as usize);
}

fn count(index: usize) {
    if let Some(count) = abi::host().and_then(|h| h.count) {
        // SAFETY: increments a counter of the calling process.
        unsafe { count(index as u32) };
    }
}

/// Name and value, summed over all processes.
pub fn values() -> impl Iterator<Item = (&'static CStr, u64)> {
    names().enumerate().map(|(index, (name, _))| {
        let counted = abi::host().and_then(|h| h.counted);
        // SAFETY: reads counters of all processes.
        let value = counted.map_or(0, |counted| unsafe { counted(index as u32) });
        (name, value)
    })
}
