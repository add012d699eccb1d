//! The numbers behind a verdict.

use crate::ledger::{ScopeKind, Taken, Wanted};
use crate::limiter::ClassId;

/// Live calls and limits of the scopes that a verdict is about.
#[derive(Clone, Copy)]
pub struct Numbers {
    /// (live calls, limit) in the order of [`ScopeKind::ALL`].
    pub scopes: [Option<(u32, u32)>; ScopeKind::COUNT],
}

impl Numbers {
    /// The verdict is about no call.
    pub const NONE: Self = Numbers { scopes: [None; ScopeKind::COUNT] };

    /// What an attempt to count a call saw.
    pub fn new(wanted: &[Wanted<'_>], taken: &Taken) -> Self {
        let limit = |kind| wanted.iter().find(|w| w.scope.kind == kind).map(|w| w.limit);
        let mut numbers = Self::NONE;
        for ((slot, kind), count) in numbers.scopes.iter_mut().zip(ScopeKind::ALL).zip(taken.counts)
        {
            *slot = count.zip(limit(kind));
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

impl FloodNumbers {
    /// The verdict is about no source.
    pub const NONE: Self = FloodNumbers { class: None, requests: 0, limit: 0, block_seconds: 0 };
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

impl AuthNumbers {
    /// The verdict is about no AoR.
    pub const NONE: Self = AuthNumbers { class: None, failures: 0, limit: 0, ban_seconds: 0 };
}
