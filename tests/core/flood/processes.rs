//! One table in several processes.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::fork::fork_all;
use crate::random::next;
use sipwarden::address::Address;
use sipwarden::flood::{Block, Ended, FloodCheck, FloodOutcome, FloodSettings, FloodTable, Rules};
use sipwarden::limiter::{ClassId, Reason};
use sipwarden::shm::Area;
use sipwarden::source::Ways;

use super::{GENERATION, SEED, blocks, rules, rules_of};

const PROCESSES: usize = 8;

#[test]
fn eight_processes_admit_a_hundred_of_each_source_together() {
    const SOURCES: u32 = 500;
    let (table, rules) = (FloodTable::new(4096, SEED).unwrap(), rules());
    let [under, started, blocked] = [(); 3].map(|()| Area::share::<AtomicU64>().unwrap());
    let clock = Area::share::<AtomicU64>().unwrap();
    clock.store(50_000, SeqCst);
    fork_all(PROCESSES, |process| {
        for round in 0..40u32 {
            for n in 0..SOURCES {
                // Each in an order of its own.
                let from = Address::V4(0x0a00_0000 + (n + 61 * process as u32 + round) % SOURCES);
                match check_at(&table, from, &rules, clock).0.outcome {
                    FloodOutcome::Under => under.fetch_add(1, SeqCst),
                    FloodOutcome::Started { .. } => started.fetch_add(1, SeqCst),
                    FloodOutcome::Blocked { .. } => blocked.fetch_add(1, SeqCst),
                    _ => return false,
                };
            }
        }
        true
    });
    let sources = u64::from(SOURCES);
    assert_eq!(under.load(SeqCst), 100 * sources);
    assert_eq!(started.load(SeqCst), sources);
    assert_eq!(blocked.load(SeqCst), (PROCESSES as u64 * 40 - 101) * sources);
    assert_eq!(u64::from(table.usage().blocked), sources);
    for block in blocks(&table, 50_000) {
        assert_eq!(block.seen, PROCESSES as u32 * 40 - 100);
    }
}

fn check_at(
    table: &FloodTable,
    from: Address,
    rules: &Rules,
    clock: &AtomicU64,
) -> (FloodCheck, Option<Ended>) {
    let (class, mut ended) = (|| Some(ClassId::DEFAULT), None);
    let now = || clock.load(SeqCst);
    (table.check(from, rules, GENERATION, now, class, &mut ended), ended)
}

/// Time runs, blocks come and go, operators block and lift, the sweeper ends:
/// every block that began has ended exactly once.
#[test]
fn every_block_ends_once_whichever_process_notices() {
    let table = FloodTable::new(512, SEED).unwrap();
    let rules = rules_of(FloodSettings::new(3, 100, 1, 0));
    let [started, ended] = [(); 2].map(|()| Area::share::<AtomicU64>().unwrap());
    let clock = Area::share::<AtomicU64>().unwrap();
    let now = || clock.load(SeqCst);
    let count_ended = |over: Ended| {
        ended.fetch_add(u64::from(matches!(over, Ended::Block(_))), SeqCst);
    };
    fork_all(PROCESSES, |process| {
        let mut random = 0x1234_5678_9abc_def1u64 ^ (process as u64) << 17;
        for _ in 0..200_000 {
            next(&mut random);
            let from = Address::V4(0x0a00_0000 + (random >> 40) as u32 % 300);
            match (process, random % 64) {
                (0, 0) => table.sweep(now, count_ended),
                (1, 0) => table.forget(Some(from.prefix_of(28)), count_ended),
                (2 | 3, 0) => {
                    let block = Block {
                        prefix: from.prefix_of(if process == 2 { 32 } else { 29 }),
                        class: None,
                        since: now(),
                        until: now() + 500,
                        seen: 0,
                        times: 1,
                        reason: Reason::Manual,
                        ways: Ways::NONE,
                    };
                    let Ok(over) = table.block(&block, &rules, now()) else { continue };
                    started.fetch_add(1, SeqCst);
                    over.into_iter().for_each(count_ended);
                }
                (_, 1) => {
                    clock.fetch_add(1, SeqCst);
                }
                _ => {
                    let (checked, over) = check_at(&table, from, &rules, clock);
                    let starts = matches!(checked.outcome, FloodOutcome::Started { .. });
                    started.fetch_add(u64::from(starts), SeqCst);
                    over.into_iter().for_each(count_ended);
                }
            }
        }
        true
    });
    assert!(started.load(SeqCst) > 1000, "{started:?}");
    table.sweep(|| u64::from(u32::MAX), count_ended);
    assert_eq!(started.load(SeqCst), ended.load(SeqCst));
    assert_eq!((table.usage().blocked, blocks(&table, now()).len()), (0, 0));
    table.forget(None, |_| {});
    assert_eq!(table.usage().used, 0);
}
