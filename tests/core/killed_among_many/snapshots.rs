//! Snapshots: readers that are killed while they have one pinned, and writers at any moment.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use sipwarden::shm::{Area, SnapshotStore, own_reader, page_size};

use super::{PATIENCE, SIZES, kill_some};
use crate::host::alone::alone;
use crate::random::next;

/// Of the longest snapshot.
const WORDS: usize = 2000;
/// Places that publish now and then; all read.
const WRITERS: usize = 2;

/// Each generation has a length of its own.
fn words_of(generation: u64) -> usize {
    WORDS - (generation % 7) as usize * 200
}

fn word(generation: u64, n: usize) -> u64 {
    (generation << 32 | n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn publish(store: &SnapshotStore) -> bool {
    let Ok(writer) = store.writer(PATIENCE) else { return false };
    let generation = store.publication().current() + 1;
    let mut bytes = [0; WORDS * 8];
    for (n, to) in bytes.chunks_exact_mut(8).enumerate() {
        to.copy_from_slice(&word(generation, n).to_le_bytes());
    }
    let published = writer.publish(&bytes[..words_of(generation) * 8], 0, |_, _| {});
    published.is_ok_and(|published| published.generation == generation)
}

/// Whether a snapshot is whole; `pinned` says meanwhile that one is pinned.
fn read(store: &SnapshotStore, pinned: &AtomicU64) -> bool {
    let Ok(reader) = own_reader(store.publication()) else { return false };
    let Some(snapshot) = store.pin(reader) else { return false };
    pinned.store(1, SeqCst);
    let (generation, bytes) = (snapshot.generation(), snapshot.bytes());
    let whole = bytes.len() == words_of(generation) * 8
        && (0..).zip(bytes.chunks_exact(8)).all(|(n, w)| w == word(generation, n).to_le_bytes());
    pinned.store(0, SeqCst);
    whole
}

#[test]
fn reloads_go_on_and_the_dead_keep_no_snapshot() {
    alone(|| {
        for processes in SIZES {
            let store = SnapshotStore::new(16 * page_size()).unwrap();
            assert!(publish(&store));
            let pinned = Area::share_slice::<AtomicU64>(processes).unwrap();
            let round = |place: usize, random: &mut u64| match next(random) % 4 {
                0 if place < WRITERS => publish(&store),
                _ => read(&store, &pinned[place]),
            };
            kill_some(processes, 200, round, |place| pinned[place].swap(0, SeqCst) != 0);

            let before = store.publication().current();
            for generation in before + 1..before + 3 {
                let writer = store.writer(PATIENCE).unwrap();
                let published = writer.publish(&[7; 64], 0, |_, _| {}).unwrap();
                assert_eq!((published.generation, published.lingering), (generation, None));
            }
            assert_eq!(store.resident(), page_size(), "the memory of old ones is given back");
        }
    });
}
