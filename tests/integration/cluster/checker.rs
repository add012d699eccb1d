//! Judges a history: what must not be, and how near to it the calls came. It knows the limits
//! and what was done to the proxies, and nothing of how they count.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};

use super::history::{Attempt, Effect, Fault, History};
use super::lives::{AFTERWARDS, Span, Steps, free_for};

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    pub violations: Vec<String>,
    pub attempts: usize,
    pub admitted: usize,
    /// Of these, by the policy.
    pub alone: usize,
    /// By reason.
    pub refused: BTreeMap<String, usize>,
    /// Most calls that surely lived at a time, by scope.
    pub most: BTreeMap<String, u32>,
    /// Longest time for which a slot was surely free before a call was refused one.
    pub free: u64,
    /// Refusals that nobody can judge, since the machine did not run what it should.
    pub unjudged: usize,
    /// Of each fault: how often it was; most calls above a limit; us from when it was mended
    /// to the last verdict that was not by all nodes' numbers, where nothing else was wrong.
    pub faults: BTreeMap<String, (usize, u32, Option<u64>)>,
}

/// How long a caller waits for an answer.
pub const PATIENCE: u64 = 32_000_000;
/// So long all together, within [`AFTERWARDS`], the machine did not run what it should: sessions
/// with the server have broken, and are mended.
const STARVED: u64 = 500_000;
/// A slot that is given to a node waits no longer for who has asked.
const GIVEN: u64 = 1_000_000;
/// Among so many calls one would be admitted by a node that is back.
const ENOUGH: usize = 40;

/// A scope's numbers.
#[derive(Default)]
struct Numbers {
    limit: u32,
    surely: Steps,
    known: Steps,
    maybe: Vec<Span>,
    /// By node.
    own: Vec<Steps>,
}

/// When each of these calls may have had a slot. Of calls of one node that asked at the same time
/// one may have the slot that was given for another, which is refused.
fn maybe(history: &History, of: &[&Attempt], scope: &str) -> Vec<Span> {
    let mut refused: Vec<&Attempt> = of.iter().filter(|call| !is_admitted(call)).copied().collect();
    refused.sort_by_key(|call| call.asked);
    let given = |call: &Attempt| {
        let before = refused.partition_point(|other| other.asked < call.asked);
        let since = call.asked.saturating_sub(GIVEN);
        let asking = refused[..before].iter().rev().take_while(|other| other.asked >= since);
        let came = call.reached?;
        let overtaken = asking
            .filter(|other| other.node == call.node && other.told.is_none_or(|told| told >= came));
        overtaken.map(|other| other.asked).min()
    };
    let spans = of.iter().filter_map(|call| {
        let (from, to) = history.maybe(call, scope)?;
        Some((given(call).unwrap_or(from), to))
    });
    spans.collect()
}

/// Judges it.
pub fn judge(history: &History) -> Found {
    let mut judge = Judge { history, numbers: BTreeMap::new(), found: Found::default() };
    judge.count();
    judge.peaks();
    judge.admissions();
    judge.refusals();
    judge.returns();
    judge.found
}

struct Judge<'a> {
    history: &'a History,
    numbers: BTreeMap<&'a str, Numbers>,
    found: Found,
}

fn is_admitted(call: &Attempt) -> bool {
    call.verdict == "admitted"
}

/// Whether a scope is one of those that a refusal is about.
fn is_about(verdict: &str, scope: &str) -> bool {
    let kind = scope.split(' ').next().unwrap_or_default();
    match verdict {
        "company_limit" => kind == "company",
        "brand_limit" => kind == "brand",
        "roadwarrior_limit" => kind == "roadwarrior",
        "limit" => !["company", "brand", "roadwarrior"].contains(&kind),
        _ => false,
    }
}

fn is_closed(scope: &str) -> bool {
    scope.starts_with("roadwarrior ")
}

