//! Blocks: how long they last, what they cover, what ends them.

use std::collections::HashSet;

use sipwarden::flood::{
    Ended, FloodOutcome, FloodSettings, FloodTable, ParsedClass, Rules, SharedRules,
};
use sipwarden::limiter::ClassId;
use sipwarden::source::{Learnt, Source};

use super::{
    GENERATION, SEED, block_of, blocks, check, check_as, manual, prefix, rules, rules_of, source,
};

#[test]
fn repeated_blocks_double_and_good_conduct_is_remembered() {
    let table = FloodTable::new(8, SEED).unwrap();
    let rules = rules_of(FloodSettings::new(1, 2000, 10, 60));
    let from = source("192.0.2.7");
    let mut now = 5000;
    let flood = |now: &mut u64| {
        check(&table, from, &rules, *now);
        let FloodOutcome::Started { until, times } = check(&table, from, &rules, *now).outcome
        else {
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
fn blocks_of_any_length_hold_and_are_lifted_with_what_they_contain() {
    let (table, rules) = (FloodTable::new(64, SEED).unwrap(), rules());
    for text in ["203.0.113.0/24", "2001:db8::/48", "198.51.100.7", "2001:db8:7:7::/64"] {
        table.block(&manual(text, 0, 10_000), &rules, 0).unwrap();
    }
    let refused = |text: &str, now| {
        matches!(check(&table, source(text), &rules, now).outcome, FloodOutcome::Blocked { .. })
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
    assert_eq!((table.usage().blocked, seen), (4, 1));
    // A block of an operator holds for exempt sources too.
    let exempt =
        |text: &str| check_as(&table, source(text), &rules, (GENERATION, None), 500).0.outcome;
    assert!(matches!(exempt("203.0.113.9"), FloodOutcome::Blocked { .. }));
    assert!(matches!(exempt("198.51.100.7"), FloodOutcome::Blocked { .. }));
    assert_eq!(exempt("198.51.100.9"), FloodOutcome::Exempt);

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
    assert_eq!((table.usage().blocked, table.usage().used), (0, 0));
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
    assert!(matches!(outcome("2001:db8:1:2::4", &wide, 100), FloodOutcome::Blocked { .. }));
    assert_eq!(outcome("2001:db8:1:3::4", &wide, 100), FloodOutcome::Under);
    // Its class says now that it is exempt: then the block of a flood is none.
    let (exempt, _) = check_as(&table, from, &wide, (2, None), 100);
    assert_eq!(exempt.outcome, FloodOutcome::Exempt);
    assert_eq!(outcome("2001:db8:1:2::4", &wide, 300_000), FloodOutcome::Under);
    table.sweep(|| 300_000, |_| {});
    assert_eq!(table.usage().blocked, 0);
}

#[test]
fn a_source_that_becomes_exempt_is_free_at_once_and_counts_anew_afterwards() {
    let (table, rules) = (FloodTable::new(64, SEED).unwrap(), rules());
    let from = source("192.0.2.7");
    for _ in 0..101 {
        check(&table, from, &rules, 0);
    }
    let (freed, ended) = check_as(&table, from, &rules, (2, None), 10);
    assert_eq!(freed.outcome, FloodOutcome::Exempt);
    assert!(matches!(ended, Some(Ended::Block(_))));
    assert_eq!((table.usage().used, table.usage().blocked), (1, 0));
    let (counted, _) = check_as(&table, from, &rules, (3, Some(ClassId::DEFAULT)), 10);
    assert_eq!((counted.outcome, counted.requests), (FloodOutcome::Under, 1));
}

#[test]
fn a_block_ends_with_the_class_that_was_its_reason() {
    let mut settings = FloodSettings::new(5, 2000, 300, 0);
    settings.set_class(1, &ParsedClass::parse("carrier=limit:50;block:0").unwrap());
    let shared = SharedRules::new(settings).unwrap();
    let mut rules = Rules::NONE;
    shared.refresh(&mut rules);
    let table = FloodTable::new(64, SEED).unwrap();
    let from = source("192.0.2.7");
    let default = Some(ClassId::DEFAULT);
    let flood = |rules: &Rules, generation| {
        let mut outcome = FloodOutcome::Untracked;
        for _ in 0..6 {
            outcome = check_as(&table, from, rules, (generation, default), 0).0.outcome;
        }
        outcome
    };
    assert!(matches!(flood(&rules, 1), FloodOutcome::Started { .. }));
    let (now_carrier, ended) = check_as(&table, from, &rules, (2, Some(ClassId(1))), 10);
    assert_eq!((now_carrier.outcome, now_carrier.requests), (FloodOutcome::Under, 1));
    assert!(matches!(ended, Some(Ended::Block(_))));
    // A class that blocks no more frees those it has blocked.
    assert!(matches!(flood(&rules, 3), FloodOutcome::Started { .. }));
    shared.change(|s| s.default_mut().block = 0);
    shared.refresh(&mut rules);
    let (freed, ended) = check_as(&table, from, &rules, (3, default), 20);
    assert_eq!(freed.outcome, FloodOutcome::Under);
    assert!(matches!(ended, Some(Ended::Block(_))));
    // Not a block of an operator, in whatever class.
    table.block(&manual("192.0.2.7", 30, 1000), &rules, 30).unwrap();
    for generation in 3..6 {
        let class = if generation == 4 { None } else { Some(ClassId(1)) };
        let (checked, ended) = check_as(&table, from, &rules, (generation, class), 40);
        assert_eq!((checked.outcome, ended), (FloodOutcome::Blocked { until: 1000 }, None));
    }
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
    assert!(matches!(send(Learnt::Script, 0), FloodOutcome::Started { .. }));
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
