//! The flood table against an exact model, at its bounds, and over forked
//! processes.

use std::collections::HashSet;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use crate::fork::fork_all;
use crate::random::next;
use proptest::prelude::*;
use sipwarden::address::{Address, Prefix};
use sipwarden::flood::{
    Block, Checked, Ended, FloodSettings, FloodTable, Outcome, Reason, Rules, SharedRules,
    parse_class,
};
use sipwarden::limiter::{ClassId, SLICES};
use sipwarden::shm::Area;
use sipwarden::source::{Learnt, Source, Ways};

const SEED: [u64; 2] = [21, 22];
const GENERATION: u32 = 1;

fn rules_of(settings: FloodSettings) -> Rules {
    let mut rules = Rules::NONE;
    SharedRules::new(settings).unwrap().refresh(&mut rules);
    rules
}

/// The defaults: 100 in 2 s, blocked for 300 s.
fn rules() -> Rules {
    rules_of(FloodSettings::new(100, 2000, 300, 0))
}

fn source(text: &str) -> Address {
    Address::parse(text.as_bytes()).unwrap()
}

/// What a check says, and what ended with it.
fn check_as(
    table: &FloodTable,
    source: Address,
    rules: &Rules,
    (generation, class): (u32, Option<ClassId>),
    now: u64,
) -> (Checked, Option<Ended>) {
    let mut ended = None;
    let checked = table.check(source, rules, generation, || now, || class, &mut ended);
    (checked, ended)
}

fn check(table: &FloodTable, source: Address, rules: &Rules, now: u64) -> Checked {
    check_as(table, source, rules, (GENERATION, Some(ClassId::DEFAULT)), now).0
}

/// The block that holds for an address.
fn block_of(table: &FloodTable, source: Address, rules: &Rules, now: u64) -> Block {
    table.look(source, rules, || now).0.expect("a block")
}

fn prefix(text: &str) -> Prefix {
    Prefix::parse(text, None).unwrap()
}

fn manual(text: &str, since: u64, until: u64) -> Block {
    Block {
        prefix: prefix(text),
        class: Some(ClassId::DEFAULT),
        since,
        until,
        seen: 0,
        times: 1,
        reason: Reason::Manual,
        ways: Ways::NONE,
    }
}

fn blocks(table: &FloodTable, now: u64) -> Vec<Block> {
    let mut found = Vec::new();
    table.blocks(|| now, |block| found.push(*block));
    found
}

#[test]
fn the_101st_request_starts_the_block_and_then_all_are_refused_until_its_end() {
    let (table, rules) = (FloodTable::new(64, SEED).unwrap(), rules());
    let from = source("192.0.2.7");
    for n in 1..=100 {
        let checked = check(&table, from, &rules, 1000);
        assert_eq!((checked.outcome, checked.requests), (Outcome::Under, n));
    }
    let outcome = check(&table, from, &rules, 1000).outcome;
    assert_eq!(outcome, Outcome::Started { until: 301_000, times: 1 });
    let block = block_of(&table, from, &rules, 1000);
    assert_eq!((block.since, block.until, block.seen, block.times), (1000, 301_000, 1, 1));
    for n in 1..=1000 {
        let outcome = check(&table, from, &rules, 1000 + n * 299).outcome;
        assert_eq!(outcome, Outcome::Blocked { until: 301_000 });
        assert_eq!(u64::from(block_of(&table, from, &rules, 1000 + n * 299).seen), n + 1);
    }
    assert!(matches!(check(&table, source("192.0.2.8"), &rules, 1000).outcome, Outcome::Under));
    let class = (GENERATION, Some(ClassId::DEFAULT));
    let (after, ended) = check_as(&table, from, &rules, class, 301_000);
    assert_eq!((after.outcome, after.requests), (Outcome::Under, 1));
    let Some(Ended::Block(ended)) = ended else { panic!("{ended:?}") };
    assert_eq!((ended.prefix, ended.seen), (prefix("192.0.2.7"), 1001));
    assert_eq!(table.memory().blocked, 0);
}

