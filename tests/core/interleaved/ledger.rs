//! The call ledger.

use std::sync::Arc;

use sipwarden::ledger::{
    Call, DialogId, Direction, Enforcement, Ledger, Limit, Outcome, Rate, ScopeKind, Wanted,
};

use super::{check, spawn};
use crate::ledger::{SEED, call, own, take, try_to, want};

#[test]
fn three_calls_for_two_slots_then_all_endings_at_once() {
    check(|| {
        let ledger = Arc::new(Ledger::new(8, SEED).unwrap());
        let threads: Vec<_> = (1..=3u64)
            .map(|dialog| {
                let ledger = Arc::clone(&ledger);
                shuttle::thread::spawn(move || {
                    let taken = take(&ledger, dialog, (b"b", 2), (&[b'c', (dialog % 2) as u8], 2));
                    assert!(ledger.live(ScopeKind::BRAND, b"b") <= 2);
                    taken.outcome == Outcome::Counted
                })
            })
            .collect();
        let admitted: Vec<bool> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        assert_eq!(admitted.iter().filter(|a| **a).count(), 2, "{admitted:?}");
        // Two events of one ending race, and a new call with both.
        let endings: Vec<_> = (1..=3u64)
            .flat_map(|dialog| [(dialog, false), (dialog, true)])
            .map(|(dialog, gone)| {
                let ledger = Arc::clone(&ledger);
                shuttle::thread::spawn(move || match gone {
                    true => ledger.forget(DialogId(dialog)),
                    false => ledger.release(DialogId(dialog)),
                })
            })
            .collect();
        let outcome = take(&ledger, 4, (b"b", 2), (b"c0", 2)).outcome;
        for ending in endings {
            let _ = ending.join().unwrap();
        }
        let up = u32::from(outcome == Outcome::Counted);
        assert_eq!(ledger.live(ScopeKind::BRAND, b"b"), up);
        ledger.forget(DialogId(4));
        assert_eq!((ledger.memory().leases, ledger.memory().scopes), (0, 0));
    });
}

#[test]
fn one_dialog_in_two_workers_counts_once() {
    check(|| {
        let ledger = Arc::new(Ledger::new(8, SEED).unwrap());
        let twins: Vec<_> = (0..2)
            .map(|_| {
                let ledger = Arc::clone(&ledger);
                shuttle::thread::spawn(move || {
                    let user = [want(ScopeKind::ROADWARRIOR, b"u", 1)];
                    let first = ledger.take(&call(1), &user, Enforcement::Full).outcome;
                    (first, take(&ledger, 1, (b"b", 1), (b"c", 1)).outcome)
                })
            })
            .collect();
        let outcomes: Vec<_> = twins.into_iter().map(|t| t.join().unwrap()).collect();
        for pick in [|o: &(Outcome, Outcome)| o.0, |o: &(Outcome, Outcome)| o.1] {
            let mut pair: Vec<_> = outcomes.iter().map(pick).collect();
            pair.sort_by_key(|o| *o == Outcome::Held);
            assert_eq!(pair, [Outcome::Counted, Outcome::Held]);
        }
        let resumed = {
            let ledger = Arc::clone(&ledger);
            shuttle::thread::spawn(move || ledger.resume(DialogId(1)))
        };
        ledger.release(DialogId(1));
        let resumed = resumed.join().unwrap();
        assert_eq!(ledger.live(ScopeKind::COMPANY, b"c"), u32::from(resumed));
        ledger.forget(DialogId(1));
        assert_eq!((ledger.memory().leases, ledger.memory().scopes), (0, 0));
    });
}

