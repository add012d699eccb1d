//! What limits of scopes do to calls, at their bounds: directions, reserved slots, rates,
//! longest calls, room.

use sipwarden::ledger::{
    Bound, Call, DialogId, Direction, Enforcement, Exceeded, Ledger, Limit, Outcome, Rate, SCOPES,
    ScopeKind, Taken, Wanted,
};

use crate::random::next;

const SEED: [u64; 2] = [11, 12];
const TICK: u32 = 4;

fn own(n: usize) -> ScopeKind {
    ScopeKind::own(n).unwrap()
}

fn call(dialog: u64, came: u64) -> Call<'static> {
    Call {
        dialog: DialogId(dialog),
        call_id: b"call@test",
        direction: Direction::Any,
        invite: 0,
        emergency: false,
        rings: true,
        began: 1000 + came as i64 / 1000,
        came,
    }
}

fn take(ledger: &Ledger, dialog: u64, wanted: &[Wanted<'_>]) -> Taken {
    ledger.take(&call(dialog, 0), wanted, Enforcement::Full)
}

fn to(direction: Direction, kind: ScopeKind, id: &[u8], directed: u32) -> Wanted<'_> {
    let directed = Limit::calls(directed);
    Wanted { direction, directed, ..Wanted::new(kind, id, 0) }
}

fn at_rate(kind: ScopeKind, id: &[u8], calls: u32, window: u32) -> Wanted<'_> {
    let rate = Rate::new(calls, window, TICK).unwrap();
    Wanted { limit: Limit { rate, ..Limit::NONE }, ..Wanted::new(kind, id, 0) }
}

fn ledger() -> Ledger {
    Ledger::new(64, SEED).unwrap()
}

fn is_empty(ledger: &Ledger) -> bool {
    let memory = ledger.memory();
    (memory.leases, memory.scopes, memory.idle_scopes) == (0, 0, 0)
}

#[test]
fn a_call_between_two_companies_is_outbound_for_one_and_inbound_for_the_other() {
    let ledger = ledger();
    let of = |direction, id| to(direction, ScopeKind::COMPANY, id, 1);
    let both = [of(Direction::Out, b"a"), of(Direction::In, b"b")];
    assert_eq!(take(&ledger, 1, &both).outcome, Outcome::Counted);
    let calls = |id| {
        let calls = ledger.calls(ScopeKind::COMPANY, id);
        (calls.any, calls.inbound, calls.outbound)
    };
    assert_eq!((calls(b"a"), calls(b"b")), ((1, 0, 1), (1, 1, 0)));
    // The other way round both have room, the same way neither; b's limit is named.
    assert_eq!(take(&ledger, 2, &[of(Direction::Out, b"b")]).outcome, Outcome::Counted);
    let refused = take(&ledger, 3, &[of(Direction::Out, b"c"), of(Direction::In, b"b")]);
    let exceeded = Exceeded {
        at: 1,
        kind: ScopeKind::COMPANY,
        direction: Direction::In,
        bound: Bound::Calls,
        calls: 1,
        limit: 1,
    };
    assert_eq!((refused.outcome, refused.exceeded), (Outcome::Refused, Some(exceeded)));
    assert_eq!(calls(b"c"), (0, 0, 0));
    assert!(ledger.release(DialogId(1)) && ledger.resume(DialogId(1)));
    assert_eq!((calls(b"a"), calls(b"b")), ((1, 0, 1), (2, 1, 1)));
    assert!(ledger.expire(DialogId(1)).is_some());
    assert_eq!((calls(b"a"), calls(b"b")), ((0, 0, 0), (1, 0, 1)));
    let _ = [1, 2].map(|dialog| assert!(ledger.forget(DialogId(dialog))));
    assert!(is_empty(&ledger));
}

