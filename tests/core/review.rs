//! Experiments of a review.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Instant;

use sipwarden::ledger::{
    Call, DialogId, Direction, Enforcement, Ledger, Limit, Outcome, Rate, ScopeKind, Wanted,
};
use sipwarden::shm::{Area, takeovers};

use crate::fork::{Child, Stepped};
use crate::ledger::{SEED, call, own, want};
use crate::random::next;

fn rate(calls: u32, window: u32) -> Limit {
    Limit { rate: Rate::new(calls, window, 0).unwrap(), ..Limit::NONE }
}

/// A worker that was stopped for longer than the window.
#[test]
fn review_late_calls() {
    let ledger = Ledger::new(64, SEED).unwrap();
    let wanted = [Wanted { limit: rate(1, 1), ..want(own(0), b"r", 0) }];
    let take = |dialog: u64, came: u64| {
        let call = Call { came, ..call(dialog) };
        ledger.take(&call, &wanted, Enforcement::Full).outcome
    };
    println!("one at 11.5 s {:?}", take(1, 11_500));
    println!("one of 10.0 s, judged later {:?}", take(2, 10_000));
    let wanted = [Wanted { limit: rate(2, 1), ..want(own(0), b"s", 0) }];
    let take = |dialog: u64, came: u64| {
        let call = Call { came, ..call(dialog) };
        ledger.take(&call, &wanted, Enforcement::Full).outcome
    };
    println!("11.5 s {:?}", take(3, 11_500));
    println!("10.0 s late {:?}", take(4, 10_000));
    println!("11.55 s {:?}", take(5, 11_550));
}

/// What a process that was killed while a call became an emergency makes of its end.
#[test]
fn review_false_bug() {
    let mut seen = 0;
    for steps in (0..60_000).step_by(211) {
        let ledger = Ledger::with_scopes(8, 60, SEED).unwrap();
        let wanted = [want(ScopeKind::BRAND, b"x", 0), want(ScopeKind::COMPANY, b"a", 0)];
        ledger.take(&call(2), &wanted, Enforcement::Full);
        let child = Stepped::start(|| {
            let call = Call { emergency: true, ..call(2) };
            ledger.take(&call, &wanted, Enforcement::Reserved);
            0
        });
        let ended = child.step_and_kill(steps);
        ledger.forget(DialogId(2));
        if ledger.miscounted() > 0 {
            seen += 1;
        }
        if ended {
            break;
        }
    }
    println!("{seen} kills after which an end is reported as a BUG");
}

fn one_takeover(ledger: &Ledger, process: u64) {
    let before = takeovers();
    while takeovers() == before {
        let child = Child::start(|| {
            let wanted = [want(ScopeKind::BRAND, b"zz", 0), want(ScopeKind::COMPANY, b"zzz", 0)];
            loop {
                ledger.take(&call(process << 50), &wanted, Enforcement::Full);
                ledger.forget(DialogId(process << 50));
            }
        });
        std::thread::sleep(std::time::Duration::from_millis(3));
        child.kill();
        ledger.take(&call(process << 50), &[want(ScopeKind::BRAND, b"zz", 0)], Enforcement::Full);
        ledger.forget(DialogId(process << 50));
    }
}

/// How long all dialogs are locked.
#[test]
fn review_recount_time() {
    for calls in [65_536usize, 1_000_000] {
        let ledger = Ledger::new(calls, SEED).unwrap();
        for dialog in 1..calls as u64 * 9 / 10 {
            let user = dialog.to_ne_bytes();
            let id = (dialog % 2000).to_ne_bytes();
            let wanted = [
                want(ScopeKind::BRAND, b"x", 0),
                want(ScopeKind::COMPANY, &id, 0),
                want(own(1), &user, 0),
            ];
            assert_eq!(ledger.take(&call(dialog), &wanted, Enforcement::Full).outcome, Outcome::Counted);
        }
        ledger.recount_if_due();
        one_takeover(&ledger, 1);
        let cpu = || {
            let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            // SAFETY: fills the structure.
            unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
            time.tv_sec * 1000 + time.tv_nsec / 1_000_000
        };
        let (begun, used) = (Instant::now(), cpu());
        println!("{calls}: {:?} wrong in {:?}, CPU {} ms", ledger.recount_if_due(), begun.elapsed(), cpu() - used);
    }
}

const WORKERS: usize = 4;
static NO_EMERGENCY: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