/// Three calls of four scopes each, that share them in other orders; each scope has
/// room for two, one rate too.
#[test]
fn calls_of_many_scopes_count_in_all_or_none() {
    check(|| {
        let ledger = Arc::new(Ledger::new(8, SEED).unwrap());
        let ids: [[&[u8]; 3]; 3] = [[b"1", b"2", b"3"], [b"3", b"1", b"2"], [b"2", b"3", b"1"]];
        let rate = Limit { rate: Rate::new(2, 10, 0).unwrap(), ..Limit::NONE };
        let threads: Vec<_> = (0..3u64)
            .map(|n| {
                spawn(&ledger, move |ledger| {
                    let [a, b, c] = ids[n as usize];
                    let wanted = [
                        Wanted { limit: rate, ..want(own(0), b"r", 0) },
                        want(own(1), a, 2),
                        want(own(1), b, 2),
                        Wanted { direction: Direction::In, ..want(own(1), c, 2) },
                    ];
                    let counted = try_to(ledger, n, &wanted).outcome == Outcome::Counted;
                    assert!(ledger.live(own(1), a) <= 2);
                    counted
                })
            })
            .collect();
        let counted: Vec<_> = threads.into_iter().map(|t| t.join().unwrap()).collect();
        assert_eq!(counted.iter().filter(|counted| **counted).count(), 2);
        let inbound = |id: &[u8]| ledger.calls(own(1), id).inbound;
        assert_eq!([b"1", b"2", b"3"].map(|id| ledger.live(own(1), id)), [2, 2, 2]);
        assert_eq!(inbound(b"1") + inbound(b"2") + inbound(b"3"), 2);
        // Two endings beside a new call and a sweep: the rate remembers both.
        let endings: Vec<_> =
            (0..3).map(|n| spawn(&ledger, move |ledger| ledger.forget(DialogId(n)))).collect();
        let sweep = spawn(&ledger, |ledger| ledger.sweep(8, 9_000));
        let wanted = [Wanted { limit: rate, ..want(own(0), b"r", 0) }];
        assert_eq!(try_to(&ledger, 9, &wanted).outcome, Outcome::Refused);
        for ending in endings {
            ending.join().unwrap();
        }
        assert_eq!(sweep.join().unwrap(), 0);
        let memory = ledger.memory();
        assert_eq!((memory.leases, memory.scopes, memory.idle_scopes), (0, 0, 1));
        // Its window is over: it goes, or is used once more.
        let sweep = spawn(&ledger, |ledger| ledger.sweep(8, 20_000));
        let later = Call { came: 20_000, ..call(9) };
        let taken = ledger.take(&later, &wanted, Enforcement::Full);
        assert_eq!(taken.outcome, Outcome::Counted);
        sweep.join().unwrap();
        assert_eq!(ledger.live(own(0), b"r"), 1);
        ledger.forget(DialogId(9));
        ledger.sweep(8, 40_000);
        assert_eq!((ledger.memory().scopes, ledger.memory().idle_scopes), (0, 0));
    });
}

/// A call gets a second company while it ends and comes back; another call wants the
/// only slot of both.
#[test]
fn a_company_added_to_a_call_ends_with_it() {
    check(|| {
        let ledger = Arc::new(Ledger::new(8, SEED).unwrap());
        take(&ledger, 1, (b"x", 0), (b"a", 1));
        let adds = spawn(&ledger, |ledger| {
            try_to(ledger, 1, &[want(own(0), b"w", 1), want(ScopeKind::COMPANY, b"b", 1)])
        });
        let ends = spawn(&ledger, |ledger| ledger.release(DialogId(1)));
        let resumes = spawn(&ledger, |ledger| ledger.resume(DialogId(1)));
        let rival = take(&ledger, 2, (b"y", 0), (b"b", 1)).outcome;
        let added = adds.join().unwrap().outcome;
        let (ended, resumed) = (ends.join().unwrap(), resumes.join().unwrap());
        let live = |kind, id: &[u8]| ledger.live(kind, id);
        let both = [rival, added].map(|outcome| outcome == Outcome::Counted);
        // A released call may come back above the limit; a new one may not.
        let b = live(ScopeKind::COMPANY, b"b");
        assert!(b <= 1 || (both[0] && both[1] && ended && resumed), "{b} {both:?}");
        assert_eq!(live(own(0), b"w") == 1, both[1] && ledger.is_live(DialogId(1)));
        let own_b = u32::from(both[1] && ledger.is_live(DialogId(1)));
        assert_eq!(b, own_b + u32::from(both[0]));
        let _ = [1, 2].map(|dialog| ledger.forget(DialogId(dialog)));
        assert_eq!((ledger.memory().leases, ledger.memory().scopes), (0, 0));
    });
}

