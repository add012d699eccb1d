//! Counters: verdicts per function, then what the module counts of itself.

use std::ffi::CStr;

use super::abi;
use crate::verdict::{Function, STATISTICS, Verdict};

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
    /// Requests of listed sources that were served all the same.
    ListedPassed,
    /// Feeds that were loaded.
    FeedLoads,
    /// Files of feeds that were not.
    FeedFailures,
    /// Bans that have begun.
    AuthBansStarted,
    /// Bans that have ended, lifted ones too.
    AuthBansEnded,
    /// AoRs that counted and were forgotten for others.
    AuthEvictions,
    /// Grants that have begun.
    GrantsStarted,
    /// Grants that have ended.
    GrantsEnded,
    /// Times in which a host name has come to mean other addresses.
    HostNameChanges,
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
pub const OWN: [&CStr; 25] = [
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
    c"listed_passed",
    c"feed_loads",
    c"feed_failures",
    c"auth_bans_started",
    c"auth_bans_ended",
    c"auth_evictions",
    c"grants_started",
    c"grants_ended",
    c"host_name_changes",
    c"audit_lost",
    c"firewall_failures",
    c"lock_waits",
    c"panics",
];

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

/// The value of statistic number `index`, summed over all processes.
pub fn counted(index: usize) -> u64 {
    let counted = abi::host().and_then(|h| h.counted);
    // SAFETY: reads counters of all processes.
    counted.map_or(0, |counted| unsafe { counted(index as u32) })
}