#[test]
fn a_scope_that_is_named_twice_counts_once_and_in_both_directions() {
    let ledger = ledger();
    let group = |direction| to(direction, own(0), b"sales", 1);
    let within = [group(Direction::Out), group(Direction::In)];
    assert_eq!(take(&ledger, 1, &within).outcome, Outcome::Counted);
    let calls = ledger.calls(own(0), b"sales");
    assert_eq!((calls.any, calls.inbound, calls.outbound), (1, 1, 1));
    assert_eq!(ledger.at(0).unwrap().scopes.len(), 1);
    // One after the other: the direction is added, if its limit admits it.
    assert_eq!(take(&ledger, 2, &[Wanted::new(own(0), b"sales", 0)]).outcome, Outcome::Counted);
    assert_eq!(take(&ledger, 2, &[group(Direction::In)]).outcome, Outcome::Refused);
    ledger.forget(DialogId(1));
    assert_eq!(take(&ledger, 2, &[group(Direction::In)]).outcome, Outcome::Held);
    assert_eq!(take(&ledger, 2, &[group(Direction::In)]).outcome, Outcome::Held);
    let calls = ledger.calls(own(0), b"sales");
    assert_eq!((calls.any, calls.inbound, calls.outbound), (1, 1, 0));
    ledger.forget(DialogId(2));
    assert!(is_empty(&ledger));
}

#[test]
fn kinds_and_ids_are_told_apart() {
    let ledger = ledger();
    let kinds: Vec<_> = (0..SCOPES).map(|n| ScopeKind::of(n).unwrap()).collect();
    let wanted: Vec<_> = kinds.iter().map(|kind| Wanted::new(*kind, b"7", 1)).collect();
    assert_eq!(take(&ledger, 1, &wanted).outcome, Outcome::Counted);
    assert_eq!(ledger.memory().scopes as usize, SCOPES);
    for kind in kinds {
        assert_eq!((ledger.live(kind, b"7"), ledger.live(kind, b"")), (1, 0));
        let refused = take(&ledger, 2, &[Wanted::new(kind, b"8", 1), Wanted::new(kind, b"7", 1)]);
        let exceeded = refused.exceeded.unwrap();
        assert_eq!((refused.outcome, exceeded.at, exceeded.kind), (Outcome::Refused, 1, kind));
    }
    assert_eq!((ScopeKind::of(16), ScopeKind::own(ScopeKind::OWN)), (None, None));
}

#[test]
fn twelve_scopes_fit_and_one_more_changes_nothing() {
    let ledger = ledger();
    let ids: Vec<[u8; 1]> = (0..=SCOPES as u8).map(|n| [n]).collect();
    let wanted: Vec<_> = ids.iter().map(|id| Wanted::new(own(0), id, 0)).collect();
    assert_eq!(take(&ledger, 1, &wanted).outcome, Outcome::TooMany);
    assert!(is_empty(&ledger));
    assert_eq!(take(&ledger, 1, &wanted[..SCOPES - 1]).outcome, Outcome::Counted);
    assert_eq!(take(&ledger, 1, &wanted[SCOPES - 2..]).outcome, Outcome::TooMany);
    assert_eq!(take(&ledger, 1, &wanted[SCOPES - 2..SCOPES]).outcome, Outcome::Counted);
    assert_eq!(take(&ledger, 1, &wanted[SCOPES..]).outcome, Outcome::TooMany);
    assert_eq!(ledger.at(0).unwrap().scopes.len(), SCOPES);
    assert_eq!(ledger.live(own(0), &ids[SCOPES]), 0);
    assert!(ledger.forget(DialogId(1)) && is_empty(&ledger));
}

