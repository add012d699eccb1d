//! `auth_check`, `auth_failed`, `auth_ok`, and what is said of bans.

use super::abi::{sw_attempt, sw_message, sw_text};
use super::call::{self, About, AuthNumbers};
use super::clock;
use super::complaint::{Kind, complain};
use super::entry::{Entry, guard};
use super::flood::with_rules;
use super::process::with_snapshot;
use super::settings::Value;
use super::state::{self, State};
use super::statistics::{self, Own};
use super::{events, log};
use crate::address::{Address, Prefix};
use crate::auth::{Ban, Checked, Rules, RulesCopy, Turns};
use crate::limiter::ClassId;
use crate::policy::{self, Asked};
use crate::printable::Printable;
use crate::source::{Learnt, Source};
use crate::unset::is_unset;
use crate::verdict::{AUTH_CHECK, AUTH_FAILED, AUTH_OK, Function, Verdict};

thread_local! {
    /// This process's copy of the rules.
    static RULES: RulesCopy = const { RulesCopy::new() };
}

/// Runs `f` on the current rules.
pub fn with_auth_rules<R>(state: &State, f: impl FnOnce(&Rules) -> R) -> R {
    RULES.with(|copy| copy.with(&state.auth_rules, f))
}

/// Whether refusals are only watched.
pub fn is_monitored(state: &State, rules: &Rules) -> bool {
    rules.monitor != 0 || with_rules(state, |flood| flood.common.monitor_all != 0)
}

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
    statistics::count_verdict(function, verdict);
    if told != verdict {
        statistics::count_verdict(function, told);
    }
    call::answer(msg, function.name, (told, verdict), source.ok(), about)
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
        let class = class_of(rules, source);
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

/// The source that an address belongs to, as flood control has it.
pub fn source_of(state: &State, address: Address) -> Prefix {
    with_rules(state, |flood| flood.source_of(address))
}

/// The class by the current snapshot; without one everybody is of `default`.
pub fn class_of(rules: &Rules, source: Address) -> Option<ClassId> {
    with_snapshot(|view, _| policy::source_class(view, source, rules.company_sources()).0)
        .unwrap_or(Some(ClassId::DEFAULT))
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

/// Logs and counts what does not happen with every request.
fn report(
    state: &State,
    rules: &Rules,
    checked: &Checked,
    turns: &Turns,
    (learnt, monitored): (Learnt, bool),
) {
    if checked.evicted {
        statistics::count_own(Own::AuthEvictions);
    }
    if let Some(ban) = &turns.ended {
        report_end(state, ban);
    }
    if let Some(ban) = &turns.started {
        statistics::count_own(Own::AuthBansStarted);
        events::ban_started(state, ban, Some((learnt, monitored)));
        let rule = rules.class(ban.class);
        log::warning(format_args!(
            "ban of {} from {} starts: {} failures in {} s, class {}; {} s{}",
            shown(ban),
            ban.source.name(),
            rule.limit,
            rule.window,
            state.settings.classes.name(ban.class),
            clock::seconds_left(ban.until, ban.since),
            if monitored { " (monitored: nobody is refused)" } else { "" },
        ));
    }
    if checked.outcome == crate::auth::Outcome::Untracked {
        complain(
            Kind::Logins,
            format_args!(
                "failures pass uncounted: auth_sources is full of bans (said once a minute)"
            ),
        );
    }
}

/// Logs and counts the end of a ban.
pub fn report_end(state: &State, ban: &Ban) {
    let after = clock::monotonic().saturating_sub(ban.since) / 1000;
    end(state, ban, format_args!("after {after} s"));
}

/// The same for one that an operator has lifted.
pub fn report_lift(state: &State, ban: &Ban) {
    end(state, ban, format_args!("an operator said so"));
}

/// The same for one whose source is of another class now.
pub fn report_outdated(state: &State, ban: &Ban, class: Option<ClassId>) {
    let name = state.settings.classes.name(class);
    end(state, ban, format_args!("its class is now {name}, by tables or settings"));
}

fn end(state: &State, ban: &Ban, why: std::fmt::Arguments<'_>) {
    statistics::count_own(Own::AuthBansEnded);
    events::ban_ended(state, ban);
    let (aor, source) = (shown(ban), ban.source.name());
    log::warning(format_args!(
        "ban of {aor} from {source} ends: {why}; {} requests were refused",
        ban.seen
    ));
}

/// The AoR of a ban as people see it.
pub fn shown(ban: &Ban) -> String {
    let more = if ban.aor.is_cut() { "..." } else { "" };
    format!("{}{more}", Printable::full(ban.aor.bytes()))
}

/// Ends bans whose time is over.
pub fn sweep(state: &State) {
    with_auth_rules(state, |rules| {
        state.auth.sweep(rules, clock::monotonic, |ban| report_end(state, ban));
    });
}

/// Changes a setting, for all processes.
///
/// # Errors
/// A sentence that names parameter and value; nothing has changed then.
pub fn apply_setting(state: &State, index: usize, value: &Value) -> Result<(), String> {
    let before = with_auth_rules(state, |rules| *rules);
    let mut result = Ok(());
    state.auth_rules.change(|auth| result = state.settings.change_auth(auth, index, value));
    result?;
    log_rules(state, &before);
    Ok(())
}

/// At start-up: room, and the rules in force.
pub fn log_start(state: &State) {
    let memory = state.auth.memory();
    log::info(format_args!(
        "authentication: up to {} pairs of AoR and source, {} bytes",
        memory.capacity, memory.bytes
    ));
    log_rules(state, &Rules::NONE);
}

/// Logs a line per class that is not as `before`.
fn log_rules(state: &State, before: &Rules) {
    with_auth_rules(state, |rules| {
        for class in state.settings.classes.ids().map(Some) {
            let rule = rules.class(class);
            if rule == before.class(class) {
                continue;
            }
            log::info(format_args!(
                "authentication from class {}: {} failures in {} s, bans of {} s, then from {} on",
                state.settings.classes.name(class),
                rule.limit,
                rule.window,
                rule.block,
                rule.restart,
            ));
        }
    });
}
