//! The call ledger over forked processes: limits are never passed, and nothing is left.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use sipwarden::ledger::{
    Bound, Call, DialogId, Direction, Enforcement, Ledger, Limit, Outcome, Rate, ScopeKind, Taken,
    Wanted,
};
use sipwarden::shm::Area;

use crate::fork::{Child, amount, fork_all};
use crate::ledger::{SEED, call, own, try_to, want};
use crate::random::next;

const PROCESSES: u64 = 8;
/// A bit for each kind of limit that is looked at.
const ALL_KINDS: u64 = 127;
const BRANDS: u64 = 3;
const COMPANIES: u64 = 9;
const BRAND_LIMIT: u32 = 7;
const COMPANY_LIMIT: u32 = 3;
const USER_LIMIT: u32 = 2;
const INBOUND_LIMIT: u32 = 2;
const CARRIERS: u64 = 4;
/// Those with a rate. The last one's ringing calls meet their limit however fast a machine is.
const RATED: u64 = 3;
const CARRIER_LIMIT: u32 = 5;
const CARRIER_RINGING: u16 = 4;
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
            let mut limit = Limit { ringing: CARRIER_RINGING, ..Limit::calls(CARRIER_LIMIT) };
            if pick % CARRIERS < RATED {
                limit.rate = carrier_rate();
            }
            let carrier = Wanted { limit, ..want(own(0), &carrier, 0) };
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
fn work(
    ledger: &Ledger,
    process: u64,
    pairs: u64,
    admitted: &[AtomicU64],
    reached: &AtomicU64,
) -> i32 {
    let mut random = (process + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut up = [None::<u64>; 4];
    // Longer, until every limit was seen reached.
    let goes_on = |n: u64| n < pairs || reached.load(SeqCst) != ALL_KINDS && n < 20 * pairs;
    for n in (0..).take_while(|n| goes_on(*n)) {
        let slot = &mut up[(n % 4) as usize];
        if let Some(dialog) = slot.take() {
            // Most are answered, some before they end and some after.
            if dialog % 5 == 0 && !ledger.answer(DialogId(dialog)) {
                return 7;
            }
            // An ending may come as several events, in any order.
            if dialog % 3 == 0 && !ledger.release(DialogId(dialog)) {
                return 2;
            }
            if dialog % 5 == 1 && !ledger.answer(DialogId(dialog)) {
                return 8;
            }
            if !ledger.forget(DialogId(dialog)) {
                return 3;
            }
        }
        let dialog = process << 40 | n;
        let pick = next(&mut random);
        let shape = n % 5;
        let taken = take_one(ledger, dialog, shape, pick);
        match taken.outcome {
            Outcome::Counted => {
                *slot = Some(dialog);
                admitted[0].fetch_add(1, SeqCst);
                if shape == 2 {
                    admitted[1 + (pick % CARRIERS) as usize].fetch_add(1, SeqCst);
                }
            }
            // It is reached so seldom that who watches may miss it.
            Outcome::Refused if taken.exceeded.is_some_and(|of| of.bound == Bound::Ringing) => {
                reached.fetch_or(64, SeqCst);
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
            let ringing = ledger.ringing(own(0), &id, Direction::Any);
            let within = (u64::from(carrier) >= RATED || reach(32, new, CARRIER_CALLS))
                & reach(0, live, CARRIER_LIMIT)
                & reach(0, ringing, CARRIER_RINGING.into());
            if !within {
                return 6;
            }
        }
    }
    0
}

#[test]
fn eight_processes_never_pass_a_limit_and_leave_nothing() {
    let pairs = amount(10_000_000, 1_000_000);
    let ledger = Ledger::new(1024, SEED).unwrap();
    let [stop, reached] = [(); 2].map(|()| Area::share::<AtomicU64>().unwrap());
    let admitted = Area::share_slice::<AtomicU64>(1 + CARRIERS as usize).unwrap();
    let begun = milliseconds();
    let sampler = Child::start(|| sample(&ledger, stop, reached));
    let workers: Vec<_> = (0..PROCESSES)
        .map(|n| Child::start(|| work(&ledger, n, pairs / PROCESSES, admitted, reached)))
        .collect();
    workers.into_iter().for_each(Child::wait);
    let seconds = (milliseconds() - begun) as f64 / 1000.0;
    stop.store(1, SeqCst);
    sampler.wait();
    assert_eq!(reached.load(SeqCst), ALL_KINDS, "not every kind of limit was reached");
    let (all, carriers) = admitted.split_first().unwrap();
    assert!(all.load(SeqCst) > pairs / 20, "{} admitted", all.load(SeqCst));
    // Windows of 13/14 at least (less a tick of the clock), one more begun.
    let most = (seconds / (f64::from(CARRIER_WINDOW) * 0.91) + 2.0) * f64::from(CARRIER_CALLS);
    for carrier in &carriers[..RATED as usize] {
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
    assert_eq!(memory.idle_scopes as u64, RATED);
    ledger.sweep(10_000, milliseconds() + 5000);
    assert_eq!(ledger.memory().idle_scopes, 0);
    assert_eq!((ledger.live_calls(), ledger.miscounted()), (0, 0));
}

/// Each call comes at a time of its own, 100 ms after the one before; which process judges it, and in
/// what order, is left to chance.
#[test]
fn a_source_at_its_rate_is_never_refused_whichever_processes_take_its_calls() {
    let ledger = Ledger::new(64, SEED).unwrap();
    let rate = Rate::new(10, 1, 0).unwrap();
    let calls = Area::share::<AtomicU64>().unwrap();
    let last = amount(20_000_000, 2_000_000);
    fork_all(PROCESSES as usize, |_| {
        let all = std::iter::repeat_with(|| calls.fetch_add(1, SeqCst));
        all.take_while(|n| *n < last).all(|n| {
            let call = Call { came: 50_000 + 100 * n, ..call(n) };
            let carrier =
                Wanted { limit: Limit { rate, ..Limit::NONE }, ..want(own(0), b"carrier", 0) };
            let taken = ledger.take(&call, &[carrier], Enforcement::Full);
            ledger.forget(DialogId(n));
            taken.outcome == Outcome::Counted
        })
    });
    assert_eq!(ledger.live_calls(), 0);
}
