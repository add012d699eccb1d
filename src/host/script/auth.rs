//! `auth_check`, `auth_failed`, `auth_ok`.

use super::answer::{self, About};
use super::judged::{NoSource, judged};
use super::spraying;
use crate::auth::{AuthCheck, AuthOutcome, BanChanges, Rules};
use crate::clock;
use crate::host::contract::counters;
use crate::host::contract::message::{self, Attempt, Message};
use crate::host::report::bans::report;
use crate::host::report::complaint::{ComplaintKind, complain};
use crate::host::state::rules::{class_of, is_monitored, prove, source_of, with_auth_rules};
use crate::host::state::{self, State};
use crate::limiter::ClassId;
use crate::policy::{self, AuthFunction, AuthNumbers};
use crate::printable::Printable;
use crate::proven::Proof;
use crate::source::{Learnt, Source};
use crate::spraying::Failure;
use crate::unset::is_unset;
use crate::verdict::{AUTH_CHECK, AUTH_FAILED, AUTH_OK, Function, Verdict};

/// What Kamailio's functions return for a user that does not exist.
const UNKNOWN_USER: &[u8] = b"-3";

/// `auth_check(aor [, ip])`.
#[inline(always)]
pub fn auth_check(msg: Message<'_>, aor: &[u8]) -> Verdict {
    answer(&AUTH_CHECK, msg, aor, AuthFunction::Check, &[])
}

/// `auth_failed(aor [, credentials [, ip [, code]]])`; None: those of the request itself.
pub fn auth_failed(attempt: Attempt<'_>, aor: &[u8], given: Option<&[u8]>) -> Verdict {
    let count = attempt.credential_count();
    let parts = attempt.credentials();
    let (found, credentials) = match &given {
        Some(given) => (true, std::slice::from_ref(given)),
        // With more headers than fit, no fingerprint is taken: every failure counts, so
        // extra headers hide nothing.
        None => (count > 0, parts.get(..count).unwrap_or_default()),
    };
    if given.is_none() && count > 0 && [&b""[..], b"-2", UNKNOWN_USER].contains(&attempt.code()) {
        nonce_answered(attempt.message());
    }
    answer(
        &AUTH_FAILED,
        attempt.message(),
        aor,
        AuthFunction::Failed { credentials: found, failure: failure_of(attempt.code()) },
        credentials,
    )
}

/// What a failure was, by the code of the function that has compared the password.
fn failure_of(code: &[u8]) -> Failure {
    match code {
        UNKNOWN_USER => Failure::UnknownUser,
        _ => Failure::Password,
    }
}

/// `auth_ok(aor [, ip])`.
pub fn auth_ok(msg: Message<'_>, aor: &[u8]) -> Verdict {
    answer(&AUTH_OK, msg, aor, AuthFunction::Succeeded, &[])
}

fn answer(
    function: &'static Function,
    msg: Message<'_>,
    aor: &[u8],
    asked: AuthFunction,
    credentials: &[&[u8]],
) -> Verdict {
    match (judged(msg, function), state::get()) {
        (Ok(source), Some(state)) if !is_unset(aor) => {
            let (told, verdict, numbers) = decide(state, source, aor, asked, credentials);
            tell(function, msg, (told, verdict), Some(source), About::Auth(numbers))
        }
        (source, _) => untracked(function, msg, aor, source),
    }
}

/// Nothing is judged: there is no address or no AoR, or the module has not started.
#[cold]
fn untracked(
    function: &'static Function,
    msg: Message<'_>,
    aor: &[u8],
    source: Result<Source, NoSource>,
) -> Verdict {
    let verdict = match source {
        Ok(_) => Verdict::AuthUntracked,
        Err(none) => none.pass(Verdict::AuthUntracked),
    };
    if source.is_ok() && is_unset(aor) {
        let (name, aor) = (function.name, Printable::short(aor));
        complain(
            ComplaintKind::Login,
            format_args!(
                "{name} passed a request: the AoR is \"{aor}\"; is a variable of the script unset? \
                 (said once a minute)"
            ),
        );
    }
    tell(function, msg, (verdict, verdict), source.ok(), About::Nothing)
}

#[inline(always)]
fn tell(
    function: &'static Function,
    msg: Message<'_>,
    (told, judged): (Verdict, Verdict),
    source: Option<Source>,
    about: About,
) -> Verdict {
    counters::count_verdict(function, judged);
    if told != judged {
        counters::count_verdict(function, told);
    }
    answer::answer(msg, function.name, (told, judged), source, about)
}

/// The verdict for the script, the verdict without monitor mode, and the numbers behind it.
#[inline(always)]
fn decide(
    state: &State,
    Source { address: source, learnt }: Source,
    aor: &[u8],
    asked: AuthFunction,
    credentials: &[&[u8]],
) -> (Verdict, Verdict, AuthNumbers) {
    with_auth_rules(state, |rules| {
        let class = class_of(source, rules.company_sources());
        let mut changes = BanChanges::default();
        let login = state.auth.login(aor, source_of(state, source));
        let clock = clock::monotonic;
        let checked = match asked {
            AuthFunction::Failed { credentials: true, .. } => {
                let known = credentials.iter().any(|text| !text.is_empty());
                let print = || state.auth.fingerprint(credentials.iter().copied());
                let print = known.then(print);
                state.auth.failed(&login, print, class, rules, clock, &mut changes)
            }
            AuthFunction::Succeeded => {
                state.auth.succeeded(&login, class, rules, clock, &mut changes)
            }
            _ => state.auth.check(&login, class, rules, clock, &mut changes),
        };
        let monitored = is_monitored(state, rules);
        report(state, rules, &checked, &changes, (learnt, monitored));
        let mut verdict = policy::auth_verdict(asked, checked.outcome);
        match (asked, checked.outcome) {
            (AuthFunction::Succeeded, AuthOutcome::Clear | AuthOutcome::Exempt) => {
                prove(state, source, Proof::Authentication);
            }
            (
                AuthFunction::Failed { failure, .. },
                AuthOutcome::Counted | AuthOutcome::Started | AuthOutcome::Untracked,
            ) => {
                let judged = Source { address: source, learnt };
                let [aor, ..] = state.auth.aor_hash(aor);
                if spraying::failed(state, rules, judged, (failure, aor), (class, monitored)) {
                    verdict = Verdict::Spraying;
                }
            }
            _ => {}
        }
        let told = policy::watch_auth(verdict, monitored);
        (told, verdict, numbers(rules, class, &checked))
    })
}

/// A wrong password came with a nonce that is good. Its sender has received that nonce, if it is
/// good only for the address that it was sent to.
fn nonce_answered(msg: Message<'_>) {
    let (Ok(source), Some(state)) = (judged(msg, &AUTH_FAILED), state::get()) else { return };
    if source.learnt == Learnt::Packet && message::nonces_are_bound() {
        prove(state, source.address, Proof::Nonce);
    }
}

fn numbers(rules: &Rules, class: Option<ClassId>, checked: &AuthCheck) -> AuthNumbers {
    let left = match checked.until {
        0 => 0,
        until => clock::seconds_left(until, clock::monotonic()),
    };
    AuthNumbers {
        class,
        failures: checked.failures,
        limit: class.map_or(0, |class| rules.class(Some(class)).limit),
        ban_seconds: u32::try_from(left).unwrap_or(u32::MAX),
    }
}
