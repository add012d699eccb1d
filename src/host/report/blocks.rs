//! What is told of blocks and throttling: a line, a counter, an event.

use super::complaint::{Kind, complain};
use super::events;
use crate::address::Address;
use crate::clock;
use crate::flood::{Block, Checked, Ended, Outcome, Reason, Rules};
use crate::host::contract::counters::{self, Own};
use crate::host::contract::log;
use crate::host::state::State;
use crate::host::state::rules::with_rules;
use crate::limiter::ClassId;
use crate::source::Source;
use crate::tables::Broadest;

/// Logs and counts what does not happen with every request.
#[inline(always)]
pub fn report(state: &State, rules: &Rules, checked: &Checked, judged: Source) {
    let is_news = match checked.outcome {
        Outcome::Exempt | Outcome::Under | Outcome::Blocked { .. } => checked.evicted,
        Outcome::Throttled { begins } => begins || checked.evicted,
        Outcome::Started { .. } | Outcome::Untracked => true,
    };
    if is_news {
        report_news(state, rules, checked, judged);
    }
}

#[cold]
fn report_news(state: &State, rules: &Rules, checked: &Checked, judged: Source) {
    let Source { address: source, learnt } = judged;
    if checked.evicted {
        counters::count_own(Own::FloodEvictions);
    }
    match checked.outcome {
        Outcome::Started { until, times } => {
            counters::count_own(Own::FloodBlocksStarted);
            let (prefix, since) = (rules.source_of(source), clock::monotonic());
            let reason = Reason::Flood;
            let class = checked.class;
            let ways = learnt.into();
            let block = Block { prefix, class, since, until, seen: 1, times, reason, ways };
            events::block_started(state, &block);
            let seconds = clock::seconds_left(until, since);
            let blocked = format!("; {seconds} s, {times} in a row");
            log_start(state, rules, "block", source, checked.class, &blocked);
        }
        Outcome::Throttled { begins: true } => {
            counters::count_own(Own::FloodThrottlings);
            let prefix = rules.source_of(source);
            let limit = rules.class(checked.class).limit;
            events::throttled(state, (prefix, learnt), checked.class, limit);
            log_start(state, rules, "throttling", source, checked.class, "");
        }
        Outcome::Untracked => complain(
            Kind::Sources,
            format_args!(
                "sources pass uncounted: flood_sources is full of blocks (said once a minute)"
            ),
        ),
        _ => {}
    }
}

#[cold]
fn log_start(
    state: &State,
    rules: &Rules,
    what: &str,
    source: Address,
    class: Option<ClassId>,
    more: &str,
) {
    let rule = rules.class(class);
    let source = rules.source_of(source).name();
    log::warning(format_args!(
        "{what} of {source} starts: more than {} requests in {} ms, class {}{more}{}",
        rule.limit,
        rule.window,
        state.settings.classes.name(class),
        monitor_note(rules),
    ));
}

/// The broadest ranges that can be blocked, so that a typing error does not stop
/// the platform.
pub const BROADEST: Broadest = Broadest { v4: 8, v6: 16 };

/// What a block is worth while the monitor is on.
pub fn monitor_note(rules: &Rules) -> &'static str {
    if rules.monitor != 0 { " (flood_monitor is on: nothing is refused)" } else { "" }
}

/// Logs the rules in force, a line per class that is not as `before`.
pub fn log_rules(state: &State, before: &Rules) {
    with_rules(state, |rules| {
        for class in state.settings.classes.ids().map(Some) {
            let rule = rules.class(class);
            if rule == before.class(class) {
                continue;
            }
            log::info(format_args!(
                "sources of class {}: {} requests in {} ms, blocks of {} to {} s{}",
                state.settings.classes.name(class),
                rule.limit,
                rule.window,
                rule.block,
                rule.block_max,
                monitor_note(rules),
            ));
        }
    });
}

/// The same of a block that its source's class of now would not have.
pub fn report_outdated(state: &State, block: &Block, class: Option<ClassId>) {
    counters::count_own(Own::FloodBlocksEnded);
    events::block_ended(state, block);
    let why = if class == block.class { "which blocks nobody" } else { "by tables or settings" };
    log::warning(format_args!(
        "block of {} ends: its class is now {}, {why}; {} requests were refused",
        block.prefix.name(),
        state.settings.classes.name(class),
        block.seen
    ));
}

/// Logs and counts the end of a block or of throttling.
pub fn report_end(state: &State, ended: &Ended) {
    match ended {
        Ended::Block(block) => {
            counters::count_own(Own::FloodBlocksEnded);
            events::block_ended(state, block);
            log::warning(format_args!(
                "block of {} ends after {} s: {} requests were refused",
                block.prefix.name(),
                clock::monotonic().saturating_sub(block.since) / 1000,
                block.seen
            ));
        }
        Ended::Throttling(prefix, class) => log::warning(format_args!(
            "throttling of {prefix} ends, class {}",
            state.settings.classes.name(*class)
        )),
    }
}
