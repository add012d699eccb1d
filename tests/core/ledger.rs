//! The call ledger against a naive model, over forked processes, and under a
//! scheduler that explores interleavings (`make shuttle`).

use sipwarden::ledger::{
    Call, DialogId, Direction, Ledger, Outcome, Scope, ScopeKind, Taken, Wanted,
};

const SEED: [u64; 2] = [11, 12];

fn call(dialog: u64) -> Call<'static> {
    Call {
        dialog: DialogId(dialog),
        call_id: b"call@test",
        direction: Direction::Outbound,
        invite: 0,
        emergency: false,
        now: 1,
    }
}

fn want(kind: ScopeKind, id: &[u8], limit: u32) -> Wanted<'_> {
    Wanted { scope: Scope { kind, id }, limit, counts: true }
}

fn take(ledger: &Ledger, dialog: u64, brand: (&[u8], u32), company: (&[u8], u32)) -> Taken {
    let wanted =
        [want(ScopeKind::Brand, brand.0, brand.1), want(ScopeKind::Company, company.0, company.1)];
    ledger.take(&call(dialog), &wanted, false)
}

#[cfg(not(shuttle))]
mod plain {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use sipwarden::shm::Area;

    use crate::fork::Child;
    use crate::random::next;

    #[test]
    fn brand_is_named_first_and_a_refusal_takes_nothing() {
        let ledger = Ledger::new(16, SEED).unwrap();
        assert_eq!(take(&ledger, 1, (b"b", 1), (b"c", 1)).outcome, Outcome::Counted);
        let refused = take(&ledger, 2, (b"b", 1), (b"c", 1));
        assert_eq!(refused.outcome, Outcome::Refused(ScopeKind::Brand));
        assert_eq!(refused.counts, [Some(1), Some(1), None]);
        let refused = take(&ledger, 2, (b"b", 9), (b"c", 1));
        assert_eq!(refused.outcome, Outcome::Refused(ScopeKind::Company));
        assert_eq!(ledger.live(ScopeKind::Brand, b"b"), 1);
        assert_eq!(ledger.memory().leases, 1);
        assert_eq!(ledger.memory().scopes, 2);
    }

    #[test]
    fn user_and_company_share_one_lease() {
        let ledger = Ledger::new(16, SEED).unwrap();
        let user = [want(ScopeKind::User, b"alice@c", 1)];
        assert_eq!(ledger.take(&call(1), &user, false).outcome, Outcome::Counted);
        assert_eq!(take(&ledger, 1, (b"b", 1), (b"c", 1)).outcome, Outcome::Counted);
        assert_eq!(take(&ledger, 1, (b"b", 1), (b"c", 1)).outcome, Outcome::Held);
        assert_eq!(ledger.take(&call(1), &user, false).outcome, Outcome::Held);
        assert_eq!(ledger.memory().leases, 1);
        assert!(ledger.release(DialogId(1)));
        assert!(!ledger.release(DialogId(1)));
        for (kind, id) in [
            (ScopeKind::User, &b"alice@c"[..]),
            (ScopeKind::Brand, b"b"),
            (ScopeKind::Company, b"c"),
        ] {
            assert_eq!(ledger.live(kind, id), 0);
        }
        assert!(ledger.forget(DialogId(1)));
        assert!(!ledger.forget(DialogId(1)));
        assert_eq!((ledger.memory().leases, ledger.memory().scopes), (0, 0));
    }

