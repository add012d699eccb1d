//! What is added to a call that counts already: another company, a direction, an emergency.

use sipwarden::ledger::{
    Bound, Call, Calls, DialogId, Direction, Enforcement, Ledger, Limit, Outcome, Rate, ScopeKind,
    Taken, Wanted,
};

use crate::ledger::{SEED, call, own, try_to, want};

const BRAND: ScopeKind = ScopeKind::BRAND;
const COMPANY: ScopeKind = ScopeKind::COMPANY;

fn ledger() -> Ledger {
    Ledger::new(16, SEED).unwrap()
}

fn of<'a>(brand: &'a [u8], company: &'a [u8]) -> [Wanted<'a>; 2] {
    [want(BRAND, brand, 0), want(COMPANY, company, 0)]
}

fn to<'a>(direction: Direction, wanted: [Wanted<'a>; 2], limit: u32) -> [Wanted<'a>; 2] {
    wanted.map(|want| Wanted { direction, directed: Limit::calls(limit), ..want })
}

/// In any direction, in, out.
fn counts(ledger: &Ledger, kind: ScopeKind, id: &[u8]) -> (u32, u32, u32) {
    let Calls { any, inbound, outbound, .. } = ledger.calls(kind, id);
    (any, inbound, outbound)
}

fn leaves_nothing(ledger: &Ledger) {
    for dialog in 0..16 {
        ledger.forget(DialogId(dialog));
    }
    let memory = ledger.memory();
    assert_eq!((memory.leases, memory.scopes, ledger.miscounted()), (0, 0, 0));
}

#[test]
fn two_companies_asked_in_one_step_count_for_the_brands_of_both() {
    let ledger = ledger();
    assert_eq!(try_to(&ledger, 1, &of(b"x", b"a")).outcome, Outcome::Counted);
    // The first one counts already, and has moved to another brand meanwhile.
    let both = [of(b"moved", b"a"), of(b"y", b"b")].concat();
    let taken = try_to(&ledger, 1, &both);
    assert_eq!((taken.outcome, taken.second_company), (Outcome::Counted, true));
    assert_eq!(taken.raised().map(|(at, _)| at).collect::<Vec<_>>(), [2, 3]);
    let live = |kind, id: &[u8]| ledger.live(kind, id);
    assert_eq!([b"x", b"y"].map(|id| live(BRAND, id)), [1, 1]);
    assert_eq!((live(BRAND, b"moved"), live(COMPANY, b"a"), live(COMPANY, b"b")), (0, 1, 1));
    // New ones too.
    assert_eq!(try_to(&ledger, 2, &both).outcome, Outcome::Counted);
    assert_eq!((live(BRAND, b"moved"), live(BRAND, b"y")), (1, 2));
    assert_eq!(try_to(&ledger, 2, &both).outcome, Outcome::Held);
    leaves_nothing(&ledger);
}

#[test]
fn a_call_within_a_company_counts_in_both_directions() {
    let ledger = ledger();
    let ask = |dialog, direction, brand: &'static [u8]| {
        try_to(&ledger, dialog, &to(direction, of(brand, b"a"), 1))
    };
    assert_eq!(ask(1, Direction::Out, b"x").outcome, Outcome::Counted);
    let added = ask(1, Direction::In, b"x");
    assert_eq!(added.outcome, Outcome::Held);
    assert_eq!(added.raised().map(|(at, _)| at).collect::<Vec<_>>(), [0, 1]);
    let again = ask(1, Direction::In, b"x");
    assert_eq!((again.outcome, again.added), (Outcome::Held, 0));
    assert_eq!(
        (counts(&ledger, BRAND, b"x"), counts(&ledger, COMPANY, b"a")),
        ((1, 1, 1), (1, 1, 1))
    );
    // Both limits are reached now.
    for direction in [Direction::In, Direction::Out] {
        let refused = ask(2, direction, b"x");
        let exceeded = refused.exceeded.unwrap();
        assert_eq!((refused.outcome, exceeded.direction), (Outcome::Refused, direction));
    }
    // A direction that has no room is refused, and nothing is added.
    assert_eq!(ask(3, Direction::Any, b"x").outcome, Outcome::Counted);
    assert_eq!(ask(3, Direction::In, b"x").outcome, Outcome::Refused);
    assert_eq!(counts(&ledger, COMPANY, b"a"), (2, 1, 1));
    // The company has another brand by now: the call stays where it counts.
    ledger.forget(DialogId(1));
    assert_eq!(ask(3, Direction::In, b"moved").outcome, Outcome::Held);
    let brands = [b"x".as_slice(), b"moved"].map(|id| counts(&ledger, BRAND, id));
    assert_eq!((brands, counts(&ledger, COMPANY, b"a")), ([(1, 0, 0), (0, 0, 0)], (1, 1, 0)));
    leaves_nothing(&ledger);
}

