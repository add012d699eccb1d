//! Counting a call in all its scopes or in none.

use super::Call;
use super::lease::{Lease, Slot};
use super::ledger::Ledger;
use super::limit::{Bound, Enforcement, Exceeded, Limit, Wanted};
use super::outcome::{Outcome, Taken};
use super::plan::{Attempt, Part, fits, replaceable};
use super::rate::{RateOf, seconds};
use super::record::{Change, Count};
use super::scope::{Direction, NAMED, SCOPES, ScopeKind, USUAL};
use super::scopes::Locks;
use super::waiting::Waiting;
use crate::shm::Locked;

/// Records that an attempt looks through when there is no room for a scope.
const SWEEP: u32 = 64;

impl Ledger {
    /// Counts a call in all wanted scopes or in none. In the scopes where it counts
    /// already it is left as it is; those that are new are added to them. Not more than
    /// [`SCOPES`] can be wanted.
    pub fn take(&self, call: &Call<'_>, wanted: &[Wanted<'_>], enforcement: Enforcement) -> Taken {
        let mut taken = Taken::nothing(Outcome::Full);
        self.take_into(&mut taken, call, wanted, enforcement);
        taken
    }

    /// As [`Ledger::take`]; the result is put into what is nothing yet, as it is large.
    pub fn take_into(
        &self,
        taken: &mut Taken,
        call: &Call<'_>,
        wanted: &[Wanted<'_>],
        enforcement: Enforcement,
    ) {
        self.take_or_wait(taken, call, wanted, enforcement, None);
    }

    pub(super) fn take_or_wait(
        &self,
        taken: &mut Taken,
        call: &Call<'_>,
        wanted: &[Wanted<'_>],
        enforcement: Enforcement,
        waiting: Option<&mut Waiting>,
    ) {
        if wanted.len() <= USUAL {
            self.take_in::<USUAL>(taken, call, wanted, enforcement, waiting);
        } else if wanted.len() <= NAMED {
            self.take_in::<NAMED>(taken, call, wanted, enforcement, waiting);
        } else if wanted.len() <= SCOPES {
            self.take_in::<SCOPES>(taken, call, wanted, enforcement, waiting);
        } else {
            taken.outcome = Outcome::TooMany;
        }
    }

    /// The same for at most `N` scopes.
    fn take_in<const N: usize>(
        &self,
        taken: &mut Taken,
        call: &Call<'_>,
        wanted: &[Wanted<'_>],
        enforcement: Enforcement,
        waiting: Option<&mut Waiting>,
    ) {
        taken.outcome = Outcome::Full;
        let Some(chain) = self.dialogs.lock(self.bucket_of(call.dialog)) else { return };
        let old = self.find(&chain, call.dialog);
        let live = old.map(|(_, lease)| lease).filter(|lease| lease.is_live());
        let mut attempt = Attempt::<N> { waiting, ..Attempt::new(call, wanted, enforcement) };
        taken.outcome = Outcome::Held;
        let existing = live.and_then(|lease| self.compare(lease, &mut attempt).err());
        if let Some(lease) = live.filter(|_| existing != Some(Outcome::Duplicate)) {
            attempt.rings = lease.is_ringing();
            taken.became_emergency = call.emergency && self.becomes_emergency(lease);
            if lease.is_emergency() {
                attempt.emergency = true;
                attempt.enforcement = enforcement.of_emergency();
                taken.is_emergency = true;
            }
        }
        if let Some(outcome) = existing {
            taken.outcome = outcome;
        } else {
            if live.is_none() {
                self.plan_new(&mut attempt);
                if let Some((_, lease)) = old {
                    self.detach(lease);
                }
            }
            self.attach(&chain, old, &mut attempt, taken);
            if taken.outcome == Outcome::ScopesFull && self.sweep(SWEEP, call.came) > 0 {
                self.attach(&chain, old, &mut attempt, taken);
            }
            // A refusal leaves no trace: a released lease without scopes goes.
            if let Some((position, lease)) = old.filter(|(_, lease)| !lease.is_live()) {
                self.remove(&chain, position, lease);
            }
        }
        // Of a new call the attempt has noted all, but for a scope that is named twice.
        if live.is_some() || attempt.repeats {
            self.add_counts(&attempt, taken);
        }
    }

    /// What [`Ledger::take`] would say of a new call that came at `came`, an emergency or
    /// not, if there is room for it. Nothing is counted.
    pub fn foretell(&self, wanted: &[Wanted<'_>], emergency: bool, came: u64) -> Taken {
        let call = Call { came, emergency, ..Call::NONE };
        let enforcement = if emergency { Enforcement::Reserved } else { Enforcement::Full };
        let mut attempt = Attempt::<SCOPES>::new(&call, wanted, enforcement);
        let mut taken = Taken::nothing(Outcome::TooMany);
        if wanted.len() <= SCOPES {
            self.plan_new(&mut attempt);
            let locks = self.lock_changes(&mut attempt);
            let refused = self.judge(&attempt, &mut taken);
            taken.outcome = if refused { Outcome::Refused } else { Outcome::Counted };
            self.count_changes(&attempt, &mut taken);
            drop(locks);
        }
        taken
    }

    /// Locks the scopes that change, and finds those that are there.
    fn lock_changes<const N: usize>(&self, attempt: &mut Attempt<'_, N>) -> Locks<N> {
        let changing = attempt.parts.iter().filter(|part| part.changes());
        let locks = self.scopes.lock(changing.map(|part| part.key));
        for part in attempt.parts.iter_mut().filter(|part| part.changes() && !part.known) {
            if let Some(position) = self.scopes.find(&locks, part.key) {
                part.set_position(position);
            }
        }
        locks
    }

    /// Judges the call and adds what is planned, all under the locks of its scopes.
    fn attach<const N: usize>(
        &self,
        chain: &Locked,
        old: Option<(u32, Lease<'static>)>,
        attempt: &mut Attempt<'_, N>,
        taken: &mut Taken,
    ) {
        let live = old.map(|(_, lease)| lease).filter(|lease| lease.is_live());
        if !fits(live, attempt) {
            taken.outcome = Outcome::TooMany;
            return;
        }
        // Outside of the locks of scopes, which other calls wait for.
        let call_id_hash = self.hash(attempt.call.call_id);
        let locks = self.lock_changes(attempt);
        let refused = self.judge(attempt, taken);
        if refused {
            taken.outcome = Outcome::Refused;
        } else if attempt.waiting.is_some() && self.must_wait(&locks, attempt, taken) {
            // The scopes that it lacks slots of are locked until then.
        } else if let Some((position, lease)) = self.reserve(old, attempt, taken) {
            if live.is_none() {
                // One that was released is in the chain already, and stays there.
                let next = if old.is_some() { lease.next() } else { chain.first() };
                lease.begin(attempt.call, call_id_hash, next);
            }
            let replaced = self.commit(lease, &locks, attempt, taken);
            match old {
                None => chain.set_first(Some(position)),
                Some(_) => lease.note_direction(attempt.call.direction),
            }
            self.set_live(lease, true);
            if attempt.repeats {
                self.count_changes(attempt, taken);
            }
            drop(locks);
            if let Some(shown) = replaced {
                self.leave(shown);
            }
            return;
        }
        self.count_changes(attempt, taken);
        forget_positions(attempt);
    }

    /// Whether a limit refuses the call. What it exceeds first is noted, and what
    /// refuses it before what does not.
    fn judge<const N: usize>(&self, attempt: &Attempt<'_, N>, taken: &mut Taken) -> bool {
        taken.exceeded = None;
        attempt.changes().any(|change| {
            let (_, want, _) = change;
            self.is_refused(attempt, change, (Direction::Any, &want.limit), taken)
                || want.direction != Direction::Any
                    && self.is_refused(attempt, change, (want.direction, &want.directed), taken)
        })
    }

    /// The same of one limit of a scope, for the calls of a direction.
    #[inline(always)]
    fn is_refused<const N: usize>(
        &self,
        attempt: &Attempt<'_, N>,
        (at, want, part): (usize, &Wanted<'_>, &Part),
        (direction, limit): (Direction, &Limit),
        taken: &mut Taken,
    ) -> bool {
        if !limit.limits_calls() || !part.adds.counts.has(direction) {
            return false;
        }
        let Some((bound, calls, admitted)) = self.exceeds(attempt, part, direction, limit) else {
            return false;
        };
        let kind = want.scope.kind;
        let exceeded = Exceeded { at, kind, direction, bound, calls, limit: admitted };
        let refuses = attempt.enforcement.refuses(limit, bound);
        if refuses || taken.exceeded.is_none() {
            taken.exceeded = Some(exceeded);
        }
        refuses
    }

    fn exceeds<const N: usize>(
        &self,
        attempt: &Attempt<'_, N>,
        part: &Part,
        direction: Direction,
        limit: &Limit,
    ) -> Option<(Bound, u32, u32)> {
        let position = part.position();
        let counted = || {
            let counted = position.map(|at| self.scopes.counted_at(at, direction));
            counted.unwrap_or_default()
        };
        if limit.calls > 0 {
            let Count { calls, emergencies, .. } = counted();
            if calls >= limit.calls {
                return Some((Bound::Calls, calls, limit.calls));
            }
            if limit.reserved > 0 && !attempt.emergency {
                let unreserved = limit.calls.saturating_sub(limit.reserved);
                let others = calls.saturating_sub(emergencies);
                if others >= unreserved {
                    return Some((Bound::Unreserved, others, unreserved));
                }
            }
        }
        if limit.ringing > 0 && attempt.rings {
            let (ringing, admitted) = (counted().ringing, limit.ringing.into());
            if ringing >= admitted {
                return Some((Bound::Ringing, ringing, admitted));
            }
        }
        if limit.rate.is_on() && attempt.enforcement.judges_rates() {
            let record = position.and_then(|at| self.scopes.record(at));
            let calls = record.map_or(0, |record| {
                RateOf { record, direction }.calls(&limit.rate, attempt.call.came)
            });
            if calls >= limit.rate.calls() {
                return Some((Bound::Rate, calls, limit.rate.calls()));
            }
        }
        None
    }

    /// Records for all that is new, or none; the lease's is `old`'s if there is one.
    fn reserve<const N: usize>(
        &self,
        old: Option<(u32, Lease<'static>)>,
        attempt: &mut Attempt<'_, N>,
        taken: &mut Taken,
    ) -> Option<(u32, Lease<'static>)> {
        taken.outcome = Outcome::Full;
        let lease = match old {
            Some(old) => old,
            None => {
                let position = self.leases.take()?;
                (position, Lease(self.leases.get(position)?))
            }
        };
        let (mut places, mut count, mut named) = ([0; N], 0, 0);
        for (want, part) in attempt.wanted.iter().zip(attempt.parts.iter_mut()) {
            part.reserved = part.needs_record();
            count += usize::from(part.reserved);
            named += u32::from(part.reserved && want.scope.kind.is_named_by_script());
        }
        let places = places.get_mut(..count).unwrap_or_default();
        if !self.scopes.reserve(places, named) {
            taken.outcome = Outcome::ScopesFull;
            attempt.parts.iter_mut().for_each(|part| part.reserved = false);
            if old.is_none() {
                self.leases.give(lease.0);
            }
            return None;
        }
        let parts = attempt.parts.iter_mut().filter(|part| part.reserved);
        parts.zip(places).for_each(|(part, position)| part.set_position(*position));
        attempt.share_positions();
        Some(lease)
    }

    /// Adds what is planned; nothing can fail any more. The scope that was shown and is
    /// replaced.
    fn commit<const N: usize>(
        &self,
        lease: Lease<'_>,
        locks: &Locks<N>,
        attempt: &Attempt<'_, N>,
        taken: &mut Taken,
    ) -> Option<u32> {
        let mut replaced = None;
        let mut directions_only = true;
        let live = lease.is_live();
        let counts_for_company = live && self.counts_for_company(lease);
        let mut slots = if live { lease.slots().count() } else { 0 };
        for (place, want, part) in attempt.changes() {
            let at = part.adds.position;
            let own = match part.own {
                Some(number) => lease.slot(number.into()).map(|slot| (number.into(), slot)),
                None if part.again => lease.slots().find(|(_, slot)| slot.position == at),
                None => None,
            };
            if part.reserved {
                self.scopes.link(locks, at, part.key, &want.scope);
            } else if own.is_none() {
                self.scopes.refer(at);
            }
            self.scopes.share_limits(at, want);
            // Before its slot: a process that dies in between leaves a count that is too
            // high, not one that admits a call too many.
            self.scopes.count(&part.adds, Change::one_more(attempt.emergency, attempt.rings));
            if want.counts {
                if let Some(noted) = taken.counts.get_mut(place) {
                    *noted = Some(self.scopes.calls_at(at));
                }
            }
            if let Some((number, slot)) = own {
                lease.set_slot(number, Slot { counts: slot.counts.and(part.adds.counts), ..slot });
            } else {
                let shown = (live && want.counts && want.scope.kind == ScopeKind::COMPANY)
                    .then(|| replaceable(lease, attempt))
                    .flatten();
                replaced = replaced.or(shown.map(|(_, slot)| slot.position));
                let number = shown.map_or(slots, |(number, _)| number);
                slots += usize::from(shown.is_none());
                lease.set_slot(number, part.adds);
            }
            taken.added |= 1 << place;
            directions_only &= !want.counts || own.is_some_and(|(_, slot)| slot.is_counted());
            let company = want.scope.kind == ScopeKind::COMPANY && part.adds.is_counted();
            taken.first_company |= company && !counts_for_company;
            taken.second_company |= company && counts_for_company;
            if want.keeps_calls() {
                self.keep(lease, attempt, want, part, taken.exceeded.is_none());
            }
        }
        let held = directions_only && live;
        taken.outcome = if held { Outcome::Held } else { Outcome::Counted };
        replaced
    }

    /// Notes what is left of a call besides its count: when it must end, and that it is new.
    /// A call that exceeds a limit uses no rate.
    fn keep<const N: usize>(
        &self,
        lease: Lease<'_>,
        attempt: &Attempt<'_, N>,
        want: &Wanted<'_>,
        part: &Part,
        admitted: bool,
    ) {
        for (direction, limit) in limits_added(want, part) {
            lease.shorten(limit.longest);
            if admitted && attempt.enforcement.judges_rates() {
                self.use_rate(part.adds.position, direction, limit, attempt.call.came);
            }
        }
    }

    fn counts_for_company(&self, lease: Lease<'_>) -> bool {
        lease.slots().any(|(_, slot)| {
            slot.is_counted() && self.scopes.kind_at(slot.position) == Some(ScopeKind::COMPANY)
        })
    }

    fn use_rate(&self, position: u32, direction: Direction, limit: &Limit, came: u64) {
        let Some(record) = self.scopes.record(position).filter(|_| limit.rate.is_on()) else {
            return;
        };
        RateOf { record, direction }.count(&limit.rate, came);
        let now = seconds(came);
        let until = now.saturating_add(limit.rate.window()).saturating_add(1);
        self.scopes.remember_until(position, now, until);
    }

    /// Notes the live calls of the scopes that are locked.
    fn count_changes<const N: usize>(&self, attempt: &Attempt<'_, N>, taken: &mut Taken) {
        for (at, _, part) in attempt.changes().filter(|(_, want, _)| want.counts) {
            if let Some(slot) = taken.counts.get_mut(at) {
                let calls = part.position().map(|at| self.scopes.calls_at(at));
                *slot = Some(calls.unwrap_or_default());
            }
        }
    }

    /// Notes the live calls of the other wanted scopes. No scope is locked.
    fn add_counts<const N: usize>(&self, attempt: &Attempt<'_, N>, taken: &mut Taken) {
        let all = attempt.wanted.iter().zip(attempt.parts.iter()).zip(&mut taken.counts);
        for ((want, part), slot) in all.filter(|((want, _), slot)| want.counts && slot.is_none()) {
            *slot = Some(match part.position() {
                Some(at) => self.scopes.calls_at(at),
                None => self.calls(want.scope.kind, want.scope.id),
            });
        }
    }
}

/// The limits for the counts that a part adds to.
pub(super) fn limits_added<'a>(
    want: &'a Wanted<'_>,
    part: &Part,
) -> impl Iterator<Item = (Direction, &'a Limit)> + use<'a> {
    let adds = part.adds.counts;
    want.limits().filter(move |(direction, _)| adds.has(*direction))
}

/// A record that was found may be gone once its lock is left.
fn forget_positions<const N: usize>(attempt: &mut Attempt<'_, N>) {
    attempt.parts.iter_mut().for_each(|part| part.known = part.own.is_some());
}