impl<'a> Judge<'a> {
    fn count(&mut self) {
        let history = self.history;
        for (scope, &limit) in &history.rules.limits {
            let of: Vec<&Attempt> =
                history.attempts.iter().filter(|call| call.scopes.contains(scope)).collect();
            let surely = |of: &[&Attempt]| Steps::of(of.iter().filter_map(|c| history.surely(c)));
            let own = (0..history.rules.nodes as usize).map(|node| {
                let of: Vec<_> = of.iter().filter(|call| call.node == node).copied().collect();
                surely(&of)
            });
            let numbers = Numbers {
                limit,
                surely: surely(&of),
                known: Steps::of(of.iter().flat_map(|call| history.known(call, scope))),
                maybe: maybe(history, &of, scope),
                own: own.collect(),
            };
            let most = numbers.surely.most((0, u64::MAX));
            self.found.most.insert(scope.clone(), most);
            if history.rules.full.contains(scope) && most < limit {
                self.say(format!("{scope}: {most} of {limit} slots were ever taken"));
            }
            self.numbers.insert(scope, numbers);
        }
        self.found.attempts = history.attempts.len();
        for call in &history.attempts {
            self.found.admitted += usize::from(is_admitted(call));
            self.found.alone += usize::from(call.is_alone());
            if !is_admitted(call) {
                *self.found.refused.entry(call.verdict.clone()).or_default() += 1;
            }
        }
    }

    fn say(&mut self, violation: String) {
        self.found.violations.push(violation);
    }

    /// Never more calls than the limit; after a fault no more than its policy's bound.
    fn peaks(&mut self) {
        let history = self.history;
        for (scope, &limit) in &history.rules.limits {
            let of = history.attempts.iter().filter(|call| call.scopes.contains(scope));
            let mut ends: Vec<(u64, bool, usize, &Attempt)> = Vec::new();
            for (n, call) in of.enumerate() {
                if let Some((from, to)) = history.surely(call).filter(|(from, to)| from < to) {
                    ends.extend([(from, true, n, call), (to, false, n, call)]);
                }
            }
            ends.sort_unstable_by_key(|(at, begins, n, _)| (*at, *begins, *n));
            let (mut live, mut worst) = (BTreeMap::new(), limit);
            for (at, begins, n, call) in ends {
                if !begins {
                    live.remove(&n);
                    continue;
                }
                live.insert(n, call);
                let count = live.len() as u32;
                if count <= worst {
                    continue;
                }
                worst = count;
                let all: Vec<&Attempt> = live.values().copied().collect();
                let allowed = self.allowed(scope, limit, &all);
                let involved = self.involved(&all).0;
                for n in involved {
                    let of = self.found.faults.entry(history.faults[n].what.clone());
                    let of = of.or_default();
                    of.1 = of.1.max(count - limit);
                }
                if count > allowed {
                    self.say(format!(
                        "{scope}: {count} calls at {at}, at most {allowed} of a limit of {limit} \
                         may be ({})",
                        call.call
                    ));
                }
            }
        }
    }

