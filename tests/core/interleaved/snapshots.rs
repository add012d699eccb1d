//! Snapshots, their readers, and two processes that reload at once.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use shuttle::thread;
use sipwarden::shm::{Generation, SnapshotStore, page_size};

use super::{check, spawn};

const BYTES: usize = 8;
const READERS: usize = 2;
const READS: usize = 3;
const RELOADS: u64 = 2;

/// A snapshot says of which generation it is; its only mark counts readers.
fn publish(store: &SnapshotStore) {
    let writer = store.writer(Duration::ZERO).unwrap();
    let generation = store.publication().current() + 1;
    let carry = |old: Option<Generation<'_>>, new: &Generation<'_>| {
        let Some(old) = old else { return };
        assert_eq!(old.bytes, [generation as u8 - 1; BYTES]);
        new.marks[0].fetch_add(old.marks[0].load(Relaxed), Relaxed);
    };
    let published = writer.publish(&[generation as u8; BYTES], 1, carry).unwrap();
    assert_eq!((published.generation, published.lingering), (generation, None));
}

fn read(store: &SnapshotStore) {
    // SAFETY: the only claim of this thread.
    let reader = unsafe { store.publication().claim() }.unwrap();
    let mut newest = 0;
    for _ in 0..READS {
        let pinned = store.pin(reader).unwrap();
        assert!(newest <= pinned.generation());
        newest = pinned.generation();
        assert_eq!(pinned.bytes(), [newest as u8; BYTES]);
        thread::yield_now();
        // One within another reads the same.
        let nested = store.pin(reader).unwrap();
        assert_eq!(nested.generation(), newest);
        drop(nested);
        thread::yield_now();
        assert_eq!(pinned.bytes(), [newest as u8; BYTES]);
        pinned.mark(0).unwrap().fetch_add(1, Relaxed);
    }
}

#[test]
fn what_is_read_is_never_written_and_no_mark_is_lost() {
    check(|| {
        let store = Arc::new(SnapshotStore::new(2 * page_size()).unwrap());
        publish(&store);
        let readers: Vec<_> = (0..READERS).map(|_| spawn(&store, read)).collect();
        let reload = |store: &SnapshotStore| (0..RELOADS).for_each(|_| publish(store));
        let reloads: Vec<_> = (0..2).map(|_| spawn(&store, reload)).collect();
        readers.into_iter().chain(reloads).for_each(|thread| thread.join().unwrap());
        assert_eq!(store.publication().current(), 1 + 2 * RELOADS);
        publish(&store);
        // SAFETY: the only claim of this thread.
        let reader = unsafe { store.publication().claim() }.unwrap();
        let marks = store.pin(reader).unwrap().marks()[0].load(Relaxed);
        assert_eq!(usize::from(marks), READERS * READS);
    });
}