fn worker(ledger: &Ledger, n: usize, incarnation: u64, over: &AtomicU64, done: &AtomicU64) -> ! {
    let mut random = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ incarnation << 20;
    loop {
        let pick = next(&mut random);
        // Dialogs are shared by all workers.
        let dialog = pick % 24 + 1;
        let id = [b'c', (pick >> 8) as u8 % 3];
        let other = [b'c', (pick >> 16) as u8 % 3];
        let direction = if pick >> 24 & 1 == 0 { Direction::In } else { Direction::Out };
        let carrier = Limit { rate: Rate::new(60_000, 1, 4).unwrap(), ..Limit::calls(5) };
        let did = (pick >> 32 & 7).to_ne_bytes();
        let wanted = [
            Wanted { direction, ..want(ScopeKind::BRAND, b"b", 7) },
            Wanted { direction, ..want(ScopeKind::COMPANY, &id, 3) },
            Wanted { direction, limit: carrier, ..want(own(0), &other, 0) },
            Wanted { direction, ..want(own(1), &did, 2) },
            want(own(2), &did, 0),
        ];
        let emergency = pick >> 40 & 15 == 0 && !NO_EMERGENCY.load(SeqCst);
        let call = Call { came: pick >> 44, emergency, ..call(dialog) };
        match pick >> 56 & 7 {
            0..4 => {
                let enforcement = Enforcement::Full;
                ledger.take(&call, &wanted[..(pick >> 60) as usize % 5 + 1], enforcement);
                if ledger.live(ScopeKind::COMPANY, &id) > 3 || ledger.live(ScopeKind::BRAND, b"b") > 7
                    || ledger.live(own(0), &other) > 5
                {
                    over.fetch_add(1, SeqCst);
                }
            }
            4 => drop(ledger.release(DialogId(dialog))),
            5 => {
                if !NO_EMERGENCY.load(SeqCst) { ledger.note_emergency(DialogId(dialog)); }
            }
            6 => {
                ledger.sweep(8, u64::MAX >> 30);
            }
            _ => drop(ledger.forget(DialogId(dialog))),
        }
        done.fetch_add(1, SeqCst);
    }
}

#[test]
fn review_kills_among_workers() {
    let ledger = Ledger::with_scopes(32, 200, SEED).unwrap();
    NO_EMERGENCY.store(std::env::var("NO_EMERGENCY").is_ok(), SeqCst);
    let [over, done] = [(); 2].map(|()| Area::share::<AtomicU64>().unwrap());
    let mut workers: Vec<Option<Child>> = (0..WORKERS).map(|n| Some(Child::start(|| worker(&ledger, n, 0, over, done)))).collect();
    let begun = takeovers();
    let mut wrong = 0;
    let mut recounts = 0;
    let kills: u64 = std::env::var("KILLS").ok().and_then(|k| k.parse().ok()).unwrap_or(300);
    for kill in 1..=kills {
        let n = kill as usize % WORKERS;
        std::thread::sleep(std::time::Duration::from_micros(500 + kill % 7 * 300));
        if let Some(child) = workers[n].take() {
            child.kill();
        }
        workers[n] = Some(Child::start(|| worker(&ledger, n, kill, over, done)));
        if let Some(found) = ledger.recount_if_due() {
            wrong += found;
            recounts += 1;
        }
    }
    workers.into_iter().flatten().for_each(Child::kill);
    for dialog in 100..400 {
        ledger.take(&call(dialog), &[want(ScopeKind::BRAND, b"b", 0)], Enforcement::Off);
        ledger.forget(DialogId(dialog));
    }
    for at in 0..ledger.positions() { let _ = ledger.at(at); }
    for at in 0..ledger.scope_positions() { let _ = ledger.scope_at(at); }
    while ledger.recount_if_due().is_some() {}
    let leases: Vec<_> = (0..ledger.positions()).filter_map(|at| ledger.at(at)).collect();
    for at in 0..ledger.scope_positions() {
        let Some(scope) = ledger.scope_at(at) else { continue };
        let mut any = 0;
        let mut emergencies = 0;
        for lease in leases.iter().filter(|lease| lease.live) {
            for own in &lease.scopes {
                if own.kind == scope.kind && own.id == scope.id && own.counts {
                    any += 1;
                    emergencies += u32::from(lease.emergency);
                }
            }
        }
        assert_eq!((scope.calls.any, scope.calls.emergencies), (any, emergencies), "{scope:?}");
    }
    assert_eq!(ledger.memory().leases as usize, leases.len());
    println!(
        "{} operations, {} takeovers, {recounts} recounts, {wrong} wrong, over {}, miscounted {}, {:?}",
        done.load(SeqCst), takeovers() - begun, over.load(SeqCst), ledger.miscounted(), ledger.memory()
    );
    for lease in leases { ledger.forget(lease.dialog); }
    ledger.sweep(1000, u64::MAX >> 20);
    let memory = ledger.memory();
    assert_eq!((memory.leases, memory.scopes, memory.idle_scopes), (0, 0, 0));
    let full = (0..32).filter(|n| ledger.take(&call(1000 + n), &[want(ScopeKind::BRAND, b"b", 0)], Enforcement::Off).outcome == Outcome::Counted).count();
    assert_eq!(full, 32);
}

