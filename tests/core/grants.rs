//! Grants against a naive model, over processes, and with processes that are killed. The
//! children allocate: glibc's malloc can be used after a fork.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use proptest::prelude::*;

use crate::fork::{Child, fork_all};
use crate::random::next;
use sipwarden::address::{Address, Prefix};
use sipwarden::grants::{Grant, GrantTable, GrantedBy, NoRoom};
use sipwarden::shm::Area;

const SEED: [u64; 2] = [3, 4];
const ROOM: usize = 12;

fn prefix(text: &str) -> Prefix {
    Prefix::parse(text, None).unwrap()
}

fn address(text: &str) -> Address {
    Address::parse(text.as_bytes()).unwrap()
}

fn grant(company: &[u8], source: Prefix, until: u64) -> Grant {
    let (company, note) = (company.to_vec(), b"hotel".to_vec());
    Grant { company, source, since: 0, until, used: 0, by: GrantedBy::Script, note }
}

#[test]
fn a_grant_comes_back_whole_and_the_next_one_for_its_source_replaces_it() {
    let table = GrantTable::new(4, SEED).unwrap();
    let long = [b'x'; 128];
    let first = Grant {
        company: long.to_vec(),
        source: prefix("2001:db8:0:7::/64"),
        since: 1000,
        until: u64::MAX,
        used: 7,
        by: GrantedBy::Operator,
        note: [b'n'; 64].to_vec(),
    };
    assert_eq!(table.grant(&first), Ok(None));
    assert_eq!(table.all(None, 5), std::slice::from_ref(&first));
    let inside = address("2001:db8:0:7:1::1");
    assert_eq!(table.allows(&long, inside, 5, true), Some(first.source));
    assert_eq!(table.allows(&long, inside, 5, false), Some(first.source));
    assert_eq!(table.allows(&long[1..], inside, 5, true), None);
    assert_eq!(table.allows(&long, address("2001:db8:0:8::1"), 5, true), None);
    let second = Grant { until: 9000, used: 0, note: Vec::new(), ..first.clone() };
    let before = table.grant(&second).unwrap().unwrap();
    assert_eq!(before, Grant { used: 8, ..first });
    assert_eq!(table.usage().used, 1);
    assert_eq!(table.allows(&long, inside, 8999, false), Some(second.source));
    assert_eq!(table.allows(&long, inside, 9000, false), None);
    let mut over = Vec::new();
    table.sweep(9000, |grant| over.push(grant));
    assert_eq!((over, table.usage().used), (vec![second], 0));
}

#[derive(Clone, Debug)]
enum Step {
    Grant(usize, usize, u64),
    Revoke(usize, Option<usize>),
    Sweep,
    Pass(u64),
    Ask(usize, usize),
}

const COMPANIES: [&[u8]; 4] = [b"1", b"12345678", b"123456789", b"x"];
const SOURCES: [&str; 6] =
    ["192.0.2.7/32", "192.0.2.0/24", "192.0.0.0/16", "2001:db8::/64", "2001:db8::/56", "::/16"];
const ASKED: [&str; 5] = ["192.0.2.7", "192.0.2.8", "192.0.9.1", "2001:db8::1", "2001:db8:0:1::1"];

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (company, source) = (|| 0..COMPANIES.len(), || 0..SOURCES.len());
    let step = prop_oneof![
        4 => (company(), source(), 1u64..60).prop_map(|(c, s, t)| Step::Grant(c, s, t)),
        1 => (company(), prop::option::of(source())).prop_map(|(c, s)| Step::Revoke(c, s)),
        1 => Just(Step::Sweep),
        2 => (1u64..20).prop_map(Step::Pass),
        6 => (company(), 0..ASKED.len()).prop_map(|(c, a)| Step::Ask(c, a)),
    ];
    prop::collection::vec(step, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Against a map from company and source to the end.
    #[test]
    fn grants_are_those_of_a_map(steps in steps()) {
        // Mappings are never given back: all cases share one.
        static TABLE: OnceLock<GrantTable> = OnceLock::new();
        let table = TABLE.get_or_init(|| GrantTable::new(ROOM, SEED).unwrap());
        table.sweep(u64::MAX, |_| {});
        let mut model: HashMap<(usize, usize), u64> = HashMap::new();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Grant(company, source, time) => {
                    let given = grant(COMPANIES[company], prefix(SOURCES[source]), now + time);
                    let known = model.contains_key(&(company, source));
                    let full = !known && model.len() == ROOM;
                    let told = table.grant(&given).map(|before| before.map(|grant| grant.until));
                    if full {
                        prop_assert_eq!(told, Err(NoRoom));
                    } else {
                        let before = model.insert((company, source), now + time);
                        prop_assert_eq!(told, Ok(before));
                    }
                }
                Step::Revoke(company, within) => {
                    let within = within.map(|source| prefix(SOURCES[source]));
                    let mut ended = 0;
                    table.revoke(COMPANIES[company], within, |_| ended += 1);
                    let before = model.len();
                    model.retain(|(owner, source), _| {
                        let meant = within.is_none_or(|p| p.contains(prefix(SOURCES[*source])));
                        *owner != company || !meant
                    });
                    prop_assert_eq!(ended, before - model.len());
                }
                Step::Sweep => {
                    let (mut ended, before) = (0, model.len());
                    table.sweep(now, |_| ended += 1);
                    model.retain(|_, until| *until > now);
                    prop_assert_eq!(ended, before - model.len());
                }
                Step::Pass(time) => now += time,
                Step::Ask(company, asked) => {
                    let asked = address(ASKED[asked]);
                    let mut sources = model.iter().filter(|((owner, source), until)| {
                        *owner == company
                            && **until > now
                            && prefix(SOURCES[*source]).contains(asked.prefix(128))
                    });
                    let told = table.allows(COMPANIES[company], asked, now, true);
                    match told {
                        None => prop_assert!(sources.next().is_none()),
                        Some(by) => prop_assert!(sources.any(|((_, s), _)| prefix(SOURCES[*s]) == by)),
                    }
                }
            }
            prop_assert_eq!(table.usage().used as usize, model.len());
        }
    }
}

