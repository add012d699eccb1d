//! A full table, and the memory that a table takes.

use crate::fork::fork_all;
use sipwarden::address::Address;
use sipwarden::flood::{FloodOutcome, FloodTable};

use super::{SEED, check, manual, prefix, rules, source};

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
            assert!(
                matches!(outcome, FloodOutcome::Under | FloodOutcome::Untracked),
                "{outcome:?}"
            );
        }
        if n % 500 == 0
            && matches!(check(&table, new, &rules, now).outcome, FloodOutcome::Started { .. })
        {
            caught.get_or_insert(now);
        }
        if n % 10_000 == 0 {
            let outcome = check(&table, old, &rules, now).outcome;
            assert!(matches!(outcome, FloodOutcome::Blocked { .. }), "{outcome:?} at {now}");
        }
    }
    assert!(caught.is_some_and(|ms| ms < 1000), "{caught:?}");
    assert!(evicted > 2_000_000, "{evicted}");
    let usage = table.usage();
    assert_eq!((usage.used as usize, usage.blocked), (usage.capacity, 2));
}

#[test]
fn a_table_full_of_blocks_lets_others_pass_untracked_and_recovers() {
    let (table, rules) = (FloodTable::new(8, SEED).unwrap(), rules());
    for n in 0..8 {
        table.block(&manual(&format!("192.0.2.{n}"), 0, 1000), &rules, 0).unwrap();
    }
    assert!(table.block(&manual("192.0.2.99", 0, 1000), &rules, 0).is_err());
    assert_eq!(check(&table, source("192.0.2.99"), &rules, 0).outcome, FloodOutcome::Untracked);
    let mut ended = 0;
    table.sweep(|| 1000, |_| ended += 1);
    assert_eq!(ended, 8);
    assert_eq!(check(&table, source("192.0.2.99"), &rules, 1000).outcome, FloodOutcome::Under);
}

#[test]
fn a_source_takes_64_bytes() {
    let usage = FloodTable::new(262_144, SEED).unwrap().usage();
    assert_eq!(usage.capacity, 262_144);
    // Two bits a source, used and blocked, and what there is per prefix length.
    assert!(usage.bytes <= 64 * usage.capacity + usage.capacity / 4 + 1024, "{usage:?}");
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
        seen == 100 && table.usage().used == 0 && touched() - before < 2 << 20
    });
}