#[test]
fn a_second_company_is_added_or_nothing_changes() {
    let ledger = ledger();
    let of = |brand, company, limit| {
        [Wanted::new(ScopeKind::BRAND, brand, 0), Wanted::new(ScopeKind::COMPANY, company, limit)]
    };
    let first = take(&ledger, 1, &of(b"x", b"a", 1));
    assert_eq!((first.outcome, first.second_company), (Outcome::Counted, false));
    take(&ledger, 2, &of(b"x", b"b", 1));
    let refused = take(&ledger, 1, &of(b"x", b"b", 1));
    assert_eq!((refused.outcome, refused.exceeded.unwrap().at), (Outcome::Refused, 1));
    let live = |id| ledger.live(ScopeKind::COMPANY, id);
    assert_eq!((live(b"a"), live(b"b"), ledger.live(ScopeKind::BRAND, b"x")), (1, 1, 2));
    let second = take(&ledger, 1, &of(b"x", b"c", 1));
    assert_eq!((second.outcome, second.second_company), (Outcome::Counted, true));
    assert_eq!(second.raised().map(|(at, _)| at).collect::<Vec<_>>(), [1], "not of the brand");
    // The brand of both counts the call once.
    assert_eq!((live(b"a"), live(b"c"), ledger.live(ScopeKind::BRAND, b"x")), (1, 1, 2));
    assert_eq!(take(&ledger, 3, &of(b"x", b"a", 1)).outcome, Outcome::Refused);
    assert_eq!(take(&ledger, 3, &of(b"x", b"c", 1)).outcome, Outcome::Refused);
    let ended = ledger.expire(DialogId(1)).unwrap();
    let ids: Vec<_> = ended.scopes.iter().map(|scope| scope.id.as_slice()).collect();
    assert_eq!(ids, [&b"x"[..], b"a", b"c"]);
    assert_eq!((live(b"a"), live(b"c"), ledger.live(ScopeKind::BRAND, b"x")), (0, 0, 1));
    // Resumed above both limits.
    take(&ledger, 3, &of(b"x", b"c", 1));
    assert!(ledger.resume(DialogId(1)));
    assert_eq!((live(b"a"), live(b"c"), ledger.live(ScopeKind::BRAND, b"x")), (1, 2, 3));
    (1..=3).for_each(|dialog| assert!(ledger.forget(DialogId(dialog))));
    assert!(is_empty(&ledger));
}

#[test]
fn reserved_slots_are_for_emergencies_within_a_hard_limit() {
    let ledger = ledger();
    let limit = Limit { calls: 3, reserved: 1, ..Limit::NONE };
    let wanted = [Wanted { limit, ..Wanted::new(ScopeKind::COMPANY, b"c", 0) }];
    let normal = |dialog| take(&ledger, dialog, &wanted);
    let emergency = |dialog, enforcement| {
        ledger.take(&Call { emergency: true, ..call(dialog, 0) }, &wanted, enforcement)
    };
    // An emergency uses the reserved slot first.
    assert_eq!(emergency(1, Enforcement::Reserved).outcome, Outcome::Counted);
    assert_eq!(normal(2).outcome, Outcome::Counted);
    assert_eq!(normal(3).outcome, Outcome::Counted);
    let full = normal(4);
    let exceeded = full.exceeded.unwrap();
    assert_eq!((exceeded.bound, exceeded.calls, exceeded.limit), (Bound::Calls, 3, 3));
    assert_eq!(emergency(5, Enforcement::Reserved).outcome, Outcome::Refused, "the limit is hard");
    let forced = emergency(5, Enforcement::Off);
    assert_eq!((forced.outcome, forced.exceeded.unwrap().limit), (Outcome::Counted, 3));
    assert_eq!(ledger.calls(ScopeKind::COMPANY, b"c").emergencies, 2);
    ledger.forget(DialogId(1));
    ledger.forget(DialogId(5));
    let refused = normal(4).exceeded.unwrap();
    assert_eq!((refused.bound, refused.calls, refused.limit), (Bound::Unreserved, 2, 2));
    assert_eq!(emergency(6, Enforcement::Reserved).outcome, Outcome::Counted);
    // A limit without reserved slots refuses no emergency.
    let plain = [Wanted::new(own(0), b"x", 1)];
    assert_eq!(take(&ledger, 7, &plain).outcome, Outcome::Counted);
    let emergency = Call { emergency: true, ..call(8, 0) };
    let taken = ledger.take(&emergency, &plain, Enforcement::Reserved);
    assert_eq!((taken.outcome, taken.exceeded.unwrap().calls), (Outcome::Counted, 1));
    let _ = [2, 3, 6, 7, 8].map(|dialog| assert!(ledger.forget(DialogId(dialog))));
    assert!(is_empty(&ledger));
}

