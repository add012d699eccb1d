//! Brute force protection: what the script is told.

use crate::auth::Outcome;
use crate::verdict::Verdict;

/// Which of the three functions was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// `auth_check`.
    Check,
    /// `auth_failed` with credentials, or without: a challenge.
    Failed {
        /// Whether the request has any.
        credentials: bool,
    },
    /// `auth_ok`.
    Succeeded,
}

/// The verdict on an outcome.
pub fn auth_verdict(asked: Asked, outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Clear => match asked {
            Asked::Succeeded => Verdict::AuthCleared,
            Asked::Failed { credentials: false } => Verdict::AuthChallenge,
            _ => Verdict::AuthClear,
        },
        Outcome::Exempt => Verdict::Exempt,
        Outcome::Counted => Verdict::AuthCounted,
        Outcome::Same => Verdict::AuthSame,
        Outcome::Started => Verdict::AuthBanStarted,
        Outcome::Banned => Verdict::AuthBanned,
        Outcome::Untracked => Verdict::AuthUntracked,
    }
}

/// What the script is told of a verdict: with `monitor` nobody is refused.
pub fn watch_auth(verdict: Verdict, monitor: bool) -> Verdict {
    match verdict.code() {
        ..0 if monitor => Verdict::AuthMonitored,
        _ => verdict,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_function_has_its_own_word_for_all_is_well() {
        let clear = |asked| auth_verdict(asked, Outcome::Clear);
        assert_eq!(clear(Asked::Check), Verdict::AuthClear);
        assert_eq!(clear(Asked::Succeeded), Verdict::AuthCleared);
        assert_eq!(clear(Asked::Failed { credentials: false }), Verdict::AuthChallenge);
        for refusal in [Outcome::Started, Outcome::Banned] {
            let verdict = auth_verdict(Asked::Check, refusal);
            assert!(verdict.code() < 0);
            assert_eq!(watch_auth(verdict, true), Verdict::AuthMonitored);
            assert_eq!(watch_auth(verdict, false), verdict);
        }
        assert_eq!(watch_auth(Verdict::AuthSame, true), Verdict::AuthSame);
    }
}
