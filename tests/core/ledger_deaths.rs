//! Processes that are killed among others that go on: limits hold, nothing is called a bug
//! that is none, and each death is seen once.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use sipwarden::cluster::Keys;
use sipwarden::ledger::{
    Call, DialogId, Direction, Enforcement, LeaseScope, Ledger, Limit, Outcome, Rate, ScopeKind,
    Waiting, Wanted,
};
use sipwarden::shm::{Area, Bell, count_takeover, takeovers};

use crate::fork::{Child, amount};
use crate::host::alone::alone;
use crate::ledger::{SEED, call, own, want};
use crate::random::next;

const WORKERS: usize = 4;
pub const CAPACITY: usize = 32;
const COMPANY: u32 = 3;
const CARRIER: u32 = 5;
const BRAND: u32 = 7;
const DIDS: u32 = 2;
const RINGING: u16 = 4;

/// What workers have done.
pub struct Done {
    steps: &'static AtomicU64,
    /// Counts above their limits.
    over: &'static AtomicU64,
    /// Some calls become emergencies, which no limit refuses.
    emergencies: bool,
}

impl Done {
    pub fn new(emergencies: bool) -> Self {
        let [steps, over] = [(); 2].map(|()| Area::share::<AtomicU64>().unwrap());
        Done { steps, over, emergencies }
    }

    /// Whether no count was above its limit. With emergencies it may be.
    pub fn are_within(&self) -> bool {
        self.emergencies || self.over.load(SeqCst) == 0
    }
}

