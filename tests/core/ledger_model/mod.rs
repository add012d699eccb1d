//! The call ledger against the plainest model of it: kinds, directions, reserved slots,
//! rates, ringing calls, longest calls, a second company, scopes that are added to a live call.

mod play;
mod records;
mod steps;

use std::cell::Cell;
use std::collections::HashMap;

use play::play;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use records::{Room, Seen};
use sipwarden::ledger::{
    Bound, Calls, Direction, Enforcement, Exceeded, Limit, Outcome, Rate, SCOPES, ScopeKind,
};
use steps::step;

use crate::host::alone::alone;

type Name = (ScopeKind, u8);

/// How a call counts in a scope.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Slot {
    any: bool,
    inbound: bool,
    outbound: bool,
}

#[derive(Clone, Default)]
struct Lease {
    live: bool,
    invite: u32,
    scopes: Vec<(Name, Slot)>,
    started: i64,
    emergency: bool,
    rings: bool,
    /// Of an emergency it does not hold.
    ends: Option<i64>,
}

/// New calls of a scope and direction: length of the window, and their slices.
#[derive(Clone, Default)]
struct Window {
    seconds: u32,
    newest: u64,
    slices: Vec<u64>,
}

impl Window {
    /// As it is at `now`, and the slice in which a call of that time counts; none for one
    /// from before the window. Windows are of 14 s and more, a multiple of that, so slices
    /// are whole seconds.
    fn at(&self, rate: &Rate, now: u64) -> (Window, Option<u64>) {
        let slice = now / 1000 / u64::from(rate.window() / 14);
        if self.seconds != rate.window() {
            return (Window { seconds: rate.window(), newest: slice, slices: vec![] }, Some(slice));
        }
        let newest = self.newest.max(slice);
        let slices = self.slices.iter().copied().filter(|s| s + 14 > newest).collect();
        let slice = (slice + 14 > newest).then_some(slice);
        (Window { seconds: self.seconds, newest, slices }, slice)
    }
}

struct Model {
    room: Room,
    leases: HashMap<u64, Lease>,
    windows: HashMap<(Name, Direction), Window>,
    /// Until when the rates of a scope remember its calls, in s.
    remembered: HashMap<Name, u64>,
    seen: Seen,
}

/// What is wanted in one scope, in plain words.
#[derive(Clone, Copy, Debug)]
struct Want {
    name: Name,
    direction: Direction,
    limit: Limit,
    directed: Limit,
    counts: bool,
}

#[derive(Clone, Debug)]
struct Attempt {
    dialog: u64,
    invite: u32,
    wants: Vec<Want>,
    enforcement: Enforcement,
    emergency: bool,
    rings: bool,
    /// ms
    came: u64,
    /// s
    began: i64,
}

impl Attempt {
    fn with(&self, enforcement: Enforcement) -> Self {
        Attempt { enforcement, ..self.clone() }
    }
}

/// ms that a call may wait before it is judged: longer than a window.
const LATEST: u64 = 40_000;

impl Model {
    fn new(room: Room) -> Self {
        let (leases, windows, remembered) = Default::default();
        Model { room, leases, windows, remembered, seen: Seen::default() }
    }

    fn calls(&self, name: Name) -> Calls {
        let mut calls = Calls::default();
        for lease in self.leases.values().filter(|lease| lease.live) {
            for (_, slot) in lease.scopes.iter().filter(|(of, slot)| *of == name && slot.any) {
                calls.any += 1;
                calls.inbound += u32::from(slot.inbound);
                calls.outbound += u32::from(slot.outbound);
                calls.emergencies += u32::from(lease.emergency);
            }
        }
        calls
    }

