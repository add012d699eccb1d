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

fn take_two(pool: &Pool<2>) -> Option<[u32; 2]> {
    let mut places = [0; 2];
    pool.take_all(&mut places).then_some(places)
}

fn assert_all_free(pool: &Pool<2>, count: u32) {
    assert_eq!(pool.live(), 0);
    let mut free: Vec<_> = std::iter::from_fn(|| pool.take()).collect();
    free.sort_unstable();
    assert_eq!(free, (0..count).collect::<Vec<_>>());
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
        assert_all_free(&pool, 3);
    });
}

/// While one takes the first two, another one takes the second of them, or gives two back in
/// another order. One of the records was never used before.
#[test]
fn several_records_are_taken_and_given_back_at_once() {
    check(|| {
        let pool: Arc<Pool<2>> = Arc::new(Pool::new(5).unwrap());
        let first: Vec<_> = (0..4).filter_map(|_| pool.take()).collect();
        pool.give_all(&first);
        let users: Vec<_> = (0..2)
            .map(|_| {
                spawn(&pool, |pool| {
                    let mut kept: Vec<u32> = pool.take().into_iter().collect();
                    for _ in 0..2 {
                        let Some(two) = take_two(pool) else { continue };
                        let clash = two.into_iter().find(|position| !own(pool, *position));
                        assert_eq!(clash, None, "two owners");
                        two.iter().for_each(|at| pool.get(*at).unwrap()[1].store(0, Relaxed));
                        if let Some(position) = kept.pop() {
                            pool.give(position);
                        }
                        pool.give_all(&two);
                    }
                    pool.give_all(&kept);
                })
            })
            .collect();
        users.into_iter().for_each(|user| user.join().unwrap());
        assert_all_free(&pool, 5);
    });
}