/// Counts calls of dialogs that all workers share, and ends them.
fn work(ledger: &Ledger, seed: u64, done: &Done) -> ! {
    let mut random = (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    loop {
        step(ledger, next(&mut random), done);
        done.steps.fetch_add(1, SeqCst);
    }
}

/// One of them, as it was drawn.
pub fn step(ledger: &Ledger, pick: u64, done: &Done) {
    let dialog = DialogId(pick % 24 + 1);
    match pick >> 56 & 7 {
        0..4 => take(ledger, pick, dialog, done),
        4 => drop(ledger.release(dialog)),
        7 if pick >> 40 & 1 == 0 => drop(ledger.answer(dialog)),
        5 if done.emergencies => ledger.note_emergency(dialog),
        6 => drop(ledger.sweep(8, u64::MAX >> 30)),
        _ => drop(ledger.forget(dialog)),
    }
}

fn take(ledger: &Ledger, pick: u64, dialog: DialogId, done: &Done) {
    let direction = if pick >> 24 & 1 == 0 { Direction::In } else { Direction::Out };
    let [company, carrier] = [8, 16].map(|shift| [b'c', (pick >> shift) as u8 % 3]);
    let did = (pick >> 32 & 7).to_ne_bytes();
    let rate = Rate::new(60_000, 1, 4).unwrap();
    let limit = Limit { rate, ringing: RINGING, ..Limit::calls(CARRIER) };
    let wanted = [
        want(ScopeKind::BRAND, b"b", BRAND),
        want(ScopeKind::COMPANY, &company, COMPANY),
        Wanted { limit, ..want(own(0), &carrier, 0) },
        want(own(1), &did, DIDS),
        want(own(2), &did, 0),
    ]
    .map(|want| Wanted { direction, ..want });
    let wanted = &wanted[..(pick >> 60) as usize % 5 + 1];
    let call = Call { dialog, came: pick >> 44, ..call(0) };
    ledger.take(&call, wanted, Enforcement::Full);
    let counts =
        [(ScopeKind::BRAND, &b"b"[..]), (ScopeKind::COMPANY, &company), (own(0), &carrier)];
    let over = counts.iter().any(|(kind, id)| !is_within(ledger, *kind, id));
    done.over.fetch_add(over.into(), SeqCst);
}

/// Whether a scope counts no more than its limit.
pub fn is_within(ledger: &Ledger, kind: ScopeKind, id: &[u8]) -> bool {
    let limit = match kind {
        ScopeKind::BRAND => BRAND,
        ScopeKind::COMPANY => COMPANY,
        _ if kind == own(0) => CARRIER,
        _ if kind == own(1) => DIDS,
        _ => return true,
    };
    let ringing = || ledger.ringing(kind, id, Direction::Any);
    ledger.live(kind, id) <= limit && (kind != own(0) || ringing() <= RINGING.into())
}

/// Looks at all there is: whatever lock was left is taken over.
fn look_at_all(ledger: &Ledger) {
    (0..16).for_each(|n| ledger.free_left_locks(n, 16));
    (0..ledger.positions()).for_each(|at| drop(ledger.at(at)));
    (0..ledger.scope_positions()).for_each(|at| drop(ledger.scope_at(at)));
    let dids = (0..8u64).flat_map(|did| [1, 2].map(|kind| (own(kind), did.to_ne_bytes())));
    dids.for_each(|(kind, id)| {
        ledger.live(kind, &id);
    });
    while ledger.recount_if_due().is_some() {}
}

/// Counts are those of the leases, and no record is lost.
pub fn check(ledger: &Ledger) {
    look_at_all(ledger);
    let leases: Vec<_> = (0..ledger.positions()).filter_map(|at| ledger.at(at)).collect();
    for scope in (0..ledger.scope_positions()).filter_map(|at| ledger.scope_at(at)) {
        let same =
            |own: &LeaseScope| (own.kind, &own.id, own.counts) == (scope.kind, &scope.id, true);
        let of_scope = leases.iter().filter(|lease| lease.live && lease.scopes.iter().any(same));
        let emergencies = of_scope.clone().filter(|lease| lease.emergency).count();
        let counted = (scope.calls.any as usize, scope.calls.emergencies as usize);
        let ringing = of_scope.clone().filter(|lease| lease.ringing).count();
        assert_eq!(counted, (of_scope.count(), emergencies), "{scope:?}");
        let told = ledger.ringing(scope.kind, &scope.id, Direction::Any);
        assert_eq!(told as usize, ringing, "{scope:?}");
    }
    assert_eq!(ledger.memory().leases as usize, leases.len());
    leases.iter().for_each(|lease| assert!(ledger.forget(lease.dialog)));
    ledger.sweep(1000, u64::MAX >> 20);
    let memory = ledger.memory();
    assert_eq!((memory.leases, memory.scopes, memory.idle_scopes), (0, 0, 0));
    for dialog in 0..CAPACITY as u64 {
        let wanted = [want(ScopeKind::BRAND, b"b", 0)];
        let taken = ledger.take(&call(1000 + dialog), &wanted, Enforcement::Off);
        assert_eq!(taken.outcome, Outcome::Counted);
    }
    assert_eq!(ledger.miscounted(), 0, "an end is called a bug that was a death");
}

/// Kills a process of several that go on, and lets another begin; often.
fn kill_among_others(ledger: &Ledger, emergencies: bool, mut look: impl FnMut()) {
    let done = Done::new(emergencies);
    let begin = |seed| Some(Child::start(|| work(ledger, seed, &done)));
    let mut workers: Vec<Option<Child>> = (0..WORKERS as u64).map(begin).collect();
    let (begun, mut killed, kills) = (takeovers(), 0, amount(300, 60));
    while killed < kills || takeovers() - begun < kills / 20 {
        let before = done.steps.load(SeqCst);
        while done.steps.load(SeqCst) < before + 50 + killed % 7 * 30 {
            std::thread::yield_now();
        }
        let worker = &mut workers[killed as usize % WORKERS];
        worker.take().unwrap().kill();
        killed += 1;
        *worker = begin(killed + WORKERS as u64);
        look();
    }
    workers.into_iter().flatten().for_each(Child::kill);
    assert!(done.are_within(), "a count was above its limit");
}

#[test]
fn limits_hold_among_processes_that_are_killed() {
    let ledger = Ledger::with_scopes(CAPACITY, 200, SEED).unwrap();
    kill_among_others(&ledger, false, || {
        ledger.recount_if_due();
    });
    check(&ledger);
}

#[test]
fn the_process_that_counts_anew_may_be_killed_too() {
    let ledger = Ledger::with_scopes(CAPACITY, 200, SEED).unwrap();
    let recount = || {
        loop {
            ledger.recount_if_due();
            std::thread::yield_now();
        }
    };
    let mut recounting = Some(Child::start(recount));
    kill_among_others(&ledger, true, || {
        recounting.take().unwrap().kill();
        recounting = Some(Child::start(recount));
    });
    recounting.into_iter().for_each(Child::kill);
    check(&ledger);
}

/// A process dies with a lock. `met`: somebody waits for it.
fn die_with_a_lock(ledger: &Ledger, dialog: u64, met: impl Fn()) {
    let wanted = [want(ScopeKind::BRAND, b"b", 0), want(ScopeKind::COMPANY, b"c", 0)];
    let begun = takeovers();
    let counted = Area::share::<AtomicU64>().unwrap();
    while takeovers() == begun {
        counted.store(0, SeqCst);
        let child = Child::start(|| {
            loop {
                ledger.take(&call(dialog), &wanted, Enforcement::Full);
                ledger.forget(DialogId(dialog));
                counted.fetch_add(1, SeqCst);
            }
        });
        while counted.load(SeqCst) < 100 {
            std::thread::yield_now();
        }
        child.kill();
        met();
    }
}

/// In a process of its own: takeovers are counted for all that a program has forked.
#[test]
fn calls_are_counted_anew_once_for_a_death() {
    alone(|| {
        let ledger = Ledger::new(1024, SEED).unwrap();
        for n in 1..=60 {
            die_with_a_lock(&ledger, n, || {
                ledger.take(&call(n), &[want(ScopeKind::BRAND, b"b", 0)], Enforcement::Full);
                ledger.forget(DialogId(n));
            });
            assert!(ledger.recount_if_due().is_some());
            assert_eq!(ledger.recount_if_due(), None, "after {n} deaths");
        }
    });
}

#[test]
fn a_death_is_seen_although_nobody_meets_its_lock() {
    alone(|| {
        let ledger = Ledger::new(1024, SEED).unwrap();
        // A dialog that nobody else asks about.
        die_with_a_lock(&ledger, 7, || (0..16).for_each(|n| ledger.free_left_locks(n, 16)));
        assert!(ledger.recount_if_due().is_some());
        // Locks of those that live are left to them.
        (0..16).for_each(|n| ledger.free_left_locks(n, 16));
        assert_eq!(ledger.recount_if_due(), None);
    });
}

/// They refer to records of scopes without a lease.
#[test]
fn calls_stop_waiting_for_other_nodes_while_all_are_counted_anew() {
    const TIMES: u32 = 2000;
    alone(|| {
        takeovers();
        // So large that it takes a time to count it.
        let mut ledger = Ledger::new(4096, SEED).unwrap();
        let bell = Box::leak(Box::new(Bell::new().unwrap()));
        ledger.share(Keys::new(b"secret"), bell).unwrap();
        let limit = Limit { rate: Rate::new(9, 60, 0).unwrap(), ..Limit::NONE };
        let rated = [Wanted { limit, ..want(own(0), b"r", 0) }];
        assert_eq!(ledger.take(&call(1), &rated, Enforcement::Full).outcome, Outcome::Counted);
        ledger.forget(DialogId(1));
        // Of these two the rate keeps one.
        let wanted = [want(own(0), b"r", 1), want(own(0), b"w", 1)];
        let both = Barrier::new(2);
        let recount = || {
            for _ in 0..TIMES {
                both.wait();
                ledger.recount_if_due();
                both.wait();
            }
        };
        let mut seen = BTreeMap::<_, u32>::new();
        std::thread::scope(|threads| {
            threads.spawn(recount);
            for n in 0..TIMES {
                let mut waiting = Waiting::new(true);
                let taken = ledger.take_shared(&call(2), &wanted, Enforcement::Full, &mut waiting);
                count_takeover();
                both.wait();
                (0..n % 64 * 200).for_each(|_| std::hint::spin_loop());
                ledger.stop_waiting(&waiting);
                both.wait();
                let memory = ledger.memory();
                let records = (memory.leases, memory.scopes, memory.idle_scopes);
                *seen.entry((taken.outcome == Outcome::Ask, records)).or_default() += 1;
            }
        });
        assert_eq!(seen, BTreeMap::from([((true, (0, 0, 1)), TIMES)]));
    });
}
