//! Calls: which scopes a call counts against, or why it may not be placed.

use super::flags::read_letters;
use super::source::check_company_ip;
use crate::address::Address;
use crate::ledger::{Outcome, Scope, ScopeKind, Wanted};
use crate::snapshot::{CompanyView, View};
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

/// Whether a user may send from a source: not needed where the source is
/// granted; else by the user's own setting. A user who is not listed, or listed
/// for another company, has none.
pub fn roadwarrior(
    snapshot: &View<'_>,
    aor: &[u8],
    company: &[u8],
    source: Address,
    initial_invite: bool,
) -> Roadwarrior {
    let verdict = check_company_ip(snapshot, company, source).verdict;
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

/// The scopes of an external call of a company.
pub fn call_scopes<'a>(company: &CompanyView<'a>) -> [Wanted<'a>; 2] {
    let (brand, brand_limit) = company.brand();
    [
        wanted(ScopeKind::Brand, brand, brand_limit),
        wanted(ScopeKind::Company, company.id(), company.max_calls()),
    ]
}

/// The scope of a call that a roadwarrior places, and the company whose call it is:
/// listings show it there, though it does not count for it.
pub fn user_scopes<'a>(aor: &'a [u8], company: &'a [u8], limit: u32) -> [Wanted<'a>; 2] {
    let shown = Wanted { counts: false, ..wanted(ScopeKind::Company, company, 0) };
    [wanted(ScopeKind::User, aor, limit), shown]
}

fn wanted(kind: ScopeKind, id: &[u8], limit: u32) -> Wanted<'_> {
    Wanted { scope: Scope { kind, id }, limit, counts: true }
}

/// What `cc_limit` makes of an outcome. A refusal of an emergency call means
/// that it could not be counted; it is allowed all the same.
pub fn call_verdict(outcome: Outcome, emergency: bool) -> Verdict {
    match outcome {
        Outcome::Held => Verdict::CallHeld,
        Outcome::HeldByOther => Verdict::CallHeldByOther,
        Outcome::Duplicate => Verdict::CallDuplicate,
        Outcome::Counted if emergency => Verdict::CallEmergency,
        Outcome::Counted => Verdict::CallCounted,
        Outcome::Refused(ScopeKind::Brand) => Verdict::BrandLimit,
        Outcome::Refused(_) => Verdict::CompanyLimit,
        Outcome::Full => Verdict::LedgerFull,
    }
}

/// What `roadwarrior_acquire` tells the script of an outcome.
pub fn roadwarrior_verdict(outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Counted => Verdict::RoadwarriorCounted,
        Outcome::Held => Verdict::RoadwarriorHeld,
        Outcome::Duplicate => Verdict::CallDuplicate,
        Outcome::HeldByOther => Verdict::RoadwarriorLimit,
        Outcome::Refused(_) => Verdict::RoadwarriorLimit,
        Outcome::Full => Verdict::LedgerFull,
    }
}

/// Flags of `cc_limit` and `roadwarrior_acquire`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallFlags {
    /// `e`: an emergency, never refused.
    pub emergency: bool,
    /// `i`: to the company.
    pub inbound: bool,
    /// `o`: from the company.
    pub outbound: bool,
}

impl CallFlags {
    /// The letters, for messages.
    pub const KNOWN: &str = "e, i, o";

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
