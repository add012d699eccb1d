//! The call ledger against a naive model, over forked processes, and under a
//! scheduler that explores interleavings (`make shuttle`).

use sipwarden::ledger::{
    Call, DialogId, Direction, Enforcement, Ledger, Limit, Outcome, Rate, ScopeKind, Taken, Wanted,
};

const SEED: [u64; 2] = [11, 12];

fn call(dialog: u64) -> Call<'static> {
    Call {
        dialog: DialogId(dialog),
        call_id: b"call@test",
        direction: Direction::Out,
        invite: 0,
        emergency: false,
        now: 1,
        came: 0,
    }
}

fn want(kind: ScopeKind, id: &[u8], limit: u32) -> Wanted<'_> {
    Wanted::new(kind, id, limit)
}

fn own(n: usize) -> ScopeKind {
    ScopeKind::own(n).unwrap()
}

fn try_to(ledger: &Ledger, dialog: u64, wanted: &[Wanted<'_>]) -> Taken {
    ledger.take(&call(dialog), wanted, Enforcement::Full)
}

#[cfg(not(shuttle))]
fn any(taken: &Taken) -> Vec<u32> {
    taken.counts.iter().flatten().map(|calls| calls.any).collect()
}

fn take(ledger: &Ledger, dialog: u64, brand: (&[u8], u32), company: (&[u8], u32)) -> Taken {
    let wanted =
        [want(ScopeKind::BRAND, brand.0, brand.1), want(ScopeKind::COMPANY, company.0, company.1)];
    try_to(ledger, dialog, &wanted)
}

#[cfg(not(shuttle))]
mod plain {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

    use sipwarden::ledger::{Bound, Exceeded};
    use sipwarden::shm::Area;

    use crate::fork::Child;
    use crate::random::next;

    #[test]
    fn brand_is_named_first_and_a_refusal_takes_nothing() {
        let ledger = Ledger::new(16, SEED).unwrap();
        assert_eq!(take(&ledger, 1, (b"b", 1), (b"c", 1)).outcome, Outcome::Counted);
        let refused = take(&ledger, 2, (b"b", 1), (b"c", 1));
        let brand = Exceeded {
            at: 0,
            kind: ScopeKind::BRAND,
            direction: Direction::Any,
            bound: Bound::Calls,
            calls: 1,
            limit: 1,
        };
        assert_eq!((refused.outcome, refused.exceeded), (Outcome::Refused, Some(brand)));
        assert_eq!(any(&refused), [1, 1]);
        let refused = take(&ledger, 2, (b"b", 9), (b"c", 1));
        let company = Exceeded { at: 1, kind: ScopeKind::COMPANY, ..brand };
        assert_eq!((refused.outcome, refused.exceeded), (Outcome::Refused, Some(company)));
        assert_eq!(ledger.live(ScopeKind::BRAND, b"b"), 1);
        assert_eq!(ledger.memory().leases, 1);
        assert_eq!(ledger.memory().scopes, 2);
    }

    #[test]
    fn user_and_company_share_one_lease() {
        let ledger = Ledger::new(16, SEED).unwrap();
        let user = [want(ScopeKind::ROADWARRIOR, b"alice@c", 1)];
        assert_eq!(ledger.take(&call(1), &user, Enforcement::Full).outcome, Outcome::Counted);
        assert_eq!(take(&ledger, 1, (b"b", 1), (b"c", 1)).outcome, Outcome::Counted);
        assert_eq!(take(&ledger, 1, (b"b", 1), (b"c", 1)).outcome, Outcome::Held);
        assert_eq!(ledger.take(&call(1), &user, Enforcement::Full).outcome, Outcome::Held);
        assert_eq!(ledger.memory().leases, 1);
        assert!(ledger.release(DialogId(1)));
        assert!(!ledger.release(DialogId(1)));
        for (kind, id) in [
            (ScopeKind::ROADWARRIOR, &b"alice@c"[..]),
            (ScopeKind::BRAND, b"b"),
            (ScopeKind::COMPANY, b"c"),
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
        let shown = Wanted { counts: false, ..want(ScopeKind::COMPANY, b"c", 1) };
        let user = [want(ScopeKind::ROADWARRIOR, b"alice@c", 1), shown];
        let other = [want(ScopeKind::ROADWARRIOR, b"bob@c", 1), shown];
        let taken = ledger.take(&call(1), &user, Enforcement::Full);
        assert_eq!((taken.outcome, any(&taken)), (Outcome::Counted, vec![1]));
        // Shown, and no limit of the company holds.
        assert_eq!(ledger.take(&call(2), &other, Enforcement::Full).outcome, Outcome::Counted);
        assert_eq!(ledger.live(ScopeKind::COMPANY, b"c"), 0);
        let info = |at| ledger.at(at).unwrap();
        let hash = ledger.scope_hash(ScopeKind::COMPANY, b"c");
        for at in [0, 1] {
            assert!(info(at).names(hash));
            assert!(!info(at).counts_for_company());
        }
        // Then it counts: for the same company, or for another one.
        assert_eq!(take(&ledger, 1, (b"b", 0), (b"c", 1)).outcome, Outcome::Counted);
        assert_eq!(take(&ledger, 2, (b"b", 0), (b"c", 1)).outcome, Outcome::Refused);
        assert!(info(1).names(hash), "still shown");
        assert_eq!(take(&ledger, 2, (b"b", 0), (b"d", 1)).outcome, Outcome::Counted);
        assert!(info(0).counts_for_company() && info(1).counts_for_company());
        assert!(!info(1).names(hash), "no longer shown");
        let live = |id| ledger.live(ScopeKind::COMPANY, id);
        assert_eq!((live(b"c"), live(b"d")), (1, 1));
        // A call that counts for a company is not shown for another.
        let elsewhere = Wanted { counts: false, ..want(ScopeKind::COMPANY, b"e", 0) };
        take(&ledger, 3, (b"b", 0), (b"c", 0));
        ledger.take(
            &call(3),
            &[want(ScopeKind::ROADWARRIOR, b"x", 0), elsewhere],
            Enforcement::Full,
        );
        assert_eq!(info(2).id(ScopeKind::COMPANY), b"c");
        assert_eq!(info(2).scopes.len(), 3, "brand, company, roadwarrior");
        // Released, resumed, gone: nothing is left of either kind.
        ledger.take(
            &call(4),
            &[want(ScopeKind::ROADWARRIOR, b"y", 0), elsewhere],
            Enforcement::Full,
        );
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
            assert_eq!(take(&ledger, n, (b"b", 0), (b"a", 10)).counts[1].unwrap().any, n as u32)
        });
        take(&ledger, 4, (b"b2", 0), (b"d", 7));
        // A company that has moved to another brand meanwhile.
        let moved = take(&ledger, 1, (b"b2", 0), (b"a", 10));
        assert_eq!((moved.outcome, any(&moved)), (Outcome::Held, vec![1, 3]));
        let other = take(&ledger, 1, (b"b2", 0), (b"d", 7));
        assert_eq!((other.outcome, any(&other)), (Outcome::Counted, vec![2, 2]));
        assert!(other.second_company);
    }

    #[test]
    fn what_the_second_function_says_of_a_call_is_kept_too() {
        let ledger = Ledger::new(16, SEED).unwrap();
        let first = Call { direction: Direction::Any, ..call(1) };
        ledger.take(&first, &[want(ScopeKind::ROADWARRIOR, b"u", 1)], Enforcement::Full);
        let second = Call { direction: Direction::In, emergency: true, ..call(1) };
        ledger.take(&second, &[want(ScopeKind::COMPANY, b"c", 1)], Enforcement::Off);
        let info = ledger.at(0).unwrap();
        assert_eq!((info.direction, info.emergency), (Direction::In, true));
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
        assert_eq!(ledger.live(ScopeKind::COMPANY, b"c"), 2);
        ledger.forget(DialogId(1));
        ledger.forget(DialogId(2));
        assert_eq!(ledger.live(ScopeKind::COMPANY, b"c"), 0);
    }

    #[test]
    fn another_invite_or_roadwarrior_of_the_same_dialog_is_not_taken_for_the_first() {
        let ledger = Ledger::new(16, SEED).unwrap();
        let wanted = [want(ScopeKind::BRAND, b"b", 0), want(ScopeKind::COMPANY, b"c", 1)];
        let invite =
            |invite| ledger.take(&Call { invite, ..call(1) }, &wanted, Enforcement::Full).outcome;
        assert_eq!(invite(7), Outcome::Counted);
        assert_eq!(invite(7), Outcome::Held);
        assert_eq!(invite(9), Outcome::Duplicate);
        assert_eq!(invite(0), Outcome::Held);
        // The company may have another brand by now.
        assert_eq!(take(&ledger, 1, (b"b2", 0), (b"c", 0)).outcome, Outcome::Held);
        assert_eq!(ledger.live(ScopeKind::COMPANY, b"c"), 1);
        let user = |id| [want(ScopeKind::ROADWARRIOR, id, 0)];
        assert_eq!(try_to(&ledger, 1, &user(b"x")).outcome, Outcome::Counted);
        assert_eq!(try_to(&ledger, 1, &user(b"x")).outcome, Outcome::Held);
        assert_eq!(try_to(&ledger, 1, &user(b"y")).outcome, Outcome::HeldByOther);
        assert_eq!(ledger.live(ScopeKind::ROADWARRIOR, b"y"), 0);
    }

    #[test]
    fn a_full_ledger_refuses_and_recovers() {
        let ledger = Ledger::new(4, SEED).unwrap();
        for dialog in 0..4 {
            assert_eq!(take(&ledger, dialog, (b"b", 0), (b"c", 0)).outcome, Outcome::Counted);
        }
        assert_eq!(take(&ledger, 4, (b"b", 0), (b"c", 0)).outcome, Outcome::Full);
        assert_eq!(ledger.live(ScopeKind::BRAND, b"b"), 4);
        ledger.forget(DialogId(2));
        assert_eq!(take(&ledger, 4, (b"b", 0), (b"c", 0)).outcome, Outcome::Counted);
    }

    #[test]
    fn listings_show_what_fits_and_mark_what_is_cut() {
        let ledger = Ledger::new(4, SEED).unwrap();
        let long = [b'x'; 200];
        let wanted = [want(ScopeKind::COMPANY, &long, 0), want(ScopeKind::ROADWARRIOR, b"u@d", 3)];
        let call =
            Call { call_id: &long, direction: Direction::In, emergency: true, now: 77, ..call(9) };
        ledger.take(&call, &wanted, Enforcement::Full);
        let info = (0..ledger.positions()).find_map(|p| ledger.at(p)).unwrap();
        assert_eq!(info.call_id, [&long[..64], b"..."].concat());
        assert_eq!(info.id(ScopeKind::COMPANY), [&long[..32], b"..."].concat());
        assert_eq!(info.id(ScopeKind::ROADWARRIOR), b"u@d");
        assert_eq!(info.first(ScopeKind::BRAND), None);
        assert_eq!((info.direction, info.emergency, info.started), (Direction::In, true, 77));
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
        assert_eq!(ledger.live(ScopeKind::COMPANY, b"c"), 1);
    }

    const PROCESSES: u64 = 8;
    const PAIRS: u64 = 10_000_000;
    const BRANDS: u64 = 3;
    const COMPANIES: u64 = 9;
    const BRAND_LIMIT: u32 = 7;
    const COMPANY_LIMIT: u32 = 3;
    const USER_LIMIT: u32 = 2;
    const INBOUND_LIMIT: u32 = 2;
    const CARRIERS: u64 = 3;
    const CARRIER_LIMIT: u32 = 5;
    const CARRIER_CALLS: u32 = 500;
    const CARRIER_WINDOW: u32 = 1;

    fn milliseconds() -> u64 {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: fills the structure.
        unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &raw mut time) };
        time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
    }

    fn carrier_rate() -> Rate {
        Rate::new(CARRIER_CALLS, CARRIER_WINDOW, 10).unwrap()
    }

    /// Takes a call of one of five shapes: companies with inbound limits, two companies
    /// one after the other, roadwarriors, carriers with rates, called numbers.
    fn take_one(ledger: &Ledger, dialog: u64, shape: u64, pick: u64) -> Taken {
        let company = (pick % COMPANIES) as u8;
        let brand = company % BRANDS as u8;
        let (id, other) = ([b'c', company], [b'c', (company + 1) % COMPANIES as u8]);
        let (brand, user) = ([b'b', brand], [b'u', company]);
        let of = |id, direction| Wanted {
            direction,
            directed: Limit::calls(if direction == Direction::In { INBOUND_LIMIT } else { 0 }),
            ..want(ScopeKind::COMPANY, id, COMPANY_LIMIT)
        };
        let in_brand = want(ScopeKind::BRAND, &brand, BRAND_LIMIT);
        match shape {
            0 => try_to(ledger, dialog, &[want(ScopeKind::ROADWARRIOR, &user, USER_LIMIT)]),
            1 => {
                let first = try_to(ledger, dialog, &[in_brand, of(&id, Direction::Out)]);
                if first.outcome == Outcome::Counted {
                    // Refused or not, the first counts on.
                    let second = try_to(ledger, dialog, &[of(&other, Direction::In)]);
                    assert_eq!(second.second_company, second.outcome == Outcome::Counted);
                }
                first
            }
            2 => {
                let carrier = [b'k', (pick % CARRIERS) as u8];
                let rate = Limit { rate: carrier_rate(), ..Limit::calls(CARRIER_LIMIT) };
                let carrier = Wanted { limit: rate, ..want(own(0), &carrier, 0) };
                let call = Call { came: milliseconds(), ..call(dialog) };
                ledger.take(&call, &[carrier, of(&id, Direction::Out)], Enforcement::Full)
            }
            3 => {
                let number = (pick % 50).to_ne_bytes();
                let did = Wanted { direction: Direction::In, ..want(own(1), &number, 1) };
                let all = [in_brand, of(&id, Direction::In), did, want(own(2), &user, 0)];
                try_to(ledger, dialog, &all)
            }
            _ => try_to(ledger, dialog, &[in_brand, of(&id, Direction::In)]),
        }
    }

    /// Takes and gives back, up to four calls at a time. Allocates nothing.
    fn work(ledger: &Ledger, process: u64, admitted: &[AtomicU64]) -> i32 {
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
            let pick = next(&mut random);
            let shape = n % 5;
            match take_one(ledger, dialog, shape, pick).outcome {
                Outcome::Counted => {
                    *slot = Some(dialog);
                    admitted[0].fetch_add(1, SeqCst);
                    if shape == 2 {
                        admitted[1 + (pick % CARRIERS) as usize].fetch_add(1, SeqCst);
                    }
                }
                Outcome::Refused => {}
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
        let reach = |bit: u64, count: u32, limit: u32| {
            if count == limit {
                reached.fetch_or(bit, SeqCst);
            }
            count <= limit
        };
        while stop.load(SeqCst) == 0 {
            for company in 0..COMPANIES as u8 {
                let of = ledger.calls(ScopeKind::COMPANY, &[b'c', company]);
                let brand = ledger.live(ScopeKind::BRAND, &[b'b', company % BRANDS as u8]);
                let user = ledger.live(ScopeKind::ROADWARRIOR, &[b'u', company]);
                let did = ledger.live(own(1), &u64::from(company).to_ne_bytes());
                let within = reach(1, brand, BRAND_LIMIT)
                    & reach(2, of.any, COMPANY_LIMIT)
                    & reach(4, user, USER_LIMIT)
                    & reach(8, of.inbound, INBOUND_LIMIT)
                    & reach(16, did, 1);
                if !within {
                    return 5;
                }
            }
            for carrier in 0..CARRIERS as u8 {
                let (id, rate) = ([b'k', carrier], carrier_rate());
                let new = ledger.new_calls(own(0), &id, Direction::Any, &rate, milliseconds());
                let live = ledger.live(own(0), &id);
                if !(reach(32, new, CARRIER_CALLS) && reach(0, live, CARRIER_LIMIT)) {
                    return 6;
                }
            }
        }
        0
    }

    #[test]
    fn eight_processes_never_pass_a_limit_and_leave_nothing() {
        let ledger = Ledger::new(1024, SEED).unwrap();
        let [stop, reached] = [(); 2].map(|()| Area::share::<AtomicU64>().unwrap());
        let admitted = Area::share_slice::<AtomicU64>(1 + CARRIERS as usize).unwrap();
        let begun = milliseconds();
        let sampler = Child::start(|| sample(&ledger, stop, reached));
        let workers: Vec<_> =
            (0..PROCESSES).map(|n| Child::start(|| work(&ledger, n, admitted))).collect();
        workers.into_iter().for_each(Child::wait);
        let seconds = (milliseconds() - begun) as f64 / 1000.0;
        stop.store(1, SeqCst);
        sampler.wait();
        assert_eq!(reached.load(SeqCst), 63, "not every kind of limit was reached");
        let [all, carriers @ ..] = admitted else { unreachable!() };
        assert!(all.load(SeqCst) > PAIRS / 20, "{} admitted", all.load(SeqCst));
        // Windows of 13/14 at least (less a tick of the clock), one more begun.
        let most = (seconds / (f64::from(CARRIER_WINDOW) * 0.91) + 2.0) * f64::from(CARRIER_CALLS);
        for carrier in carriers {
            let calls = carrier.load(SeqCst);
            assert!((calls as f64) <= most, "{calls} calls in {seconds} s");
        }
        for company in 0..COMPANIES as u8 {
            assert_eq!(ledger.live(ScopeKind::COMPANY, &[b'c', company]), 0);
            assert_eq!(ledger.live(ScopeKind::BRAND, &[b'b', company % BRANDS as u8]), 0);
            assert_eq!(ledger.live(ScopeKind::ROADWARRIOR, &[b'u', company]), 0);
        }
        let memory = ledger.memory();
        assert_eq!((memory.leases, memory.scopes), (0, 0));
        assert_eq!(memory.idle_scopes as u64, CARRIERS);
        ledger.sweep(10_000, milliseconds() + 5000);
        assert_eq!(ledger.memory().idle_scopes, 0);
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
            },
            SCHEDULES,
        );
    }

    fn spawn<R: Send + 'static>(
        ledger: &Arc<Ledger>,
        f: impl FnOnce(&Ledger) -> R + Send + 'static,
    ) -> shuttle::thread::JoinHandle<R> {
        let ledger = Arc::clone(ledger);
        shuttle::thread::spawn(move || f(&ledger))
    }

    /// Three calls of four scopes each, that share them in other orders; each scope has
    /// room for two, one rate too.
    #[test]
    fn calls_of_many_scopes_count_in_all_or_none() {
        shuttle::check_random(
            || {
                let ledger = Arc::new(Ledger::new(8, SEED).unwrap());
                let ids: [[&[u8]; 3]; 3] =
                    [[b"1", b"2", b"3"], [b"3", b"1", b"2"], [b"2", b"3", b"1"]];
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
                let endings: Vec<_> = (0..3)
                    .map(|n| spawn(&ledger, move |ledger| ledger.forget(DialogId(n))))
                    .collect();
                let sweep = spawn(&ledger, |ledger| ledger.sweep(8, 9_000));
                let wanted = [Wanted { limit: rate, ..want(own(0), b"r", 0) }];
                assert_eq!(try_to(&ledger, 9, &wanted).outcome, Outcome::Refused);
                endings.into_iter().for_each(|ending| drop(ending.join().unwrap()));
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
            },
            SCHEDULES,
        );
    }

    /// A call gets a second company while it ends and comes back; another call wants the
    /// only slot of both.
    #[test]
    fn a_company_added_to_a_call_ends_with_it() {
        shuttle::check_random(
            || {
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
            },
            SCHEDULES,
        );
    }
}
