//! Proven sources against a map, over forked processes, and in a full table.

use std::collections::HashMap;

use proptest::prelude::*;
use sipwarden::address::Prefix;
use sipwarden::proven::{Proof, ProvenTable};

use crate::fork::fork_all;

const SEED: [u64; 2] = [41, 42];
/// Seconds.
const KEEP: u32 = 1000;

fn source(n: u32) -> Prefix {
    match n % 2 {
        0 => Prefix::V4(0x0a00_0000 + n, 32),
        _ => Prefix::V6(u128::from(n) << 64, 64),
    }
}

#[test]
fn a_proof_is_kept_for_its_time_and_told_with_how_and_since_when() {
    let table = ProvenTable::new(64, SEED).unwrap();
    let at = |second: u64| second * 1000 + 500;
    assert!(!table.is_proven(source(1), KEEP, at(0)));
    assert!(table.prove(source(1), Proof::Connection, KEEP, at(0)));
    assert!(table.prove(source(1), Proof::Authentication, KEEP, at(550)));
    assert!(!table.prove(source(1), Proof::Authentication, KEEP, at(600)));
    let proven = table.look(source(1), KEEP, at(700)).unwrap();
    assert_eq!(proven.proofs.names(), "connection,authentication");
    assert_eq!((proven.since, proven.last), (0, 600_000));
    // The second proof has made it longer.
    assert!(table.is_proven(source(1), KEEP, at(1599)));
    assert!(!table.is_proven(source(1), KEEP, at(1600)));
    assert_eq!(table.look(source(1), KEEP, at(1600)), None);
    // It begins anew then.
    assert!(table.prove(source(1), Proof::Dialog, KEEP, at(2000)));
    let proven = table.look(source(1), KEEP, at(2000)).unwrap();
    assert_eq!((proven.proofs.names().as_str(), proven.since), ("dialog", 2_000_000));
    // Nothing is proven where proofs are not kept, nor by a proof of a time to come.
    assert!(!table.is_proven(source(1), 0, at(2000)));
    assert!(!table.prove(source(2), Proof::Dialog, 0, at(2000)));
    assert!(table.is_proven(source(1), KEEP, at(1999)));
    assert!(!table.is_proven(source(1), KEEP, at(1900)));
    // A wrong password does not keep a login's proof.
    assert!(table.prove(source(3), Proof::Authentication, KEEP, at(3000)));
    assert!(table.prove(source(3), Proof::Nonce, KEEP, at(3900)));
    assert!(!table.is_proven(source(3), KEEP, at(4000)));
    assert!(table.prove(source(3), Proof::Nonce, KEEP, at(4000)));
    assert!(!table.prove(source(3), Proof::Nonce, KEEP, at(4900)));
    assert!(table.is_proven(source(3), KEEP, at(5899)));
    table.forget(Some(source(1)));
    assert!(!table.is_proven(source(1), KEEP, at(2000)));
}

#[test]
fn a_full_table_forgets_the_oldest_proofs_and_stays_as_large() {
    let table = ProvenTable::new(1024, SEED).unwrap();
    let bytes = table.bytes();
    for n in 0..100_000 {
        table.prove(source(n), Proof::Connection, u32::MAX, u64::from(n) * 1000);
        assert!(table.is_proven(source(n), u32::MAX, u64::from(n) * 1000));
    }
    let now = 100_000_000;
    let kept: Vec<u32> =
        (0..100_000).filter(|n| table.is_proven(source(*n), u32::MAX, now)).collect();
    assert_eq!((kept.len(), table.count(u32::MAX, now)), (1024, 1024));
    assert!(kept.iter().all(|n| *n > 95_000), "{:?}", kept.first());
    assert_eq!(table.bytes(), bytes);
}

#[test]
fn eight_processes_prove_the_same_sources() {
    let table = ProvenTable::new(8192, SEED).unwrap();
    fork_all(8, |process| {
        let proof = Proof::ALL[process % 4];
        (0..20u64).all(|round| {
            (0..500).all(|n| {
                let n = (n + 61 * process as u32) % 500;
                table.prove(source(n), proof, KEEP, round * 2000);
                table.is_proven(source(n), KEEP, round * 2000)
            })
        })
    });
    assert!((0..500).all(|n| table.is_proven(source(n), KEEP, 40_000)));
    assert!((500..5000).all(|n| !table.is_proven(source(n), KEEP, 40_000)));
    // A source that two processes have added at one moment is there twice, at most.
    assert!((500..=1000).contains(&table.count(KEEP, 40_000)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against a map; the time of a last proof may be late by a 64th of the time it is kept.
    #[test]
    fn proofs_follow_a_map(
        steps in prop::collection::vec((0u32..30, 0u64..400, any::<bool>()), 1..300),
    ) {
        let table = ProvenTable::new(4096, SEED).unwrap();
        let mut last: HashMap<u32, u64> = HashMap::new();
        let mut second = 5u64;
        for (n, wait, proves) in steps {
            second += wait;
            let age = last.get(&n).map(|at| second - at);
            let is = table.is_proven(source(n), KEEP, second * 1000);
            let late = u64::from(KEEP / 64 + 1);
            match age {
                None => prop_assert!(!is),
                Some(age) if age < u64::from(KEEP) - late => prop_assert!(is, "{age}"),
                Some(age) if age >= u64::from(KEEP) => prop_assert!(!is, "{age}"),
                Some(_) => {}
            }
            if proves {
                prop_assert_eq!(table.prove(source(n), Proof::Dialog, KEEP, second * 1000), !is);
                last.insert(n, second);
            }
        }
    }
}
