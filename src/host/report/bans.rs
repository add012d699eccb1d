//! What is told of bans: a line, a counter, an event.

use super::complaint::{Kind, complain};
use super::events;
use crate::auth::{Ban, Checked, Outcome, Rules, Turns};
use crate::clock;
use crate::host::contract::counters::{self, Own};
use crate::host::contract::log;
use crate::host::state::State;
use crate::host::state::rules::with_auth_rules;
use crate::limiter::ClassId;
use crate::printable::Printable;
use crate::source::Learnt;

/// Logs and counts what does not happen with every request.
pub fn report(
    state: &State,
    rules: &Rules,
    checked: &Checked,
    turns: &Turns,
    (learnt, monitored): (Learnt, bool),
) {
    if checked.evicted {
        counters::count_own(Own::AuthEvictions);
    }
    if let Some(ban) = &turns.ended {
        report_end(state, ban);
    }
    if let Some(ban) = &turns.started {
        counters::count_own(Own::AuthBansStarted);
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
    if checked.outcome == Outcome::Untracked {
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
    counters::count_own(Own::AuthBansEnded);
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
pub fn log_rules(state: &State, before: &Rules) {
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
