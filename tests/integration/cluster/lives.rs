//! When calls surely count, and when they may: from what their two ends have seen.

use super::history::{Attempt, Effect, Fault, History};

/// From one beat of a node to the next.
pub const BEAT: u64 = 1_000_000;
/// Slots of a dead node are free so long after the others have waited for it: a beat until
/// somebody looks, and as much again.
const BURIAL: u64 = 2 * BEAT;

/// After a time in which the machine did not run it a node needs so long to join again.
pub const AFTERWARDS: u64 = 6_000_000;

pub type Span = (u64, u64);

/// A number that changes with time.
#[derive(Default)]
pub struct Steps(Vec<(u64, i64)>);

impl Steps {
    /// How many of these there are at a time. A span ends just before its end.
    pub fn of(spans: impl Iterator<Item = Span>) -> Self {
        let ends = spans.filter(|(from, to)| from < to);
        let mut changes: Vec<(u64, i64)> =
            ends.flat_map(|(from, to)| [(from, 1), (to, -1)]).collect();
        changes.sort_unstable_by_key(|(at, _)| *at);
        let (mut steps, mut count): (Vec<(u64, i64)>, i64) = (Vec::new(), 0);
        for (at, change) in changes {
            count += change;
            match steps.last_mut() {
                Some(last) if last.0 == at => last.1 = count,
                _ => steps.push((at, count)),
            }
        }
        Steps(steps)
    }

    /// The values within a span of which both ends are part.
    fn within(&self, (from, to): Span) -> impl Iterator<Item = u32> {
        let first = self.0.partition_point(|(at, _)| *at <= from);
        let last = self.0.partition_point(|(at, _)| *at <= to);
        let before = if first == 0 { 0 } else { self.0[first - 1].1 };
        let later = self.0[first..last.max(first)].iter().map(|(_, count)| *count);
        [before].into_iter().chain(later).map(|count| count as u32)
    }

    pub fn least(&self, span: Span) -> u32 {
        self.within(span).min().unwrap_or(0)
    }

    pub fn most(&self, span: Span) -> u32 {
        self.within(span).max().unwrap_or(0)
    }
}

/// For how long one of so many slots was surely free within a time: by so much later than they
/// ended calls must have given back their slots, for all to be in use at any one moment of it.
pub fn free_for(calls: &[Span], slots: u32, (from, to): Span) -> u64 {
    let began: Vec<&Span> = calls.iter().filter(|call| call.0 <= to).collect();
    let moments = began.iter().map(|call| call.0).filter(|at| *at > from).chain([from]);
    let free_at = |at: u64| {
        let mut late: Vec<u64> = began
            .iter()
            .filter(|call| call.0 <= at)
            .map(|call| (at + 1).saturating_sub(call.1))
            .collect();
        let last = (slots as usize).saturating_sub(1);
        if last >= late.len() {
            return at.max(1);
        }
        *late.select_nth_unstable(last).1
    };
    moments.map(free_at).min().unwrap_or(0)
}

impl Attempt {
    /// Whether the policy has admitted it.
    pub fn is_alone(&self) -> bool {
        self.passed.contains("_alone")
    }

    /// Whether the policy has given it the slot of this scope. A user's is asked for by itself.
    pub fn is_alone_in(&self, scope: &str) -> bool {
        let mut reasons = self.passed.split(' ');
        let calls = reasons.next().unwrap_or_default();
        let reason = match scope.starts_with("roadwarrior ") {
            true => reasons.next().unwrap_or(calls),
            false => calls,
        };
        reason.ends_with("_alone")
    }
}

impl Fault {
    fn hits(&self, call: &Attempt, effect: Effect) -> bool {
        self.effect == effect && self.hit.contains(&call.node)
    }

    /// When the others may use the slots of a node that is silent.
    pub fn given_up(&self, dead: u64) -> Span {
        (self.from + dead - BEAT, self.until)
    }

    /// Whether it may change the verdict on a call that is judged in this time.
    pub fn covers(&self, node: usize, (from, to): Span) -> bool {
        self.nodes.contains(&node) && from <= self.until && self.from <= to
    }
}

impl History {
    /// When the call's node died.
    fn death(&self, call: &Attempt) -> Option<u64> {
        let deaths = self.faults.iter().filter(|fault| fault.hits(call, Effect::Dies));
        deaths.map(|fault| fault.from).filter(|at| *at >= call.asked).min()
    }

    /// A call counts from before its INVITE comes out of its proxy until after its BYE goes
    /// in.
    pub fn surely(&self, call: &Attempt) -> Option<Span> {
        call.answered?;
        let ends = [call.bye, self.death(call)];
        Some((call.reached?, ends.into_iter().flatten().min().unwrap_or(u64::MAX)))
    }

    /// The same, as far as the others must know of it: not while its node is given up, and if
    /// it was admitted alone not before its node has told it.
    pub fn known(&self, call: &Attempt, scope: &str) -> Vec<Span> {
        let mut spans: Vec<Span> = self.surely(call).into_iter().collect();
        if call.is_alone_in(scope) {
            let time = (call.asked, call.reached.unwrap_or(call.asked));
            let whiles = self.faults.iter().filter(|fault| fault.covers(call.node, time));
            let told = whiles.map(|fault| fault.until).max();
            // Without a fault: a machine that did not run it has parted it from the server.
            let told = told.unwrap_or_else(|| self.parted_until(time.0));
            spans.iter_mut().for_each(|span| span.0 = span.0.max(told));
        }
        for fault in self.faults.iter().filter(|fault| fault.hits(call, Effect::Silent)) {
            let (from, to) = fault.given_up(self.rules.dead);
            if from >= to {
                continue;
            }
            let cut = |span: Span| [(span.0, span.1.min(from)), (span.0.max(to), span.1)];
            spans = spans.into_iter().flat_map(cut).filter(|(from, to)| from < to).collect();
        }
        spans
    }

    /// When a node has surely joined again that the machine did not let run at this time, or
    /// just before.
    fn parted_until(&self, at: u64) -> u64 {
        let mut until = at + AFTERWARDS;
        for (from, to) in &self.stalls {
            if (at.saturating_sub(AFTERWARDS)..=until).contains(from) {
                until = until.max(to + AFTERWARDS);
            }
        }
        until
    }

    /// From its first INVITE until the BYE is answered. A call that was refused may have had a
    /// slot of its user, or one that came too late.
    pub fn maybe(&self, call: &Attempt, scope: &str) -> Option<Span> {
        let in_passing = call.verdict == "cluster_wait"
            || scope.starts_with("roadwarrior ") && call.verdict != "roadwarrior_limit";
        let mut end = match call.answered {
            Some(_) => call.gone.unwrap_or(u64::MAX),
            // The callee has it, and nobody hangs up.
            None if call.reached.is_some() => u64::MAX,
            None if in_passing || call.told.is_none() => call.told.unwrap_or(u64::MAX),
            None => return None,
        };
        let dead = self.rules.dead + BURIAL;
        if let Some(death) = self.death(call) {
            // An end just before is not told any more.
            let told = end < death.saturating_sub(self.rules.late);
            end = if told { end } else { death + dead };
        }
        for fault in self.faults.iter().filter(|fault| fault.hits(call, Effect::Silent)) {
            if fault.from <= end && end <= fault.until {
                // The others are told of its end when the node is back, or given up.
                end = end.max(fault.until.min(fault.from + dead));
            }
        }
        Some((call.asked, end.saturating_add(1)))
    }
}
