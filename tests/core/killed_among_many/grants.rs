//! Grants of one chain.

use sipwarden::address::Prefix;
use sipwarden::grants::{Grant, GrantTable, GrantedBy};
use sipwarden::shm::takeovers;

use super::{SIZES, kill_some, lock_taken_over};
use crate::host::alone::alone;
use crate::random::next;

const STAYS: Prefix = Prefix::V4(0xcb00_7109, 32);
const HOSTS: u32 = 8;
/// Room for all that the dead may take along.
const ROOM: usize = 100_000;

/// All of it says which source it is of.
fn grant(host: u32) -> Grant {
    let (company, note) = (b"c".to_vec(), vec![b'a' + host as u8; 7 * host as usize]);
    let (source, until) = (Prefix::V4(0x0a00_0000 | host, 32), 1000 + u64::from(host));
    Grant { company, source, since: u64::from(host), until, used: 0, by: GrantedBy::Script, note }
}

fn is_whole(given: &Grant) -> bool {
    given.source == STAYS
        || (0..HOSTS).map(grant).any(|whole| Grant { used: given.used, ..whole } == *given)
}

/// Whether the grant that stays is there and all others are whole.
fn ask(table: &GrantTable, host: u32) -> bool {
    let by = table.allows(b"c", grant(host).source.first(), 5, true);
    table.allows(b"c", STAYS.first(), 5, true) == Some(STAYS)
        && by.is_none_or(|source| source == grant(host).source)
        && table.all(Some(b"c"), 5).iter().all(is_whole)
}

#[test]
fn a_chain_stays_whole_and_the_room_of_one_grant_is_lost_with_each_at_most() {
    alone(|| {
        for processes in SIZES {
            takeovers();
            let table = GrantTable::new(ROOM, [3, 4]).unwrap();
            table.grant(&Grant { source: STAYS, until: u64::MAX, ..grant(0) }).unwrap();
            let round = |place: usize, random: &mut u64| {
                let drawn = next(random);
                let host = (drawn >> 40) as u32 % HOSTS;
                match (place % 2, drawn % 3) {
                    (0, 0) => table.revoke(b"c", Some(grant(host).source), |_| {}),
                    (0, _) => return table.grant(&grant(host)).is_ok(),
                    _ => return ask(&table, host),
                }
                true
            };
            let killed = kill_some(processes, 2000, round, lock_taken_over());

            assert!(ask(&table, 0));
            table.revoke(b"c", None, |_| {});
            let lost = u64::from(table.usage().used);
            assert!(lost <= killed, "{lost} lost, {killed} killed");
            let left = (0..ROOM as u32).filter(|n| {
                let source = Prefix::V4(*n, 32);
                // Each of a company of its own, so that no chain is long.
                let company = n.to_le_bytes().to_vec();
                table.grant(&Grant { company, source, ..grant(0) }).is_ok()
            });
            assert_eq!(left.count() as u64, ROOM as u64 - lost);
        }
    });
}
