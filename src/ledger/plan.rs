//! What a call lacks to count as it is wanted.

use super::Call;
use super::lease::{Directions, Lease, Slot};
use super::ledger::Ledger;
use super::limit::{Enforcement, Wanted};
use super::outcome::Outcome;
use super::scope::{Few, SCOPES, ScopeKey, ScopeKind};
use super::waiting::Waiting;

/// What shall be added for one of the wanted scopes.
#[derive(Clone, Copy, Default)]
pub(super) struct Part {
    pub key: ScopeKey,
    /// How the call shall count besides what it does. Its position is valid if `known`.
    pub adds: Slot,
    /// The scope becomes one that is only shown.
    pub shown: bool,
    /// The slot of the lease that has the scope already.
    pub own: Option<u8>,
    /// A part before adds to the same scope.
    pub again: bool,
    /// The scope has a record.
    pub known: bool,
    /// The record is reserved for it.
    pub reserved: bool,
}

impl Part {
    pub fn changes(&self) -> bool {
        !self.adds.counts.is_empty() || self.shown
    }

    pub fn needs_record(&self) -> bool {
        self.changes() && !self.known && !self.again
    }

    pub fn position(&self) -> Option<u32> {
        self.known.then_some(self.adds.position)
    }

    pub fn set_position(&mut self, position: u32) {
        self.adds.position = position;
        self.known = true;
    }
}

/// An attempt to count a call.
pub(super) struct Attempt<'a, const N: usize> {
    pub call: &'a Call<'a>,
    pub wanted: &'a [Wanted<'a>],
    pub enforcement: Enforcement,
    /// The call is an emergency, or was one before.
    pub emergency: bool,
    /// It is not answered yet.
    pub rings: bool,
    pub parts: Few<Part, N>,
    /// A scope is named twice.
    pub repeats: bool,
    /// If its limits are shared with other nodes.
    pub waiting: Option<&'a mut Waiting>,
}

impl<'a, const N: usize> Attempt<'a, N> {
    pub fn new(call: &'a Call<'a>, wanted: &'a [Wanted<'a>], enforcement: Enforcement) -> Self {
        let &Call { emergency, rings, .. } = call;
        Attempt {
            call,
            wanted,
            enforcement,
            emergency,
            rings,
            parts: Few::new(),
            repeats: false,
            waiting: None,
        }
    }

    fn push(&mut self, part: Part) {
        self.repeats |= part.again;
        self.parts.push(part);
    }

    /// What changes, in order.
    pub fn changes(&self) -> impl Iterator<Item = (usize, &'a Wanted<'a>, &Part)> {
        // Not zipped: that costs more than the look that it saves.
        let changes = self.parts.iter().enumerate().filter(|(_, part)| part.changes());
        changes.filter_map(|(at, part)| Some((at, self.wanted.get(at)?, part)))
    }

    /// Whether a scope of this kind is planned so far.
    fn adds(&self, kind: ScopeKind) -> bool {
        self.changes().any(|(_, want, part)| {
            want.scope.kind == kind && (part.adds.is_counted() || part.shown)
        })
    }

    /// Whether the attempt shows the call for a scope of this kind already, or shall count it
    /// in one.
    fn shows_for(&self, kind: ScopeKind) -> bool {
        let counts = |want: &Wanted<'_>| want.counts && want.scope.kind == kind;
        self.adds(kind) || self.wanted.iter().any(counts)
    }

    /// Parts for the same scope have one record.
    pub fn share_positions(&mut self) {
        if self.repeats {
            self.share_repeated();
        }
    }

    #[cold]
    fn share_repeated(&mut self) {
        for at in 0..self.parts.as_slice().len() {
            let Some(part) = self.parts.as_slice().get(at) else { continue };
            if !part.again || part.known {
                continue;
            }
            let same = |before: &&Part| before.known && before.key == part.key;
            let position = self.parts.iter().find(same).and_then(Part::position);
            if let (Some(position), Some(part)) = (position, self.parts.iter_mut().nth(at)) {
                part.set_position(position);
            }
        }
    }

    fn without_changes(&mut self, outcome: Outcome) -> Outcome {
        self.parts.iter_mut().for_each(|part| *part = nothing_added(part));
        outcome
    }
}

impl Ledger {
    /// Plans what a call without a live lease lacks: all.
    pub(super) fn plan_new<const N: usize>(&self, attempt: &mut Attempt<'_, N>) {
        for want in attempt.wanted {
            let mut part = Part { key: self.scopes.key_for(want), ..Part::default() };
            // Fetched while the other keys are made.
            self.scopes.buckets.prefetch(self.scopes.bucket_of(part.key));
            part.shown = !want.counts && !attempt.shows_for(want.scope.kind);
            if want.counts {
                part.again = is_planned(&attempt.parts, part.key);
                let counted = counted_by(&attempt.parts, &part);
                part.adds.counts = Directions::of(want.direction).without(counted);
            }
            attempt.push(part);
        }
    }