    /// Live calls of a direction, those among them that are no emergencies, and those that ring.
    fn counted(&self, name: Name, direction: Direction) -> (u32, u32, u32) {
        let counts = |slot: &Slot| match direction {
            Direction::Any => slot.any,
            Direction::In => slot.inbound,
            Direction::Out => slot.outbound,
        };
        let in_it = |lease: &&Lease| {
            lease.live && lease.scopes.iter().any(|(of, slot)| *of == name && counts(slot))
        };
        let leases = || self.leases.values().filter(in_it);
        let others = leases().filter(|lease| !lease.emergency).count();
        let ringing = leases().filter(|lease| lease.rings).count();
        (leases().count() as u32, others as u32, ringing as u32)
    }

    fn take(&mut self, attempt: &Attempt) -> (Outcome, Option<Exceeded>) {
        let old = self.leases.get(&attempt.dialog).cloned();
        let known = old.is_some();
        let live = old.filter(|lease| lease.live);
        if live.as_ref().is_some_and(|lease| {
            lease.invite != 0 && attempt.invite != 0 && lease.invite != attempt.invite
        }) {
            return (Outcome::Duplicate, None);
        }
        // That a call is an emergency holds for all of it, whatever becomes of the attempt.
        let emergency = attempt.emergency || live.as_ref().is_some_and(|lease| lease.emergency);
        let live = live.map(|lease| Lease { emergency, ..lease });
        let is_known_emergency = live.is_some() && emergency;
        if let Some(lease) = &live {
            self.leases.insert(attempt.dialog, lease.clone());
        }
        let attempt = &match attempt.enforcement {
            Enforcement::Full if is_known_emergency => attempt.with(Enforcement::Reserved),
            Enforcement::Monitor if is_known_emergency => attempt.with(Enforcement::Off),
            _ => attempt.clone(),
        };
        let before = live.as_ref().map(|lease| lease.scopes.clone()).unwrap_or_default();
        let has = |kind: ScopeKind| before.iter().any(|((of, _), _)| *of == kind);
        let counts_in = |name: Name| before.iter().any(|(of, slot)| *of == name && slot.any);
        // What each wanted scope adds, in order.
        let mut after = before.clone();
        let mut adds = Vec::new();
        for (at, want) in attempt.wants.iter().enumerate() {
            let kind = want.name.0;
            // A brand's company is the next one. The call stays in the brand that it had.
            let mut next = attempt.wants[at..].iter();
            let company = next.find(|want| want.counts && want.name.0 == ScopeKind::COMPANY);
            if kind == ScopeKind::BRAND
                && company.is_some_and(|company| counts_in(company.name))
                && !counts_in(want.name)
            {
                continue;
            }
            let own = after.iter_mut().find(|(of, _)| *of == want.name);
            if !want.counts {
                let counts = |want: &Want| want.counts && want.name.0 == kind;
                let is_shown = after.iter().any(|((of, _), _)| *of == kind);
                if !is_shown && !attempt.wants.iter().any(counts) {
                    after.push((want.name, Slot::default()));
                    adds.push((at, vec![], true));
                }
                continue;
            }
            let mut slot = own.as_ref().map(|own| own.1).unwrap_or_default();
            let mut directions = Vec::new();
            if !slot.any {
                slot.any = true;
                directions.push(Direction::Any);
            }
            for (direction, on) in
                [(Direction::In, &mut slot.inbound), (Direction::Out, &mut slot.outbound)]
            {
                if want.direction == direction && !*on {
                    *on = true;
                    directions.push(direction);
                }
            }
            let company = directions.contains(&Direction::Any) && kind == ScopeKind::COMPANY;
            match own {
                Some(own) => own.1 = slot,
                None => after.push((want.name, slot)),
            }
            if company {
                // Who counts for a company is shown for no other.
                after.retain(|(of, slot)| of.0 != ScopeKind::COMPANY || slot.any);
            }
            if !directions.is_empty() {
                adds.push((at, directions, false));
            }
        }
        let roadwarrior = |(at, ..): &(usize, Vec<Direction>, bool)| {
            attempt.wants[*at].name.0 == ScopeKind::ROADWARRIOR
        };
        let new_roadwarrior =
            adds.iter().filter(|add| roadwarrior(add)).any(|(at, directions, _)| {
                directions.contains(&Direction::Any)
                    && !before.iter().any(|(of, _)| *of == attempt.wants[*at].name)
            });
        if has(ScopeKind::ROADWARRIOR) && new_roadwarrior {
            return (Outcome::HeldByOther, None);
        }
        let has_company = before.iter().any(|(of, slot)| of.0 == ScopeKind::COMPANY && slot.any);
        let new_company = adds.iter().any(|(at, directions, _)| {
            attempt.wants[*at].name.0 == ScopeKind::COMPANY && directions.contains(&Direction::Any)
        });
        if attempt.enforcement == Enforcement::Within && has_company && new_company {
            return (Outcome::HeldByOther, None);
        }
        if live.is_some() && adds.is_empty() {
            return (Outcome::Held, None);
        }
        if live.is_none() {
            self.leases.remove(&attempt.dialog);
        }
        if after.len() > SCOPES {
            return (Outcome::TooMany, None);
        }
        // A call that is there already rings as it does, whatever is said of the new one.
        let rings = live.as_ref().map_or(attempt.rings, |lease| lease.rings);
        let scopes: Vec<_> = adds.iter().map(|(at, ..)| attempt.wants[*at].name).collect();
        let exceeded = loop {
            let exceeded = match self.judge(attempt, &adds, (emergency, rings)) {
                Ok(exceeded) => exceeded,
                Err(refused) => return (Outcome::Refused, Some(refused)),
            };
            if !known && self.leases.len() == self.room.calls {
                self.seen.full += 1;
                return (Outcome::Full, exceeded);
            }
            // What a scope that goes has had in its windows is judged anew.
            match self.lack_for(&scopes) {
                None => break exceeded,
                Some(_) if self.sweep(attempt.came) > 0 => self.seen.swept += 1,
                Some(lack) => {
                    self.seen.lacks(lack);
                    return (Outcome::ScopesFull, exceeded);
                }
            }
        };
        let counted_anew = |(at, ..): &(usize, Vec<Direction>, bool)| {
            let want = &attempt.wants[*at];
            want.counts && !before.iter().any(|(of, slot)| *of == want.name && slot.any)
        };
        let held = live.is_some() && !adds.iter().any(counted_anew);
        let mut lease = live.unwrap_or(Lease {
            invite: attempt.invite,
            started: attempt.began,
            rings,
            ..Lease::default()
        });
        lease.live = true;
        lease.emergency = emergency;
        lease.scopes = after;
        let judged = matches!(attempt.enforcement, Enforcement::Full | Enforcement::Monitor);
        for (want, direction, limit) in limits(attempt, &adds) {
            if limit.longest > 0 {
                let end = lease.started + i64::from(limit.longest);
                lease.ends = Some(lease.ends.map_or(end, |ends| ends.min(end)));
            }
            if limit.rate.calls() > 0 && judged && exceeded.is_none() {
                let window = self.windows.entry((want.name, direction)).or_default();
                let (mut moved, slice) = window.at(&limit.rate, attempt.came);
                moved.slices.extend(slice);
                *window = moved;
                self.remember(want.name, attempt.came, &limit.rate);
            }
        }
        self.leases.insert(attempt.dialog, lease);
        (if held { Outcome::Held } else { Outcome::Counted }, exceeded)
    }