#[test]
fn a_company_that_comes_to_count_takes_its_own_slot_in_a_full_lease() {
    let ledger = ledger();
    let names: Vec<String> = (0..SCOPES - 1).map(|n| format!("group {n}")).collect();
    let mut full: Vec<_> =
        names.iter().map(|name| Wanted::new(own(0), name.as_bytes(), 0)).collect();
    full.push(Wanted { counts: false, ..Wanted::new(ScopeKind::COMPANY, b"shown", 0) });
    assert_eq!(take(&ledger, 1, &full).outcome, Outcome::Counted);
    let company = |id| Wanted::new(ScopeKind::COMPANY, id, 0);
    let both = [company(b"other"), company(b"shown")];
    assert_eq!(take(&ledger, 1, &both).outcome, Outcome::TooMany);
    assert_eq!(take(&ledger, 1, &both[1..]).outcome, Outcome::Counted);
    assert_eq!(ledger.live(ScopeKind::COMPANY, b"shown"), 1);
    assert!(ledger.forget(DialogId(1)));
    assert!(is_empty(&ledger));
}

#[test]
fn a_rate_admits_its_calls_and_no_more_in_a_window() {
    let ledger = ledger();
    let wanted = [at_rate(own(0), b"carrier", 3, 2)];
    let mut dialog = 0;
    let mut attempt = |came, enforcement, emergency| {
        dialog += 1;
        let taken = ledger.take(&Call { emergency, ..call(dialog, came) }, &wanted, enforcement);
        ledger.forget(DialogId(dialog));
        (taken.outcome, taken.exceeded.map(|exceeded| exceeded.bound))
    };
    let counted = (Outcome::Counted, None);
    let refused = (Outcome::Refused, Some(Bound::Rate));
    for came in [10_000, 10_500, 11_000] {
        assert_eq!(attempt(came, Enforcement::Full, false), counted);
    }
    // What is refused, forced, foretold, or an emergency uses nothing up.
    for _ in 0..5 {
        let foretold = ledger.foretell(&wanted, false, 11_500);
        assert_eq!((foretold.outcome, foretold.exceeded.map(|exceeded| exceeded.bound)), refused);
        assert_eq!(ledger.foretell(&wanted, false, 12_000).outcome, Outcome::Counted);
        assert_eq!(attempt(11_500, Enforcement::Full, false), refused);
        let told = (Outcome::Counted, Some(Bound::Rate));
        assert_eq!(attempt(11_500, Enforcement::Monitor, false), told);
        assert_eq!(attempt(11_500, Enforcement::Off, false), counted);
        assert_eq!(attempt(11_500, Enforcement::Reserved, true), counted);
    }
    assert_eq!(attempt(12_000, Enforcement::Full, false), counted, "the first has left it");
    assert_eq!(attempt(12_001, Enforcement::Full, false), refused);
    assert_eq!(attempt(12_500, Enforcement::Full, false), counted);
    assert_eq!(
        ledger.new_calls(own(0), b"carrier", Direction::Any, &wanted[0].limit.rate, 12_500),
        3
    );
    // Another window begins anew.
    let other = [at_rate(own(0), b"carrier", 1, 3)];
    assert_eq!(
        ledger.take(&call(900, 12_600), &other, Enforcement::Full).outcome,
        Outcome::Counted
    );
    assert_eq!(
        ledger.take(&call(901, 12_600), &other, Enforcement::Full).outcome,
        Outcome::Refused
    );
}

