//! A process that is killed while it counts a call. Others never wait for it for ever, and
//! the counts are those of the leases again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use sipwarden::ledger::{
    Call, Calls, DialogId, Direction, Enforcement, Ledger, Limit, Outcome, Rate, ScopeKind, Wanted,
};
use sipwarden::shm::{Area, takeovers};

use crate::deaths::killed_anywhere;
use crate::fork::{Child, amount};
use crate::ledger::{SEED, call, own, want};

const CAPACITY: usize = 8;

const COMPANIES: [&[u8]; 3] = [b"a", b"b", b"c"];

/// Two brands and companies, and a carrier with a rate.
fn wanted<'a>(companies: [&'a [u8]; 2]) -> [Wanted<'a>; 5] {
    let [out, to] = companies;
    let rate = Limit { rate: Rate::new(60_000, 10, 4).unwrap(), ..Limit::calls(1000) };
    let from = |want| Wanted { direction: Direction::Out, ..want };
    let into = |want| Wanted { direction: Direction::In, ..want };
    [
        from(want(ScopeKind::BRAND, b"x", 0)),
        from(want(ScopeKind::COMPANY, out, 0)),
        into(want(ScopeKind::BRAND, b"y", 0)),
        into(want(ScopeKind::COMPANY, to, 0)),
        Wanted { limit: rate, ..from(want(own(0), b"carrier", 0)) },
    ]
}

