//! An attacker who knows all algorithms, but not the keys of this start.

use sipwarden::address::{Address, Prefix};
use sipwarden::auth::AuthTable;
use sipwarden::flood::{FloodTable, Rules};
use sipwarden::ledger::{Ledger, ScopeKind};
use sipwarden::limiter::PrefixKey;

use crate::flood::{check, rules};
use crate::tried::{self, Tried};

/// Buckets of the table below.
const BUCKETS: u64 = 4096 / 8;
const KEY: [u64; 2] = [1, 2];
const OTHERS: [[u64; 2]; 4] = [[1, 3], [2, 2], [0, 0], [u64::MAX, 5]];

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
    for other in OTHERS {
        let known = remembered(&table(other), &aimed, &rules);
        assert_eq!(known, aimed.len(), "{other:?}");
    }
}

/// The same of users, who are tried from one source: none pushes out the failures of another.
#[test]
fn users_that_collide_under_one_key_do_not_under_another() {
    const FROM: &str = "192.0.2.7";
    let rules = tried::rules();
    let table = |key| AuthTable::new(4096, key).unwrap();
    let with_key = table(KEY);
    let of_source = PrefixKey::from(tried::source(FROM)).hash(KEY);
    let bucket = |aor: &String| {
        let [high, low, ..] = with_key.aor_hash(aor.as_bytes()).map(u64::from);
        (of_source ^ (high << 32 | low)) / 8 % BUCKETS
    };
    let all = (0..200_000).map(|n| format!("user{n}@example.com"));
    let aimed: Vec<_> = all.filter(|aor| bucket(aor) == 7).take(64).collect();
    assert_eq!(aimed.len(), 64);
    let remembered = |table: &AuthTable| {
        let user = |aor: &String| Tried::new(table, &rules, aor.as_bytes(), FROM).check(1000).0;
        for aor in &aimed {
            Tried::new(table, &rules, aor.as_bytes(), FROM).fails(1000);
        }
        aimed.iter().filter(|aor| user(aor).failures > 0).count()
    };
    assert_eq!(remembered(&with_key), 8, "the attack works with the key");
    for other in OTHERS {
        assert_eq!(remembered(&table(other)), aimed.len(), "{other:?}");
    }
}

/// The bucket of an id in the ledger.
fn bucket_of_id(ledger: &Ledger, id: &str) -> u64 {
    (ledger.scope_hash(ScopeKind::COMPANY, id.as_bytes()) >> 64) as u64 % BUCKETS
}

/// Ids of scopes in the ledger. Some of them who writes rows chooses, or who calls numbers.
#[test]
fn ids_that_collide_under_one_key_do_not_under_another() {
    let ledger = Ledger::new(16, KEY).unwrap();
    let all = (0..200_000).map(|n| format!("company{n}"));
    let aimed: Vec<_> = all.filter(|id| bucket_of_id(&ledger, id) == 7).take(64).collect();
    assert_eq!(aimed.len(), 64, "the attack works with the key");
    for other in OTHERS {
        let (ledger, mut chains) = (Ledger::new(16, other).unwrap(), [0; BUCKETS as usize]);
        aimed.iter().for_each(|id| chains[bucket_of_id(&ledger, id) as usize] += 1);
        let longest = chains.into_iter().max().unwrap();
        assert!(longest < 8, "{longest} with {other:?}");
    }
}
