//! A ring that is full, over several laps.

use std::sync::Arc;

use shuttle::thread;
use sipwarden::shm::Ring;

use super::{check, spawn};

/// Two producers, more items than fit: each one that was taken in comes out whole, once, and
/// behind the earlier ones of its producer.
#[test]
fn what_was_taken_in_comes_out_whole_and_in_order() {
    check(|| {
        let ring: Arc<Ring<2>> = Arc::new(Ring::new(2).unwrap());
        let producers: Vec<_> = (0..2u64)
            .map(|producer| {
                spawn(&ring, move |ring| {
                    let put = |n: &u64| ring.push(&[producer << 8 | n, !(producer << 8 | n)]);
                    (1..=4u64).filter(put).count()
                })
            })
            .collect();
        let (mut out, mut last) = (0, [0; 2]);
        let mut take = || {
            let Some([item, check]) = ring.pop() else { return false };
            assert_eq!(item, !check, "a torn item");
            let last = &mut last[(item >> 8) as usize];
            assert!(*last < item & 0xff, "{last} before {item:x}");
            (*last, out) = (item & 0xff, out + 1);
            true
        };
        for _ in 0..5 {
            take();
            thread::yield_now();
        }
        let taken_in: usize = producers.into_iter().map(|p| p.join().unwrap()).sum();
        while take() {}
        assert_eq!(out, taken_in);
        assert_eq!(ring.positions(), (out as u64, out as u64));
        assert_eq!(ring.lost(), 0);
        // The next lap finds all of it free.
        assert!(ring.push(&[1, 0]) && ring.push(&[2, 0]) && !ring.push(&[3, 0]));
    });
}

/// Events that come in floods leave room: as many more may get in as look at once.
#[test]
fn a_flood_leaves_room_for_what_is_rare() {
    check(|| {
        let ring: Arc<Ring<1>> = Arc::new(Ring::new(4).unwrap());
        let flood: Vec<_> = (0..2)
            .map(|_| spawn(&ring, |ring| (0..3).filter(|n| ring.push_within(2, &[*n])).count()))
            .collect();
        let frequent: usize = flood.into_iter().map(|thread| thread.join().unwrap()).sum();
        assert!((2..=3).contains(&frequent), "{frequent}");
        assert!(ring.push(&[9]));
        let out = std::iter::from_fn(|| ring.pop()).count();
        assert_eq!(out, frequent + 1);
    });
}