/// A source whose requests come at real times, seen by a clock that steps.
#[derive(Debug, Clone)]
enum Step {
    /// Requests, each after this many ms.
    Requests(u16, u16),
    /// A pause in ms.
    Pause(u32),
    /// The clock is set back or forward by ms.
    Clock(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (1u16..60, prop_oneof![0u16..5, 0u16..200]).prop_map(|(n, gap)| Step::Requests(n, gap)),
        3 => prop_oneof![0u32..3000, 1900u32..2100].prop_map(Step::Pause),
        1 => prop_oneof![-5000i64..5000, -7_200_000i64..=86_400_000].prop_map(Step::Clock),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    /// The error is one-sided and bounded.
    #[test]
    fn who_keeps_to_the_limit_is_never_refused_and_nobody_passes_much_more(
        steps in steps(),
        limit in 1u32..60,
        window in prop_oneof![Just(2000u32), 100u32..5000],
        tick in 1u32..=10,
    ) {
        // Mappings are never given back: all cases share one.
        static TABLE: OnceLock<(FloodTable, SharedRules)> = OnceLock::new();
        let (table, shared) = TABLE.get_or_init(|| {
            let shared = SharedRules::new(FloodSettings::new(1, 1000, 300, 0)).unwrap();
            (FloodTable::new(8, SEED).unwrap(), shared)
        });
        table.forget(None, |_| {});
        shared.change(|s| {
            let default = s.default_mut();
            (default.limit, default.window) = (limit, window);
            s.tick = tick;
        });
        let mut rules = Rules::NONE;
        shared.refresh(&mut rules);
        let from = source("192.0.2.7");
        let mut real = 1_000_000_000u64;
        let (mut offset, mut told) = (0i64, 0i64);
        // Real times of the requests since the clock was seen to run backwards, and
        // of those since it was last set.
        let (mut all, mut since_set) = (Vec::new(), Vec::new());
        // What a clock that was set back loses between two requests it cannot show.
        let mut lost = 0u64;
        let mut last = 0;
        let shorter = u64::from(window - tick) * (SLICES as u64 - 1) / SLICES as u64;
        let shorter = shorter.saturating_sub(u64::from(tick));
        for step in steps {
            let (count, gap) = match step {
                Step::Requests(count, gap) => (count, u64::from(gap)),
                Step::Pause(ms) => {
                    real += u64::from(ms);
                    continue;
                }
                Step::Clock(by) => {
                    offset += by;
                    continue;
                }
            };
            for _ in 0..count {
                real += gap;
                // The clock shows its last tick.
                let now = real.wrapping_add_signed(offset) / u64::from(tick) * u64::from(tick);
                // Within one slice the table does not see that time runs backwards.
                if last > now + u64::from(window) / SLICES as u64 {
                    all.clear();
                    lost = 0;
                } else if offset < told {
                    lost += told.abs_diff(offset);
                }
                if offset != told {
                    since_set.clear();
                }
                (last, told) = (now, offset);
                let outcome = check(table, from, &rules, now).outcome;
                let within = |span: u64, times: &[u64]| {
                    times.iter().rev().take_while(|t| real - **t < span).count() as u32
                };
                match outcome {
                    Outcome::Under => {
                        let recent = within(shorter, &since_set);
                        prop_assert!(recent < limit, "{recent} in 13/14 of a window passed");
                    }
                    Outcome::Started { .. } => {
                        let before = within(u64::from(window) + lost, &all);
                        prop_assert!(before >= limit, "refused after {before} of {limit}");
                        return Ok(());
                    }
                    other => prop_assert!(false, "{other:?}"),
                }
                all.push(real);
                since_set.push(real);
            }
        }
    }
}

#[test]
fn a_source_at_its_limit_for_hours_is_never_refused_and_one_above_soon_is() {
    for (window, limit) in [(2000u64, 100u64), (1000, 7), (10_000, 500)] {
        let table = FloodTable::new(8, SEED).unwrap();
        let rules = rules_of(FloodSettings::new(limit as u32, window as u32, 300, 0));
        for n in 0..200 * limit {
            let outcome =
                check(&table, source("192.0.2.1"), &rules, n * window / limit + 77).outcome;
            assert_eq!(outcome, Outcome::Under, "{n}");
        }
        // Bursts of the whole limit, a window apart.
        for burst in 0..200 {
            for _ in 0..limit {
                let now = 77 + burst * window;
                assert_eq!(check(&table, source("192.0.2.2"), &rules, now).outcome, Outcome::Under);
            }
        }
        // 14/13 of the rate, and a little more.
        let refused = (0..3 * limit).position(|n| {
            let now = n * window * 12 / (13 * limit);
            check(&table, source("192.0.2.3"), &rules, now).outcome != Outcome::Under
        });
        assert!(refused.is_some_and(|n| n as u64 <= limit + 1), "{refused:?}");
    }
}

#[test]
fn repeated_blocks_double_and_good_conduct_is_remembered() {
    let table = FloodTable::new(8, SEED).unwrap();
    let rules = rules_of(FloodSettings::new(1, 2000, 10, 60));
    let from = source("192.0.2.7");
    let mut now = 5000;
    let flood = |now: &mut u64| {
        check(&table, from, &rules, *now);
        let Outcome::Started { until, times } = check(&table, from, &rules, *now).outcome else {
            panic!("not started")
        };
        let length = until - std::mem::replace(now, until);
        (length, times)
    };
    let lengths: Vec<_> = (0..5).map(|_| flood(&mut now)).collect();
    assert_eq!(lengths, [(10_000, 1), (20_000, 2), (40_000, 3), (60_000, 4), (60_000, 5)]);
    now += 61_000;
    assert_eq!(flood(&mut now), (10_000, 1));
}

#[test]
fn a_class_without_blocks_is_throttled_to_its_limit() {
    let mut settings = FloodSettings::new(100, 2000, 300, 0);
    assert!(settings.set_class(1, &parse_class("carrier=limit:20;window:1;block:0").unwrap()));
    let (table, rules) = (FloodTable::new(8, SEED).unwrap(), rules_of(settings));
    let ask =
        |now| check_as(&table, source("192.0.2.7"), &rules, (GENERATION, Some(ClassId(1))), now).0;
    let (mut passed, mut begun) = (0, 0);
    for now in 0..10_000u64 {
        let checked = ask(100_000 + now);
        assert_eq!(checked.class, Some(ClassId(1)));
        match checked.outcome {
            Outcome::Under => passed += 1,
            Outcome::Throttled { begins } => begun += u32::from(begins),
            other => panic!("{other:?}"),
        }
    }
    // 20 a second, and not more than 14/13 of it.
    assert!((200..=215).contains(&passed), "{passed}");
    assert_eq!(begun, 1);
    assert_eq!(blocks(&table, 110_000), []);
    let mut over = Vec::new();
    table.sweep(|| 119_000, |ended| over.push(*ended));
    assert_eq!(over, []);
    table.sweep(|| 121_000, |ended| over.push(*ended));
    assert_eq!(over, [Ended::Throttling(prefix("192.0.2.7"), Some(ClassId(1)))]);
    assert_eq!(ask(121_000).outcome, Outcome::Under);
}

#[test]
fn addresses_of_one_ipv6_network_are_one_source_and_mapped_ones_are_ipv4() {
    let (table, rules) = (FloodTable::new(64, SEED).unwrap(), rules());
    for n in 0..100u32 {
        check(&table, source(&format!("2001:db8:0:1::{n:x}")), &rules, 0);
        check(&table, source(if n % 2 == 0 { "::ffff:192.0.2.1" } else { "192.0.2.1" }), &rules, 0);
    }
    assert_eq!(table.memory().used, 2);
    let outcome = |text: &str| check(&table, source(text), &rules, 0).outcome;
    assert!(matches!(outcome("2001:db8:0:1:ffff::1"), Outcome::Started { .. }));
    assert_eq!(blocks(&table, 0)[0].prefix, prefix("2001:db8:0:1::/64"));
    assert!(matches!(outcome("::ffff:192.0.2.1"), Outcome::Started { .. }));
    assert!(matches!(outcome("192.0.2.1"), Outcome::Blocked { .. }));
    assert_eq!(outcome("2001:db8:0:2::1"), Outcome::Under);
}

#[test]
fn blocks_of_any_length_hold_and_are_lifted_with_what_they_contain() {
    let (table, rules) = (FloodTable::new(64, SEED).unwrap(), rules());
    for text in ["203.0.113.0/24", "2001:db8::/48", "198.51.100.7", "2001:db8:7:7::/64"] {
        table.block(&manual(text, 0, 10_000), &rules, 0).unwrap();
    }
    let refused = |text: &str, now| {
        matches!(check(&table, source(text), &rules, now).outcome, Outcome::Blocked { .. })
    };
    for (text, expected) in [
        ("203.0.113.200", true),
        ("203.0.114.1", false),
        ("198.51.100.7", true),
        ("198.51.100.8", false),
        ("2001:db8:0:9::1", true),
        ("2001:db8:1::1", false),
        ("2001:db8:7:7::9", true),
    ] {
        assert_eq!(refused(text, 500), expected, "{text}");
    }
    let seen =
        blocks(&table, 500).iter().find(|b| b.prefix == prefix("203.0.113.0/24")).unwrap().seen;
    assert_eq!((table.memory().blocked, seen), (4, 1));
    // A block of an operator holds for exempt sources too.
    let exempt =
        |text: &str| check_as(&table, source(text), &rules, (GENERATION, None), 500).0.outcome;
    assert!(matches!(exempt("203.0.113.9"), Outcome::Blocked { .. }));
    assert!(matches!(exempt("198.51.100.7"), Outcome::Blocked { .. }));
    assert_eq!(exempt("198.51.100.9"), Outcome::Exempt);

    let mut lifted = HashSet::new();
    table.forget(Some(prefix("2001:db8::/32")), |ended| {
        lifted.insert(format!("{ended:?}"));
    });
    assert_eq!(lifted.len(), 2);
    assert!(!refused("2001:db8:0:9::1", 500) && !refused("2001:db8:7:7::9", 500));
    assert!(refused("203.0.113.1", 500));
    table.sweep(|| 10_000, |_| {});
    assert!(!refused("203.0.113.1", 10_000));
    table.forget(None, |_| {});
    assert_eq!((table.memory().blocked, table.memory().used), (0, 0));
}

#[test]
fn another_prefix_length_neither_lifts_blocks_nor_leaves_them_for_ever() {
    let table = FloodTable::new(64, SEED).unwrap();
    let mut settings = FloodSettings::new(5, 2000, 300, 0);
    let narrow = rules_of(settings);
    settings.common.ipv6_prefix = 48;
    let wide = rules_of(settings);
    let from = source("2001:db8:1:2::3");
    for _ in 0..6 {
        check(&table, from, &narrow, 0);
    }
    let outcome = |text: &str, rules: &Rules, now| check(&table, source(text), rules, now).outcome;
    assert!(matches!(outcome("2001:db8:1:2::4", &wide, 100), Outcome::Blocked { .. }));
    assert_eq!(outcome("2001:db8:1:3::4", &wide, 100), Outcome::Under);
    // Its class says now that it is exempt: then the block of a flood is none.
    let (exempt, _) = check_as(&table, from, &wide, (2, None), 100);
    assert_eq!(exempt.outcome, Outcome::Exempt);
    assert_eq!(outcome("2001:db8:1:2::4", &wide, 300_000), Outcome::Under);
    table.sweep(|| 300_000, |_| {});
    assert_eq!(table.memory().blocked, 0);
}

#[test]
fn a_source_that_becomes_exempt_is_free_at_once_and_counts_anew_afterwards() {
    let (table, rules) = (FloodTable::new(64, SEED).unwrap(), rules());
    let from = source("192.0.2.7");
    for _ in 0..101 {
        check(&table, from, &rules, 0);
    }
    let (freed, ended) = check_as(&table, from, &rules, (2, None), 10);
    assert_eq!(freed.outcome, Outcome::Exempt);
    assert!(matches!(ended, Some(Ended::Block(_))));
    assert_eq!((table.memory().used, table.memory().blocked), (1, 0));
    let (counted, _) = check_as(&table, from, &rules, (3, Some(ClassId::DEFAULT)), 10);
    assert_eq!((counted.outcome, counted.requests), (Outcome::Under, 1));
}

#[test]
fn a_changed_window_or_class_begins_a_new_count() {
    let shared = SharedRules::new(FloodSettings::new(100, 2000, 300, 0)).unwrap();
    let mut rules = Rules::NONE;
    shared.refresh(&mut rules);
    let table = FloodTable::new(64, SEED).unwrap();
    let from = source("192.0.2.7");
    assert_eq!((0..50).map(|_| check(&table, from, &rules, 0).requests).max(), Some(50));
    shared.change(|s| s.default_mut().limit = 60);
    shared.refresh(&mut rules);
    assert_eq!(check(&table, from, &rules, 0).requests, 51);
    shared.change(|s| s.default_mut().window = 4000);
    shared.refresh(&mut rules);
    assert_eq!(check(&table, from, &rules, 0).requests, 1);
    let (other, _) = check_as(&table, from, &rules, (2, Some(ClassId(3))), 0);
    assert_eq!((other.class, other.requests), (Some(ClassId(3)), 1));
}

/// Mixes a counter into an address (SplitMix64).
fn spoofed(n: u64) -> Address {
    let z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    Address::V4((z ^ (z >> 31)) as u32 | 0x8000_0000)
}

#[test]
fn millions_of_sources_neither_free_a_block_nor_hide_a_flood_nor_hurt_an_honest_one() {
    let (table, rules) = (FloodTable::new(4096, SEED).unwrap(), rules());
    let honest = source("10.0.0.1");
    let (old, new) = (source("10.0.0.2"), source("10.0.0.3"));
    for _ in 0..101 {
        check(&table, old, &rules, 0);
    }
    let mut caught = None;
    let mut evicted = 0u64;
    // 100 requests in a ms from strangers; the honest one sends 40 in a second,
    // the flooder 200.
    for n in 0..3_000_000u64 {
        let now = n / 100;
        evicted += u64::from(check(&table, spoofed(n), &rules, now).evicted);
        if n % 2500 == 0 {
            let outcome = check(&table, honest, &rules, now).outcome;
            assert!(matches!(outcome, Outcome::Under | Outcome::Untracked), "{outcome:?}");
        }
        if n % 500 == 0
            && matches!(check(&table, new, &rules, now).outcome, Outcome::Started { .. })
        {
            caught.get_or_insert(now);
        }
        if n % 10_000 == 0 {
            let outcome = check(&table, old, &rules, now).outcome;
            assert!(matches!(outcome, Outcome::Blocked { .. }), "{outcome:?} at {now}");
        }
    }
    assert!(caught.is_some_and(|ms| ms < 1000), "{caught:?}");
    assert!(evicted > 2_000_000, "{evicted}");
    let memory = table.memory();
    assert_eq!((memory.used as usize, memory.blocked), (memory.capacity, 2));
}

#[test]
fn a_table_full_of_blocks_lets_others_pass_untracked_and_recovers() {
    let (table, rules) = (FloodTable::new(8, SEED).unwrap(), rules());
    for n in 0..8 {
        table.block(&manual(&format!("192.0.2.{n}"), 0, 1000), &rules, 0).unwrap();
    }
    assert!(table.block(&manual("192.0.2.99", 0, 1000), &rules, 0).is_err());
    assert_eq!(check(&table, source("192.0.2.99"), &rules, 0).outcome, Outcome::Untracked);
    let mut ended = 0;
    table.sweep(|| 1000, |_| ended += 1);
    assert_eq!(ended, 8);
    assert_eq!(check(&table, source("192.0.2.99"), &rules, 1000).outcome, Outcome::Under);
}

#[test]
fn a_source_takes_64_bytes() {
    let memory = FloodTable::new(262_144, SEED).unwrap().memory();
    assert_eq!(memory.capacity, 262_144);
    // Two bits a source, used and blocked, and what there is per prefix length.
    assert!(memory.bytes <= 64 * memory.capacity + memory.capacity / 4 + 1024, "{memory:?}");
}

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
                    Outcome::Under => under.fetch_add(1, SeqCst),
                    Outcome::Started { .. } => started.fetch_add(1, SeqCst),
                    Outcome::Blocked { .. } => blocked.fetch_add(1, SeqCst),
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
    assert_eq!(u64::from(table.memory().blocked), sources);
    for block in blocks(&table, 50_000) {
        assert_eq!(block.seen, PROCESSES as u32 * 40 - 100);
    }
}

