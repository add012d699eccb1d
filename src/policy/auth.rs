//! Brute force protection: verdicts for the script.

use crate::auth::AuthOutcome;
use crate::spraying::Failure;
use crate::verdict::Verdict;

/// The function that was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthFunction {
    Check,
    /// `auth_failed` with credentials, or without: a challenge.
    Failed {
        /// Whether the request has any.
        credentials: bool,
        failure: Failure,
    },
    Succeeded,
}

pub fn auth_verdict(asked: AuthFunction, outcome: AuthOutcome) -> Verdict {
    match outcome {
        AuthOutcome::Clear => match asked {
            AuthFunction::Succeeded => Verdict::AuthCleared,
            AuthFunction::Failed { credentials: false, .. } => Verdict::AuthChallenge,
            _ => Verdict::AuthClear,
        },
        AuthOutcome::Exempt => Verdict::Exempt,
        AuthOutcome::Counted => Verdict::AuthCounted,
        AuthOutcome::Repeat => Verdict::AuthSame,
        AuthOutcome::Started => Verdict::AuthBanStarted,
        AuthOutcome::Banned => Verdict::AuthBanned,
        AuthOutcome::Untracked => Verdict::AuthUntracked,
    }
}

/// The verdict for the script: with `monitor` nothing is refused.
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
        let challenge = AuthFunction::Failed { credentials: false, failure: Failure::Password };
        let clear = |asked| auth_verdict(asked, AuthOutcome::Clear);
        assert_eq!(clear(AuthFunction::Check), Verdict::AuthClear);
        assert_eq!(clear(AuthFunction::Succeeded), Verdict::AuthCleared);
        assert_eq!(clear(challenge), Verdict::AuthChallenge);
        for refusal in [AuthOutcome::Started, AuthOutcome::Banned] {
            let verdict = auth_verdict(AuthFunction::Check, refusal);
            assert!(verdict.code() < 0);
            assert_eq!(watch_auth(verdict, true), Verdict::AuthMonitored);
            assert_eq!(watch_auth(verdict, false), verdict);
        }
        assert_eq!(watch_auth(Verdict::AuthSame, true), Verdict::AuthSame);
    }
}