    fn judge(
        &self,
        attempt: &Attempt,
        adds: &[(usize, Vec<Direction>, bool)],
        is: (bool, bool),
    ) -> Result<Option<Exceeded>, Exceeded> {
        let mut first = None;
        for (at, directions, _) in adds {
            let want = &attempt.wants[*at];
            for (_, direction, limit) in limits_of(want, directions) {
                let Some((bound, calls, admitted)) =
                    self.exceeds(want.name, direction, &limit, (attempt, is))
                else {
                    continue;
                };
                let kind = want.name.0;
                let exceeded = Exceeded { at: *at, kind, direction, bound, calls, limit: admitted };
                let refused = match attempt.enforcement {
                    Enforcement::Full => true,
                    Enforcement::Reserved => limit.reserved > 0 && bound == Bound::Calls,
                    Enforcement::Monitor | Enforcement::Off | Enforcement::Within => false,
                };
                if refused {
                    return Err(exceeded);
                }
                first = first.or(Some(exceeded));
            }
        }
        Ok(first)
    }

    fn exceeds(
        &self,
        name: Name,
        direction: Direction,
        limit: &Limit,
        (attempt, (emergency, rings)): (&Attempt, (bool, bool)),
    ) -> Option<(Bound, u32, u32)> {
        let (calls, others, ringing) = self.counted(name, direction);
        let unreserved = limit.calls.saturating_sub(limit.reserved);
        if limit.calls > 0 && calls >= limit.calls {
            return Some((Bound::Calls, calls, limit.calls));
        }
        if limit.calls > 0 && limit.reserved > 0 && !emergency && others >= unreserved {
            return Some((Bound::Unreserved, others, unreserved));
        }
        if limit.ringing > 0 && rings && ringing >= limit.ringing.into() {
            return Some((Bound::Ringing, ringing, limit.ringing.into()));
        }
        let judged = matches!(attempt.enforcement, Enforcement::Full | Enforcement::Monitor);
        if judged && limit.rate.calls() > 0 {
            let new = self.new_calls(name, direction, &limit.rate, attempt.came);
            if new >= limit.rate.calls() {
                return Some((Bound::Rate, new, limit.rate.calls()));
            }
        }
        None
    }

