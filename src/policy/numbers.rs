//! The numbers behind a verdict.

use crate::flood::ClassId;
use crate::ledger::{Taken, Wanted};

/// Live calls and limits of the scopes that a verdict is about.
#[derive(Clone, Copy)]
pub struct Numbers {
    /// (live calls, limit) of brand, company and roadwarrior, by their kinds' numbers.
    pub scopes: [Option<(u32, u32)>; 3],
}

impl Numbers {
    /// The verdict is about no call.
    pub const NONE: Self = Numbers { scopes: [None; 3] };

    /// What an attempt to count a call saw.
    pub fn new(wanted: &[Wanted<'_>], taken: &Taken) -> Self {
        let mut numbers = Self::NONE;
        for (want, calls) in wanted.iter().zip(taken.counts) {
            if let Some(slot) = numbers.scopes.get_mut(want.scope.kind.number()) {
                *slot = calls.map(|calls| (calls.any, want.limit.calls));
            }
        }
        numbers
    }
}

/// The source that a verdict of flood control is about.
#[derive(Clone, Copy)]
pub struct FloodNumbers {
    /// Its class; None: exempt.
    pub class: Option<ClassId>,
    /// Its requests in the window.
    pub requests: u32,
    /// The limit of its class.
    pub limit: u32,
    /// Seconds that it is still blocked.
    pub block_seconds: u32,
}

/// The AoR and source that a verdict of brute force protection is about.
#[derive(Clone, Copy)]
pub struct AuthNumbers {
    /// Class of the source; None: exempt.
    pub class: Option<ClassId>,
    /// Failures in the window.
    pub failures: u32,
    /// The one that starts a ban.
    pub limit: u32,
    /// Seconds of the ban that are left.
    pub ban_seconds: u32,
}
