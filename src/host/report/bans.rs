//! Reports of bans: a log line, a counter, an event.

use super::complaint::{ComplaintKind, complain};
use super::events;
use super::lines::log_of_source;
use crate::address::Prefix;
use crate::auth::{AuthCheck, AuthOutcome, Ban, BanChanges, Rules};
use crate::clock;
use crate::host::contract::counters::{self, Own};
use crate::host::contract::log;
use crate::host::state::State;
use crate::host::state::rules::with_auth_rules;
use crate::limiter::ClassId;
use crate::printable::Printable;
use crate::source::Learnt;
use crate::spraying::Passed;

/// Reports what does not happen with every request.
pub fn report(
    state: &State,
    rules: &Rules,
    checked: &AuthCheck,
    changes: &BanChanges,
    (learnt, monitored): (Learnt, bool),
) {
    if checked.evicted {
        counters::count_own(Own::AuthEvictions);
    }
    if let Some(ban) = &changes.ended {
        report_end(state, ban);
    }
    if let Some(ban) = &changes.started {
        counters::count_own(Own::AuthBansStarted);
        events::ban_started(state, ban, Some((learnt, monitored)));
        let rule = rules.class(ban.class);
        log_of_source(format_args!(
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
    if checked.outcome == AuthOutcome::Untracked {
        complain(
            ComplaintKind::Logins,
            format_args!(
                "failures pass uncounted: auth_sources is full of bans (said once a minute)"
            ),
        );
    }
}

/// A source has passed a limit of spraying; whether it is blocked for it, and whether
/// brute force protection only reports.
#[cold]
pub fn spraying(
    state: &State,
    (source, class): (Prefix, Option<ClassId>),
    passed: &Passed,
    (blocks, monitored): (bool, bool),
) {
    let note = match (blocks, monitored) {
        (false, _) => "; not blocked: flood control never blocks its class",
        (true, true) => " (monitored: nobody is refused)",
        (true, false) => "",
    };
    log_of_source(format_args!(
        "spraying from {}: {} {} in {} s, more than {}, class {}{note}",
        source.name(),
        passed.count,
        passed.measure.name(),
        passed.window,
        passed.limit,
        state.settings.classes.name(class),
    ));
}

/// Reports the end of a ban.
pub fn report_end(state: &State, ban: &Ban) {
    let after = clock::monotonic().saturating_sub(ban.since) / 1000;
    end(state, ban, format_args!("after {after} s"));
}

/// Reports a ban that an operator has lifted.
pub fn report_lift(state: &State, ban: &Ban) {
    end(state, ban, format_args!("an operator said so"));
}

/// Reports the end of a ban whose source has another class now.
pub fn report_outdated(state: &State, ban: &Ban, class: Option<ClassId>) {
    let name = state.settings.classes.name(class);
    end(state, ban, format_args!("its class is now {name}, by tables or settings"));
}

fn end(state: &State, ban: &Ban, why: std::fmt::Arguments<'_>) {
    counters::count_own(Own::AuthBansEnded);
    events::ban_ended(state, ban);
    let (aor, source) = (shown(ban), ban.source.name());
    log_of_source(format_args!(
        "ban of {aor} from {source} ends: {why}; {} requests were refused",
        ban.seen
    ));
}

/// The AoR of a ban, as listings print it.
pub fn shown(ban: &Ban) -> String {
    let more = if ban.aor.is_cut() { "..." } else { "" };
    format!("{}{more}", Printable::full(ban.aor.bytes()))
}

/// At start-up: room, and the rules in force.
pub fn log_start(state: &State) {
    let usage = state.auth.usage();
    log::info(format_args!(
        "room for {} pairs of AoR and source: {} bytes",
        usage.capacity, usage.bytes
    ));
    log_rules(state, &Rules::NONE);
}

/// Logs the rules that are not as `before`, a line for each class.
pub fn log_rules(state: &State, before: &Rules) {
    with_auth_rules(state, |rules| {
        for (class, rule) in rules.changed(before, &state.settings.classes) {
            log::info(format_args!(
                "authentication from class {class}: {} failures in {} s, bans of {} s, then from \
                 {} on",
                rule.limit, rule.window, rule.block, rule.restart,
            ));
        }
    });
}
