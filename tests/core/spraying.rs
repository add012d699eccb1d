//! The table of failed sources against an exact model, over forked processes, and full of
//! strangers.

use std::collections::{HashMap, HashSet};

use proptest::prelude::*;
use sipwarden::address::Prefix;
use sipwarden::auth::{AuthSettings, Rules, SharedRules};
use sipwarden::limiter::ClassId;
use sipwarden::spraying::{Failure, Measure, SprayTable};

use crate::fork::fork_all;
use crate::random::next;

const SEED: [u64; 2] = [31, 32];
const CLASS: Option<ClassId> = Some(ClassId::DEFAULT);

/// As parameters have it by default, with these limits.
fn rules(aors: u32, unknown: u32, passwords: u32) -> Rules {
    let mut settings = AuthSettings::new(100, 1800, 43_200, 80);
    let values = settings.default_mut();
    (values.aors, values.unknown, values.passwords) = (aors, unknown, passwords);
    (values.aors_window, values.unknown_window, values.passwords_window) = (3600, 3600, 3600);
    let mut rules = Rules::NONE;
    SharedRules::new(settings).unwrap().refresh(&mut rules);
    rules
}

fn source(n: u32) -> Prefix {
    Prefix::V4(0x0a00_0000 + n, 32)
}

fn hash(n: u64) -> u32 {
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (next(&mut state) >> 32) as u32
}

fn failed(table: &SprayTable, from: u32, aor: u64, rules: &Rules, now: u64) -> Option<Measure> {
    let what = (Failure::Password, hash(aor));
    let checked = table.failed(source(from), what, CLASS, rules, || now);
    checked.passed.map(|passed| passed.measure)
}

#[test]
fn one_guess_for_each_of_many_users_is_noticed_and_an_office_is_not() {
    let (table, rules) = (SprayTable::new(64, SEED).unwrap(), rules(30, 20, 2000));
    let noticed = (0..100).find(|n| failed(&table, 1, *n, &rules, n * 1000).is_some());
    assert!((28..=34).contains(&noticed.unwrap()), "{noticed:?}");
    // It counts anew from there.
    assert_eq!(table.look(source(1), CLASS, &rules, 40_000).aors, 0);
    // An office with one phone that was forgotten, and one with ten: each may fail 100 times
    // before its user is banned.
    for phone in 0..10 {
        for n in 0..100 {
            let now = n * 20_000 + phone;
            assert_eq!(failed(&table, 2, phone, &rules, now), None);
            if phone == 0 {
                assert_eq!(failed(&table, 3, phone, &rules, now), None);
            }
        }
    }
    // The same ten, all of them unknown.
    for n in 0..1000u64 {
        let what = (Failure::UnknownUser, hash(n % 10));
        let checked = table.failed(source(4), what, CLASS, &rules, || n * 2000);
        assert_eq!(checked.passed, None);
    }
    let unknown = |n| {
        let what = (Failure::UnknownUser, hash(1000 + n));
        table.failed(source(5), what, CLASS, &rules, || n).passed.map(|passed| passed.measure)
    };
    assert_eq!((0..25).find_map(unknown), Some(Measure::Unknown));
}

#[test]
fn many_passwords_for_few_users_are_noticed_and_the_exempt_are_not_counted() {
    let (table, rules) = (SprayTable::new(64, SEED).unwrap(), rules(30, 20, 2000));
    let noticed = (0..3000).find(|n| failed(&table, 1, n % 20, &rules, *n).is_some());
    assert_eq!(noticed, Some(2000));
    for n in 0..100 {
        let what = (Failure::UnknownUser, hash(n));
        let checked = table.failed(source(2), what, None, &rules, || n);
        assert_eq!((checked.passed, checked.counts), (None, Default::default()));
    }
    assert_eq!(table.usage().used, 1);
    let off = self::rules(0, 0, 0);
    assert!((0..5000).all(|n| failed(&table, 3, n, &off, n).is_none()));
    assert_eq!(table.usage().used, 1);
}

#[test]
fn strangers_do_not_push_a_sprayer_out() {
    let (table, rules) = (SprayTable::new(64, SEED).unwrap(), rules(30, 20, 2000));
    (0..15).for_each(|n| assert_eq!(failed(&table, 1, n, &rules, 1000), None));
    let before = table.usage().bytes;
    (0..50_000).for_each(|n| assert_eq!(failed(&table, 100 + n, 7, &rules, 2000), None));
    assert!(table.look(source(1), CLASS, &rules, 3000).aors >= 14);
    assert_eq!((table.usage().used, table.usage().bytes), (64, before));
    table.forget(Some(source(1)));
    assert_eq!(table.look(source(1), CLASS, &rules, 3000).aors, 0);
    table.forget(None);
    assert_eq!(table.usage().used, 0);
}

#[test]
fn eight_processes_count_all_failures() {
    let (table, rules) = (SprayTable::new(64, SEED).unwrap(), rules(500, 500, 60_000));
    fork_all(8, |process| {
        (0..2000).all(|n| {
            let aor = n % 25 + 25 * (process as u64 % 4);
            failed(&table, 1, aor, &rules, 1000).is_none()
        })
    });
    let counts = table.look(source(1), CLASS, &rules, 1000);
    assert_eq!(counts.failures, 16_000);
    assert!((90..=110).contains(&counts.aors), "{counts:?}");
    assert_eq!(table.usage().used, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against a list of all failures of each source, of the current half of the window and
    /// the one before it.
    #[test]
    fn counts_follow_a_list_of_all_failures(
        steps in prop::collection::vec((0u32..4, 0u64..60, any::<bool>(), 0u64..400), 1..300),
    ) {
        let (table, rules) = (SprayTable::new(64, SEED).unwrap(), rules(500, 500, 60_000));
        let half = 1_800_000;
        let mut all: HashMap<u32, Vec<(u64, bool, u64)>> = HashMap::new();
        let mut now = 0;
        for (from, aor, unknown, wait) in steps {
            now += wait * 1000;
            let failure = if unknown { Failure::UnknownUser } else { Failure::Password };
            let checked = table.failed(source(from), (failure, hash(aor)), CLASS, &rules, || now);
            prop_assert_eq!(checked.passed, None);
            let of_source = all.entry(from).or_default();
            of_source.push((aor, unknown, now / half));
            let counts = of_source.iter().filter(|(.., at)| at + 1 >= now / half);
            let aors: HashSet<_> = counts.clone().map(|(aor, ..)| aor).collect();
            let unknown = counts.clone().filter(|(_, unknown, _)| *unknown);
            let unknown: HashSet<_> = unknown.map(|(aor, ..)| aor).collect();
            prop_assert_eq!(checked.counts.failures as usize, counts.count());
            for (told, exact) in [(checked.counts.aors, aors), (checked.counts.unknown, unknown)] {
                let wrong = f64::from(told) - exact.len() as f64;
                prop_assert!(wrong.abs() <= 7.0, "{told} of {}", exact.len());
            }
        }
    }
}
