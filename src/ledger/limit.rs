//! Limits: what a scope admits, and what a call meant for it has exceeded.

use bytemuck::{Pod, Zeroable};

use super::scope::{Direction, Scope, ScopeKey, ScopeKind};
use crate::limiter::Counting;

/// New calls that are admitted within a time.
///
/// No call is refused of a source that sends at most [`Rate::calls`] in every window, and
/// no span of 13/14 of a window, less one tick of the clock, admits more; 12/14 where calls
/// are judged after later ones, by up to a slice. A call that is judged a whole window after it
/// came passes besides, and is not counted.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Rate {
    counting: Counting,
    calls: u32,
    padding: u32,
}

impl Rate {
    /// No limit.
    pub const NONE: Self = Rate { counting: Counting::NONE, calls: 0, padding: 0 };
    /// The most calls that a window may admit.
    pub const MAX_CALLS: u32 = u16::MAX as u32;
    /// The longest window in seconds: 24 days.
    pub const MAX_WINDOW: u32 = (1 << 21) - 1;

    /// `calls` within `window` seconds, by a clock that shows a time up to `tick` ms,
    /// at most 100, too early. None if one is 0 or too large.
    pub fn new(calls: u32, window: u32, tick: u32) -> Option<Self> {
        let fits = (1..=Self::MAX_CALLS).contains(&calls)
            && (1..=Self::MAX_WINDOW).contains(&window)
            && tick <= 100;
        let counting = || Counting::NONE.change(window * 1000, tick);
        fits.then(|| Rate { counting: counting(), calls, padding: 0 })
    }

    /// Calls that it admits within [`Rate::window`]; 0 is off.
    pub fn calls(&self) -> u32 {
        self.calls
    }

    /// Seconds.
    pub fn window(&self) -> u32 {
        self.counting.window() / 1000
    }

    pub(super) fn counting(&self) -> &Counting {
        &self.counting
    }

    /// Whether it is one.
    pub fn is_on(&self) -> bool {
        self.calls > 0
    }
}

impl Default for Rate {
    fn default() -> Self {
        Rate::NONE
    }
}

/// What holds for the calls of a scope, in one direction or in any.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Pod, Zeroable)]
pub struct Limit {
    /// New calls that it admits.
    pub rate: Rate,
    /// Live calls that it admits; 0 is off.
    pub calls: u32,
    /// So many of them are left for emergencies.
    pub reserved: u32,
    /// Seconds that a call may last; 0 is off.
    pub longest: u32,
    /// Percent of the live calls that are not reserved, from which on calls are near to it, or
    /// [`Limit::NEVER`]; 0: nobody has said it. Asked by those that tell, not by the ledger.
    pub near: u16,
    /// Calls that it admits while they ring; 0 is off.
    pub ringing: u16,
}

impl Limit {
    /// Nothing holds.
    pub const NONE: Self = Limit::calls(0);

    /// Whether anything holds.
    pub fn is_on(&self) -> bool {
        self.limits_calls() || self.longest > 0
    }

    /// Whether it can refuse a call.
    pub(super) fn limits_calls(&self) -> bool {
        self.calls > 0 || self.ringing > 0 || self.rate.is_on()
    }

    /// In place of a percentage: live calls never come near.
    pub const NEVER: u16 = u16::MAX;
    /// The most calls that may be admitted while they ring.
    pub const MOST_RINGING: u32 = u16::MAX as u32;

    /// `near_percent` as operators write it, for [`Limit::near`]; at most 100.
    pub const fn near_of(percent: u32) -> u16 {
        if percent == 0 { Self::NEVER } else { percent as u16 }
    }

    /// Percent from which on calls are near, 0 for never.
    pub const fn near_percent(&self) -> u32 {
        if self.near == Self::NEVER { 0 } else { self.near as u32 }
    }

    /// The fewest live calls that are near to it, 0 for never. Reserved slots do not count:
    /// without them normal calls are refused, which nobody would be warned of.
    pub fn near_calls(&self) -> u32 {
        let others = match self.calls.saturating_sub(self.reserved) {
            0 => self.calls,
            others => others,
        };
        let near = u64::from(others) * u64::from(self.near_percent());
        near.div_ceil(100) as u32
    }