fn check_at(
    table: &FloodTable,
    from: Address,
    rules: &Rules,
    clock: &AtomicU64,
) -> (Checked, Option<Ended>) {
    let (class, mut ended) = (|| Some(ClassId::DEFAULT), None);
    let now = || clock.load(SeqCst);
    (table.check(from, rules, GENERATION, now, class, &mut ended), ended)
}

/// Time runs, blocks come and go, operators block and lift, the sweeper ends:
/// every block that began has ended exactly once.
#[test]
fn every_block_ends_once_whoever_notices() {
    let table = FloodTable::new(512, SEED).unwrap();
    let rules = rules_of(FloodSettings::new(3, 100, 1, 0));
    let [started, ended] = [(); 2].map(|()| Area::share::<AtomicU64>().unwrap());
    let clock = Area::share::<AtomicU64>().unwrap();
    let now = || clock.load(SeqCst);
    let count_ended = |over: &Ended| {
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
                    over.iter().for_each(count_ended);
                }
                (_, 1) => {
                    clock.fetch_add(1, SeqCst);
                }
                _ => {
                    let (checked, over) = check_at(&table, from, &rules, clock);
                    let starts = matches!(checked.outcome, Outcome::Started { .. });
                    started.fetch_add(u64::from(starts), SeqCst);
                    over.iter().for_each(count_ended);
                }
            }
        }
        true
    });
    assert!(started.load(SeqCst) > 1000, "{started:?}");
    table.sweep(|| u64::from(u32::MAX), count_ended);
    assert_eq!(started.load(SeqCst), ended.load(SeqCst));
    assert_eq!((table.memory().blocked, blocks(&table, now()).len()), (0, 0));
    table.forget(None, |_| {});
    assert_eq!(table.memory().used, 0);
}

