//! `auth_check`, `auth_failed`, `auth_ok`, and what is said of bans.

use super::told::{self, About};
use crate::auth::{Checked, Rules, Turns};
use crate::clock;
use crate::flood::ClassId;
use crate::host::contract::abi::{sw_attempt, sw_message, sw_text};
use crate::host::contract::counters;
use crate::host::contract::guard::{Entry, guard};
use crate::host::report::bans::report;
use crate::host::report::complaint::{Kind, complain};
use crate::host::state::rules::{class_of, is_monitored, source_of, with_auth_rules};
use crate::host::state::{self};
use crate::policy::{self, Asked, AuthNumbers};
use crate::printable::Printable;
use crate::source::Source;
use crate::unset::is_unset;
use crate::verdict::{AUTH_CHECK, AUTH_FAILED, AUTH_OK, Function, Verdict};

/// `auth_check(aor [, ip])`.
pub unsafe extern "C" fn auth_check(msg: *const sw_message, aor: sw_text) -> i32 {
    guard(Entry::AuthCheck, Verdict::AuthUntracked.code(), || {
        // SAFETY: the shim passes a message and a text that outlive the call.
        let (msg, aor) = unsafe { (msg.as_ref(), aor.bytes()) };
        answer(&AUTH_CHECK, msg, aor, Asked::Check, &[])
    })
}

/// `auth_failed(aor [, credentials [, ip]])`; `credentials` is NULL for those of the
/// request itself.
pub unsafe extern "C" fn auth_failed(
    attempt: *const sw_attempt,
    aor: sw_text,
    credentials: *const sw_text,
) -> i32 {
    guard(Entry::AuthFailed, Verdict::AuthUntracked.code(), || {
        // SAFETY: the shim passes a message and texts that outlive the call.
        let (attempt, aor, given) =
            unsafe { (attempt.as_ref(), aor.bytes(), credentials.as_ref().map(|t| t.bytes())) };
        let Some(attempt) = attempt else { return Verdict::AuthUntracked.code() };
        let count = attempt.credential_count as usize;
        // SAFETY: as above.
        let parts = attempt.credentials.map(|text| unsafe { text.bytes() });
        let (found, credentials) = match &given {
            Some(given) => (true, std::slice::from_ref(given)),
            // More than fit are not told from others, so that none can hide.
            None => (count > 0, parts.get(..count).unwrap_or_default()),
        };
        let asked = Asked::Failed { credentials: found };
        answer(&AUTH_FAILED, Some(&attempt.msg), aor, asked, credentials)
    })
}

/// `auth_ok(aor [, ip])`.
pub unsafe extern "C" fn auth_ok(msg: *const sw_message, aor: sw_text) -> i32 {
    guard(Entry::AuthOk, Verdict::AuthUntracked.code(), || {
        // SAFETY: the shim passes a message and a text that outlive the call.
        let (msg, aor) = unsafe { (msg.as_ref(), aor.bytes()) };
        answer(&AUTH_OK, msg, aor, Asked::Succeeded, &[])
    })
}

fn answer(
    function: &'static Function,
    msg: Option<&sw_message>,
    aor: &[u8],
    asked: Asked,
    credentials: &[&[u8]],
) -> i32 {
    let Some(msg) = msg else { return Verdict::AuthUntracked.code() };
    let source = msg.judged(function);
    let (verdict, told, about) = match source {
        Ok(source) => decide(function, source, aor, asked, credentials),
        Err(none) => unjudged(none.pass(Verdict::AuthUntracked)),
    };
    counters::count_verdict(function, verdict);
    if told != verdict {
        counters::count_verdict(function, told);
    }
    told::answer(msg, function.name, (told, verdict), source.ok(), about)
}

/// What the script is told where nothing is judged.
fn unjudged(verdict: Verdict) -> (Verdict, Verdict, About) {
    (verdict, verdict, About::Nothing)
}

/// The verdict, what the script is told of it, and the numbers behind it.
fn decide(
    function: &Function,
    Source { address: source, learnt }: Source,
    aor: &[u8],
    asked: Asked,
    credentials: &[&[u8]],
) -> (Verdict, Verdict, About) {
    let Some(state) = state::get() else { return unjudged(Verdict::AuthUntracked) };
    if is_unset(aor) {
        let (name, aor) = (function.name, Printable::short(aor));
        complain(
            Kind::Login,
            format_args!(
                "{name} passed a request: the AoR is \"{aor}\"; is a variable of the script unset? \
                 (said once a minute)"
            ),
        );
        return unjudged(Verdict::AuthUntracked);
    }
    with_auth_rules(state, |rules| {
        let class = class_of(source, rules.company_sources());
        let mut turns = Turns::default();
        let login = state.auth.login(aor, source_of(state, source));
        let clock = clock::monotonic;
        let checked = match asked {
            Asked::Failed { credentials: true } => {
                let known = credentials.iter().any(|text| !text.is_empty());
                let print = || state.auth.fingerprint(credentials.iter().copied());
                let print = known.then(print);
                state.auth.failed(&login, print, class, rules, clock, &mut turns)
            }
            Asked::Succeeded => state.auth.succeeded(&login, class, rules, clock, &mut turns),
            _ => state.auth.check(&login, class, rules, clock, &mut turns),
        };
        let monitored = is_monitored(state, rules);
        report(state, rules, &checked, &turns, (learnt, monitored));
        let verdict = policy::auth_verdict(asked, checked.outcome);
        let told = policy::watch_auth(verdict, monitored);
        (verdict, told, About::Auth(numbers(rules, class, &checked)))
    })
}

fn numbers(rules: &Rules, class: Option<ClassId>, checked: &Checked) -> AuthNumbers {
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
