//! Reports of blocks and throttling: a log line, a counter, an event.

use super::complaint::{ComplaintKind, complain};
use super::events;
use crate::address::{Address, Prefix};
use crate::clock;
use crate::feeds::BROADEST;
use crate::flood::{Block, Ended, FloodCheck, FloodOutcome, Rules};
use crate::host::contract::counters::{self, Own};
use crate::host::contract::log;
use crate::host::state::State;
use crate::host::state::rules::with_rules;
use crate::limiter::{ClassId, Reason};
use crate::source::Source;
use crate::tables::MinPrefix;
use crate::verdict::Verdict;

/// Reports what does not happen with every request.
#[inline(always)]
pub fn report(state: &State, rules: &Rules, checked: &FloodCheck, judged: Source) {
    let is_news = match checked.outcome {
        FloodOutcome::Exempt
        | FloodOutcome::Under
        | FloodOutcome::Listed
        | FloodOutcome::Blocked { .. } => checked.evicted,
        FloodOutcome::Throttled { begins }
        | FloodOutcome::Unproven { begins }
        | FloodOutcome::OverBudget { begins, .. } => begins || checked.evicted,
        FloodOutcome::Started { .. } | FloodOutcome::Untracked => true,
    };
    if is_news {
        report_news(state, rules, checked, judged);
    }
}

#[cold]
fn report_news(state: &State, rules: &Rules, checked: &FloodCheck, judged: Source) {
    let Source { address: source, learnt } = judged;
    if checked.evicted {
        counters::count_own(Own::FloodEvictions);
    }
    match checked.outcome {
        FloodOutcome::Started { until, times } => {
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
        FloodOutcome::Throttled { begins: true } => {
            counters::count_own(Own::FloodThrottlings);
            let prefix = rules.source_of(source);
            let limit = rules.class(checked.class).limit;
            let verdict = Verdict::FloodThrottled;
            events::throttled(state, (prefix, learnt), checked.class, limit, verdict);
            log_start(state, rules, "throttling", source, checked.class, "");
        }
        FloodOutcome::Unproven { begins: true } => {
            counters::count_own(Own::FloodThrottlings);
            let (prefix, verdict) = (rules.source_of(source), Verdict::FloodUnproven);
            let limit = rules.class(checked.class).limit;
            events::throttled(state, (prefix, learnt), checked.class, limit, verdict);
            let why = "; not blocked: anybody may have forged these requests";
            log_start(state, rules, "throttling", source, checked.class, why);
        }
        FloodOutcome::OverBudget { begins: true, .. } => budget_spent(state, rules, checked.class),
        FloodOutcome::Untracked => no_room(),
        _ => {}
    }
}

#[cold]
fn budget_spent(state: &State, rules: &Rules, class: Option<ClassId>) {
    let rule = rules.class(class);
    events::budget_spent(state, class, rule.budget);
    log::warning(format_args!(
        "the budget of class {} is spent: {} requests of unknown sources in {} ms; proven and \
         listed sources are served{}",
        state.settings.classes.name(class),
        rule.budget,
        rule.window,
        monitor_note(rules),
    ));
}

/// Reports the start of a block, at `now`, that no request over its limit has started: `why`
/// it was; and what has ended with that.
pub fn started(
    state: &State,
    rules: &Rules,
    (block, now): (&Block, u64),
    over: Option<&Ended>,
    why: &str,
) {
    if let Some(over) = over {
        report_end(state, over);
    }
    counters::count_own(Own::FloodBlocksStarted);
    events::block_started(state, block);
    log::warning(format_args!(
        "block of {} starts: {why}; {} s{}",
        block.prefix.name(),
        clock::seconds_left(block.until, now),
        monitor_note(rules),
    ));
}

/// Says that there is no room for a block, or to count.
pub fn no_room() {
    complain(
        ComplaintKind::Sources,
        format_args!(
            "sources pass uncounted: flood_sources is full of blocks (said once a minute)"
        ),
    );
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

/// Broader ranges cannot be blocked, so that a typing error does not stop the platform.
pub const MIN_BLOCK_PREFIX: MinPrefix = BROADEST;

/// A note in lines about blocks while the monitor is on.
fn monitor_note(rules: &Rules) -> &'static str {
    if rules.monitor != 0 { " (flood_monitor is on: nothing is refused)" } else { "" }
}

/// Logs the rules that are not as `before`, a line for each class.
pub fn log_rules(state: &State, before: &Rules) {
    with_rules(state, |rules| {
        for (class, rule) in rules.changed(before, &state.settings.classes) {
            log::info(format_args!(
                "sources of class {class}: {} requests in {} ms, blocks of {} to {} s{}",
                rule.limit,
                rule.window,
                rule.block,
                rule.block_max,
                monitor_note(rules),
            ));
        }
    });
}

/// Reports the end of a block that its source's current class does not allow.
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

/// Lifts the blocks in a prefix, or all, and forgets the evidence: an operator said so. How
/// many were lifted.
pub fn lift(state: &State, prefix: Option<Prefix>) -> u64 {
    let mut lifted = 0;
    state.flood.forget(prefix, |ended| match &ended {
        Ended::Block(block) => {
            lifted += 1;
            counters::count_own(Own::FloodBlocksEnded);
            events::block_ended(state, block);
            log::warning(format_args!(
                "block of {} ends: an operator said so; {} requests were refused",
                block.prefix.name(),
                block.seen
            ));
        }
        Ended::Throttling(..) => report_end(state, &ended),
    });
    state.streams.forget(prefix, |_| {});
    state.spraying.forget(prefix);
    lifted
}

/// Reports the end of a block or of throttling.
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
