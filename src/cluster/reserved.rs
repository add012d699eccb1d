//! Slots that are reserved for emergencies: such a limit is two scopes.

use super::asks::Answer;
use super::key::Part;

/// The scopes that a call asks for, with their limits: of a limit of `calls` live calls with
/// `reserved` of them left for emergencies. An emergency may use them all.
pub fn parts(
    calls: u32,
    reserved: u32,
    emergency: bool,
) -> impl Iterator<Item = (Part, u32)> + Clone {
    let others = (reserved > 0 && !emergency).then(|| calls.saturating_sub(reserved));
    [Some((Part::All, calls)), others.map(|limit| (Part::Others, limit))].into_iter().flatten()
}

/// Whether an emergency is refused: only by a full scope that has reserved slots. One that is
/// not counted at once, whatever nobody knows or has time to tell.
pub fn emergency_is_refused(has_reserved: bool, answer: Option<Answer>) -> bool {
    has_reserved && matches!(answer, Some(Answer::Full { .. }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Key;

    #[test]
    fn an_emergency_may_use_all_slots_and_others_may_not() {
        let parts = |reserved, emergency| parts(10, reserved, emergency).collect::<Vec<_>>();
        assert_eq!(parts(0, false), [(Part::All, 10)]);
        assert_eq!(parts(3, false), [(Part::All, 10), (Part::Others, 7)]);
        assert_eq!(parts(3, true), [(Part::All, 10)]);
        assert_eq!(parts(12, false), [(Part::All, 10), (Part::Others, 0)]);
    }

    #[test]
    fn only_full_reserved_slots_refuse_an_emergency() {
        let full = Answer::Full { key: Key(1), total: 10 };
        assert!(emergency_is_refused(true, Some(full)));
        for answer in [None, Some(Answer::Busy), Some(Answer::Down), Some(Answer::Look)] {
            assert!(!emergency_is_refused(true, answer));
        }
        assert!(!emergency_is_refused(false, Some(full)));
    }
}
