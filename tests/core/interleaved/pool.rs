//! Records that are taken and given back at once.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use sipwarden::shm::Pool;

use super::{check, spawn};

/// Marks a record as its owner's; whether nobody else has it.
fn own(pool: &Pool<2>, position: u32) -> bool {
    pool.get(position).unwrap()[1].swap(1, Relaxed) == 0
}

fn give(pool: &Pool<2>, position: u32) {
    pool.get(position).unwrap()[1].store(0, Relaxed);
    pool.give(position);
}

/// While one takes the first free record, another one takes two and gives the first one back: the
/// list begins as before, and does not go on as before.
#[test]
fn no_record_has_two_owners_and_none_is_lost() {
    check(|| {
        let pool: Arc<Pool<2>> = Arc::new(Pool::new(3).unwrap());
        let all: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        all.iter().for_each(|position| pool.give(*position));
        let users: Vec<_> = (0..2)
            .map(|_| {
                spawn(&pool, |pool| {
                    let mut kept: Vec<u32> = Vec::new();
                    for keeps in [1, 2, 1] {
                        while kept.len() > keeps {
                            give(pool, kept.remove(0));
                        }
                        if let Some(position) = pool.take() {
                            assert!(own(pool, position), "{position} has two owners");
                            kept.push(position);
                        }
                    }
                    kept.into_iter().for_each(|position| give(pool, position));
                })
            })
            .collect();
        users.into_iter().for_each(|user| user.join().unwrap());
        assert_eq!(pool.live(), 0);
        let mut free: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
        free.sort_unstable();
        assert_eq!(free, [0, 1, 2]);
    });
}