    /// New calls in the window of a rate, for a call that came at `now`.
    fn new_calls(&self, name: Name, direction: Direction, rate: &Rate, now: u64) -> u32 {
        let window = self.windows.get(&(name, direction)).cloned().unwrap_or_default();
        let (window, slice) = window.at(rate, now);
        slice.map_or(0, |_| window.slices.len() as u32)
    }
}

/// The limits for what is added, in order.
fn limits(
    attempt: &Attempt,
    adds: &[(usize, Vec<Direction>, bool)],
) -> Vec<(Want, Direction, Limit)> {
    adds.iter().flat_map(|(at, added, _)| limits_of(&attempt.wants[*at], added)).collect()
}

fn limits_of(want: &Want, added: &[Direction]) -> Vec<(Want, Direction, Limit)> {
    let limit = |direction: &Direction| match direction {
        Direction::Any => want.limit,
        _ => want.directed,
    };
    added.iter().map(|direction| (*want, *direction, limit(direction))).collect()
}

fn kind(n: usize) -> ScopeKind {
    ScopeKind::of(n).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn it_does_what_the_model_does(steps in prop::collection::vec(step(PLENTY), 1..60)) {
        play(PLENTY, steps)?;
    }
}

const PLENTY: Room = Room { calls: 8, scopes: 1000, dialogs: 12, kinds: 7, ids: 3 };
/// Little room for scopes that the script names; for others too; for others alone.
const SCARCE: [Room; 3] = [
    Room { scopes: 44, ..PLENTY },
    Room { calls: 1, scopes: 12, dialogs: 2, ids: 6, ..PLENTY },
    Room { scopes: 7, kinds: 3, ..PLENTY },
];

/// In a process of its own: ledgers are never unmapped, and the kernel bounds the mappings of one.
#[test]
fn it_does_so_when_records_of_scopes_run_out() {
    alone(|| {
        let seen = Cell::new(Seen::default());
        for room in SCARCE {
            let mut runner = TestRunner::new(ProptestConfig {
                failure_persistence: None,
                ..ProptestConfig::with_cases(600)
            });
            let played = runner.run(&prop::collection::vec(step(room), 1..90), |steps| {
                seen.set(seen.get().and(play(room, steps)?));
                Ok(())
            });
            played.unwrap();
        }
        let Seen { full, script, all, swept } = seen.get();
        assert!([full, script, all, swept].iter().all(|times| *times > 100), "{:?}", seen.get());
    });
}
