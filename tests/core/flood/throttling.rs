//! Classes that are throttled and never blocked.

use sipwarden::address::Address;
use sipwarden::flood::{
    Ended, FloodOutcome, FloodSettings, FloodTable, ParsedClass, Rules, SharedRules,
};
use sipwarden::limiter::ClassId;

use super::{GENERATION, SEED, blocks, check, check_as, manual, prefix, rules_of, source};

#[test]
fn a_class_without_blocks_is_throttled_to_its_limit() {
    let mut settings = FloodSettings::new(100, 2000, 300, 0);
    assert!(
        settings.set_class(1, &ParsedClass::parse("carrier=limit:20;window:1;block:0").unwrap())
    );
    let (table, rules) = (FloodTable::new(8, SEED).unwrap(), rules_of(settings));
    let ask =
        |now| check_as(&table, source("192.0.2.7"), &rules, (GENERATION, Some(ClassId(1))), now).0;
    let (mut passed, mut begun) = (0, 0);
    for now in 0..10_000u64 {
        let checked = ask(100_000 + now);
        assert_eq!(checked.class, Some(ClassId(1)));
        match checked.outcome {
            FloodOutcome::Under => passed += 1,
            FloodOutcome::Throttled { begins } => begun += u32::from(begins),
            other => panic!("{other:?}"),
        }
    }
    // 20 a second, and not more than 14/13 of it.
    assert!((200..=215).contains(&passed), "{passed}");
    assert_eq!(begun, 1);
    assert_eq!(blocks(&table, 110_000), []);
    let mut over = Vec::new();
    table.sweep(|| 119_000, |ended| over.push(ended));
    assert_eq!(over, []);
    table.sweep(|| 121_000, |ended| over.push(ended));
    assert_eq!(over, [Ended::Throttling(prefix("192.0.2.7"), Some(ClassId(1)))]);
    assert_eq!(ask(121_000).outcome, FloodOutcome::Under);
}

#[test]
fn a_source_that_is_forgotten_is_no_longer_throttled() {
    let rules = rules_of(FloodSettings::new(5, 60_000, 0, 0));
    let table = FloodTable::new(8, SEED).unwrap();
    let from = source("192.0.2.7");
    let outcomes: Vec<_> = (0..7).map(|_| check(&table, from, &rules, 0).outcome).collect();
    assert_eq!(outcomes[5], FloodOutcome::Throttled { begins: true });
    assert_eq!(outcomes[6], FloodOutcome::Throttled { begins: false });
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
    assert!(matches!(checked.outcome, FloodOutcome::Started { .. }));
    assert_eq!(ended, Some(over));
}
