//! The table of failed authentications over forked processes.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::fork::{Child, fork_all};
use crate::random::next;
use crate::tried::{DEFAULT, SEED, Tried, bans, rules, rules_of, source};
use sipwarden::auth::{Aor, AuthOutcome, AuthSettings, AuthTable, Ban, BanChanges};
use sipwarden::limiter::Reason;
use sipwarden::shm::{Area, takeovers};

const PROCESSES: usize = 8;

#[test]
fn eight_processes_count_99_failures_of_each_and_start_one_ban() {
    const AORS: usize = 300;
    let (table, rules) = (AuthTable::new(4096, SEED).unwrap(), rules());
    let aors: Vec<Vec<u8>> = (0..AORS).map(|n| format!("user{n}@x").into_bytes()).collect();
    let [counted, started, banned] = [(); 3].map(|()| Area::share::<AtomicU64>().unwrap());
    fork_all(PROCESSES, |process| {
        for round in 0..40 {
            for n in 0..AORS {
                // Each in an order of its own.
                let aor = &aors[(n + 61 * process + round) % AORS];
                match Tried::new(&table, &rules, aor, "192.0.2.7").fails(1000).outcome {
                    AuthOutcome::Counted => counted.fetch_add(1, SeqCst),
                    AuthOutcome::Started => started.fetch_add(1, SeqCst),
                    AuthOutcome::Banned => banned.fetch_add(1, SeqCst),
                    _ => return false,
                };
            }
        }
        true
    });
    let aors = AORS as u64;
    assert_eq!(counted.load(SeqCst), 99 * aors);
    assert_eq!(started.load(SeqCst), aors);
    assert_eq!(banned.load(SeqCst), (PROCESSES as u64 * 40 - 100) * aors);
    assert_eq!(u64::from(table.usage().blocked), aors);
}

#[test]
fn eight_processes_count_the_same_credentials_once() {
    const GUESSES: u32 = 2000;
    let mut settings = AuthSettings::new(60_000, 1800, 60, 0);
    settings.common.same = 600;
    let (table, rules) = (AuthTable::new(64, SEED).unwrap(), rules_of(settings));
    let [counted, same] = [(); 2].map(|()| Area::share::<AtomicU64>().unwrap());
    fork_all(PROCESSES, |_| {
        let alice = Tried::new(&table, &rules, b"alice@x", "192.0.2.7");
        for guess in 0..GUESSES {
            // All wait for each other, so that no guess is old enough to be forgotten.
            while counted.load(SeqCst) + same.load(SeqCst) < u64::from(guess) * PROCESSES as u64 {
                std::thread::yield_now();
            }
            let print = table.fingerprint([&guess.to_be_bytes()[..]].into_iter());
            match alice.fails_with(Some(print), 1000).0.outcome {
                AuthOutcome::Counted => counted.fetch_add(1, SeqCst),
                AuthOutcome::Repeat => same.fetch_add(1, SeqCst),
                _ => return false,
            };
        }
        true
    });
    assert_eq!(counted.load(SeqCst), u64::from(GUESSES));
    assert_eq!(same.load(SeqCst), u64::from(GUESSES) * (PROCESSES as u64 - 1));
}

