//! Failed authentications: lines with a lock each, and their tags, which are read without it.

use std::sync::Arc;

use sipwarden::address::Prefix;
use sipwarden::auth::{AuthOutcome, AuthSettings, AuthTable, BanChanges, Rules};
use sipwarden::limiter::{ClassId, WAYS};

use super::{check, spawn};

const NOW: u64 = 50_000;
const CLASS: Option<ClassId> = Some(ClassId::DEFAULT);
const SOURCE: Prefix = Prefix::V4(0x0a00_0001, 32);
const LIMIT: u32 = 4;

fn rules() -> Arc<Rules> {
    Arc::new(Rules::new(&AuthSettings::new(LIMIT, 1800, 60, 0), &Rules::NONE))
}

fn fails(table: &AuthTable, aor: &[u8], rules: &Rules) -> AuthOutcome {
    let (login, mut changes) = (table.login(aor, SOURCE), BanChanges::default());
    table.failed(&login, None, CLASS, rules, || NOW, &mut changes).outcome
}

fn succeeds(table: &AuthTable, aor: &[u8], rules: &Rules) -> AuthOutcome {
    let (login, mut changes) = (table.login(aor, SOURCE), BanChanges::default());
    table.succeeded(&login, CLASS, rules, || NOW, &mut changes).outcome
}

fn failures(table: &AuthTable, aor: &[u8], rules: &Rules) -> u32 {
    table.look(&table.login(aor, SOURCE), CLASS, rules, || NOW).1
}

/// Three workers see failures of one user, while others come into the same bucket and leave it:
/// each failure is counted once, for its own user, and who is counted is found.
#[test]
fn who_is_counted_is_found_and_nobody_else() {
    check(|| {
        let (table, rules) = (Arc::new(AuthTable::new(WAYS, [21, 22]).unwrap()), rules());
        let mut threads: Vec<_> = (0..2)
            .map(|_| {
                let rules = Arc::clone(&rules);
                spawn(&table, move |table| {
                    let mut told = vec![fails(table, b"alice", &rules)];
                    told.push(fails(table, b"alice", &rules));
                    told
                })
            })
            .collect();
        let of_others = Arc::clone(&rules);
        threads.push(spawn(&table, move |table| {
            let first = fails(table, b"bob", &of_others);
            assert_eq!(succeeds(table, b"bob", &of_others), AuthOutcome::Clear);
            // Its line is free for somebody else.
            assert_eq!(fails(table, b"carol", &of_others), AuthOutcome::Counted);
            assert_eq!(failures(table, b"bob", &of_others), 0);
            vec![first, fails(table, b"bob", &of_others)]
        }));
        let told: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
        let started = told.iter().filter(|told| **told == AuthOutcome::Started).count();
        let counted = told.iter().filter(|told| **told == AuthOutcome::Counted).count();
        assert_eq!((started, counted), (1, told.len() - 1), "{told:?}");
        assert_eq!(
            [&b"bob"[..], b"carol", b"dave"].map(|a| failures(&table, a, &rules)),
            [1, 1, 0]
        );
        assert_eq!(fails(&table, b"alice", &rules), AuthOutcome::Banned);
        assert_eq!((table.usage().used, table.usage().blocked), (3, 1));
        let mut bans = Vec::new();
        table.bans(|| NOW, |ban| bans.push(ban.aor.bytes().to_vec()));
        assert_eq!(bans, [b"alice"]);
        table.forget(None, None, |_| {});
        assert_eq!((table.usage().used, table.usage().blocked), (0, 0));
        assert_eq!(failures(&table, b"carol", &rules), 0);
    });
}