#[test]
fn eight_processes_give_and_end_grants_and_one_that_stays_is_never_missed() {
    const ROUNDS: usize = 4000;
    let table = GrantTable::new(256, SEED).unwrap();
    // All are of one company, so that they share a chain.
    let stays = prefix("203.0.113.9/32");
    table.grant(&grant(b"c", prefix("198.51.100.0/24"), u64::MAX)).unwrap();
    table.grant(&grant(b"c", stays, u64::MAX)).unwrap();
    let [given, ended] = [(); 2].map(|()| Area::share::<AtomicU64>().unwrap());
    fork_all(8, |process| {
        let mut seed = process as u64 + 1;
        for _ in 0..ROUNDS {
            let source = Prefix::V4(0x0a00_0000 | (next(&mut seed) as u32 % 40), 32);
            match next(&mut seed) % 3 {
                0 => match table.grant(&grant(b"c", source, u64::MAX)) {
                    Ok(None) => {
                        given.fetch_add(1, SeqCst);
                    }
                    Ok(Some(_)) => {}
                    Err(NoRoom) => return false,
                },
                1 => table.revoke(b"c", Some(source), |_| {
                    ended.fetch_add(1, SeqCst);
                }),
                _ => {
                    if table.allows(b"c", stays.first(), 5, true) != Some(stays) {
                        return false;
                    }
                }
            }
        }
        true
    });
    let left = given.load(SeqCst) - ended.load(SeqCst);
    assert_eq!(u64::from(table.usage().used), left + 2);
    assert_eq!(table.all(Some(b"c"), 5).len() as u64, left + 2);
}

#[test]
fn a_process_that_is_killed_leaves_chains_that_others_can_use() {
    let table = GrantTable::new(100_000, SEED).unwrap();
    let stays = prefix("203.0.113.9/32");
    table.grant(&grant(b"c", stays, u64::MAX)).unwrap();
    let begun = Area::share::<AtomicU64>().unwrap();
    for round in 0..100u64 {
        begun.store(0, SeqCst);
        let child = Child::start(|| {
            let (mut seed, company) = (round + 1, *b"c");
            loop {
                let source = Prefix::V4(0x0a00_0000 | (next(&mut seed) as u32 % 4), 32);
                let _ = table.grant(&grant(&company, source, u64::MAX));
                table.revoke(&company, Some(source), |_| {});
                begun.fetch_add(1, SeqCst);
            }
        });
        while begun.load(SeqCst) < 20 + round % 7 {
            std::thread::yield_now();
        }
        child.kill();
        assert_eq!(table.allows(b"c", stays.first(), 5, false), Some(stays), "round {round}");
        table.revoke(b"c", Some(prefix("10.0.0.0/8")), |_| {});
        assert_eq!(table.all(Some(b"c"), 5).len(), 1, "round {round}");
        let mut after = GrantedBy::Operator;
        let again = grant(b"c", prefix("10.9.9.9/32"), 10);
        table.grant(&again).unwrap();
        table.revoke(b"c", Some(again.source), |grant| after = grant.by);
        assert_eq!(after, GrantedBy::Script);
    }
    // At most the room of one grant is lost with each.
    assert!(table.usage().used <= 101, "{:?}", table.usage());
}
