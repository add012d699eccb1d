//! Processes that are killed or stopped while they put an item into a ring.

use sipwarden::shm::Ring;

use crate::fork::Stepped;

const WORDS: usize = 60;
const ITEM: [u64; WORDS] = [7; WORDS];
/// Instructions between two places where one is stopped.
const STRIDE: usize = 7;

fn ring() -> Ring<WORDS> {
    Ring::new(4).unwrap()
}

fn producer(ring: &Ring<WORDS>) -> Stepped {
    Stepped::start(|| i32::from(!ring.push(&ITEM)))
}

#[test]
fn items_go_on_after_a_producer_was_killed() {
    let (mut lost, mut kills) = (0, 0);
    for steps in (0..).step_by(STRIDE) {
        let ring = ring();
        if producer(&ring).step_and_kill(steps) {
            break;
        }
        kills += 1;
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
    }
    assert!(lost > 5, "{lost} of {kills} were in the midst of it");
}

/// After each of its instructions: few of them matter.
#[test]
fn items_go_on_after_a_reader_was_killed() {
    let mut lost = 0;
    for steps in 0.. {
        let ring = ring();
        assert!([0, 1].iter().all(|n| ring.push(&[*n; WORDS])));
        let reader = Stepped::start(|| i32::from(ring.pop() != Some([0; WORDS])));
        let ended = reader.step_and_kill(steps);
        // Others come around to the slot that it had before anybody reads.
        let all = (2..).take_while(|n| ring.push(&[*n; WORDS])).count() as u64 + 2;
        let out: Vec<_> = std::iter::from_fn(|| ring.pop()).collect();
        let first = all - out.len() as u64;
        assert!(out.iter().copied().eq((first..all).map(|n| [n; WORDS])), "{steps}: {out:?}");
        assert_eq!(ring.positions(), (all, all), "{steps} instructions");
        assert!(ring.lost() <= first && first <= 1, "{steps} instructions");
        assert!((0..4).all(|n| ring.push(&[n; WORDS])), "{steps} instructions");
        lost += ring.lost();
        if ended {
            break;
        }
    }
    assert!(lost > 0, "none was killed with an item in its hands");
}

/// It writes on when it goes on: its slot is not for others.
#[test]
fn an_item_of_a_producer_that_is_stopped_is_waited_for() {
    let mut waited = 0;
    for steps in (0..).step_by(STRIDE) {
        let ring = ring();
        let mut item = None;
        let ended = producer(&ring).step_and_go_on(steps, || {
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
        if ended {
            break;
        }
    }
    assert!(waited > 5, "{waited}");
}