    /// Whether so many live calls are near to it.
    pub fn is_near(&self, calls: u32) -> bool {
        let near = self.near_calls();
        near > 0 && calls >= near
    }

    /// Whether the last of so many live calls has brought them near to it.
    pub fn comes_near(&self, calls: u32) -> bool {
        calls > 0 && calls == self.near_calls()
    }

    /// This one beside another of so many calls, 0 for none: of both the lower one holds, for
    /// all calls and for those that are not emergencies.
    pub fn beside(self, calls: u32) -> Self {
        let calls = lower(calls, self.calls);
        let others = match self.reserved {
            0 => calls,
            reserved => self.calls.saturating_sub(reserved).min(calls),
        };
        Limit { calls, reserved: calls.saturating_sub(others), ..self }
    }

    /// Only of live calls.
    pub const fn calls(calls: u32) -> Self {
        Limit { calls, reserved: 0, longest: 0, near: 0, ringing: 0, rate: Rate::NONE }
    }
}

/// The lower one of two limits, of which 0 is off.
fn lower(one: u32, other: u32) -> u32 {
    match (one, other) {
        (0, limit) | (limit, 0) => limit,
        (one, other) => one.min(other),
    }
}

/// A scope that a call shall count against.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The scope.
    pub scope: Scope<'a>,
    /// [`super::Ledger::lasting_key`] of the scope, if it is known.
    pub key: Option<ScopeKey>,
    /// Where the call goes, from the view of this scope.
    pub direction: Direction,
    /// For all its calls.
    pub limit: Limit,
    /// For those of the call's direction; does not hold for [`Direction::Any`].
    pub directed: Limit,
    /// Whether the call counts against it. A company may be named only for whom a
    /// call is shown: then no limit holds, and nothing is counted.
    pub counts: bool,
}

impl<'a> Wanted<'a> {
    /// A scope with a limit of live calls; 0 is off.
    pub fn new(kind: ScopeKind, id: &'a [u8], calls: u32) -> Self {
        Wanted {
            scope: Scope { kind, id },
            key: None,
            direction: Direction::Any,
            limit: Limit::calls(calls),
            directed: Limit::NONE,
            counts: true,
        }
    }

    /// Whether a call that counts leaves more than a count: in a rate, or an end.
    pub(super) fn keeps_calls(&self) -> bool {
        let keeps = |limit: &Limit| limit.rate.is_on() || limit.longest > 0;
        keeps(&self.limit) || keeps(&self.directed)
    }

    /// The limits that may hold, with their directions.
    pub fn limits(&self) -> impl Iterator<Item = (Direction, &Limit)> {
        let all = [(Direction::Any, &self.limit), (self.direction, &self.directed)];
        all.into_iter().take(if self.direction == Direction::Any { 1 } else { 2 })
    }
}

/// What limits do to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enforcement {
    /// They hold.
    Full,
    /// They are told, but a call that exceeds one is counted all the same. Rates are
    /// used as if they held.
    Monitor,
    /// For emergencies: only limits with reserved slots hold, with all their slots.
    Reserved,
    /// For calls that must count: nothing holds, and no rate is used.
    Off,
    /// As [`Enforcement::Off`], for requests within a call: one that counts for a company
    /// stays as it is, whatever company the request is of.
    Within,
}

impl Enforcement {
    pub(super) fn refuses(self, limit: &Limit, bound: Bound) -> bool {
        match self {
            Enforcement::Full => true,
            Enforcement::Reserved => limit.reserved > 0 && bound == Bound::Calls,
            Enforcement::Monitor | Enforcement::Off | Enforcement::Within => false,
        }
    }

    /// Whether a call is admitted only with a slot that other nodes leave to this one.
    pub(super) fn asks(self, limit: &Limit) -> bool {
        limit.calls > 0
            && match self {
                Enforcement::Full => true,
                Enforcement::Reserved => limit.reserved > 0,
                Enforcement::Monitor | Enforcement::Off | Enforcement::Within => false,
            }
    }

