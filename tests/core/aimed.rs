//! An attacker who knows all algorithms, but not the keys of this start.

use sipwarden::address::{Address, Prefix};
use sipwarden::flood::{FloodTable, Rules};
use sipwarden::limiter::PrefixKey;

use crate::flood::{check, rules};

/// Buckets of the table below.
const BUCKETS: u64 = 4096 / 8;
const KEY: [u64; 2] = [1, 2];

fn prefix(address: Address) -> Prefix {
    address.prefix(32)
}

fn bucket(address: Address, key: [u64; 2]) -> u64 {
    PrefixKey::from(prefix(address)).hash(key) / 8 % BUCKETS
}

/// How many of them the table remembers.
fn remembered(table: &FloodTable, sources: &[Address], rules: &Rules) -> usize {
    for source in sources {
        check(table, *source, rules, 1000);
    }
    let known = |source: &&Address| table.look(**source, rules, || 1000).1.is_some();
    sources.iter().filter(known).count()
}

/// Sources that fill one bucket under one key are spread under another: they push nobody out.
#[test]
fn sources_that_collide_under_one_key_do_not_under_another() {
    let rules = rules();
    let all = (0..200_000u32).map(|n| Address::V4(0x6440_0000 + n));
    let aimed: Vec<_> = all.filter(|source| bucket(*source, KEY) == 7).take(64).collect();
    assert_eq!(aimed.len(), 64);
    let table = |key| FloodTable::new(4096, key).unwrap();
    assert_eq!(remembered(&table(KEY), &aimed, &rules), 8, "the attack works with the key");
    for other in [[1, 3], [2, 2], [0, 0], [u64::MAX, 5]] {
        let known = remembered(&table(other), &aimed, &rules);
        assert_eq!(known, aimed.len(), "{other:?}");
    }
}
