//! Flood control: the class of a source, and verdicts for the script.

use super::flags::read_letters;
use crate::address::Address;
use crate::flood::FloodOutcome;
use crate::limiter::ClassId;
use crate::snapshot::{SourceKind, View};
use crate::verdict::Verdict;

/// The class of a source, None if exempt, and the rule behind it. `company_sources` is the
/// class of companies' ranges.
pub fn source_class(
    snapshot: &View<'_>,
    source: Address,
    company_sources: Option<ClassId>,
) -> (Option<ClassId>, SourceKind) {
    let kind = snapshot.source_kind(source);
    let class = match kind {
        SourceKind::Trusted(class) => class,
        SourceKind::Company => company_sources,
        SourceKind::Anybody => Some(ClassId::DEFAULT),
    };
    (class, kind)
}

pub fn flood_verdict(outcome: &FloodOutcome) -> Verdict {
    match outcome {
        FloodOutcome::Listed => Verdict::FloodListed,
        FloodOutcome::Exempt => Verdict::Exempt,
        FloodOutcome::Under => Verdict::UnderLimit,
        FloodOutcome::Untracked => Verdict::FloodUntracked,
        FloodOutcome::Started { .. } => Verdict::FloodStarted,
        FloodOutcome::Blocked { .. } => Verdict::FloodBlocked,
        FloodOutcome::Throttled { .. } => Verdict::FloodThrottled,
        FloodOutcome::Unproven { .. } => Verdict::FloodUnproven,
        FloodOutcome::OverBudget { silent: false, .. } => Verdict::FloodBudget,
        FloodOutcome::OverBudget { silent: true, .. } => Verdict::FloodBudgetSilent,
    }
}

/// The verdict for the script: an emergency is never refused, and with `monitor` nothing is.
pub fn soften(verdict: Verdict, flags: FloodFlags, monitor: bool) -> Verdict {
    match verdict.code() {
        ..0 if flags.emergency => Verdict::FloodEmergency,
        ..0 if monitor => Verdict::FloodMonitored,
        _ => verdict,
    }
}

/// Flags of `flood_check`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FloodFlags {
    /// `e`: an emergency, counted and never refused.
    pub emergency: bool,
    /// `p`: only asks whether the source is blocked; counts nothing.
    pub peek: bool,
}

impl FloodFlags {
    /// The letters, for messages.
    pub const KNOWN: &str = "e, p";

    /// Reads the letters; with them the first unknown one.
    pub fn parse(text: &[u8]) -> (Self, Option<u8>) {
        let mut flags = FloodFlags::default();
        let unknown = read_letters(text, |letter| {
            match letter {
                b'e' => flags.emergency = true,
                b'p' => flags.peek = true,
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
    fn refusals_become_permissions_for_emergencies_and_monitors_only() {
        let none = FloodFlags::default();
        let (emergency, unknown) = FloodFlags::parse(b"ex");
        assert_eq!((emergency.emergency, emergency.peek, unknown), (true, false, Some(b'x')));
        let refused = Verdict::FloodThrottled;
        assert_eq!(soften(refused, none, false), refused);
        assert_eq!(soften(refused, none, true), Verdict::FloodMonitored);
        assert_eq!(soften(refused, emergency, true), Verdict::FloodEmergency);
        assert_eq!(soften(Verdict::UnderLimit, emergency, true), Verdict::UnderLimit);
        assert_eq!(soften(Verdict::FloodUntracked, none, true), Verdict::FloodUntracked);
    }
}