#[test]
fn a_block_ends_with_the_class_that_was_its_reason() {
    let mut settings = FloodSettings::new(5, 2000, 300, 0);
    settings.set_class(1, &parse_class("carrier=limit:50;block:0").unwrap());
    let shared = SharedRules::new(settings).unwrap();
    let mut rules = Rules::NONE;
    shared.refresh(&mut rules);
    let table = FloodTable::new(64, SEED).unwrap();
    let from = source("192.0.2.7");
    let default = Some(ClassId::DEFAULT);
    let flood = |rules: &Rules, generation| {
        let mut outcome = Outcome::Untracked;
        for _ in 0..6 {
            outcome = check_as(&table, from, rules, (generation, default), 0).0.outcome;
        }
        outcome
    };
    assert!(matches!(flood(&rules, 1), Outcome::Started { .. }));
    let (now_carrier, ended) = check_as(&table, from, &rules, (2, Some(ClassId(1))), 10);
    assert_eq!((now_carrier.outcome, now_carrier.requests), (Outcome::Under, 1));
    assert!(matches!(ended, Some(Ended::Block(_))));
    // A class that blocks no more frees those it has blocked.
    assert!(matches!(flood(&rules, 3), Outcome::Started { .. }));
    shared.change(|s| s.default_mut().block = 0);
    shared.refresh(&mut rules);
    let (freed, ended) = check_as(&table, from, &rules, (3, default), 20);
    assert_eq!(freed.outcome, Outcome::Under);
    assert!(matches!(ended, Some(Ended::Block(_))));
    // Not a block of an operator, in whatever class.
    table.block(&manual("192.0.2.7", 30, 1000), &rules, 30).unwrap();
    for generation in 3..6 {
        let class = if generation == 4 { None } else { Some(ClassId(1)) };
        let (checked, ended) = check_as(&table, from, &rules, (generation, class), 40);
        assert_eq!((checked.outcome, ended), (Outcome::Blocked { until: 1000 }, None));
    }
}

