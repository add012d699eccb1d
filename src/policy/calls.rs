//! Calls: which scopes a call counts against, or why it may not be placed.

use super::flags::read_letters;
use crate::ledger::{Bound, Direction, Exceeded, Outcome, ScopeKind, Taken, Wanted};
use crate::snapshot::View;
use crate::verdict::Verdict;

/// What the rule of roadwarriors asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Roadwarrior {
    /// Decided without counting.
    Decided(Verdict),
    /// The call needs one of the user's slots.
    Slot {
        /// Slots that the user has: 1..=3.
        limit: u32,
    },
}

/// Whether a user may send from a source of which `check_company_ip` says `verdict`: not
/// needed where the source is granted; else by the user's own setting. A user who is not
/// listed, or listed for another company, has none.
pub fn roadwarrior(
    snapshot: &View<'_>,
    aor: &[u8],
    company: &[u8],
    verdict: Verdict,
    initial_invite: bool,
) -> Roadwarrior {
    if !matches!(verdict, Verdict::DeniedSource | Verdict::DeniedNoRanges) {
        return Roadwarrior::Decided(verdict);
    }
    // An AoR that is empty or unset (`<null>`) is in no table.
    let limit = match snapshot.user(aor) {
        Some(user) if user.company.id() == company => user.external_calls,
        _ => 0,
    };
    match (limit, initial_invite) {
        (0, _) => Roadwarrior::Decided(Verdict::RoadwarriorNone),
        (_, false) => Roadwarrior::Decided(Verdict::RoadwarriorRequest),
        (limit, true) => Roadwarrior::Slot { limit },
    }
}

/// The scope of a call that a roadwarrior places, and the company whose call it is:
/// listings show it there, though it does not count for it.
pub fn roadwarrior_scopes<'a>(aor: &'a [u8], company: &'a [u8], limit: u32) -> [Wanted<'a>; 2] {
    let shown = Wanted { counts: false, ..Wanted::new(ScopeKind::COMPANY, company, 0) };
    [Wanted::new(ScopeKind::ROADWARRIOR, aor, limit), shown]
}

/// What `cc_limit` makes of an attempt. `watched`: a limit that the call exceeds is
/// told, although it was counted.
pub fn call_verdict(taken: &Taken, emergency: bool, watched: bool) -> Verdict {
    match taken.outcome {
        Outcome::Held => Verdict::CallHeld,
        Outcome::HeldByOther => Verdict::CallHeldByOther,
        Outcome::Duplicate => Verdict::CallDuplicate,
        Outcome::Counted if emergency => Verdict::CallEmergency,
        Outcome::Counted => match &taken.exceeded {
            Some(exceeded) if watched => limit_verdict(exceeded),
            _ if taken.alone => Verdict::CallCountedAlone,
            _ => Verdict::CallCounted,
        },
        Outcome::Refused => taken.exceeded.as_ref().map_or(Verdict::InternalError, limit_verdict),
        Outcome::Full => Verdict::LedgerFull,
        Outcome::ScopesFull => Verdict::ScopesFull,
        Outcome::TooMany => Verdict::TooManyScopes,
        Outcome::Ask => Verdict::ClusterWait,
        Outcome::Down => Verdict::ClusterDown,
    }
}

/// What `roadwarrior_acquire` tells the script of an attempt; `watched` as for
/// [`call_verdict`].
pub fn roadwarrior_verdict(taken: &Taken, watched: bool) -> Verdict {
    match taken.outcome {
        Outcome::Counted => match &taken.exceeded {
            Some(exceeded) if watched => limit_verdict(exceeded),
            _ if taken.alone => Verdict::RoadwarriorCountedAlone,
            _ => Verdict::RoadwarriorCounted,
        },
        Outcome::Held => Verdict::RoadwarriorHeld,
        Outcome::Duplicate => Verdict::CallDuplicate,
        Outcome::HeldByOther => Verdict::RoadwarriorLimit,
        Outcome::Refused => taken.exceeded.as_ref().map_or(Verdict::InternalError, limit_verdict),
        Outcome::Full | Outcome::ScopesFull => Verdict::LedgerFull,
        Outcome::TooMany => Verdict::InternalError,
        Outcome::Ask => Verdict::ClusterWait,
        Outcome::Down => Verdict::ClusterDown,
    }
}

/// The verdict that names a limit.
fn limit_verdict(exceeded: &Exceeded) -> Verdict {
    match exceeded.kind {
        _ if exceeded.bound == Bound::Rate => Verdict::Rate,
        _ if exceeded.bound == Bound::Ringing => Verdict::Ringing,
        ScopeKind::BRAND => Verdict::BrandLimit,
        ScopeKind::COMPANY => Verdict::CompanyLimit,
        ScopeKind::ROADWARRIOR => Verdict::RoadwarriorLimit,
        _ => Verdict::Limit,
    }
}

/// Flags of `cc_limit` and `roadwarrior_acquire`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallFlags {
    /// `e`: an emergency. Only a limit with reserved slots refuses it.
    pub emergency: bool,
    /// `i`: to the company.
    pub inbound: bool,
    /// `o`: from the company.
    pub outbound: bool,
}

impl CallFlags {
    /// Where the call goes, from the company's view.
    pub fn direction(self) -> Direction {
        match (self.inbound, self.outbound) {
            (true, _) => Direction::In,
            (_, true) => Direction::Out,
            _ => Direction::Any,
        }
    }

    /// The letters, for messages.
    pub const KNOWN: &str = "e, i, o";

    /// The letters.
    pub fn letters(self) -> Vec<u8> {
        [(self.emergency, b'e'), (self.inbound, b'i'), (self.outbound, b'o')]
            .into_iter()
            .filter_map(|(on, letter)| on.then_some(letter))
            .collect()
    }

    /// Reads the letters. The first unknown one is the error; the known ones
    /// stand all the same, so that a typing error refuses no emergency call.
    pub fn parse(text: &[u8]) -> (Self, Option<u8>) {
        let mut flags = CallFlags::default();
        let unknown = read_letters(text, |letter| {
            match letter {
                b'e' => flags.emergency = true,
                b'i' => flags.inbound = true,
                b'o' => flags.outbound = true,
                _ => return false,
            }
            true
        });
        (flags, unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_letters_and_a_typing_error_keeps_the_known_ones() {
        let (flags, unknown) = CallFlags::parse(b"eo");
        assert_eq!((flags.emergency, flags.inbound, flags.outbound), (true, false, true));
        assert_eq!(unknown, None);
        let (flags, unknown) = CallFlags::parse(b"xeq");
        assert_eq!((flags.emergency, unknown), (true, Some(b'x')));
    }
}
