//! Lines with a lock each, in the table of sources: those of users and of their sources are
//! made of the same.

use std::sync::Arc;

use shuttle::sync::atomic::{AtomicU64, Ordering::SeqCst};
use sipwarden::address::{Address, Prefix};
use sipwarden::flood::{Block, Ended, FloodOutcome, FloodSettings, FloodTable, Rules};
use sipwarden::limiter::{ClassId, Reason};
use sipwarden::source::Ways;

use super::{check, spawn};

/// A bucket.
const LINES: usize = 8;
const NOW: u64 = 50_000;

fn table() -> Arc<FloodTable> {
    Arc::new(FloodTable::new(LINES, [21, 22]).unwrap())
}

fn rules(limit: u32) -> Arc<Rules> {
    Arc::new(Rules::new(&FloodSettings::new(limit, 2000, 1, 0), &Rules::NONE))
}

fn source(host: u32) -> Address {
    Address::V4(0x0a00_0000 | host)
}

/// A request; what ended with it is counted.
fn request(
    table: &FloodTable,
    host: u32,
    rules: &Rules,
    now: u64,
    ended: &mut u64,
) -> FloodOutcome {
    let mut over = None;
    let class = || Some(ClassId::DEFAULT);
    let check = table.check(source(host), rules, 1, || now, class, &mut over);
    *ended += blocks(over);
    check.outcome
}

fn blocks(over: Option<Ended>) -> u64 {
    u64::from(matches!(over, Some(Ended::Block(_))))
}

/// Three workers see a source for the first time at once, in a bucket that is nearly full.
#[test]
fn a_source_has_one_entry_and_its_limit_is_exact() {
    check(|| {
        let (table, rules) = (table(), rules(3));
        for host in 1..LINES as u32 {
            request(&table, host, &rules, NOW, &mut 0);
        }
        let workers: Vec<_> = (0..3)
            .map(|_| {
                let rules = Arc::clone(&rules);
                spawn(&table, move |table| {
                    [(); 2].map(|()| request(table, 99, &rules, NOW, &mut 0))
                })
            })
            .collect();
        let told: Vec<_> = workers.into_iter().flat_map(|w| w.join().unwrap()).collect();
        let count = |is: fn(&FloodOutcome) -> bool| told.iter().filter(|told| is(told)).count();
        assert_eq!(count(|told| matches!(told, FloodOutcome::Under)), 3, "{told:?}");
        assert_eq!(count(|told| matches!(told, FloodOutcome::Started { .. })), 1, "{told:?}");
        assert_eq!(count(|told| matches!(told, FloodOutcome::Blocked { .. })), 2, "{told:?}");
        let usage = table.usage();
        assert_eq!((usage.used, usage.blocked), (LINES as u32, 1));
    });
}

/// A block is begun by requests and by an operator, while time runs, a sweep ends what is over
/// and an operator lifts all.
#[test]
fn a_block_ends_once_whoever_notices() {
    check(|| {
        let (table, rules, clock) = (table(), rules(1), Arc::new(AtomicU64::new(NOW)));
        let mut threads: Vec<_> = (0..2)
            .map(|_| {
                let (rules, clock) = (Arc::clone(&rules), Arc::clone(&clock));
                spawn(&table, move |table| {
                    let (mut started, mut ended) = (0, 0);
                    for _ in 0..3 {
                        let told = request(table, 1, &rules, clock.load(SeqCst), &mut ended);
                        started += u64::from(matches!(told, FloodOutcome::Started { .. }));
                    }
                    [started, ended]
                })
            })
            .collect();
        let (by_hand, of_sweep) = (Arc::clone(&rules), Arc::clone(&clock));
        threads.push(spawn(&table, move |table| {
            let prefix = Prefix::V4(0x0a00_0001, 32);
            let (reason, ways) = (Reason::Manual, Ways::NONE);
            let (since, until, class) = (NOW, NOW + 500, None);
            let block = Block { prefix, class, since, until, seen: 0, times: 1, reason, ways };
            let over = table.block(&block, &by_hand, NOW).unwrap();
            [1, blocks(over)]
        }));
        threads.push(spawn(&table, move |table| {
            let mut ended = 0;
            of_sweep.fetch_add(1500, SeqCst);
            table.sweep(|| of_sweep.load(SeqCst), |over| ended += blocks(Some(over)));
            table.forget(None, |over| ended += blocks(Some(over)));
            [0, ended]
        }));
        let counts = threads.into_iter().map(|thread| thread.join().unwrap());
        let [started, ended] = counts.fold([0; 2], |a, b| [a[0] + b[0], a[1] + b[1]]);
        let left = u64::from(table.usage().blocked);
        assert_eq!(started, ended + left, "{left} blocks are left");
        let mut last = 0;
        table.forget(None, |_| last += 1);
        assert_eq!((last, table.usage().used, table.usage().blocked), (left, 0, 0));
    });
}