#[test]
fn a_call_that_one_limit_refuses_uses_up_no_rate_of_another() {
    let ledger = ledger();
    let wanted = [at_rate(own(0), b"r", 1, 10), Wanted::new(ScopeKind::COMPANY, b"c", 1)];
    take(&ledger, 1, &wanted[1..]);
    assert_eq!(take(&ledger, 2, &wanted).exceeded.unwrap().at, 1);
    assert_eq!(ledger.memory().scopes, 1, "and leaves no record");
    ledger.forget(DialogId(1));
    assert_eq!(take(&ledger, 2, &wanted).outcome, Outcome::Counted);
    // Held, resumed: not new.
    assert_eq!(take(&ledger, 2, &wanted).outcome, Outcome::Held);
    assert!(ledger.release(DialogId(2)) && ledger.resume(DialogId(2)));
    assert_eq!(take(&ledger, 3, &wanted[..1]).exceeded.unwrap().bound, Bound::Rate);
}

#[test]
fn directions_have_rates_of_their_own() {
    let ledger = ledger();
    let rate = |calls| Limit { rate: Rate::new(calls, 5, TICK).unwrap(), ..Limit::NONE };
    let wanted = |direction| {
        let limits = Wanted { limit: rate(3), directed: rate(2), ..Wanted::new(own(1), b"d", 0) };
        [Wanted { direction, ..limits }]
    };
    let exceeded = |dialog, direction| {
        let taken = take(&ledger, dialog, &wanted(direction));
        taken.exceeded.map(|exceeded| (exceeded.direction, exceeded.calls))
    };
    assert_eq!(exceeded(1, Direction::In), None);
    assert_eq!(exceeded(2, Direction::In), None);
    assert_eq!(exceeded(3, Direction::In), Some((Direction::In, 2)));
    assert_eq!(exceeded(3, Direction::Out), None);
    assert_eq!(exceeded(4, Direction::Out), Some((Direction::Any, 3)));
}

/// Calls that come in a random order, by a clock that shows whole ticks, judged up to
/// 40 ms late. Those within the rate by their true times are never refused; of all,
/// nearly a window admits no more than the rate.
#[test]
fn a_rate_is_one_sided_and_its_surplus_bounded() {
    const CALLS: u32 = 5;
    const WINDOW: u64 = 1000;
    let mut state = 77;
    for round in 0..200 {
        let ledger = ledger();
        let wanted = [at_rate(own(0), b"r", CALLS, 1)];
        let keeps_to_rate = round % 2 == 0;
        let (mut time, mut times) = (50_000, Vec::<u64>::new());
        for _ in 0..300 {
            time += next(&mut state) % 150;
            let within = times.iter().filter(|t| **t + WINDOW > time).count();
            if !keeps_to_rate || within < CALLS as usize {
                times.push(time);
            }
        }
        // Neighbours are judged in either order.
        let mut order = times.clone();
        for at in 1..order.len() {
            if order[at] - order[at - 1] < 40 && next(&mut state) % 2 == 0 {
                order.swap(at, at - 1);
            }
        }
        let mut admitted = Vec::new();
        for (dialog, came) in order.into_iter().enumerate() {
            let shown = came - came % u64::from(TICK);
            let taken = ledger.take(&call(dialog as u64, shown), &wanted, Enforcement::Full);
            ledger.forget(DialogId(dialog as u64));
            if taken.outcome == Outcome::Counted {
                admitted.push(came);
            }
        }
        if keeps_to_rate {
            assert_eq!(admitted.len(), times.len(), "round {round}");
        }
        admitted.sort_unstable();
        // One slice less than where all are judged in order.
        let span = WINDOW * 12 / 14 - 2 * u64::from(TICK);
        for first in &admitted {
            let near = admitted.iter().filter(|t| (*first..first + span).contains(*t)).count();
            assert!(near <= CALLS as usize, "round {round}: {near} in {span} ms");
        }
    }
}