#[test]
fn only_the_first_company_of_a_call_is_the_first() {
    let ledger = ledger();
    let first = |wanted: &[Wanted<'_>]| try_to(&ledger, 1, wanted).first_company;
    assert!(!first(&[want(ScopeKind::ROADWARRIOR, b"u", 0)]));
    assert!(first(&of(b"x", b"a")));
    assert!(!first(&of(b"x", b"a")));
    // Another carrier, and another company.
    assert!(!first(&[of(b"x", b"a").to_vec(), vec![want(own(0), b"k", 0)]].concat()));
    assert!(!first(&of(b"y", b"b")));
    ledger.forget(DialogId(1));
    assert!(first(&[of(b"x", b"a"), of(b"y", b"b")].concat()));
    leaves_nothing(&ledger);
}

/// A reload takes a rate away: what it remembers goes before its window is over.
#[test]
fn a_scope_without_calls_goes_when_there_is_no_rate_for_it_any_more() {
    let ledger = ledger();
    let limit = Limit { rate: Rate::new(5, 3600, 4).unwrap(), ..Limit::NONE };
    let long = [b'x'; 40];
    let ids: [&[u8]; 3] = [b"goes", b"stays", &long];
    let at_rate = |id| Wanted { limit, ..want(own(0), id, 0) };
    for (dialog, id) in ids.into_iter().enumerate() {
        try_to(&ledger, dialog as u64, &[at_rate(id)]);
    }
    let has_rate = |kind, id: &[u8]| kind == own(0) && id == b"stays";
    assert_eq!(ledger.sweep_where(100, 5000, has_rate), 0, "calls keep them");
    (0..3).for_each(|dialog| assert!(ledger.forget(DialogId(dialog))));
    assert_eq!(ledger.memory().idle_scopes, 3);
    // Of an id that is cut nobody knows: it stays for its window.
    assert_eq!((ledger.sweep_where(100, 5000, has_rate), ledger.memory().idle_scopes), (1, 2));
    let new = |id: &[u8]| ledger.new_calls(own(0), id, Direction::Any, &limit.rate, 5000);
    assert_eq!(ids.map(new), [0, 1, 1]);
    assert_eq!((ledger.sweep(100, 3_700_000), ledger.memory().idle_scopes), (2, 0));
}

#[test]
fn an_emergency_told_later_makes_the_whole_call_one() {
    let ledger = ledger();
    let limit = Limit { calls: 3, reserved: 1, longest: 60, ..Limit::NONE };
    let wanted = [Wanted { limit, direction: Direction::Out, ..want(COMPANY, b"c", 0) }];
    let emergency = |dialog, wanted: &[Wanted<'_>]| -> Taken {
        ledger.take(&Call { emergency: true, ..call(dialog) }, wanted, Enforcement::Reserved)
    };
    let calls = || ledger.calls(COMPANY, b"c");
    assert_eq!(try_to(&ledger, 1, &wanted).outcome, Outcome::Counted);
    assert_eq!(try_to(&ledger, 2, &wanted).outcome, Outcome::Counted);
    assert_eq!(try_to(&ledger, 3, &wanted).exceeded.unwrap().bound, Bound::Unreserved);
    assert_eq!(ledger.at(0).unwrap().ends, Some(61));
    // Nothing is added but that: it takes the reserved slot, and has no end.
    let told = emergency(1, &wanted);
    assert_eq!((told.outcome, told.became_emergency), (Outcome::Held, true));
    assert!(!emergency(1, &wanted).became_emergency);
    assert_eq!((calls().any, calls().emergencies, calls().outbound), (2, 1, 2));
    let info = ledger.at(0).unwrap();
    assert_eq!((info.emergency, info.ends), (true, None));
    assert!(ledger.overdue(0, i64::MAX).is_none());
    assert_eq!(try_to(&ledger, 3, &wanted).outcome, Outcome::Counted);
    // Told with a scope, with a scope that has no room, and by a function before.
    assert_eq!(emergency(2, &[want(own(0), b"k", 0)]).outcome, Outcome::Counted);
    assert_eq!((calls().emergencies, ledger.calls(own(0), b"k").emergencies), (2, 1));
    let hard = Limit { calls: 1, reserved: 1, ..Limit::NONE };
    let full = [Wanted { limit: hard, ..want(own(1), b"full", 0) }];
    assert_eq!(emergency(9, &full).outcome, Outcome::Counted);
    assert_eq!(emergency(3, &full).outcome, Outcome::Refused);
    assert_eq!(calls().emergencies, 3);
    assert_eq!(emergency(4, &[want(ScopeKind::ROADWARRIOR, b"u", 0)]).outcome, Outcome::Counted);
    ledger.forget(DialogId(1));
    let taken = try_to(&ledger, 4, &wanted);
    assert_eq!((taken.outcome, calls().emergencies), (Outcome::Counted, 3));
    // Asked about again without the flag it is one still, in all scopes.
    let known = |wanted| {
        let taken = try_to(&ledger, 4, wanted);
        (taken.outcome, taken.is_emergency, taken.exceeded.is_some())
    };
    let rate = Limit { rate: Rate::new(1, 60, 0).unwrap(), ..Limit::calls(1) };
    let slow = [Wanted { limit: rate, ..want(own(2), b"slow", 0) }];
    assert_eq!(try_to(&ledger, 8, &slow).outcome, Outcome::Counted);
    assert_eq!(known(&slow), (Outcome::Counted, true, true));
    assert_eq!(known(&full), (Outcome::Refused, true, true));
    let new_calls = || ledger.new_calls(own(2), b"slow", Direction::Any, &rate.rate, 0);
    assert_eq!(new_calls(), 1, "an emergency needs no rate, and uses none");
    ledger.forget(DialogId(8));
    // Of another INVITE nothing is taken.
    let invite = |invite, emergency| {
        ledger.take(&Call { invite, emergency, ..call(5) }, &of(b"", b"d"), Enforcement::Reserved)
    };
    assert_eq!(invite(7, false).outcome, Outcome::Counted);
    assert_eq!(invite(9, true).outcome, Outcome::Duplicate);
    assert_eq!(ledger.calls(COMPANY, b"d").emergencies, 0);
    // Released and resumed as what it is.
    assert!(ledger.release(DialogId(2)) && ledger.resume(DialogId(2)));
    assert_eq!((calls().any, calls().emergencies), (3, 3));
    leaves_nothing(&ledger);
}
