//! The numbers behind a verdict.

use crate::ledger::{Bound, Direction, Outcome, ScopeKind, Taken, Wanted};
use crate::limiter::ClassId;

/// Live calls and limits of the scopes that a verdict is about.
#[derive(Clone, Copy)]
pub struct Numbers {
    /// (live calls, limit) of brand, company and roadwarrior, by their kinds' numbers.
    pub scopes: [Option<(u32, u32)>; 3],
    /// The limit that the verdict names.
    pub hit: Option<Hit>,
    /// The call was told to be an emergency, by this question or by one before.
    pub emergency: bool,
}

/// A limit that refused a call, or that the call exceeds although it was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hit {
    /// Kind of the scope.
    pub kind: ScopeKind,
    /// The calls that the limit is for.
    pub direction: Direction,
    /// What is exceeded.
    pub bound: Bound,
    /// Calls there, this one included if it was counted.
    pub calls: u32,
    /// Calls that are admitted.
    pub limit: u32,
}

impl Hit {
    fn new(wanted: &[Wanted<'_>], taken: &Taken) -> Option<Self> {
        if taken.outcome == Outcome::HeldByOther {
            return Self::of_roadwarrior(wanted, taken);
        }
        let judged = matches!(taken.outcome, Outcome::Refused | Outcome::Counted);
        let exceeded = taken.exceeded.filter(|_| judged)?;
        Some(Hit {
            kind: exceeded.kind,
            direction: exceeded.direction,
            bound: exceeded.bound,
            calls: exceeded.calls + u32::from(taken.outcome == Outcome::Counted),
            limit: exceeded.limit,
        })
    }

    /// A call that counts for another roadwarrior finds no slot of this one.
    fn of_roadwarrior(wanted: &[Wanted<'_>], taken: &Taken) -> Option<Self> {
        let kind = ScopeKind::ROADWARRIOR;
        let at = wanted.iter().position(|want| want.scope.kind == kind)?;
        let calls = taken.counts.get(at).copied().flatten()?.any;
        let limit = wanted.get(at)?.limit.calls;
        Some(Hit { kind, direction: Direction::Any, bound: Bound::Calls, calls, limit })
    }
}

impl Numbers {
    /// The verdict is about no call.
    pub const NONE: Self = Numbers { scopes: [None; 3], hit: None, emergency: false };

    /// What an attempt to count a call saw.
    pub fn new(wanted: &[Wanted<'_>], taken: &Taken) -> Self {
        let mut numbers = Self::NONE;
        numbers.note(wanted, taken);
        numbers
    }

    /// Puts what an attempt to count a call saw into numbers of no call.
    pub fn note(&mut self, wanted: &[Wanted<'_>], taken: &Taken) {
        self.hit = Hit::new(wanted, taken);
        self.emergency = taken.is_emergency;
        for (want, calls) in wanted.iter().zip(&taken.counts) {
            if let Some(slot) = self.scopes.get_mut(want.scope.kind.number()) {
                *slot = calls.map(|calls| (calls.any, want.limit.calls));
            }
        }
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