#[test]
fn a_record_stays_for_its_window_and_is_used_again() {
    let ledger = ledger();
    let wanted = [at_rate(own(0), b"did", 2, 10), Wanted::new(ScopeKind::COMPANY, b"c", 0)];
    let at = |dialog, came| ledger.take(&call(dialog, came), &wanted, Enforcement::Full).outcome;
    assert_eq!(at(1, 5000), Outcome::Counted);
    ledger.forget(DialogId(1));
    let memory = ledger.memory();
    assert_eq!((memory.scopes, memory.idle_scopes), (0, 1));
    // Found again while it remembers.
    assert_eq!(at(2, 6000), Outcome::Counted);
    assert_eq!(at(3, 6000), Outcome::Refused);
    assert_eq!(ledger.memory().idle_scopes, 0);
    ledger.forget(DialogId(2));
    assert_eq!((ledger.sweep(100, 16_000), ledger.memory().idle_scopes), (0, 1));
    assert_eq!((ledger.sweep(100, 17_000), ledger.memory().idle_scopes), (1, 0));
    assert!(is_empty(&ledger));
    assert_eq!(ledger.sweep(100, 99_000), 0);
    // Used again after its window: nothing is remembered of before.
    assert_eq!((at(4, 20_000), at(5, 20_000)), (Outcome::Counted, Outcome::Counted));
    let _ = [4, 5].map(|dialog| ledger.forget(DialogId(dialog)));
    assert_eq!((at(6, 40_000), at(7, 40_000)), (Outcome::Counted, Outcome::Counted));
}

#[test]
fn strangers_fill_their_share_of_the_records_and_windows_empty_it() {
    // Room for 4 calls: 20 records are left for companies and the like, 12 for others.
    let ledger = Ledger::with_scopes(4, 32, SEED).unwrap();
    let id = |n: u64| n.to_be_bytes();
    let at = |dialog: u64, came| {
        let id = id(dialog);
        let wanted = [Wanted::new(ScopeKind::COMPANY, b"c", 0), at_rate(own(0), &id, 9, 10)];
        let taken = ledger.take(&call(dialog, came), &wanted, Enforcement::Full);
        ledger.forget(DialogId(dialog));
        (taken.outcome, taken.counts[0].unwrap().any)
    };
    for dialog in 0..12 {
        assert_eq!(at(dialog, 1000), (Outcome::Counted, 1));
    }
    assert_eq!(ledger.memory().idle_scopes, 12);
    assert_eq!(at(12, 2000), (Outcome::ScopesFull, 0));
    assert_eq!((ledger.memory().leases, ledger.memory().scopes), (0, 0), "no trace");
    assert_eq!(at(3, 2000), (Outcome::Counted, 1), "a scope that is there");
    // Companies do not feel it.
    let ids: Vec<_> = (0..20).map(id).collect();
    let wanted: Vec<_> = ids.iter().map(|id| Wanted::new(ScopeKind::COMPANY, id, 0)).collect();
    assert_eq!(take(&ledger, 1, &wanted[..10]).outcome, Outcome::Counted);
    assert_eq!(take(&ledger, 2, &wanted[10..]).outcome, Outcome::Counted);
    let _ = [1, 2].map(|dialog| ledger.forget(DialogId(dialog)));
    // When the windows are over, the attempt itself makes room, as far as it needs.
    assert_eq!(at(12, 12_000), (Outcome::Counted, 1));
    assert_eq!(ledger.memory().idle_scopes, 2, "that of call 3, and the new one");
    ledger.sweep(100, 30_000);
    assert!(is_empty(&ledger));
}

#[test]
fn a_refusal_for_want_of_room_gives_back_what_it_took() {
    let ledger = Ledger::with_scopes(4, 21, SEED).unwrap();
    let wanted = [
        Wanted::new(ScopeKind::BRAND, b"b", 0),
        Wanted::new(own(0), b"1", 0),
        Wanted::new(own(0), b"2", 0),
    ];
    assert_eq!(take(&ledger, 1, &wanted).outcome, Outcome::ScopesFull);
    assert!(is_empty(&ledger));
    assert_eq!(take(&ledger, 1, &wanted[..2]).outcome, Outcome::Counted);
    assert_eq!(take(&ledger, 1, &wanted[2..]).outcome, Outcome::ScopesFull);
    assert_eq!(ledger.at(0).unwrap().scopes.len(), 2);
    assert!(ledger.forget(DialogId(1)) && is_empty(&ledger));
}

