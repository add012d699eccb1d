//! Requests are counted in a sliding window, and refused above the limit.

use std::sync::OnceLock;

use proptest::prelude::*;
use sipwarden::flood::{Ended, FloodOutcome, FloodSettings, FloodTable, Rules, SharedRules};
use sipwarden::limiter::{ClassId, SLICES};

use super::{GENERATION, SEED, block_of, blocks, check, check_as, prefix, rules, rules_of, source};

#[test]
fn the_101st_request_starts_the_block_and_then_all_are_refused_until_its_end() {
    let (table, rules) = (FloodTable::new(64, SEED).unwrap(), rules());
    let from = source("192.0.2.7");
    for n in 1..=100 {
        let checked = check(&table, from, &rules, 1000);
        assert_eq!((checked.outcome, checked.requests), (FloodOutcome::Under, n));
    }
    let outcome = check(&table, from, &rules, 1000).outcome;
    assert_eq!(outcome, FloodOutcome::Started { until: 301_000, times: 1 });
    let block = block_of(&table, from, &rules, 1000);
    assert_eq!((block.since, block.until, block.seen, block.times), (1000, 301_000, 1, 1));
    for n in 1..=1000 {
        let outcome = check(&table, from, &rules, 1000 + n * 299).outcome;
        assert_eq!(outcome, FloodOutcome::Blocked { until: 301_000 });
        assert_eq!(u64::from(block_of(&table, from, &rules, 1000 + n * 299).seen), n + 1);
    }
    assert!(matches!(
        check(&table, source("192.0.2.8"), &rules, 1000).outcome,
        FloodOutcome::Under
    ));
    let class = (GENERATION, Some(ClassId::DEFAULT));
    let (after, ended) = check_as(&table, from, &rules, class, 301_000);
    assert_eq!((after.outcome, after.requests), (FloodOutcome::Under, 1));
    let Some(Ended::Block(ended)) = ended else { panic!("{ended:?}") };
    assert_eq!((ended.prefix, ended.seen), (prefix("192.0.2.7"), 1001));
    assert_eq!(table.usage().blocked, 0);
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
    fn a_source_within_its_limit_is_never_refused_and_none_passes_much_more(
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
                    FloodOutcome::Under => {
                        let recent = within(shorter, &since_set);
                        prop_assert!(recent < limit, "{recent} in 13/14 of a window passed");
                    }
                    FloodOutcome::Started { .. } => {
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
            assert_eq!(outcome, FloodOutcome::Under, "{n}");
        }
        // Bursts of the whole limit, a window apart.
        for burst in 0..200 {
            for _ in 0..limit {
                let now = 77 + burst * window;
                assert_eq!(
                    check(&table, source("192.0.2.2"), &rules, now).outcome,
                    FloodOutcome::Under
                );
            }
        }
        // 14/13 of the rate, and a little more.
        let refused = (0..3 * limit).position(|n| {
            let now = n * window * 12 / (13 * limit);
            check(&table, source("192.0.2.3"), &rules, now).outcome != FloodOutcome::Under
        });
        assert!(refused.is_some_and(|n| n as u64 <= limit + 1), "{refused:?}");
    }
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

#[test]
fn addresses_of_one_ipv6_network_are_one_source_and_mapped_ones_are_ipv4() {
    let (table, rules) = (FloodTable::new(64, SEED).unwrap(), rules());
    for n in 0..100u32 {
        check(&table, source(&format!("2001:db8:0:1::{n:x}")), &rules, 0);
        check(&table, source(if n % 2 == 0 { "::ffff:192.0.2.1" } else { "192.0.2.1" }), &rules, 0);
    }
    assert_eq!(table.usage().used, 2);
    let outcome = |text: &str| check(&table, source(text), &rules, 0).outcome;
    assert!(matches!(outcome("2001:db8:0:1:ffff::1"), FloodOutcome::Started { .. }));
    assert_eq!(blocks(&table, 0)[0].prefix, prefix("2001:db8:0:1::/64"));
    assert!(matches!(outcome("::ffff:192.0.2.1"), FloodOutcome::Started { .. }));
    assert!(matches!(outcome("192.0.2.1"), FloodOutcome::Blocked { .. }));
    assert_eq!(outcome("2001:db8:0:2::1"), FloodOutcome::Under);
}