    /// The same for a call that was told to be an emergency before.
    pub(super) fn of_emergency(self) -> Self {
        match self {
            Enforcement::Full => Enforcement::Reserved,
            Enforcement::Monitor => Enforcement::Off,
            other => other,
        }
    }

    pub(super) fn judges_rates(self) -> bool {
        matches!(self, Enforcement::Full | Enforcement::Monitor)
    }
}

/// What can be exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound {
    /// Live calls.
    Calls,
    /// Live calls besides emergencies: the rest is reserved.
    Unreserved,
    /// New calls within a window.
    Rate,
    /// Live calls that were not answered yet.
    Ringing,
}

impl Bound {
    /// Whether it is one of live calls, which nodes may share.
    pub fn is_of_calls(self) -> bool {
        matches!(self, Bound::Calls | Bound::Unreserved)
    }
}

/// The limit that a call exceeds, the first in the order of what was wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// Position of the scope in what was wanted.
    pub at: usize,
    /// Its kind.
    pub kind: ScopeKind,
    /// The calls that the limit is for.
    pub direction: Direction,
    /// What is exceeded.
    pub bound: Bound,
    /// Calls right before this one: live ones, those that ring, or new ones in the window.
    pub calls: u32,
    /// Calls that are admitted.
    pub limit: u32,
}

/// Live calls of a scope.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// All, in all directions.
    pub any: u32,
    /// To the scope.
    pub inbound: u32,
    /// From the scope.
    pub outbound: u32,
    /// Emergencies among all.
    pub emergencies: u32,
}

impl Calls {
    /// Those of a direction.
    pub fn of(&self, direction: Direction) -> u32 {
        match direction {
            Direction::Any => self.any,
            Direction::In => self.inbound,
            Direction::Out => self.outbound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_limit_holds_and_none_is_none() {
        assert_eq!(
            [(0, 0), (5, 0), (0, 5), (3, 5), (5, 3)].map(|(a, b)| lower(a, b)),
            [0, 5, 5, 3, 3]
        );
    }

    #[test]
    fn of_two_limits_the_lower_one_holds_for_normal_calls_too() {
        let both = |calls, reserved, own| {
            let limit = Limit { reserved, ..Limit::calls(calls) }.beside(own);
            (limit.calls, limit.reserved)
        };
        assert_eq!(both(100, 10, 0), (100, 10));
        // All that are not emergencies have 5 and not none.
        assert_eq!(both(100, 10, 5), (5, 0));
        assert_eq!(both(100, 10, 90), (90, 0));
        assert_eq!(both(100, 10, 95), (95, 5));
        assert_eq!(both(100, 10, 200), (100, 10));
        assert_eq!((both(0, 0, 5), both(5, 0, 0), both(0, 0, 0)), ((5, 0), (5, 0), (0, 0)));
        // A row that leaves nothing to normal calls.
        assert_eq!((both(3, 3, 0), both(3, 3, 2)), ((3, 3), (2, 2)));
    }

    #[test]
    fn calls_are_near_from_a_percentage_on_or_never() {
        let of = |percent| Limit { near: Limit::near_of(percent), ..Limit::calls(10) };
        let near = |percent| [7, 8, 10, u32::MAX / 200].map(|calls| of(percent).is_near(calls));
        assert_eq!(near(80), [false, true, true, true]);
        assert_eq!(near(0), [false; 4]);
        assert_eq!((of(80).comes_near(8), of(80).comes_near(9)), (true, false));
        assert_eq!((of(0).near_percent(), of(55).near_percent()), (0, 55));
        assert_eq!([0, 1, 70, 71, 100].map(|percent| of(percent).near_calls()), [0, 1, 7, 8, 10]);
        let reserved = |reserved| Limit { reserved, ..of(80) }.near_calls();
        assert_eq!([0, 3, 9, 10].map(reserved), [8, 6, 1, 8]);
        let most = Limit { near: Limit::near_of(100), ..Limit::calls(u32::MAX) };
        assert_eq!(most.near_calls(), u32::MAX);
        assert!(!Limit::calls(10).is_near(10) && !Limit::NONE.is_on());
    }
}
