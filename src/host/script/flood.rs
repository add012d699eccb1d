//! `flood_check`.

use std::cell::Cell;

use super::answer::{About, answer};
use super::judged::{NoSource, judged};
use crate::address::Address;
use crate::clock;
use crate::flood::{FloodCheck, FloodOutcome, Rules};
use crate::host::contract::counters;
use crate::host::contract::message::Message;
use crate::host::report::blocks::{report, report_end};
use crate::host::report::complaint::unknown_flag;
use crate::host::state::rules::{class_of, with_rules};
use crate::host::state::{self, State};
use crate::policy::{self, FloodFlags, FloodNumbers};
use crate::source::Source;
use crate::verdict::{FLOOD_CHECK, Verdict};

/// `flood_check([flags [, ip]])`.
#[inline(always)]
pub fn flood_check(msg: Message<'_>, flags: &[u8]) -> Verdict {
    let (flags, unknown) = FloodFlags::parse(flags);
    if let Some(letter) = unknown {
        unknown_flag(FLOOD_CHECK.name, letter, FloodFlags::KNOWN);
    }
    match (judged(msg, &FLOOD_CHECK), state::get()) {
        (Ok(source), Some(state)) => {
            let (told, verdict, numbers) = decide(state, source, flags);
            tell(msg, flags, (told, verdict), Some(source), About::Flood(numbers))
        }
        (source, _) => untracked(msg, flags, source),
    }
}

/// Nothing is judged: there is no address, or the module has not started.
#[cold]
fn untracked(msg: Message<'_>, flags: FloodFlags, source: Result<Source, NoSource>) -> Verdict {
    let verdict = match source {
        Ok(_) => Verdict::FloodUntracked,
        Err(none) => none.pass(Verdict::FloodUntracked),
    };
    tell(msg, flags, (verdict, verdict), source.ok(), About::Nothing)
}

#[inline(always)]
fn tell(
    msg: Message<'_>,
    flags: FloodFlags,
    (told, judged): (Verdict, Verdict),
    source: Option<Source>,
    about: About,
) -> Verdict {
    // A question is about a request that is counted elsewhere.
    if !flags.peek {
        counters::count_verdict(&FLOOD_CHECK, told);
    }
    answer(msg, FLOOD_CHECK.name, (told, judged), source, about)
}

/// The verdict for the script, the verdict without monitor mode, and the numbers behind it.
#[inline(always)]
fn decide(state: &State, source: Source, flags: FloodFlags) -> (Verdict, Verdict, FloodNumbers) {
    with_rules(state, |rules| {
        let clock = Clock::default();
        let checked = match flags.peek {
            true => peek(state, rules, source.address, &clock),
            false => check(state, rules, source, &clock),
        };
        let judged = policy::flood_verdict(&checked.outcome);
        let told = policy::soften(judged, flags, rules.monitor != 0);
        (told, judged, numbers(rules, &checked, &clock))
    })
}

/// The clock of one check; its last reading serves for the reports. 0: not read yet.
#[derive(Default)]
struct Clock(Cell<u64>);

impl Clock {
    fn read(&self) -> u64 {
        let now = clock::monotonic();
        self.0.set(now);
        now
    }

    fn last(&self) -> u64 {
        match self.0.get() {
            0 => self.read(),
            now => now,
        }
    }
}

#[inline(always)]
fn check(state: &State, rules: &Rules, source: Source, clock: &Clock) -> FloodCheck {
    // Both only rise, so no two pairs of them have one sum.
    let generation = state.store.publication().current() as u32;
    let generation = generation.wrapping_add(rules.sources_version);
    let mut ended = None;
    let class = || class_of(source.address, rules.company_sources());
    let now = || clock.read();
    let checked = state.flood.check(source, rules, generation, now, class, &mut ended);
    if let Some(ended) = &ended {
        report_end(state, ended);
    }
    report(state, rules, &checked, source);
    checked
}

/// The result of a check of a source, without counting.
fn peek(state: &State, rules: &Rules, source: Address, clock: &Clock) -> FloodCheck {
    let (block, seen) = state.flood.look(source, rules, || clock.read());
    let class = class_of(source, rules.company_sources());
    let outcome = match (block.filter(|block| block.reason.applies_to(class)), class) {
        (Some(block), _) => FloodOutcome::Blocked { until: block.until },
        (None, None) => FloodOutcome::Exempt,
        (None, Some(_)) => FloodOutcome::Under,
    };
    let requests = seen.map_or(0, |seen| seen.requests);
    FloodCheck { outcome, class, requests, evicted: false }
}

#[inline(always)]
fn numbers(rules: &Rules, checked: &FloodCheck, clock: &Clock) -> FloodNumbers {
    let block_seconds = match checked.outcome {
        FloodOutcome::Started { until, .. } | FloodOutcome::Blocked { until } => {
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
