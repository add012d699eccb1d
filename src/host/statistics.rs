//! Statistics: verdicts per function, then what the module counts of itself.

use std::ffi::CStr;

use super::abi;
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
    /// Panics that were caught.
    Panics,
}

/// Names of [`Own`], in its order.
pub const OWN: [&CStr; 12] = [
    c"reloads",
    c"reload_failures",
    c"calls_inbound",
    c"calls_outbound",
    c"emergency_uncounted",
    c"calls_resumed",
    c"leases_leaked",
    c"flood_blocks_started",
    c"flood_blocks_ended",
    c"flood_throttlings",
    c"flood_evictions",
    c"panics",
];

/// Names of all statistics, in the order of registration.
pub fn names() -> impl Iterator<Item = &'static CStr> {
    let verdicts = FUNCTIONS.into_iter().flat_map(|f| f.verdicts.iter().map(|(_, name)| *name));
    verdicts.chain(OWN)
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
    names().enumerate().map(|(index, name)| {
        let counted = abi::host().and_then(|h| h.counted);
        // SAFETY: reads counters of all processes.
        let value = counted.map_or(0, |counted| unsafe { counted(index as u32) });
        (name, value)
    })
}
