//! Calls that ring: what a limit of them refuses, and when one rings no more.

use sipwarden::ledger::{
    Bound, Call, DialogId, Direction, Enforcement, Ledger, Limit, Outcome, ScopeKind, Taken, Wanted,
};

use crate::ledger::{SEED, call, own, want};

const COMPANY: (ScopeKind, &[u8]) = (ScopeKind::COMPANY, b"c");

fn ringing_limit(ringing: u16) -> Limit {
    Limit { ringing, ..Limit::NONE }
}

/// A company with so many calls that may ring, in all directions and inbound.
fn company(any: u16, inbound: u16) -> Wanted<'static> {
    let (limit, directed) = (ringing_limit(any), ringing_limit(inbound));
    Wanted { direction: Direction::In, limit, directed, ..want(COMPANY.0, COMPANY.1, 0) }
}

fn try_to(ledger: &Ledger, dialog: u64, wanted: &[Wanted<'_>]) -> Taken {
    ledger.take(&call(dialog), wanted, Enforcement::Full)
}

/// Calls that count and those that ring.
fn counts(ledger: &Ledger, (kind, id): (ScopeKind, &[u8])) -> (u32, u32) {
    (ledger.live(kind, id), ledger.ringing(kind, id, Direction::Any))
}

#[test]
fn so_many_ring_and_an_answer_makes_room_at_once() {
    let ledger = Ledger::new(16, SEED).unwrap();
    let wanted = [company(3, 2), want(own(0), b"k", 0)];
    for dialog in 1..=2 {
        assert_eq!(try_to(&ledger, dialog, &wanted).outcome, Outcome::Counted);
    }
    let refused = try_to(&ledger, 3, &wanted);
    let exceeded = refused.exceeded.unwrap();
    assert_eq!(refused.outcome, Outcome::Refused);
    assert_eq!((exceeded.bound, exceeded.direction), (Bound::Ringing, Direction::In));
    assert_eq!((exceeded.calls, exceeded.limit), (2, 2));
    assert_eq!(counts(&ledger, (own(0), b"k")), (2, 2), "a refusal leaves no trace");
    // In the other direction one more may ring.
    let out = [Wanted { direction: Direction::Out, ..company(3, 2) }];
    assert_eq!(try_to(&ledger, 4, &out).outcome, Outcome::Counted);
    assert_eq!(try_to(&ledger, 5, &out).exceeded.unwrap().direction, Direction::Any);
    // The answer comes twice, as forks and repeats bring it.
    assert_eq!([1, 1].map(|dialog| ledger.answer(DialogId(dialog))), [true, false]);
    assert_eq!((counts(&ledger, COMPANY), counts(&ledger, (own(0), b"k"))), ((3, 2), (2, 1)));
    assert_eq!(ledger.ringing(COMPANY.0, COMPANY.1, Direction::In), 1);
    assert_eq!(try_to(&ledger, 3, &wanted).outcome, Outcome::Counted);
    // One that ends while it rings makes room as well.
    assert_eq!(try_to(&ledger, 6, &wanted).outcome, Outcome::Refused);
    assert!(ledger.release(DialogId(2)));
    assert_eq!(try_to(&ledger, 6, &wanted).outcome, Outcome::Counted);
    for dialog in 1..=6 {
        ledger.forget(DialogId(dialog));
    }
    assert_eq!((counts(&ledger, COMPANY), ledger.miscounted()), ((0, 0), 0));
    assert_eq!((ledger.memory().leases, ledger.memory().scopes), (0, 0));
}

#[test]
fn a_call_comes_back_as_what_it_is_in_both_orders_of_cancel_and_answer() {
    let ledger = Ledger::new(16, SEED).unwrap();
    let wanted = [company(0, 0)];
    // The CANCEL first, and the answer first; one comes back that still rings.
    let orders: [(&[bool], u32); 3] = [(&[false, true], 0), (&[true, false], 0), (&[false], 1)];
    for (order, ringing) in orders {
        try_to(&ledger, 1, &wanted);
        for is_answer in order {
            match is_answer {
                true => assert!(ledger.answer(DialogId(1))),
                false => assert!(ledger.release(DialogId(1))),
            }
        }
        assert_eq!(counts(&ledger, COMPANY), (0, 0));
        assert!(ledger.resume(DialogId(1)));
        assert_eq!(counts(&ledger, COMPANY), (1, ringing));
        assert!(ledger.forget(DialogId(1)));
    }
    assert_eq!((counts(&ledger, COMPANY), ledger.miscounted()), ((0, 0), 0));
}

#[test]
fn a_scope_that_is_added_counts_the_call_as_what_it_is_by_then() {
    let ledger = Ledger::new(16, SEED).unwrap();
    let second = [Wanted { limit: ringing_limit(1), ..want(ScopeKind::COMPANY, b"d", 0) }];
    let of_second = (ScopeKind::COMPANY, &b"d"[..]);
    for dialog in 1..=3 {
        try_to(&ledger, dialog, &[company(0, 0)]);
    }
    assert_eq!(try_to(&ledger, 1, &second).outcome, Outcome::Counted);
    assert_eq!(try_to(&ledger, 2, &second).exceeded.unwrap().bound, Bound::Ringing);
    assert_eq!((counts(&ledger, COMPANY), counts(&ledger, of_second)), ((3, 3), (1, 1)));
    // What is asked about an answered call, as by a re-INVITE, rings nowhere.
    ledger.answer(DialogId(2));
    assert_eq!(try_to(&ledger, 2, &second).outcome, Outcome::Counted);
    assert_eq!(counts(&ledger, of_second), (2, 1));
    // Restored calls were answered.
    let restored = Call { rings: false, ..call(9) };
    ledger.take(&restored, &second, Enforcement::Off);
    assert_eq!((counts(&ledger, of_second), ledger.answer(DialogId(9))), ((3, 1), false));
}

#[test]
fn emergencies_are_never_refused_and_ring_like_others() {
    let ledger = Ledger::new(16, SEED).unwrap();
    let wanted = [company(1, 0)];
    assert_eq!(try_to(&ledger, 1, &wanted).outcome, Outcome::Counted);
    for (dialog, enforcement) in [(2, Enforcement::Reserved), (3, Enforcement::Reserved)] {
        let emergency = Call { emergency: true, ..call(dialog) };
        assert_eq!(ledger.take(&emergency, &wanted, enforcement).outcome, Outcome::Counted);
    }
    // Nor by a limit that keeps slots for them, while it has slots.
    let limit = Limit { calls: 9, reserved: 2, ringing: 1, ..Limit::NONE };
    let wanted = [Wanted { limit, ..company(0, 0) }];
    let emergency = Call { emergency: true, ..call(4) };
    assert_eq!(ledger.take(&emergency, &wanted, Enforcement::Reserved).outcome, Outcome::Counted);
    assert_eq!(counts(&ledger, COMPANY), (4, 4));
    let refused = try_to(&ledger, 5, &wanted).exceeded.unwrap();
    assert_eq!((refused.bound, refused.calls), (Bound::Ringing, 4));
    // In monitor mode it is told, and the call counts.
    let watched = ledger.take(&call(6), &wanted, Enforcement::Monitor);
    assert_eq!(watched.outcome, Outcome::Counted);
    assert_eq!(watched.exceeded.unwrap().bound, Bound::Ringing);
    assert_eq!(ledger.foretell(&wanted, false, 0).exceeded.unwrap().bound, Bound::Ringing);
}