/// A call is answered while a CANCEL that crosses the answer releases it and it comes back, a
/// carrier is added to it, and another call wants the only place to ring. Whatever is first:
/// answered once, it rings nowhere, and it counts in all of its scopes if it counts.
#[test]
fn an_answer_is_counted_once_in_whatever_order() {
    check(|| {
        let ledger = Arc::new(Ledger::new(8, SEED).unwrap());
        let one =
            |kind, id| Wanted { limit: Limit { ringing: 1, ..Limit::NONE }, ..want(kind, id, 0) };
        let a = (ScopeKind::COMPANY, &b"a"[..]);
        assert_eq!(try_to(&ledger, 1, &[one(a.0, a.1)]).outcome, Outcome::Counted);
        let answers: Vec<_> =
            (0..2).map(|_| spawn(&ledger, |ledger| ledger.answer(DialogId(1)))).collect();
        let crosses = spawn(&ledger, |ledger| {
            ledger.release(DialogId(1));
            ledger.resume(DialogId(1));
        });
        let adds = spawn(&ledger, move |ledger| {
            let within = Call { rings: false, ..call(1) };
            ledger.take(&within, &[one(own(0), b"k")], Enforcement::Full).outcome
        });
        let rival = try_to(&ledger, 2, &[one(own(0), b"k")]).outcome;
        let added = adds.join().unwrap();
        crosses.join().unwrap();
        let told = answers.into_iter().map(|answer| answer.join().unwrap());
        let told = told.filter(|told| *told).count();
        // The lease of a released call is made anew if it is asked about just then: it has
        // the scope that was wanted last, and rings no more.
        assert!(told <= 1, "{told}");
        let ringing = |(kind, id)| ledger.ringing(kind, id, Direction::Any);
        let k = (own(0), &b"k"[..]);
        assert_eq!(ringing(a), 0);
        assert_eq!(ringing(k), u32::from(rival == Outcome::Counted));
        let both = [rival, added].map(|outcome| u32::from(outcome == Outcome::Counted));
        assert_eq!(ledger.live(k.0, k.1), both[0] + both[1]);
        let _ = [1, 2].map(|dialog| ledger.forget(DialogId(dialog)));
        assert_eq!((ledger.memory().leases, ledger.memory().scopes), (0, 0));
        assert_eq!(ledger.miscounted(), 0);
    });
}

/// A call is counted after its dialog was answered, or before: who counts looks afterwards.
#[test]
fn who_counts_a_call_and_who_answers_it_do_not_miss_each_other() {
    use shuttle::sync::atomic::{AtomicBool, Ordering::Relaxed};

    check(|| {
        let ledger = Arc::new(Ledger::new(8, SEED).unwrap());
        let answered = Arc::new(AtomicBool::new(false));
        let state = Arc::clone(&answered);
        let tells = spawn(&ledger, move |ledger| {
            // As the dialog module does: first the state, then who asked to be told.
            state.store(true, Relaxed);
            ledger.answer(DialogId(1))
        });
        let taken = try_to(&ledger, 1, &[want(ScopeKind::COMPANY, b"a", 0)]);
        assert_eq!(taken.outcome, Outcome::Counted);
        let looked = answered.load(Relaxed) && ledger.answer(DialogId(1));
        let told = tells.join().unwrap();
        assert!(looked != told, "{looked} {told}");
        assert_eq!(ledger.ringing(ScopeKind::COMPANY, b"a", Direction::Any), 0);
        assert_eq!(ledger.live(ScopeKind::COMPANY, b"a"), 1);
        ledger.forget(DialogId(1));
    });
}