    /// How many of these calls may live together.
    fn allowed(&self, scope: &str, limit: u32, live: &[&'a Attempt]) -> u32 {
        let (faults, exact) = self.involved(live);
        if exact > limit {
            return limit;
        }
        if faults.is_empty() {
            // By a machine that did not run them; else those are violations by themselves.
            return limit + self.excess_alone(scope, limit);
        }
        let excess = |n: &usize| self.excess(&self.history.faults[*n], scope, limit);
        limit + faults.iter().map(excess).sum::<u32>()
    }

    /// Faults while which these calls were admitted, and how many of them were without one, by
    /// all nodes' numbers.
    fn involved(&self, live: &[&'a Attempt]) -> (BTreeSet<usize>, u32) {
        let (mut exact, mut faults) = (0, BTreeSet::new());
        for call in live {
            let time = (call.asked, call.reached.unwrap_or(call.asked));
            let all = self.history.faults.iter().enumerate();
            let why: Vec<_> = all.filter(|(_, f)| may_exceed(f, call.node, time)).collect();
            exact += u32::from(why.is_empty() && !call.is_alone());
            faults.extend(why.iter().map(|(n, _)| *n));
        }
        (faults, exact)
    }

    /// How many calls above the limit there may be by a fault, as the documents say.
    fn excess(&self, fault: &Fault, scope: &str, limit: u32) -> u32 {
        let alone = self.excess_alone(scope, limit);
        let (given_up, back) = fault.given_up(self.history.rules.dead);
        match fault.effect {
            Effect::Away | Effect::Dies => alone,
            Effect::Silent if given_up < back => limit + alone,
            Effect::Silent => alone,
            Effect::Forgets => limit,
            Effect::Nothing => 0,
        }
    }

    /// The same, if all nodes judge by themselves.
    fn excess_alone(&self, scope: &str, limit: u32) -> u32 {
        if is_closed(scope) { 0 } else { limit.max(self.history.rules.nodes) - 1 }
    }

    /// What a node admits of a limit when nobody else can be asked.
    fn share(&self, scope: &str, limit: u32) -> u32 {
        if is_closed(scope) { 0 } else { (limit / self.history.rules.nodes).max(1) }
    }

    /// A call is admitted while fewer than the limit may live, or by the policy.
    fn admissions(&mut self) {
        for call in &self.history.attempts {
            let Some(reached) = call.reached else { continue };
            let time = (call.asked, reached.max(call.asked + 1) - 1);
            let covered = self.history.faults.iter().any(|fault| fault.covers(call.node, time));
            if call.is_alone() && !covered && !self.is_starved(time) {
                self.say(format!("{}: {} while all was well", call.call, call.passed));
            }
            for scope in &call.scopes {
                let Some(of) = self.numbers.get(scope.as_str()) else { continue };
                let (least, limit) = (of.known.least(time), of.limit);
                let share = self.share(scope, limit);
                if call.is_alone_in(scope) && of.own[call.node].least(time) >= share {
                    self.say(format!("{}: above the share {share} of {scope}", call.call));
                }
                let forgot = self.history.faults.iter().any(|fault| {
                    fault.effect == Effect::Forgets && overlap((fault.from, fault.until), time)
                });
                if least >= limit && !forgot && !call.is_alone_in(scope) {
                    self.say(format!(
                        "{}: admitted to {scope} with {least} calls of {limit}",
                        call.call
                    ));
                }
            }
        }
    }

    /// A call is refused only if its slots are taken, or while a fault lasts.
    fn refusals(&mut self) {
        for call in &self.history.attempts {
            let dead = self.history.surely(call).is_none() && self.history.is_lost(call);
            if is_admitted(call) || dead {
                continue;
            }
            let told = call.told.unwrap_or(call.asked + PATIENCE);
            let time = (call.asked.saturating_sub(self.history.rules.late), told);
            if self.history.faults.iter().any(|fault| fault.covers(call.node, time)) {
                continue;
            }
            let free = self.free_for(call, told);
            if let Some(free) = free.filter(|free| *free <= self.history.rules.late) {
                self.found.free = self.found.free.max(free);
                continue;
            }
            let stalled = self.history.stalls.iter().any(|stall| overlap(*stall, time));
            if self.is_starved(time) || free.is_some() && stalled {
                self.found.unjudged += 1;
                continue;
            }
            match free {
                None if call.told.is_none() => self.say(format!("{}: no answer", call.call)),
                None => self.say(format!("{}: {} while all was well", call.call, call.verdict)),
                Some(free) => {
                    let (verdict, scopes) = (&call.verdict, call.scopes.join(", "));
                    self.say(format!(
                        "{}: {verdict} of {scopes} at {told} with a slot free for {free}",
                        call.call
                    ));
                }
            }
        }
    }

    /// Whether proxies may have lost the server only because the machine did not let them run.
    fn is_starved(&self, (from, to): Span) -> bool {
        let from = from.saturating_sub(AFTERWARDS);
        let within = |stall: &Span| stall.1.min(to).saturating_sub(stall.0.max(from));
        self.history.stalls.iter().map(within).sum::<u64>() >= STARVED
    }

    /// For how long a slot that the refusal is about was surely free; None: it is about no slot.
    fn free_for(&self, call: &Attempt, told: u64) -> Option<u64> {
        let about = call.scopes.iter().filter(|scope| is_about(&call.verdict, scope));
        let free = about.filter_map(|scope| {
            let of = self.numbers.get(scope.as_str())?;
            Some(free_for(&of.maybe, of.limit, (call.asked, told)))
        });
        free.min()
    }

    /// After a fault each node judges calls again.
    fn returns(&mut self) {
        for fault in &self.history.faults {
            let time = (fault.from, fault.until);
            let starved = self.is_starved(time);
            let of = self.found.faults.entry(fault.what.clone()).or_default();
            of.0 += 1;
            let others = self.history.faults.iter().filter(|other| *other != fault);
            let with_others = others.into_iter().any(|f| overlap((f.from, f.until), time));
            if with_others || starved {
                continue;
            }
            let last = self.history.attempts.iter().filter_map(|call| {
                let told = call.told.filter(|told| (fault.from..fault.until).contains(told))?;
                (call.is_alone() || call.verdict.starts_with("cluster_")).then_some(told)
            });
            let last = last.max().unwrap_or(0).saturating_sub(fault.healed);
            of.2 = of.2.max(Some(last));
        }
        let ends: Vec<_> = self.history.faults.iter().map(|fault| fault.until).collect();
        for end in ends {
            for node in 0..self.history.rules.nodes as usize {
                let next =
                    self.history.faults.iter().filter(|f| f.nodes.contains(&node) && f.until > end);
                let next = next.map(|fault| fault.from).min().unwrap_or(u64::MAX);
                let later = |call: &&Attempt| {
                    call.node == node && call.asked > end && call.told.is_some_and(|t| t < next)
                };
                let calls: Vec<_> = self.history.attempts.iter().filter(later).collect();
                let is_back = calls.iter().any(|call| is_admitted(call) && !call.is_alone());
                if calls.len() >= ENOUGH && !is_back {
                    self.say(format!("node {node} admits nothing after {end}"));
                }
            }
        }
    }
}

impl History {
    /// Whether the call went with its node before it was answered.
    fn is_lost(&self, call: &Attempt) -> bool {
        call.verdict == "lost"
            && self.faults.iter().any(|fault| {
                fault.effect == Effect::Dies
                    && fault.hit.contains(&call.node)
                    && fault.from >= call.asked
            })
    }
}

fn overlap(one: Span, other: Span) -> bool {
    one.0 <= other.1 && other.0 <= one.1
}

/// Whether a fault may be why this call is one too many.
fn may_exceed(fault: &Fault, node: usize, time: Span) -> bool {
    match fault.effect {
        Effect::Nothing => false,
        Effect::Away | Effect::Dies => fault.covers(node, time),
        Effect::Silent | Effect::Forgets => overlap((fault.from, fault.until), time),
    }
}

impl Found {
    pub fn is_well(&self) -> bool {
        self.violations.is_empty()
    }
}

impl Display for Found {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Found { attempts, admitted, alone, refused, most, free, unjudged, .. } = self;
        writeln!(f, "{attempts} calls, {admitted} admitted, {alone} of these by the policy")?;
        writeln!(f, "refused: {refused:?}")?;
        writeln!(f, "most at a time: {most:?}")?;
        writeln!(f, "longest time that a slot was free before a refusal: {free} us")?;
        writeln!(f, "not judged, since the machine did not run what it should: {unjudged}")?;
        for (what, (times, above, last)) in &self.faults {
            write!(f, "{what}: {times} times, {above} above a limit")?;
            match last {
                Some(last) => writeln!(f, ", exact after {} ms", last / 1000)?,
                None => writeln!(f)?,
            }
        }
        let more = self.violations.len().saturating_sub(20);
        self.violations.iter().take(20).try_for_each(|line| writeln!(f, "VIOLATION {line}"))?;
        if more > 0 { writeln!(f, "and {more} more") } else { Ok(()) }
    }
}