    #[test]
    fn a_company_that_a_call_is_shown_for_is_not_counted_until_it_is_taken() {
        let ledger = Ledger::new(16, SEED).unwrap();
        let shown = Wanted { counts: false, ..want(ScopeKind::Company, b"c", 1) };
        let user = [want(ScopeKind::User, b"alice@c", 1), shown];
        let other = [want(ScopeKind::User, b"bob@c", 1), shown];
        let taken = ledger.take(&call(1), &user, false);
        assert_eq!((taken.outcome, taken.counts), (Outcome::Counted, [None, None, Some(1)]));
        // Shown, and no limit of the company holds.
        assert_eq!(ledger.take(&call(2), &other, false).outcome, Outcome::Counted);
        assert_eq!(ledger.live(ScopeKind::Company, b"c"), 0);
        let info = |at| ledger.at(at).unwrap();
        let hash = Some(ledger.scope_hash(ScopeKind::Company, b"c"));
        for at in [0, 1] {
            assert_eq!(info(at).scope_hashes[ScopeKind::Company as usize], hash);
            assert!(!info(at).counts_for_company);
        }
        // Then it counts: for the same company, or for another one.
        assert_eq!(take(&ledger, 1, (b"b", 0), (b"c", 1)).outcome, Outcome::Counted);
        assert_eq!(
            take(&ledger, 2, (b"b", 0), (b"c", 1)).outcome,
            Outcome::Refused(ScopeKind::Company)
        );
        assert_eq!(info(1).scope_hashes[ScopeKind::Company as usize], hash, "still shown");
        assert_eq!(take(&ledger, 2, (b"b", 0), (b"d", 1)).outcome, Outcome::Counted);
        assert!(info(0).counts_for_company && info(1).counts_for_company);
        let live = |id| ledger.live(ScopeKind::Company, id);
        assert_eq!((live(b"c"), live(b"d")), (1, 1));
        // A call that counts for a company is not shown for another.
        let elsewhere = Wanted { counts: false, ..want(ScopeKind::Company, b"e", 0) };
        take(&ledger, 3, (b"b", 0), (b"c", 0));
        ledger.take(&call(3), &[want(ScopeKind::User, b"x", 0), elsewhere], false);
        assert_eq!(info(2).scope_hashes[ScopeKind::Company as usize], hash);
        // Released, resumed, gone: nothing is left of either kind.
        ledger.take(&call(4), &[want(ScopeKind::User, b"y", 0), elsewhere], false);
        for dialog in 1..=4 {
            assert!(ledger.expire(DialogId(dialog)).is_some());
            assert!(ledger.expire(DialogId(dialog)).is_none());
            assert!(ledger.resume(DialogId(dialog)) && ledger.is_live(DialogId(dialog)));
        }
        assert_eq!((live(b"c"), live(b"d"), live(b"e")), (2, 1, 0));
        (1..=4).for_each(|dialog| assert!(ledger.forget(DialogId(dialog))));
        assert_eq!((ledger.memory().leases, ledger.memory().scopes), (0, 0));
    }

    #[test]
    fn numbers_are_those_of_the_company_that_was_asked_for() {
        let ledger = Ledger::new(16, SEED).unwrap();
        (1..=3).for_each(|n| {
            assert_eq!(take(&ledger, n, (b"b", 0), (b"a", 10)).counts[1], Some(n as u32))
        });
        take(&ledger, 4, (b"b2", 0), (b"d", 7));
        let other = take(&ledger, 1, (b"b2", 0), (b"d", 7));
        assert_eq!((other.outcome, other.counts), (Outcome::HeldByOther, [Some(1), Some(1), None]));
        // A company that has moved to another brand meanwhile.
        let moved = take(&ledger, 1, (b"b2", 0), (b"a", 10));
        assert_eq!((moved.outcome, moved.counts), (Outcome::Held, [Some(1), Some(3), None]));
    }

    #[test]
    fn what_the_second_function_says_of_a_call_is_kept_too() {
        let ledger = Ledger::new(16, SEED).unwrap();
        let first = Call { direction: Direction::Unknown, ..call(1) };
        ledger.take(&first, &[want(ScopeKind::User, b"u", 1)], false);
        let second = Call { direction: Direction::Inbound, emergency: true, ..call(1) };
        ledger.take(&second, &[want(ScopeKind::Company, b"c", 1)], true);
        let info = ledger.at(0).unwrap();
        assert_eq!((info.direction, info.emergency), (Direction::Inbound, true));
    }