    /// Plans what a live lease lacks; Err if that is nothing, or must not be added.
    pub(super) fn compare<const N: usize>(
        &self,
        lease: Lease<'_>,
        attempt: &mut Attempt<'_, N>,
    ) -> Result<(), Outcome> {
        let mut slots = Few::<(ScopeKey, Slot)>::new();
        for (_, slot) in lease.slots() {
            slots.push((self.scopes.key_at(slot.position).unwrap_or_default(), slot));
        }
        let kind_of = |slot: &Slot| self.scopes.kind_at(slot.position);
        let slot_of = |key: ScopeKey| {
            let mut all = slots.iter().enumerate();
            all.find(|(_, (of, _))| *of == key).map(|(number, (_, slot))| (number as u8, *slot))
        };
        let counts_in = |key: ScopeKey| slot_of(key).is_some_and(|(_, slot)| slot.is_counted());
        let has = |kind: ScopeKind| slots.iter().any(|(_, slot)| kind_of(slot) == Some(kind));
        let mut rest = attempt.wanted;
        while let Some((want, behind)) = rest.split_first() {
            rest = behind;
            let key = self.scopes.key_for(want);
            let (own, slot) = slot_of(key).unzip();
            let again = is_planned(&attempt.parts, key);
            let mut part = Part { key, own, again, ..Part::default() };
            if let Some(slot) = slot {
                part.set_position(slot.position);
            }
            // The company of a brand is behind it. It may have another one by now: then the
            // call stays where it counts.
            let moved = want.scope.kind == ScopeKind::BRAND
                && !slot.is_some_and(Slot::is_counted)
                && company_in(behind)
                    .is_some_and(|company| counts_in(self.scopes.key_for(company)));
            if want.counts && !moved {
                let planned = counted_by(&attempt.parts, &part);
                let counted = slot.unwrap_or_default().counts.and(planned);
                part.adds.counts = Directions::of(want.direction).without(counted);
            } else if !want.counts {
                let kind = want.scope.kind;
                part.shown = !has(kind) && !attempt.shows_for(kind);
            }
            attempt.push(part);
        }
        if lease.is_other_invite(attempt.call.invite) {
            return Err(attempt.without_changes(Outcome::Duplicate));
        }
        if has(ScopeKind::ROADWARRIOR) && attempt.adds(ScopeKind::ROADWARRIOR) {
            return Err(attempt.without_changes(Outcome::HeldByOther));
        }
        let company = |slot: &Slot| slot.is_counted() && kind_of(slot) == Some(ScopeKind::COMPANY);
        if attempt.enforcement == Enforcement::Within
            && attempt.adds(ScopeKind::COMPANY)
            && slots.iter().any(|(_, slot)| company(slot))
        {
            return Err(attempt.without_changes(Outcome::HeldByOther));
        }
        match attempt.changes().next() {
            Some(_) => Ok(()),
            None => Err(Outcome::Held),
        }
    }
}

/// The first company that a call shall count for.
fn company_in<'a>(wanted: &'a [Wanted<'a>]) -> Option<&'a Wanted<'a>> {
    wanted.iter().find(|want| want.counts && want.scope.kind == ScopeKind::COMPANY)
}

/// Whether the lease has room for the scopes that are new.
pub(super) fn fits<const N: usize>(live: Option<Lease<'_>>, attempt: &Attempt<'_, N>) -> bool {
    let Some(lease) = live else { return true };
    let mut new = Few::<ScopeKey>::new();
    let mut replaces = false;
    for (_, want, part) in attempt.changes().filter(|(_, _, part)| part.own.is_none()) {
        if !new.iter().any(|key| *key == part.key) {
            new.push(part.key);
        }
        replaces |= want.counts && want.scope.kind == ScopeKind::COMPANY;
    }
    let replaced = usize::from(replaces && replaceable(lease, attempt).is_some());
    lease.slots().count() + new.iter().count() - replaced <= SCOPES
}

/// The company that a lease was only shown for, unless the attempt counts it: one that
/// counts takes its slot.
pub(super) fn replaceable<const N: usize>(
    lease: Lease<'_>,
    attempt: &Attempt<'_, N>,
) -> Option<(usize, Slot)> {
    let counted = |position: u32| {
        let mut own =
            attempt.changes().filter(|(_, _, part)| part.own.is_some() && part.adds.is_counted());
        own.any(|(_, _, part)| part.adds.position == position)
    };
    lease.slots().find(|(_, slot)| !slot.is_counted() && !counted(slot.position))
}

/// Whether one of the parts so far adds to a scope.
fn is_planned<const N: usize>(parts: &Few<Part, N>, key: ScopeKey) -> bool {
    parts.iter().any(|part| part.key == key && part.changes())
}

/// How the parts so far count the call in the scope of the next one.
fn counted_by<const N: usize>(parts: &Few<Part, N>, next: &Part) -> Directions {
    let same = |part: &&Part| next.again && part.key == next.key;
    parts
        .iter()
        .filter(same)
        .map(|part| part.adds.counts)
        .fold(Directions::default(), Directions::and)
}

/// The part as it is if nothing is added.
fn nothing_added(part: &Part) -> Part {
    let adds = Slot { counts: Directions::default(), ..part.adds };
    Part { adds, shown: false, ..*part }
}