/// The process that counts anew is killed too.
#[test]
fn review_kills_of_the_recounter() {
    let ledger = Ledger::with_scopes(32, 200, SEED).unwrap();
    let [over, done, counted] = [(); 3].map(|()| Area::share::<AtomicU64>().unwrap());
    let recounter = || {
        loop {
            if ledger.recount_if_due().is_some() { counted.fetch_add(1, SeqCst); }
            std::thread::yield_now();
        }
    };
    let mut workers: Vec<Option<Child>> = (0..WORKERS).map(|n| Some(Child::start(|| worker(&ledger, n, 0, over, done)))).collect();
    let mut recounting = Some(Child::start(recounter));
    let begun = takeovers();
    for kill in 1..=1500 {
        let n = kill as usize % WORKERS;
        std::thread::sleep(std::time::Duration::from_micros(300 + kill % 7 * 300));
        if let Some(child) = workers[n].take() { child.kill(); }
        workers[n] = Some(Child::start(|| worker(&ledger, n, kill, over, done)));
        std::thread::sleep(std::time::Duration::from_micros(kill % 11 * 37));
        if let Some(child) = recounting.take() { child.kill(); }
        recounting = Some(Child::start(recounter));
    }
    recounting.into_iter().for_each(Child::kill);
    workers.into_iter().flatten().for_each(Child::kill);
    for dialog in 100..400 {
        ledger.take(&call(dialog), &[want(ScopeKind::BRAND, b"b", 0)], Enforcement::Off);
        ledger.forget(DialogId(dialog));
    }
    for at in 0..ledger.positions() { let _ = ledger.at(at); }
    for at in 0..ledger.scope_positions() { let _ = ledger.scope_at(at); }
    let mut last = 0;
    while ledger.recount_if_due().is_some() { last += 1; }
    let leases: Vec<_> = (0..ledger.positions()).filter_map(|at| ledger.at(at)).collect();
    for at in 0..ledger.scope_positions() {
        let Some(scope) = ledger.scope_at(at) else { continue };
        let any = leases.iter().filter(|lease| lease.live).flat_map(|lease| &lease.scopes)
            .filter(|own| own.kind == scope.kind && own.id == scope.id && own.counts).count();
        assert_eq!(scope.calls.any as usize, any, "{scope:?}");
    }
    assert_eq!(ledger.memory().leases as usize, leases.len());
    println!("{} operations, {} takeovers, {} recounts + {last}, over {}, miscounted {}",
        done.load(SeqCst), takeovers() - begun, counted.load(SeqCst), over.load(SeqCst), ledger.miscounted());
    for lease in leases { ledger.forget(lease.dialog); }
    ledger.sweep(1000, u64::MAX >> 20);
    let memory = ledger.memory();
    assert_eq!((memory.leases, memory.scopes, memory.idle_scopes), (0, 0, 0));
    let full = (0..32).filter(|n| ledger.take(&call(1000 + n), &[want(ScopeKind::BRAND, b"b", 0)], Enforcement::Off).outcome == Outcome::Counted).count();
    assert_eq!(full, 32);
}

/// How many recounts one death brings.
#[test]
fn review_recounts_of_a_death() {
    let ledger = Ledger::new(1024, SEED).unwrap();
    let mut seen = [0; 6];
    for n in 0..200 {
        one_takeover(&ledger, n + 1);
        let mut times = 0;
        while ledger.recount_if_due().is_some() { times += 1; }
        seen[times.min(5)] += 1;
    }
    println!("recounts of one death: {seen:?}");
}

/// A process that is killed while it puts an event into the ring.
#[test]
fn review_ring_after_a_kill() {
    use sipwarden::shm::Ring;
    let mut stuck = 0;
    const KILLS: u64 = 400;
    for kill in 0..KILLS {
        let ring: Ring<60> = Ring::new(64).unwrap();
        let child = Child::start(|| loop { ring.push(&[7; 60]); });
        let begun = Instant::now();
        while begun.elapsed().as_micros() < 1500 + kill as u128 { let _ = ring.pop(); }
        child.kill();
        while ring.pop().is_some() {}
        let (end, read) = ring.positions();
        ring.push(&[8; 60]);
        stuck += u32::from(ring.pop().is_none());
        let _ = (end, read);
    }
    println!("ring stuck for ever after {stuck} of {KILLS} kills");
}

/// An emergency that is asked about once more, without e.
#[test]
fn review_emergency_asked_again() {
    let ledger = Ledger::new(64, SEED).unwrap();
    let full = [want(ScopeKind::COMPANY, b"b", 1)];
    ledger.take(&call(1), &full, Enforcement::Full);
    let emergency = Call { emergency: true, ..call(2) };
    println!("{:?}", ledger.take(&emergency, &[want(ScopeKind::COMPANY, b"a", 1)], Enforcement::Reserved).outcome);
    println!("{:?}", ledger.take(&call(2), &full, Enforcement::Full).outcome);
    println!("emergency {}", ledger.at(1).unwrap().emergency);
}
