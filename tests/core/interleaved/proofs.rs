//! Proven sources: words without a lock, two for each source.

use std::sync::Arc;

use sipwarden::address::Prefix;
use sipwarden::proven::{Proof, Proofs, ProvenTable};

use super::{check, spawn};

/// A bucket.
const SOURCES: u32 = 8;
/// Seconds.
const KEEP: u32 = 10_000;

fn source(n: u32) -> Prefix {
    Prefix::V4(0x0a00_0000 | n, 32)
}

/// The only proof that a source ever gives.
fn proof_of(n: u32) -> Proof {
    Proof::ALL[n as usize % Proof::ALL.len()]
}

fn only(n: u32) -> Proofs {
    Proofs::default().with(proof_of(n))
}

fn prove(table: &ProvenTable, n: u32, second: u64) -> bool {
    table.prove(source(n), proof_of(n), KEEP, second * 1000)
}

/// A source that is proven has no proof but its own: at first none is known.
fn assert_own(table: &ProvenTable, n: u32) {
    if let Some(proven) = table.look(source(n), KEEP, 1_000_000) {
        assert!([only(n), Proofs::default()].contains(&proven.proofs), "{n}: {proven:?}");
    }
}

/// In a full table two sources come in place of the oldest ones, one of which proves itself once
/// more meanwhile.
#[test]
fn no_source_has_the_proof_of_another_one() {
    check(|| {
        let table = Arc::new(ProvenTable::new(SOURCES as usize, [41, 42]).unwrap());
        (0..SOURCES).for_each(|n| assert!(prove(&table, n, u64::from(n) + 1)));
        // It and the oldest one may have the same place, and have proofs of different kinds.
        let comers = [SOURCES + 1, SOURCES + 2];
        let mut threads: Vec<_> = comers
            .into_iter()
            .map(|n| {
                spawn(&table, move |table| {
                    prove(table, n, 900);
                    assert_own(table, n);
                })
            })
            .collect();
        threads.push(spawn(&table, |table| _ = prove(table, 0, 901)));
        threads.push(spawn(&table, move |table| {
            for n in comers.into_iter().chain([0]) {
                assert_own(table, n);
            }
            assert!(!table.is_proven(source(99), KEEP, 1_000_000));
        }));
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(!table.is_proven(source(99), KEEP, 1_000_000));
        for n in 0..=SOURCES + 2 {
            assert_own(&table, n);
            prove(&table, n, 1000);
            let proven = table.look(source(n), KEEP, 1_000_000).unwrap();
            assert_eq!(proven.proofs, only(n), "{n}");
        }
    });
}

/// Two processes see the first proofs of one source at once, of different kinds.
#[test]
fn of_two_first_proofs_none_is_lost() {
    check(|| {
        let table = Arc::new(ProvenTable::new(SOURCES as usize, [41, 42]).unwrap());
        let kinds = [Proof::Connection, Proof::Authentication];
        let threads = kinds.map(|proof| {
            spawn(&table, move |table| assert!(table.prove(source(1), proof, KEEP, 1000)))
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let proven = table.look(source(1), KEEP, 1000).unwrap();
        // Both have added it, or one has, and the other has noted its proof there.
        let places = table.count(KEEP, 1000);
        let all = kinds.into_iter().fold(Proofs::default(), Proofs::with);
        assert!((1..=2).contains(&places) && proven.since == 1000, "{places}: {proven:?}");
        assert!(places == 2 || proven.proofs == all, "{proven:?}");
    });
}
