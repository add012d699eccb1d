//! `flood_check`.

use std::cell::Cell;

use super::answer::{About, answer};
use super::judged::{NoSource, judged};
use super::listed::refuse_listed;
use crate::address::Address;
use crate::clock;
use crate::flood::{Block, Ended, FloodCheck, FloodOutcome, PATIENCE, Rules, Spending};
use crate::host::contract::counters;
use crate::host::contract::message::Message;
use crate::host::report::blocks::{report, report_end};
use crate::host::report::complaint::unknown_flag;
use crate::host::report::events::{self, subject};
use crate::host::state::rules::{flood_class, is_proven, proofs_of, prove, with_rules};
use crate::host::state::{self, State};
use crate::limiter::Reason;
use crate::policy::{self, FloodFlags, FloodNumbers, Numbers};
use crate::proven::Proof;
use crate::source::{Learnt, Source};
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
            let (told, verdict, numbers) = decide(state, msg, source, flags);
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
fn decide(
    state: &State,
    msg: Message<'_>,
    source: Source,
    flags: FloodFlags,
) -> (Verdict, Verdict, FloodNumbers) {
    with_rules(state, |rules| {
        let clock = Clock::default();
        let checked = match refuse_listed(state, rules, source, !flags.peek) {
            Some(refused) => refused,
            None if flags.peek => peek(state, rules, source.address, &clock),
            None if msg.is_stream() && source.learnt != Learnt::Script => {
                stream(state, rules, source, &clock)
            }
            None => check(state, rules, source, &clock),
        };
        let judged = policy::flood_verdict(&checked.outcome);
        let told = policy::soften(judged, flags, rules.monitor != 0);
        if judged == Verdict::FloodListed && !flags.peek && !flags.emergency {
            tell_listed(msg, source, told != judged);
        }
        (told, judged, numbers(rules, &checked, &clock))
    })
}

/// A listed source can be found among the last refusals.
#[cold]
fn tell_listed(msg: Message<'_>, source: Source, monitored: bool) {
    let (of, none) = (subject(Some(source)), Numbers::NONE);
    events::refused(None, msg, &FLOOD_CHECK, Verdict::FloodListed, monitored, &of, &none);
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
    let mut ended = None;
    let address = source.address;
    let class = || flood_class(state, rules, address).0;
    let may_block = || rules.common.block_unproven != 0 && !is_proven(state, rules, address);
    let (generation, now) = (generation(state, rules), || clock.read());
    let checked =
        state.flood.check_if(source, rules, generation, now, class, may_block, &mut ended);
    let checked = match budget_of(rules, &checked) {
        0 => checked,
        budget => spend(state, rules, address, budget, checked, clock),
    };
    if let Some(ended) = &ended {
        report_end(state, ended);
    }
    report(state, rules, &checked, source);
    checked
}

/// Names the tables and settings that decide classes. Both only rise, so no two pairs of
/// them have one sum.
fn generation(state: &State, rules: &Rules) -> u32 {
    let tables = state.store.publication().current() as u32;
    tables.wrapping_add(rules.sources_version)
}

/// The budget that a request is to be taken from; 0: none.
fn budget_of(rules: &Rules, checked: &FloodCheck) -> u32 {
    match (checked.outcome, checked.class) {
        (FloodOutcome::Under, Some(class)) => rules.class(Some(class)).budget,
        _ => 0,
    }
}

/// Takes a request from the budget of its class, if its source is neither listed nor spared by its proofs.
#[cold]
fn spend(
    state: &State,
    rules: &Rules,
    source: Address,
    budget: u32,
    checked: FloodCheck,
    clock: &Clock,
) -> FloodCheck {
    let (class, is_unlisted) = flood_class(state, rules, source);
    let Some(class) =
        class.filter(|_| is_unlisted && !proofs_of(state, rules, source).spare_budget())
    else {
        return checked;
    };
    let now = clock.last();
    match state.budgets.spend(class, (budget, rules.class(Some(class)).window), now) {
        Spending::Admitted => checked,
        Spending::Refused { since, begins } => {
            let silent = now.saturating_sub(since) >= PATIENCE;
            FloodCheck { outcome: FloodOutcome::OverBudget { begins, silent }, ..checked }
        }
    }
}

/// A request over a connection: nobody else can have sent it, so it counts apart from what may
/// be forged. A block that it starts is one of the source as a whole.
#[inline(never)]
fn stream(state: &State, rules: &Rules, source: Source, clock: &Clock) -> FloodCheck {
    let address = source.address;
    let prefix = rules.source_of(address);
    let (block, _) = state.flood.look(address, rules, || clock.read());
    if block.is_some() {
        return check(state, rules, source, clock);
    }
    prove(state, address, Proof::Connection);
    let mut ended = None;
    let class = || flood_class(state, rules, address).0;
    let (generation, now) = (generation(state, rules), || clock.read());
    let checked = state.streams.check(source, rules, generation, now, class, &mut ended);
    if let Some(ended @ Ended::Throttling(..)) = &ended {
        report_end(state, ended);
    }
    if let FloodOutcome::Started { until, times } = checked.outcome {
        state.streams.lift(prefix);
        let (since, class, ways) = (clock.last(), checked.class, source.learnt.into());
        let reason = Reason::Flood;
        let block = Block { prefix, class, since, until, seen: 1, times, reason, ways };
        if let Ok(Some(over)) = state.flood.block(&block, rules, since) {
            report_end(state, &over);
        }
    }
    report(state, rules, &checked, source);
    checked
}

/// A request of a dialog that counts has come: its sender has received our tag.
pub fn dialog_request(msg: Message<'_>) {
    if let (Some(source), Some(state)) = (msg.sender(), state::get()) {
        prove(state, source.address, Proof::Dialog);
    }
}

/// The result of a check of a source, without counting.
fn peek(state: &State, rules: &Rules, source: Address, clock: &Clock) -> FloodCheck {
    let (block, seen) = state.flood.look(source, rules, || clock.read());
    let (class, _) = flood_class(state, rules, source);
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