/// Time runs, bans come and go, operators ban and lift, some succeed, the sweeper
/// ends: every ban that began has ended exactly once.
#[test]
fn every_ban_ends_once_whichever_process_notices() {
    let table = AuthTable::new(256, SEED).unwrap();
    let rules = rules_of(AuthSettings::new(3, 1, 1, 2));
    let aors: Vec<Vec<u8>> = (0..200).map(|n| format!("user{n}@x").into_bytes()).collect();
    let [started, ended] = [(); 2].map(|()| Area::share::<AtomicU64>().unwrap());
    let clock = Area::share::<AtomicU64>().unwrap();
    let now = || clock.load(SeqCst);
    let count_ended = |_: Ban| {
        ended.fetch_add(1, SeqCst);
    };
    fork_all(PROCESSES, |process| {
        let mut random = 0x1234_5678_9abc_def1u64 ^ (process as u64) << 17;
        for _ in 0..100_000 {
            next(&mut random);
            let aor = &aors[(random >> 40) as usize % aors.len()];
            let (login, mut changes) =
                (table.login(aor, source("192.0.2.7")), BanChanges::default());
            match (process, random % 64) {
                (0, 0) => table.sweep(&rules, now, count_ended),
                (1, 0) => table.forget(Some(table.aor_hash(aor)), None, count_ended),
                (2, 0) => {
                    let ban = Ban {
                        aor: Aor::new(aor, false, table.aor_hash(aor)),
                        source: source("192.0.2.7"),
                        class: DEFAULT,
                        since: now(),
                        until: now() + 500,
                        seen: 0,
                        reason: Reason::Manual,
                    };
                    let Ok(before) = table.ban(&ban, &rules, now()) else { continue };
                    started.fetch_add(1, SeqCst);
                    before.into_iter().for_each(count_ended);
                }
                (_, 1) => {
                    clock.fetch_add(5, SeqCst);
                }
                (_, 2) => {
                    table.succeeded(&login, DEFAULT, &rules, now, &mut changes);
                }
                (_, 3) => {
                    table.check(&login, None, &rules, now, &mut changes);
                }
                (_, 4..20) => {
                    table.check(&login, DEFAULT, &rules, now, &mut changes);
                }
                _ => {
                    table.failed(&login, None, DEFAULT, &rules, now, &mut changes);
                }
            }
            changes.ended.into_iter().for_each(count_ended);
            started.fetch_add(u64::from(changes.started.is_some()), SeqCst);
        }
        true
    });
    assert!(started.load(SeqCst) > 1000, "{started:?}");
    table.sweep(&rules, || u64::from(u32::MAX), count_ended);
    assert_eq!(started.load(SeqCst), ended.load(SeqCst));
    assert_eq!((table.usage().blocked, bans(&table, now()).len()), (0, 0));
    table.forget(None, None, |_| {});
    assert_eq!(table.usage().used, 0);
}

/// A worker that is killed while it has a lock costs others a moment only.
#[test]
fn processes_that_are_killed_leave_no_lock_behind() {
    const KILLS: u32 = 200;
    let (table, rules) =
        (AuthTable::new(64, SEED).unwrap(), rules_of(AuthSettings::new(60_000, 60, 60, 0)));
    // More than fit: each is added under all locks of its bucket.
    let aors: Vec<Vec<u8>> = (0..100).map(|n| format!("user{n}@x").into_bytes()).collect();
    let fail = |aor: &[u8]| Tried::new(&table, &rules, aor, "192.0.2.7").fails(1).outcome;
    let calls = Area::share::<AtomicU64>().unwrap();
    let before_all = takeovers();
    for _ in 0..KILLS {
        let child = Child::start(|| {
            loop {
                for aor in &aors {
                    fail(aor);
                    calls.fetch_add(1, SeqCst);
                }
            }
        });
        let before = calls.load(SeqCst);
        while calls.load(SeqCst) < before + 500 {
            std::thread::yield_now();
        }
        child.kill();
        assert!(aors.iter().all(|aor| fail(aor) == AuthOutcome::Counted));
        table.forget(None, None, |_| {});
    }
    assert!(takeovers() > before_all, "no process was killed while it had a lock");
}

/// Processes that fail at the same moment for AoRs without an entry.
#[test]
fn no_aor_has_two_entries_however_many_come_first() {
    const ROUNDS: usize = 20_000;
    let table = AuthTable::new(262_144, SEED).unwrap();
    let rules = rules_of(AuthSettings::new(60_000, 60, 60, 0));
    let aors: Vec<String> = (0..ROUNDS).map(|n| n.to_string()).collect();
    let ready = Area::share::<AtomicU64>().unwrap();
    fork_all(2, |_| {
        for (round, aor) in aors.iter().enumerate() {
            ready.fetch_add(1, SeqCst);
            while ready.load(SeqCst) < 2 * (round as u64 + 1) {
                std::thread::yield_now();
            }
            Tried::new(&table, &rules, aor.as_bytes(), "192.0.2.7").fails(1000);
        }
        true
    });
    let usage = table.usage();
    assert_eq!(usage.used as usize, ROUNDS);
    for aor in &aors {
        let tried = Tried::new(&table, &rules, aor.as_bytes(), "192.0.2.7");
        assert_eq!(tried.check(1000).0.failures, 2, "{aor}");
    }
}
