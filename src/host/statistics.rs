//! Statistics: verdicts per function, then what the module counts of itself.

use std::ffi::CStr;

use super::abi;
use crate::verdict::{FUNCTIONS, Function, Verdict};

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
    /// Panics that were caught.
    Panics,
}

/// Names of [`Own`], in its order.
pub const OWN: [&CStr; 8] = [
    c"reloads",
    c"reload_failures",
    c"calls_inbound",
    c"calls_outbound",
    c"emergency_uncounted",
    c"calls_resumed",
    c"leases_leaked",
    c"panics",
];

/// Names of all statistics, in the order of registration.
pub fn names() -> impl Iterator<Item = &'static CStr> {
    let verdicts = FUNCTIONS.into_iter().flat_map(|f| f.verdicts.iter().map(|(_, name)| *name));
    verdicts.chain(OWN)
}

fn verdict_count() -> usize {
    FUNCTIONS.iter().map(|f| f.verdicts.len()).sum()
}

/// Counts a verdict of a function.
pub fn count_verdict(function: &'static Function, verdict: Verdict) {
    let before = FUNCTIONS.iter().take_while(|f| f.name != function.name);
    let before: usize = before.map(|f| f.verdicts.len()).sum();
    if let Some(row) = function.verdicts.iter().position(|(v, _)| *v == verdict) {
        count(before + row);
    }
}

/// Counts an event of the module itself.
pub fn count_own(own: Own) {
    count(verdict_count() + own as usize);
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