fn take(ledger: &Ledger, dialog: u64, wanted: &[Wanted<'_>], emergency: bool) -> Outcome {
    let call = Call { emergency, came: 1000, ..call(dialog) };
    ledger.take(&call, wanted, Enforcement::Full).outcome
}

fn take_all(ledger: &Ledger, dialog: u64) {
    let outcome = take(ledger, dialog, &wanted([b"a", b"b"]), false);
    assert!(matches!(outcome, Outcome::Counted | Outcome::Held), "{outcome:?}");
}

/// What is there before a step, and the step.
type Case = (&'static str, fn(&Ledger), fn(&Ledger));

const CASES: [Case; 12] = [
    ("a new call", |_| {}, |ledger| take_all(ledger, 2)),
    (
        "a new call of scopes that are new",
        |ledger| {
            let _ = ledger.forget(DialogId(1));
        },
        |ledger| {
            take_all(ledger, 2);
        },
    ),
    (
        "a company and a direction are added",
        |ledger| {
            let _ = take(ledger, 2, &wanted([b"a", b"b"])[..2], false);
        },
        |ledger| {
            let _ = take(ledger, 2, &wanted([b"c", b"a"]), false);
        },
    ),
    (
        "a call becomes an emergency",
        |ledger| take_all(ledger, 2),
        |ledger| {
            let _ = take(ledger, 2, &wanted([b"a", b"c"]), true);
        },
    ),
    (
        "a company is shown no more",
        |ledger| {
            let shown = Wanted { counts: false, ..want(ScopeKind::COMPANY, b"c", 0) };
            take(ledger, 2, &[want(ScopeKind::ROADWARRIOR, b"u", 0), shown], false);
        },
        |ledger| take_all(ledger, 2),
    ),
    (
        "a release",
        |ledger| take_all(ledger, 2),
        |ledger| {
            let _ = ledger.release(DialogId(2));
        },
    ),
    (
        "an answer",
        |ledger| take_all(ledger, 2),
        |ledger| {
            let _ = ledger.answer(DialogId(2));
        },
    ),
    (
        "the return of an answered call",
        |ledger| {
            take_all(ledger, 2);
            ledger.release(DialogId(2));
            ledger.answer(DialogId(2));
        },
        |ledger| {
            let _ = ledger.resume(DialogId(2));
        },
    ),
    (
        "a return",
        |ledger| {
            take_all(ledger, 2);
            ledger.release(DialogId(2));
        },
        |ledger| {
            let _ = ledger.resume(DialogId(2));
        },
    ),
    (
        "a new call of a dialog whose call was released",
        |ledger| {
            take(ledger, 2, &wanted([b"c", b"b"]), true);
            ledger.release(DialogId(2));
        },
        |ledger| take_all(ledger, 2),
    ),
    (
        "an end",
        |ledger| take_all(ledger, 2),
        |ledger| {
            let _ = ledger.forget(DialogId(2));
        },
    ),
    (
        "a sweep",
        |ledger| {
            take_all(ledger, 2);
            (1..3).for_each(|dialog| {
                let _ = ledger.forget(DialogId(dialog));
            });
        },
        |ledger| {
            let _ = ledger.sweep(100, 100_000);
        },
    ),
];

/// Calls, and those that ring by their directions.
type Names = BTreeMap<(ScopeKind, Vec<u8>), (Calls, [u32; 3])>;

/// What the leases say, and the leases.
fn told(ledger: &Ledger) -> (Names, u32, u64) {
    let (mut names, mut leases, mut live) = (Names::new(), 0, 0);
    for info in (0..ledger.positions()).filter_map(|at| ledger.at(at)) {
        leases += 1;
        live += u64::from(info.live);
        for scope in &info.scopes {
            let (calls, ringing) = names.entry((scope.kind, scope.id.clone())).or_default();
            let counts = |on: bool| u32::from(on && info.live);
            calls.any += counts(scope.counts);
            calls.inbound += counts(scope.inbound);
            calls.outbound += counts(scope.outbound);
            calls.emergencies += counts(scope.counts && info.emergency);
            let directions = [scope.counts, scope.inbound, scope.outbound];
            for (ringing, counted) in ringing.iter_mut().zip(directions) {
                *ringing += counts(counted && info.ringing);
            }
        }
    }
    (names, leases, live)
}

/// What others do meanwhile: whatever lock was left, one of these takes it over.
fn others_go_on(ledger: &Ledger) {
    for dialog in 3..3 + CAPACITY as u64 {
        take(ledger, dialog, &wanted([b"c", b"b"]), false);
        take(ledger, dialog, &wanted([b"a", b"b"]), false);
        ledger.forget(DialogId(dialog));
    }
    ledger.live(ScopeKind::ROADWARRIOR, b"u");
    told(ledger);
}

fn check(ledger: &Ledger, what: &str) {
    let (names, leases, live) = told(ledger);
    let memory = ledger.memory();
    assert_eq!((memory.leases, memory.scopes as usize), (leases, names.len()), "{what}");
    assert_eq!(ledger.live_calls(), live, "{what}");
    let kinds = [ScopeKind::BRAND, ScopeKind::COMPANY, ScopeKind::ROADWARRIOR, own(0)];
    let ids = [&COMPANIES[..], &[b"x", b"y", b"u", b"carrier"]].concat();
    for (kind, id) in kinds.into_iter().flat_map(|kind| ids.iter().map(move |id| (kind, *id))) {
        let expected = names.get(&(kind, id.to_vec())).copied().unwrap_or_default();
        let ringing = Direction::ALL.map(|of| ledger.ringing(kind, id, of));
        assert_eq!((ledger.calls(kind, id), ringing), expected, "{what}: {kind:?} {id:?}");
    }
}

fn ledger() -> Ledger {
    Ledger::with_scopes(CAPACITY, 60, SEED).unwrap()
}

/// Kills processes, and looks each time at what they have left.
struct Killer {
    kills: usize,
    wrong: u32,
    begun: u64,
}

impl Killer {
    fn new() -> Self {
        Killer { kills: 0, wrong: 0, begun: takeovers() }
    }

    /// A process was killed.
    fn look(&mut self, ledger: &Ledger, what: &str) {
        others_go_on(ledger);
        if self.kills % 2 == 1 {
            // It ends before calls are counted anew.
            ledger.forget(DialogId(2));
        }
        self.wrong += ledger.recount_if_due().unwrap_or(0);
        check(ledger, what);
        assert_eq!(ledger.miscounted(), 0, "{what}: called a bug");
        forget_all(ledger);
        let memory = ledger.memory();
        assert_eq!((memory.leases, memory.scopes, memory.idle_scopes), (0, 0, 0), "{what}");
        // No record is lost.
        (0..CAPACITY as u64).for_each(|dialog| take_all(ledger, dialog));
        forget_all(ledger);
        self.kills += 1;
    }

    /// Some were killed where that matters.
    fn end(self, wrong: u32, taken: u64) {
        let taken_over = takeovers() - self.begun;
        assert!(self.wrong > wrong && taken_over > taken, "{} of {}", self.wrong, self.kills);
    }
}

fn forget_all(ledger: &Ledger) {
    for dialog in 0..3 + CAPACITY as u64 {
        ledger.forget(DialogId(dialog));
    }
    ledger.sweep(100, 200_000);
}

#[test]
fn whenever_a_process_is_killed_counts_are_right_again() {
    let (mut killer, ledger) = (Killer::new(), &ledger());
    let rounds = Area::share::<AtomicU64>().unwrap();
    let kills = amount(300, 60);
    for kill in 0..kills {
        let child = Child::start(|| {
            loop {
                for (_, before, step) in CASES {
                    take_all(ledger, 1);
                    before(ledger);
                    step(ledger);
                    forget_all(ledger);
                }
                rounds.fetch_add(1, SeqCst);
            }
        });
        let before = rounds.load(SeqCst);
        while rounds.load(SeqCst) < before + 20 {
            std::thread::yield_now();
        }
        child.kill();
        killer.look(ledger, &format!("kill {kill}"));
    }
    killer.end(kills as u32 / 30, kills / 15);
}

/// In `make test` after some of the writes only.
#[test]
fn after_whatever_write_a_process_is_killed_counts_are_right_again() {
    let mut killer = Killer::new();
    for (what, before, step) in CASES {
        let make = || {
            let ledger = ledger();
            take_all(&ledger, 1);
            before(&ledger);
            ledger
        };
        let act = |ledger: &Ledger| {
            step(ledger);
            0
        };
        let look = |ledger: &Ledger, steps: usize| {
            killer.look(ledger, &format!("{what}, killed after {steps} instructions"));
        };
        assert!(killed_anywhere(amount(1, 9), make, act, look) > 3, "{what}");
    }
    killer.end(10, 20);
}
