//! Calls whose limits are shared with other nodes: they wait for the broker's answer, and
//! where nobody can judge them, the policy does.

use std::time::{Duration, Instant};

use crate::clock;
use crate::cluster::{Answer, Judgement, Share, emergency_is_refused};
use crate::desk::Desk;
use crate::host::state::State;
use crate::ledger::{
    Call, Direction, Enforcement, Limit, Outcome, Scope, ScopeKind, Taken, Waiting, Wanted,
};

/// A scope that a call shall count against, without the tables that it came from: nobody
/// waits while it reads them.
struct Owned {
    kind: ScopeKind,
    id: Vec<u8>,
    direction: Direction,
    limit: Limit,
    directed: Limit,
    counts: bool,
}

impl Owned {
    fn new(want: &Wanted<'_>) -> Self {
        let &Wanted { scope: Scope { kind, id }, direction, limit, directed, counts, .. } = want;
        Owned { kind, id: id.to_vec(), direction, limit, directed, counts }
    }

    fn wanted(&self) -> Wanted<'_> {
        let &Owned { kind, ref id, direction, limit, directed, counts } = self;
        Wanted { scope: Scope { kind, id }, key: None, direction, limit, directed, counts }
    }
}

/// A call that has to wait.
pub struct Later {
    scopes: Vec<Owned>,
    waiting: Waiting,
    enforcement: Enforcement,
    trusted: bool,
}

/// Counts a call that need not wait.
///
/// # Errors
/// It has to.
pub fn begin(
    state: &State,
    desk: &Desk,
    call: &Call<'_>,
    wanted: &[Wanted<'_>],
    enforcement: Enforcement,
) -> Result<Taken, Box<Later>> {
    let trusted = desk.standing.trust().admits(clock::boottime());
    let mut waiting = Waiting::new(trusted);
    let taken = state.ledger.take_shared(call, wanted, enforcement, &mut waiting);
    if taken.outcome != Outcome::Ask {
        return Ok(taken);
    }
    let scopes = wanted.iter().map(Owned::new).collect();
    Err(Box::new(Later { scopes, waiting, enforcement, trusted }))
}

impl Later {
    /// What it shall count against.
    pub fn wanted(&self) -> Vec<Wanted<'_>> {
        self.scopes.iter().map(Owned::wanted).collect()
    }

    /// Waits, and counts the call or not. The caller reads no tables meanwhile.
    pub fn finish(mut self, state: &State, desk: &Desk, call: &Call<'_>) -> (Taken, Self) {
        let since = clock::boottime();
        let scopes = std::mem::take(&mut self.scopes);
        let wanted: Vec<_> = scopes.iter().map(Owned::wanted).collect();
        let asked = if self.trusted { self.ask(state, desk, call, &wanted) } else { Err(None) };
        state.ledger.stop_waiting(&self.waiting);
        let taken = match asked {
            Ok(taken) => taken,
            Err(answer) => self.judge(state, desk, call, &wanted, answer, since),
        };
        drop(wanted);
        self.scopes = scopes;
        (taken, self)
    }

    /// Err: nobody could say whether there is a slot.
    fn ask(
        &mut self,
        state: &State,
        desk: &Desk,
        call: &Call<'_>,
        wanted: &[Wanted<'_>],
    ) -> Result<Taken, Option<Answer>> {
        if desk.standing.is_open() {
            return Err(None);
        }
        let timeout = Duration::from_millis(desk.standing.policies().timeout);
        let deadline = Instant::now() + timeout;
        loop {
            let answer = desk.ask(self.waiting.wants(), deadline);
            desk.standing.count_ask(answer.is_none());
            let (Some(Answer::Look) | Some(Answer::Full { .. })) = answer else {
                if answer.is_none() {
                    desk.standing.break_with(|breaker| breaker.timed_out());
                }
                return Err(answer);
            };
            if !desk.standing.trust().admits(clock::boottime()) {
                return Err(None);
            }
            let taken = state.ledger.take_shared(call, wanted, self.enforcement, &mut self.waiting);
            match answer {
                _ if taken.outcome != Outcome::Ask => return Ok(taken),
                Some(Answer::Full { key, total }) => {
                    return Ok(self.refused(wanted, (key, total), taken));
                }
                // Another call was faster.
                _ if Instant::now() >= deadline => return Err(None),
                _ => {}
            }
        }
    }

    fn refused(
        &self,
        wanted: &[Wanted<'_>],
        (key, total): (crate::cluster::Key, u32),
        taken: Taken,
    ) -> Taken {
        let exceeded = self.waiting.exceeded(wanted, key, total);
        let mut taken = Taken { outcome: Outcome::Refused, exceeded, ..taken };
        let of_all = exceeded.filter(|exceeded| exceeded.direction == Direction::Any);
        if let Some(Some(calls)) = of_all.and_then(|of| taken.counts.get_mut(of.at)) {
            calls.any = calls.any.max(total);
        }
        taken
    }

    /// The policy of an outage, where it is one.
    fn judge(
        &self,
        state: &State,
        desk: &Desk,
        call: &Call<'_>,
        wanted: &[Wanted<'_>],
        answer: Option<Answer>,
        since: u64,
    ) -> Taken {
        if self.enforcement == Enforcement::Reserved && !emergency_is_refused(true, answer) {
            return state.ledger.take(call, wanted, Enforcement::Off);
        }
        let outage = desk.standing.outage(since, answer == Some(Answer::Busy));
        if outage.judge(clock::boottime(), std::iter::empty(), false) == Judgement::Wait {
            return Taken::nothing(Outcome::Ask);
        }
        let (policies, nodes) = (desk.standing.policies(), desk.standing.nodes());
        let mut own = Vec::with_capacity(wanted.len());
        for want in wanted {
            let share = match want.scope.kind {
                ScopeKind::ROADWARRIOR => policies.user,
                _ => policies.shared,
            };
            let (Some(limit), Some(directed)) =
                (part_of(&want.limit, share, nodes), part_of(&want.directed, share, nodes))
            else {
                return Taken::nothing(Outcome::Down);
            };
            own.push(Wanted { limit, directed, ..*want });
        }
        let mut taken = state.ledger.take(call, &own, self.enforcement);
        match taken.outcome {
            Outcome::Counted => taken.alone = true,
            Outcome::Refused if taken.exceeded.is_some_and(|of| of.bound.is_of_calls()) => {
                taken = Taken { outcome: Outcome::Down, exceeded: None, ..taken };
            }
            _ => {}
        }
        taken
    }
}

/// What a node admits of a limit by itself; None: nothing.
fn part_of(limit: &Limit, share: Share, nodes: Option<u32>) -> Option<Limit> {
    if limit.calls == 0 {
        return Some(*limit);
    }
    let calls = share.of(limit.calls, nodes);
    let reserved = u64::from(limit.reserved) * u64::from(calls.min(limit.calls));
    let reserved = u32::try_from(reserved / u64::from(limit.calls)).unwrap_or(0);
    (calls > 0).then_some(Limit { calls, reserved, ..*limit })
}