    #[test]
    fn a_call_that_turns_out_to_live_counts_again_above_the_limit() {
        let ledger = Ledger::new(16, SEED).unwrap();
        take(&ledger, 1, (b"b", 1), (b"c", 1));
        assert!(ledger.release(DialogId(1)));
        assert_eq!((ledger.live_calls(), ledger.memory().leases), (0, 1));
        assert_eq!(take(&ledger, 2, (b"b", 1), (b"c", 1)).outcome, Outcome::Counted);
        assert!(ledger.resume(DialogId(1)));
        assert!(!ledger.resume(DialogId(1)));
        assert_eq!(ledger.live_calls(), 2);
        assert_eq!(ledger.live(ScopeKind::Company, b"c"), 2);
        ledger.forget(DialogId(1));
        ledger.forget(DialogId(2));
        assert_eq!(ledger.live(ScopeKind::Company, b"c"), 0);
    }

    #[test]
    fn another_invite_or_company_of_the_same_dialog_is_not_taken_for_the_first() {
        let ledger = Ledger::new(16, SEED).unwrap();
        let wanted = [want(ScopeKind::Brand, b"b", 0), want(ScopeKind::Company, b"c", 1)];
        let invite = |invite| ledger.take(&Call { invite, ..call(1) }, &wanted, false).outcome;
        assert_eq!(invite(7), Outcome::Counted);
        assert_eq!(invite(7), Outcome::Held);
        assert_eq!(invite(9), Outcome::Duplicate);
        assert_eq!(invite(0), Outcome::Held);
        assert_eq!(take(&ledger, 1, (b"b", 0), (b"d", 0)).outcome, Outcome::HeldByOther);
        // The company may have another brand by now.
        assert_eq!(take(&ledger, 1, (b"b2", 0), (b"c", 0)).outcome, Outcome::Held);
        assert_eq!(ledger.live(ScopeKind::Company, b"c"), 1);
        assert_eq!(ledger.live(ScopeKind::Company, b"d"), 0);
    }

    #[test]
    fn a_full_ledger_refuses_and_recovers() {
        let ledger = Ledger::new(4, SEED).unwrap();
        for dialog in 0..4 {
            assert_eq!(take(&ledger, dialog, (b"b", 0), (b"c", 0)).outcome, Outcome::Counted);
        }
        assert_eq!(take(&ledger, 4, (b"b", 0), (b"c", 0)).outcome, Outcome::Full);
        assert_eq!(ledger.live(ScopeKind::Brand, b"b"), 4);
        ledger.forget(DialogId(2));
        assert_eq!(take(&ledger, 4, (b"b", 0), (b"c", 0)).outcome, Outcome::Counted);
    }

    #[test]
    fn listings_show_what_fits_and_mark_what_is_cut() {
        let ledger = Ledger::new(4, SEED).unwrap();
        let long = [b'x'; 200];
        let wanted = [want(ScopeKind::Company, &long, 0), want(ScopeKind::User, b"u@d", 3)];
        let call = Call {
            call_id: &long,
            direction: Direction::Inbound,
            emergency: true,
            now: 77,
            ..call(9)
        };
        ledger.take(&call, &wanted, false);
        let info = (0..ledger.positions()).find_map(|p| ledger.at(p)).unwrap();
        assert_eq!(info.call_id, [&long[..64], b"..."].concat());
        assert_eq!(info.scopes[1].as_deref(), Some(&[&long[..32], b"..."].concat()[..]));
        assert_eq!(info.scopes[2].as_deref(), Some(&b"u@d"[..]));
        assert_eq!(info.scopes[0], None);
        assert_eq!((info.direction, info.emergency, info.started), (Direction::Inbound, true, 77));
        assert_eq!(info.call_id_hash, ledger.hash(&long));
    }

