//! Processes that are killed or stopped while they put an item into a ring or take one out.

use sipwarden::shm::Ring;

use crate::deaths::{actor, killed_anywhere, places};

const WORDS: usize = 60;
const ITEM: [u64; WORDS] = [7; WORDS];

fn ring() -> Ring<WORDS> {
    Ring::new(4).unwrap()
}

fn produce(ring: &Ring<WORDS>) -> i32 {
    i32::from(!ring.push(&ITEM))
}

#[test]
fn items_go_on_after_a_producer_was_killed() {
    let mut lost = 0;
    let look = |ring: &Ring<WORDS>, steps: usize| {
        // The first laps too: the slot is used again.
        let mut before = 0;
        for n in 0..10 {
            assert!(ring.push(&[n; WORDS]), "killed after {steps} instructions");
            match ring.pop() {
                Some(ITEM) if n == 0 => before += 1,
                item => assert_eq!(item, Some([n - before; WORDS]), "{steps} instructions"),
            }
        }
        while ring.pop().is_some() {}
        let (end, read) = ring.positions();
        assert_eq!(end, read);
        lost += ring.lost();
    };
    let writes = killed_anywhere(1, ring, produce, look);
    assert!(lost > WORDS as u64, "{lost} of {writes} were in the midst of it");
}

#[test]
fn items_go_on_after_a_reader_was_killed() {
    let mut lost = 0;
    let make = || {
        let ring = ring();
        assert!([0, 1].iter().all(|n| ring.push(&[*n; WORDS])));
        ring
    };
    let look = |ring: &Ring<WORDS>, steps: usize| {
        // Others come around to the slot that it had before anybody reads.
        let all = (2..).take_while(|n| ring.push(&[*n; WORDS])).count() as u64 + 2;
        let out: Vec<_> = std::iter::from_fn(|| ring.pop()).collect();
        let first = all - out.len() as u64;
        assert!(out.iter().copied().eq((first..all).map(|n| [n; WORDS])), "{steps}: {out:?}");
        assert_eq!(ring.positions(), (all, all), "{steps} instructions");
        assert!(ring.lost() <= first && first <= 1, "{steps} instructions");
        assert!((0..4).all(|n| ring.push(&[n; WORDS])), "{steps} instructions");
        lost += ring.lost();
    };
    let writes = killed_anywhere(1, make, |ring| i32::from(ring.pop() != Some([0; WORDS])), look);
    assert!(lost > 0, "none of {writes} was killed with an item in its hands");
}

/// It writes on when it goes on: its slot is not for others.
#[test]
fn an_item_of_a_producer_that_is_stopped_is_waited_for() {
    let mut waited = 0;
    for steps in places(ring, &produce) {
        let ring = ring();
        let mut item = None;
        actor(&ring, &produce).step_and_go_on(steps, || {
            item = ring.pop();
            // Its place is taken, and what comes behind it waits.
            let (end, _) = ring.positions();
            if item.is_none() && end > 0 {
                waited += 1;
                assert!(ring.push(&[1; WORDS]) && ring.pop().is_none());
            }
        });
        assert_eq!(item.or_else(|| ring.pop()), Some(ITEM));
        assert_eq!(ring.lost(), 0);
    }
    assert!(waited >= WORDS, "{waited}");
}
