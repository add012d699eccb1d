//! One play of steps by the ledger and by its model, which are compared after each of them.

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;
use sipwarden::ledger::{
    Call, DialogId, Direction, Enforcement, Ledger, Outcome, Rate, Taken, Wanted,
};

use super::records::{Room, Seen};
use super::steps::{Step, WINDOWS};
use super::{Attempt, Model, kind};

const SEED: [u64; 2] = [11, 12];

/// Both say and have the same, whatever comes. How often there was no room.
pub fn play(room: Room, steps: Vec<Step>) -> Result<Seen, TestCaseError> {
    let ledger = Ledger::with_scopes(room.calls, room.scopes, SEED).unwrap();
    let mut model = Model::new(room);
    let mut time = 100_000;
    for step in steps {
        match step {
            Step::Take { attempt, later, late } => {
                time += later;
                let (came, began) = (time - late, time as i64 / 1000);
                take_both(&ledger, &mut model, &Attempt { came, began, ..attempt })?;
            }
            Step::Sweep => prop_assert_eq!(ledger.sweep(1000, time), model.sweep(time)),
            step => change_both(&ledger, &mut model, &step)?,
        }
        compare_scopes(&ledger, &model, time)?;
        compare_leases(&ledger, &model)?;
    }
    for dialog in 0..room.dialogs {
        ledger.forget(DialogId(dialog));
    }
    prop_assert_eq!((ledger.memory().leases, ledger.memory().scopes), (0, 0));
    ledger.sweep(1000, time + 100_000);
    prop_assert_eq!(ledger.memory().idle_scopes, 0);
    Ok(model.seen)
}

fn take_both(ledger: &Ledger, model: &mut Model, attempt: &Attempt) -> Result<(), TestCaseError> {
    let is_new = !model.leases.contains_key(&attempt.dialog);
    let expected = model.take(attempt);
    let [foretold, taken] = take(ledger, attempt);
    prop_assert_eq!((taken.outcome, taken.exceeded), expected, "{:?}", attempt);
    for (want, counts) in attempt.wants.iter().zip(taken.counts) {
        let expected = want.counts.then(|| model.calls(want.name));
        prop_assert_eq!(counts, expected, "{:?} {:?}", want.name, taken.outcome);
    }
    let is_judged = attempt.enforcement == Enforcement::Full
        && !attempt.emergency
        && attempt.rings
        && matches!(taken.outcome, Outcome::Counted | Outcome::Refused);
    if is_new && is_judged {
        let foretold = (foretold.outcome, foretold.exceeded);
        prop_assert_eq!(foretold, expected, "{:?}", attempt);
    }
    Ok(())
}

/// What befalls a call that was counted.
fn change_both(ledger: &Ledger, model: &mut Model, step: &Step) -> Result<(), TestCaseError> {
    let leases = &mut model.leases;
    match *step {
        Step::Release(dialog) | Step::Expire(dialog) => {
            let lease = leases.get_mut(&dialog).filter(|lease| lease.live);
            let released = match step {
                Step::Release(_) => ledger.release(DialogId(dialog)),
                _ => ledger.expire(DialogId(dialog)).is_some(),
            };
            prop_assert_eq!(released, lease.is_some());
            if let Some(lease) = lease {
                lease.live = false;
            }
        }
        Step::Resume(dialog) => {
            let lease = leases.get_mut(&dialog).filter(|lease| !lease.live);
            prop_assert_eq!(ledger.resume(DialogId(dialog)), lease.is_some());
            if let Some(lease) = lease {
                lease.live = true;
            }
        }
        Step::Forget(dialog) => {
            let gone = leases.remove(&dialog).is_some();
            prop_assert_eq!(ledger.forget(DialogId(dialog)), gone);
        }
        Step::Answer(dialog) => {
            let lease = leases.get_mut(&dialog).filter(|lease| lease.rings);
            prop_assert_eq!(ledger.answer(DialogId(dialog)), lease.is_some());
            if let Some(lease) = lease {
                lease.rings = false;
            }
        }
        Step::Take { .. } | Step::Sweep => {}
    }
    Ok(())
}

/// Calls of all scopes, what their rates remember, and their records.
fn compare_scopes(ledger: &Ledger, model: &Model, now: u64) -> Result<(), TestCaseError> {
    let rates = WINDOWS.map(|window| Rate::new(1, window, 0).unwrap());
    let ids = 0..model.room.ids;
    for name in (0..model.room.kinds).flat_map(|n| ids.clone().map(move |id| (kind(n), id))) {
        let (kind, id) = (name.0, &[name.1]);
        prop_assert_eq!(ledger.calls(kind, id), model.calls(name), "{:?}", name);
        for of in Direction::ALL {
            let (.., ringing) = model.counted(name, of);
            prop_assert_eq!(ledger.ringing(kind, id, of), ringing, "{:?}", name);
            for rate in &rates {
                let new = ledger.new_calls(kind, id, of, rate, now);
                prop_assert_eq!(new, model.new_calls(name, of, rate, now), "{:?}", name);
            }
        }
    }
    let memory = ledger.memory();
    let records = (memory.scopes as usize, memory.idle_scopes as usize);
    prop_assert_eq!(records, (model.referred().len(), model.idle().len()));
    Ok(())
}

fn compare_leases(ledger: &Ledger, model: &Model) -> Result<(), TestCaseError> {
    prop_assert_eq!(ledger.memory().leases as usize, model.leases.len());
    let live = model.leases.values().filter(|lease| lease.live).count();
    prop_assert_eq!((ledger.live_calls(), ledger.miscounted()), (live as u64, 0));
    for info in (0..ledger.positions()).filter_map(|position| ledger.at(position)) {
        let lease = &model.leases[&info.dialog.0];
        let ends = lease.ends.filter(|_| !lease.emergency);
        prop_assert_eq!((info.live, info.ends, info.ringing), (lease.live, ends, lease.rings));
        let listed = info.scopes.iter();
        let mut listed: Vec<_> = listed
            .map(|scope| (scope.kind, scope.id[0], scope.counts, scope.inbound, scope.outbound))
            .collect();
        let expected = lease.scopes.iter();
        let mut expected: Vec<_> = expected
            .map(|((kind, id), slot)| (*kind, *id, slot.any, slot.inbound, slot.outbound))
            .collect();
        listed.sort();
        expected.sort();
        prop_assert_eq!(listed, expected);
    }
    Ok(())
}

/// What the ledger would say of the call if it were new, and what it says.
fn take(ledger: &Ledger, attempt: &Attempt) -> [Taken; 2] {
    let ids: Vec<[u8; 1]> = attempt.wants.iter().map(|want| [want.name.1]).collect();
    let wanted: Vec<Wanted<'_>> = attempt
        .wants
        .iter()
        .zip(&ids)
        .map(|(want, id)| Wanted {
            direction: want.direction,
            limit: want.limit,
            directed: want.directed,
            counts: want.counts,
            ..Wanted::new(want.name.0, id, 0)
        })
        .collect();
    let call = Call {
        dialog: DialogId(attempt.dialog),
        call_id: b"call@test",
        direction: Direction::Any,
        invite: attempt.invite,
        emergency: attempt.emergency,
        rings: attempt.rings,
        came: attempt.came,
        began: attempt.began,
    };
    [
        ledger.foretell(&wanted, false, attempt.came),
        ledger.take(&call, &wanted, attempt.enforcement),
    ]
}