    #[test]
    fn a_lease_is_leaked_only_when_two_reconciliations_miss_its_dialog() {
        let ledger = Ledger::new(4, SEED).unwrap();
        take(&ledger, 1, (b"b", 0), (b"c", 0));
        let lease = ledger.at(0).unwrap().lease;
        assert!(!ledger.note_missing(DialogId(1), lease, true));
        assert!(!ledger.note_missing(DialogId(1), lease, false));
        assert!(!ledger.note_missing(DialogId(1), lease, true));
        assert!(ledger.note_missing(DialogId(1), lease, true));
        ledger.forget(DialogId(1));
        take(&ledger, 1, (b"b", 0), (b"c", 0));
        assert!(!ledger.forget_lease(DialogId(1), lease), "another lease in the same record");
        assert_eq!(ledger.live(ScopeKind::Company, b"c"), 1);
    }

    /// What the ledger must do, in the plainest way.
    #[derive(Default)]
    struct Model {
        /// Dialog -> (live, scopes).
        leases: HashMap<u64, (bool, Vec<(ScopeKind, u8)>)>,
    }

    impl Model {
        fn live(&self, kind: ScopeKind, id: u8) -> u32 {
            let holds = |l: &&(bool, Vec<_>)| l.0 && l.1.contains(&(kind, id));
            self.leases.values().filter(holds).count() as u32
        }

