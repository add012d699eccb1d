//! The ring of events: the process that reads is killed as those that write.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use sipwarden::shm::{Area, Ring};

use super::{SIZES, kill_some};
use crate::random::next;

const WORDS: usize = 60;
const CAPACITY: u64 = 16;
/// The place that reads.
const READER: usize = 0;

fn item(first: u64) -> [u64; WORDS] {
    std::array::from_fn(|n| first.rotate_left(n as u32))
}

/// What was put in is told, or counted as lost; but for one item of each of the dead, which may
/// have been killed before it said so.
#[test]
fn items_come_out_whole_and_none_is_lost_but_those_of_the_dead() {
    for processes in SIZES {
        let ring: Ring<WORDS> = Ring::new(CAPACITY as usize).unwrap();
        let [put, told] = [(); 2].map(|()| Area::share::<AtomicU64>().unwrap());
        let read = || {
            let Some(out) = ring.pop() else { return true };
            told.fetch_add(1, SeqCst);
            out == item(out[0])
        };
        let round = |place: usize, random: &mut u64| {
            if place == READER {
                return read();
            }
            put.fetch_add(u64::from(ring.push(&item(next(random)))), SeqCst);
            true
        };
        let killed = kill_some(processes, 2000, round, |place| place == READER);

        while ring.positions().0 != ring.positions().1 {
            assert!(read());
        }
        let (put, found) = (put.load(SeqCst), told.load(SeqCst) + ring.lost());
        assert!(put.abs_diff(found) <= killed, "{put} put in, {found} found, {killed} killed");
        // All of it is free, over several laps.
        for _ in 0..3 {
            assert!((0..CAPACITY).all(|n| ring.push(&item(n))) && !ring.push(&item(99)));
            assert!((0..CAPACITY).all(|n| ring.pop() == Some(item(n))) && ring.pop().is_none());
        }
    }
}
