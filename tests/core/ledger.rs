//! The call ledger by itself: what it admits, holds and gives back.

use sipwarden::ledger::{Call, DialogId, Direction, Enforcement, Ledger, ScopeKind, Taken, Wanted};

pub const SEED: [u64; 2] = [11, 12];

pub fn call(dialog: u64) -> Call<'static> {
    Call {
        dialog: DialogId(dialog),
        call_id: b"call@test",
        direction: Direction::Out,
        invite: 0,
        emergency: false,
        rings: true,
        came: 0,
        began: 1,
    }
}

pub fn want(kind: ScopeKind, id: &[u8], limit: u32) -> Wanted<'_> {
    Wanted::new(kind, id, limit)
}

pub fn own(n: usize) -> ScopeKind {
    ScopeKind::own(n).unwrap()
}

pub fn try_to(ledger: &Ledger, dialog: u64, wanted: &[Wanted<'_>]) -> Taken {
    ledger.take(&call(dialog), wanted, Enforcement::Full)
}

#[cfg(not(shuttle))]
pub fn any(taken: &Taken) -> Vec<u32> {
    taken.counts.iter().flatten().map(|calls| calls.any).collect()
}

pub fn take(ledger: &Ledger, dialog: u64, brand: (&[u8], u32), company: (&[u8], u32)) -> Taken {
    let wanted =
        [want(ScopeKind::BRAND, brand.0, brand.1), want(ScopeKind::COMPANY, company.0, company.1)];
    try_to(ledger, dialog, &wanted)
}

#[cfg(not(shuttle))]
mod plain {
    use super::*;

    use sipwarden::ledger::{Bound, Exceeded, Outcome};

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
        let call = Call {
            call_id: &long,
            direction: Direction::In,
            emergency: true,
            rings: true,
            began: 77,
            ..call(9)
        };
        ledger.take(&call, &wanted, Enforcement::Full);
        let info = (0..ledger.positions()).find_map(|p| ledger.at(p)).unwrap();
        assert_eq!(info.call_id, [&long[..64], b"..."].concat());
        assert_eq!(info.id(ScopeKind::COMPANY), [&long[..32], b"..."].concat());
        assert_eq!(info.id(ScopeKind::ROADWARRIOR), b"u@d");
        assert_eq!(info.first(ScopeKind::BRAND), None);
        assert_eq!((info.direction, info.emergency, info.started), (Direction::In, true, 77));
        assert_eq!(info.call_id_hash, ledger.hash(long));
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
}