        fn take(
            &mut self,
            dialog: u64,
            scopes: &[(ScopeKind, u8, u32)],
            force: bool,
            capacity: usize,
        ) -> Outcome {
            if let Some((live, held)) = self.leases.get(&dialog) {
                let shared = scopes.iter().rev().find(|s| held.iter().any(|h| h.0 == s.0));
                if let (true, Some(shared)) = (*live, shared) {
                    let same = held.contains(&(shared.0, shared.1));
                    return if same { Outcome::Held } else { Outcome::HeldByOther };
                }
                if !live {
                    self.leases.remove(&dialog);
                }
            }
            if !self.leases.contains_key(&dialog) && self.leases.len() == capacity {
                return Outcome::Full;
            }
            let full = scopes.iter().filter(|s| s.2 > 0 && self.live(s.0, s.1) >= s.2);
            if let Some(first) = full.map(|s| s.0).min().filter(|_| !force) {
                return Outcome::Refused(first);
            }
            let lease = self.leases.entry(dialog).or_insert((true, Vec::new()));
            lease.1.extend(scopes.iter().map(|s| (s.0, s.1)));
            Outcome::Counted
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        Count { dialog: u64, brand: u8, company: u8, limits: (u32, u32), force: bool },
        Roadwarrior { dialog: u64, user: u8, limit: u32 },
        Release(u64),
        Resume(u64),
        Forget(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let dialog = || 0u64..12;
        prop_oneof![
            4 => (dialog(), 0u8..2, 0u8..4, (0u32..5, 0u32..4), prop::bool::weighted(0.1))
                .prop_map(|(dialog, brand, company, limits, force)| Step::Count { dialog, brand, company, limits, force }),
            2 => (dialog(), 0u8..3, 1u32..4).prop_map(|(dialog, user, limit)| Step::Roadwarrior { dialog, user, limit }),
            2 => dialog().prop_map(Step::Release),
            1 => dialog().prop_map(Step::Resume),
            2 => dialog().prop_map(Step::Forget),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn it_does_what_the_model_does(steps in prop::collection::vec(step(), 1..80)) {
            const CAPACITY: usize = 8;
            let ledger = Ledger::new(CAPACITY, SEED).unwrap();
            let mut model = Model::default();
            for step in steps {
                match step {
                    Step::Count { dialog, brand, company, limits, force } => {
                        let scopes = [(ScopeKind::Brand, brand, limits.0), (ScopeKind::Company, company, limits.1)];
                        let wanted = scopes.map(|s| (s.0, [s.1], s.2));
                        let wanted = [want(wanted[0].0, &wanted[0].1, wanted[0].2), want(wanted[1].0, &wanted[1].1, wanted[1].2)];
                        let taken = ledger.take(&call(dialog), &wanted, force).outcome;
                        prop_assert_eq!(taken, model.take(dialog, &scopes, force, CAPACITY));
                    }
                    Step::Roadwarrior { dialog, user, limit } => {
                        let taken = ledger.take(&call(dialog), &[want(ScopeKind::User, &[user], limit)], false);
                        prop_assert_eq!(taken.outcome, model.take(dialog, &[(ScopeKind::User, user, limit)], false, CAPACITY));
                    }
                    Step::Release(dialog) => {
                        let lease = model.leases.get_mut(&dialog).filter(|l| l.0);
                        prop_assert_eq!(ledger.release(DialogId(dialog)), lease.is_some());
                        if let Some(lease) = lease { lease.0 = false; }
                    }
                    Step::Resume(dialog) => {
                        let lease = model.leases.get_mut(&dialog).filter(|l| !l.0);
                        prop_assert_eq!(ledger.resume(DialogId(dialog)), lease.is_some());
                        if let Some(lease) = lease { lease.0 = true; }
                    }
                    Step::Forget(dialog) => {
                        prop_assert_eq!(ledger.forget(DialogId(dialog)), model.leases.remove(&dialog).is_some());
                    }
                }
                for id in 0..4u8 {
                    for kind in ScopeKind::ALL {
                        prop_assert_eq!(ledger.live(kind, &[id]), model.live(kind, id), "{:?} {}", kind, id);
                    }
                }
                prop_assert_eq!(ledger.memory().leases as usize, model.leases.len());
                let live = model.leases.values().filter(|lease| lease.0).count();
                prop_assert_eq!((ledger.live_calls(), ledger.miscounted()), (live as u64, 0));
            }
            for dialog in 0..12 {
                ledger.forget(DialogId(dialog));
            }
            prop_assert_eq!((ledger.memory().leases, ledger.memory().scopes), (0, 0));
        }
    }

    const PROCESSES: u64 = 8;
    const PAIRS: u64 = 10_000_000;
    const BRANDS: u64 = 3;
    const COMPANIES: u64 = 9;
    const BRAND_LIMIT: u32 = 7;
    const COMPANY_LIMIT: u32 = 3;
    const USER_LIMIT: u32 = 2;

    /// Takes and gives back, up to four calls at a time. Allocates nothing.
    fn work(ledger: &Ledger, process: u64, admitted: &AtomicU64) -> i32 {
        let mut random = (process + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut up = [None::<u64>; 4];
        for n in 0..PAIRS / PROCESSES {
            let slot = &mut up[(n % 4) as usize];
            if let Some(dialog) = slot.take() {
                // An ending may come as several events, in any order.
                if dialog % 3 == 0 && !ledger.release(DialogId(dialog)) {
                    return 2;
                }
                if !ledger.forget(DialogId(dialog)) {
                    return 3;
                }
            }
            let dialog = process << 40 | n;
            let company = next(&mut random) % COMPANIES;
            let (id, brand, user) =
                ([b'c', company as u8], [b'b', (company % BRANDS) as u8], [b'u', company as u8]);
            let outcome = if n % 5 == 0 {
                ledger.take(&call(dialog), &[want(ScopeKind::User, &user, USER_LIMIT)], false)
            } else {
                take(ledger, dialog, (&brand, BRAND_LIMIT), (&id, COMPANY_LIMIT))
            };
            match outcome.outcome {
                Outcome::Counted => {
                    *slot = Some(dialog);
                    admitted.fetch_add(1, SeqCst);
                }
                Outcome::Refused(_) => {}
                _ => return 4,
            }
        }
        for dialog in up.into_iter().flatten() {
            ledger.forget(DialogId(dialog));
        }
        0
    }

    /// Watches all counters until told to stop.
    fn sample(ledger: &Ledger, stop: &AtomicU64, reached: &AtomicU64) -> i32 {
        while stop.load(SeqCst) == 0 {
            for company in 0..COMPANIES as u8 {
                let brand = ledger.live(ScopeKind::Brand, &[b'b', company % BRANDS as u8]);
                let count = ledger.live(ScopeKind::Company, &[b'c', company]);
                let user = ledger.live(ScopeKind::User, &[b'u', company]);
                if brand > BRAND_LIMIT || count > COMPANY_LIMIT || user > USER_LIMIT {
                    return 5;
                }
                if brand == BRAND_LIMIT {
                    reached.fetch_or(1, SeqCst);
                }
                if count == COMPANY_LIMIT {
                    reached.fetch_or(2, SeqCst);
                }
                if user == USER_LIMIT {
                    reached.fetch_or(4, SeqCst);
                }
            }
        }
        0
    }

    #[test]
    fn eight_processes_never_pass_a_limit_and_leave_nothing() {
        let ledger = Ledger::new(1024, SEED).unwrap();
        let [stop, reached, admitted] = [(); 3].map(|()| Area::share::<AtomicU64>().unwrap());
        let sampler = Child::start(|| sample(&ledger, stop, reached));
        let workers: Vec<_> =
            (0..PROCESSES).map(|n| Child::start(|| work(&ledger, n, admitted))).collect();
        workers.into_iter().for_each(Child::wait);
        stop.store(1, SeqCst);
        sampler.wait();
        assert_eq!(reached.load(SeqCst), 7, "not every kind of limit was reached");
        assert!(admitted.load(SeqCst) > PAIRS / 10, "{} admitted", admitted.load(SeqCst));
        for company in 0..COMPANIES as u8 {
            assert_eq!(ledger.live(ScopeKind::Company, &[b'c', company]), 0);
            assert_eq!(ledger.live(ScopeKind::Brand, &[b'b', company % BRANDS as u8]), 0);
            assert_eq!(ledger.live(ScopeKind::User, &[b'u', company]), 0);
        }
        assert_eq!((ledger.memory().leases, ledger.memory().scopes), (0, 0));
        assert_eq!((ledger.live_calls(), ledger.miscounted()), (0, 0));
    }
}

/// Interleavings of every atomic operation, chosen at random.
#[cfg(shuttle)]
mod interleaved {
    use super::*;
    use std::sync::Arc;

    const SCHEDULES: usize = 20_000;

    #[test]
    fn three_calls_for_two_slots_then_all_endings_at_once() {
        shuttle::check_random(
            || {
                let ledger = Arc::new(Ledger::new(8, SEED).unwrap());
                let threads: Vec<_> = (1..=3u64)
                    .map(|dialog| {
                        let ledger = Arc::clone(&ledger);
                        shuttle::thread::spawn(move || {
                            let taken =
                                take(&ledger, dialog, (b"b", 2), (&[b'c', (dialog % 2) as u8], 2));
                            assert!(ledger.live(ScopeKind::Brand, b"b") <= 2);
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
                assert_eq!(ledger.live(ScopeKind::Brand, b"b"), up);
                ledger.forget(DialogId(4));
                assert_eq!((ledger.memory().leases, ledger.memory().scopes), (0, 0));
            },
            SCHEDULES,
        );
    }

    #[test]
    fn one_dialog_in_two_workers_counts_once() {
        shuttle::check_random(
            || {
                let ledger = Arc::new(Ledger::new(8, SEED).unwrap());
                let twins: Vec<_> = (0..2)
                    .map(|_| {
                        let ledger = Arc::clone(&ledger);
                        shuttle::thread::spawn(move || {
                            let user = [want(ScopeKind::User, b"u", 1)];
                            let first = ledger.take(&call(1), &user, false).outcome;
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
                assert_eq!(ledger.live(ScopeKind::Company, b"c"), u32::from(resumed));
                ledger.forget(DialogId(1));
                assert_eq!((ledger.memory().leases, ledger.memory().scopes), (0, 0));
            },
            SCHEDULES,
        );
    }
}