#[test]
fn the_shortest_time_ends_a_call() {
    let ledger = ledger();
    let longest = |kind, seconds, directed| {
        let limit = |longest| Limit { longest, ..Limit::NONE };
        let wanted = Wanted { limit: limit(seconds), ..Wanted::new(kind, b"x", 0) };
        [Wanted { direction: Direction::Out, directed: limit(directed), ..wanted }]
    };
    let ends = || ledger.at(0).unwrap().ends;
    take(&ledger, 1, &[Wanted::new(ScopeKind::BRAND, b"b", 0)]);
    assert_eq!(ends(), None);
    assert!(ledger.overdue(0, i64::MAX).is_none());
    take(&ledger, 1, &longest(ScopeKind::COMPANY, 3600, 0));
    assert_eq!(ends(), Some(4600));
    // It counts from the start of the call, for what is added later too.
    ledger.take(&call(1, 30_000), &longest(own(0), 0, 600), Enforcement::Full);
    assert_eq!(ends(), Some(1600));
    take(&ledger, 1, &longest(own(1), 7200, 7200));
    assert_eq!(ends(), Some(1600));
    assert!(ledger.overdue(0, 1599).is_none());
    assert_eq!(ledger.overdue(0, 1600).unwrap().dialog, DialogId(1));
    // One that is over already is not ended again.
    ledger.release(DialogId(1));
    assert!(ledger.overdue(0, 1600).is_none());
    ledger.resume(DialogId(1));
    assert_eq!(ends(), Some(1600));
    ledger.release(DialogId(1));
    take(&ledger, 1, &[Wanted::new(ScopeKind::BRAND, b"b", 0)]);
    assert_eq!(ends(), None, "a new call of the dialog");
    assert!(ledger.overdue(99, 1600).is_none());
}

#[test]
fn scopes_are_listed_with_their_calls() {
    let ledger = ledger();
    take(&ledger, 1, &[to(Direction::In, own(2), b"+34600000000", 0)]);
    take(
        &ledger,
        2,
        &[to(Direction::Out, own(2), b"+34600000000", 0), at_rate(own(3), b"r", 1, 9)],
    );
    ledger.forget(DialogId(2));
    let all: Vec<_> = (0..ledger.scope_positions()).filter_map(|at| ledger.scope_at(at)).collect();
    assert_eq!(all.len(), 1, "{all:?}");
    assert_eq!((all[0].kind, all[0].id.as_slice()), (own(2), &b"+34600000000"[..]));
    assert_eq!((all[0].calls.any, all[0].calls.inbound, all[0].calls.outbound), (1, 1, 0));
}

#[test]
fn rates_that_cannot_be_are_none() {
    assert!(Rate::new(0, 1, 0).is_none() && Rate::new(1, 0, 0).is_none());
    assert!(Rate::new(Rate::MAX_CALLS + 1, 1, 0).is_none());
    assert!(Rate::new(1, Rate::MAX_WINDOW + 1, 0).is_none());
    let widest = Rate::new(Rate::MAX_CALLS, Rate::MAX_WINDOW, 10).unwrap();
    let ledger = ledger();
    let limit = Limit { rate: widest, ..Limit::NONE };
    let wanted = [Wanted { limit, ..Wanted::new(own(0), b"x", 0) }];
    for dialog in 0..u64::from(Rate::MAX_CALLS) {
        assert_eq!(take(&ledger, dialog, &wanted).outcome, Outcome::Counted);
        ledger.forget(DialogId(dialog));
    }
    assert_eq!(take(&ledger, 1 << 20, &wanted).outcome, Outcome::Refused);
}