#[test]
fn a_source_that_is_forgotten_is_no_longer_throttled() {
    let rules = rules_of(FloodSettings::new(5, 60_000, 0, 0));
    let table = FloodTable::new(8, SEED).unwrap();
    let from = source("192.0.2.7");
    let outcomes: Vec<_> = (0..7).map(|_| check(&table, from, &rules, 0).outcome).collect();
    assert_eq!(outcomes[5], Outcome::Throttled { begins: true });
    assert_eq!(outcomes[6], Outcome::Throttled { begins: false });
    // Seven others with more requests: it is the least useful one after a while.
    let class = (GENERATION, Some(ClassId::DEFAULT));
    let mut over = Vec::new();
    for n in 0..40u32 {
        for _ in 0..5 {
            let (_, ended) = check_as(&table, Address::V4(n), &rules, class, 100_000);
            over.extend(ended);
        }
    }
    assert_eq!(over, [Ended::Throttling(prefix("192.0.2.7"), Some(ClassId::DEFAULT))]);
    let mut swept = 0;
    table.sweep(|| 900_000, |_| swept += 1);
    assert_eq!(swept, 0);
}

#[test]
fn throttling_ends_where_a_block_begins() {
    let shared = SharedRules::new(FloodSettings::new(2, 60_000, 0, 0)).unwrap();
    let mut rules = Rules::NONE;
    shared.refresh(&mut rules);
    let default = Some(ClassId::DEFAULT);
    let throttled = |table: &FloodTable, text: &str| {
        (0..3).for_each(|_| {
            check(table, source(text), &rules, 0);
        });
        Ended::Throttling(prefix(text), default)
    };
    // An operator blocks a source that is throttled.
    let table = FloodTable::new(8, SEED).unwrap();
    let over = throttled(&table, "192.0.2.7");
    let block = |text: &str| table.block(&manual(text, 0, 1000), &rules, 0).unwrap();
    assert_eq!(block("192.0.2.7"), Some(over));
    assert!(matches!(block("192.0.2.7"), Some(Ended::Block(_))));
    // A block takes the place of another source, since there is no other.
    let over: Vec<_> = (0..7).map(|n| throttled(&table, &format!("192.0.3.{n}"))).collect();
    let gone = block("192.0.2.8").unwrap();
    assert!(over.contains(&gone), "{gone:?}");
    // Its class blocks from now on.
    let table = FloodTable::new(8, SEED).unwrap();
    let over = throttled(&table, "192.0.2.7");
    shared.change(|s| s.default_mut().block = 60);
    let mut rules = Rules::NONE;
    shared.refresh(&mut rules);
    let (checked, ended) = check_as(&table, source("192.0.2.7"), &rules, (GENERATION, default), 1);
    assert!(matches!(checked.outcome, Outcome::Started { .. }));
    assert_eq!(ended, Some(over));
}

