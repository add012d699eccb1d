//! Statistics: verdicts per function, then what the module counts of itself.

use std::ffi::CStr;

use super::abi;
use crate::verdict::{CHECK_COMPANY_IP, Verdict};

/// Statistics of `check_company_ip`, in the order of [`CHECK_COMPANY_IP`].
const CHECKS: [&CStr; CHECK_COMPANY_IP.len()] = [
    c"check_granted_range",
    c"check_filter_off",
    c"check_denied_source",
    c"check_denied_no_ranges",
    c"check_unknown_company",
    c"check_internal_error",
];

/// What the module counts of itself; follows the verdicts.
#[derive(Clone, Copy, Debug)]
pub enum Own {
    /// Reloads that published a generation, the first load too.
    Reloads,
    /// Reloads that failed and left the old generation.
    ReloadFailures,
    /// Panics that were caught.
    Panics,
}

/// Names of [`Own`], in its order.
pub const OWN: [&CStr; 3] = [c"reloads", c"reload_failures", c"panics"];

/// Names of all statistics, in the order of registration.
pub fn names() -> impl Iterator<Item = &'static CStr> {
    CHECKS.into_iter().chain(OWN)
}

/// Counts a verdict of `check_company_ip`.
pub fn count_check(verdict: Verdict) {
    if let Some(row) = CHECK_COMPANY_IP.iter().position(|e| e.verdict == verdict) {
        count(row);
    }
}

/// Counts an event of the module itself.
pub fn count_own(own: Own) {
    count(CHECKS.len() + own as usize);
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
