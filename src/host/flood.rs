//! `flood_check`, and what is said of blocks.

use std::cell::Cell;

use super::abi::{sw_message, sw_text};
use super::call::{About, FloodNumbers, answer};
use super::clock;
use super::complaint::{Kind, complain, unknown_flag};
use super::entry::{Entry, guard};
use super::events;
use super::log;
use super::process::with_snapshot;
use super::state::{self, State};
use super::statistics::{self, Own};
use crate::address::Address;
use crate::flood::{Block, Checked, Ended, Outcome, Reason, Rules, RulesCopy};
use crate::limiter::ClassId;
use crate::policy::{self, FloodFlags};
use crate::source::Source;
use crate::tables::Broadest;
use crate::verdict::{FLOOD_CHECK, Verdict};

thread_local! {
    /// This process's copy of the rules.
    static RULES: RulesCopy = const { RulesCopy::new() };
}

/// Runs `f` on the current rules.
pub fn with_rules<R>(state: &State, f: impl FnOnce(&Rules) -> R) -> R {
    RULES.with(|copy| copy.with(&state.flood_rules, f))
}

/// `flood_check([flags [, ip]])`.
pub unsafe extern "C" fn flood_check(msg: *const sw_message, flags: sw_text) -> i32 {
    guard(Entry::FloodCheck, Verdict::FloodUntracked.code(), || {
        // SAFETY: the shim passes a message and a text that outlive the call.
        let (msg, flags) = unsafe { (msg.as_ref(), flags.bytes()) };
        let Some(msg) = msg else { return Verdict::FloodUntracked.code() };
        let (flags, unknown) = FloodFlags::parse(flags);
        if let Some(letter) = unknown {
            unknown_flag(FLOOD_CHECK.name, letter, "e, p");
        }
        let source = msg.judged(&FLOOD_CHECK);
        let (verdict, judged, about) = match source {
            Ok(source) => decide(source, flags),
            Err(none) => unjudged(none.pass(Verdict::FloodUntracked)),
        };
        // A question is about a request that is counted elsewhere.
        if !flags.peek {
            statistics::count_verdict(&FLOOD_CHECK, verdict);
        }
        answer(msg, FLOOD_CHECK.name, (verdict, judged), source.ok(), about)
    })
}

/// What the script is told where nothing is judged.
fn unjudged(verdict: Verdict) -> (Verdict, Verdict, About) {
    (verdict, verdict, About::Nothing)
}

/// What the script is told, what was judged, and about what.
fn decide(source: Source, flags: FloodFlags) -> (Verdict, Verdict, About) {
    let Some(state) = state::get() else { return unjudged(Verdict::FloodUntracked) };
    with_rules(state, |rules| {
        let clock = Clock::default();
        let checked = match flags.peek {
            true => peek(state, rules, source.address, &clock),
            false => check(state, rules, source, &clock),
        };
        let judged = policy::flood_verdict(&checked.outcome);
        let verdict = policy::soften(judged, flags, rules.monitor != 0);
        (verdict, judged, About::Flood(numbers(rules, &checked, &clock)))
    })
}

/// The clock of one check; what it showed last serves for what is said afterwards.
#[derive(Default)]
struct Clock(Cell<Option<u64>>);

impl Clock {
    fn read(&self) -> u64 {
        let now = clock::monotonic();
        self.0.set(Some(now));
        now
    }

    fn last(&self) -> u64 {
        self.0.get().unwrap_or_else(|| self.read())
    }
}

#[inline(always)]
fn check(state: &State, rules: &Rules, source: Source, clock: &Clock) -> Checked {
    // Both only rise, so no two pairs of them have one sum.
    let generation = state.store.publication().current() as u32;
    let generation = generation.wrapping_add(rules.sources_version);
    let mut ended = None;
    let class = || class_of(rules, source.address);
    let now = || clock.read();
    let checked = state.flood.check(source, rules, generation, now, class, &mut ended);
    if let Some(ended) = &ended {
        report_end(state, ended);
    }
    report(state, rules, &checked, source);
    checked
}

/// The class by the current snapshot; without one everybody is of `default`.
fn class_of(rules: &Rules, source: Address) -> Option<ClassId> {
    with_snapshot(|view, _| policy::source_class(view, source, rules.company_sources()).0)
        .unwrap_or(Some(ClassId::DEFAULT))
}

/// What a check would say of a blocked source, without counting.
fn peek(state: &State, rules: &Rules, source: Address, clock: &Clock) -> Checked {
    let (block, seen) = state.flood.look(source, rules, || clock.read());
    let class = class_of(rules, source);
    let outcome = match (block.filter(|block| block.applies_to(class)), class) {
        (Some(block), _) => Outcome::Blocked { until: block.until },
        (None, None) => Outcome::Exempt,
        (None, Some(_)) => Outcome::Under,
    };
    let requests = seen.map_or(0, |seen| seen.requests);
    Checked { outcome, class, requests, evicted: false }
}

fn numbers(rules: &Rules, checked: &Checked, clock: &Clock) -> FloodNumbers {
    let block_seconds = match checked.outcome {
        Outcome::Started { until, .. } | Outcome::Blocked { until } => {
            clock::seconds_left(until, clock.last())
        }
        _ => 0,
    };
    FloodNumbers {
        class: checked.class,
        requests: checked.requests,
        limit: checked.class.map_or(0, |class| rules.class(Some(class)).limit),
        block_seconds: u32::try_from(block_seconds).unwrap_or(u32::MAX),
    }
}

/// Logs and counts what does not happen with every request.
fn report(state: &State, rules: &Rules, checked: &Checked, judged: Source) {
    let Source { address: source, learnt } = judged;
    if checked.evicted {
        statistics::count_own(Own::FloodEvictions);
    }
    match checked.outcome {
        Outcome::Started { until, times } => {
            statistics::count_own(Own::FloodBlocksStarted);
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
            statistics::count_own(Own::FloodThrottlings);
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
    statistics::count_own(Own::FloodBlocksEnded);
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
            statistics::count_own(Own::FloodBlocksEnded);
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