#[test]
fn a_block_remembers_how_its_requests_have_come() {
    let table = FloodTable::new(1024, SEED).unwrap();
    let rules = rules_of(FloodSettings::new(2, 2000, 300, 0));
    let from = source("192.0.2.7");
    let send = |learnt, now: u64| {
        let (source, mut ended) = (Source { address: from, learnt }, None);
        let class = || Some(ClassId::DEFAULT);
        table.check(source, &rules, GENERATION, || now, class, &mut ended).outcome
    };
    send(Learnt::Packet, 0);
    send(Learnt::Packet, 0);
    assert!(matches!(send(Learnt::Script, 0), Outcome::Started { .. }));
    let ways = |now| block_of(&table, from, &rules, now).ways.names();
    assert_eq!(ways(1), "script", "the evidence is the request that started it");
    send(Learnt::Script, 1);
    send(Learnt::Proxy, 2);
    assert_eq!(ways(3), "proxy,script");
    send(Learnt::Packet, 4);
    assert_eq!(ways(5), "packet,proxy,script");
    // Over, and blocked anew.
    for now in [400_000, 400_000, 400_000] {
        send(Learnt::Proxy, now);
    }
    assert_eq!(ways(400_001), "proxy");
}

/// Bytes of shared memory that the calling process has touched. Allocates nothing.
fn touched() -> usize {
    let mut text = [0u8; 4096];
    let mut file = std::fs::File::open("/proc/self/status").unwrap();
    let read = std::io::Read::read(&mut file, &mut text).unwrap();
    let text = std::str::from_utf8(&text[..read]).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("RssShmem:")).unwrap();
    1024 * line.split_ascii_whitespace().next().unwrap().parse::<usize>().unwrap()
}

/// The page asks for the busiest sources every 2 s.
#[test]
fn listing_and_lifting_touch_only_lines_that_were_used() {
    let table = FloodTable::new(4_194_304, SEED).unwrap();
    let rules = rules();
    fork_all(1, |_| {
        for n in 0..100u8 {
            check(&table, Address::from_v4([10, 0, 0, n]), &rules, 1000);
        }
        let before = touched();
        let mut seen = 0;
        table.sources(&rules, || 1000, |_, _, requests| seen += requests);
        table.forget(Some(prefix("10.0.0.0/30")), |_| {});
        table.forget(None, |_| {});
        // The lines are 256 MiB, the bits beside them half a MiB each.
        seen == 100 && table.memory().used == 0 && touched() - before < 2 << 20
    });
}
