//! Grants of one chain.

use std::sync::Arc;

use sipwarden::address::Prefix;
use sipwarden::grants::{Grant, GrantTable, GrantedBy};

use super::{check, spawn};

const STAYS: Prefix = Prefix::V4(0xcb00_7109, 32);

fn grant(source: Prefix) -> Grant {
    let (company, note) = (b"c".to_vec(), Vec::new());
    Grant { company, source, since: 0, until: 100, used: 0, by: GrantedBy::Script, note }
}

/// Two processes give and end grants of one company while requests ask for one that stays.
#[test]
fn a_grant_that_stays_is_never_missed_and_each_other_ends_once() {
    check(|| {
        let table = Arc::new(GrantTable::new(3, [3, 4]).unwrap());
        // The record behind it goes back to the pool, so that the list of free ones is in use.
        let [first, second] = [1, 2].map(|host| Prefix::V4(0x0a00_0000 | host, 32));
        for source in [first, STAYS] {
            assert_eq!(table.grant(&grant(source)), Ok(None));
        }
        let mut gone = 0;
        table.revoke(b"c", Some(first), |_| gone += 1);
        assert_eq!(gone, 1);
        let changes: Vec<_> = [[first, second], [second, first]]
            .map(|sources| {
                spawn(&table, move |table| {
                    let (mut given, mut ended) = (0i32, 0);
                    for source in sources {
                        given += i32::from(table.grant(&grant(source)).unwrap().is_none());
                        table.revoke(b"c", Some(source), |_| ended += 1);
                    }
                    given - ended
                })
            })
            .into();
        let asks = spawn(&table, |table| {
            for _ in 0..3 {
                assert_eq!(table.allows(b"c", STAYS.first(), 5, true), Some(STAYS));
                assert!(table.touches(STAYS, 5));
            }
        });
        table.sweep(5, |grant| panic!("{grant:?} has not run out"));
        asks.join().unwrap();
        let left: i32 = changes.into_iter().map(|thread| thread.join().unwrap()).sum();
        let mut all = table.all(Some(b"c"), 5);
        assert_eq!([table.usage().used as i32, all.len() as i32], [left + 1; 2]);
        all.retain(|grant| grant.source == STAYS);
        assert_eq!(all[0].used, 3);
        // All room can be used again.
        table.revoke(b"c", None, |_| ());
        let again = (1..=4).filter(|n| table.grant(&grant(Prefix::V4(*n, 32))).is_ok()).count();
        assert_eq!(again, 3);
    });
}
