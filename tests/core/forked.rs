//! Snapshots over real processes: readers and a reloading writer.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use sipwarden::address::Address;
use sipwarden::shm::{Area, SnapshotStore};
use sipwarden::snapshot::{self, Blob, View};
use sipwarden::tables::{BadRows, Loader, Table};

use crate::fork::Child;

const READERS: usize = 4;
const RELOADS: u64 = 1000;
const COMPANIES: u32 = 40;
const PATIENCE: Duration = Duration::from_secs(1);

/// A snapshot in which everything says which generation it is.
fn compile(generation: u64) -> Blob {
    let mut loader = Loader::new(Table::ALL.map(|t| t.short_name().into()), BadRows::Fail);
    let limit = generation.to_string();
    loader.row(Table::Brand, &[Some(b"brand"), Some(limit.as_bytes())]);
    for company in 0..COMPANIES {
        let id = format!("company-{company}");
        let id = Some(id.as_bytes());
        loader.row(Table::Company, &[id, Some(b"brand"), Some(b"1"), Some(limit.as_bytes())]);
        // As many ranges as the generation says, so that sizes differ.
        for n in 0..=generation % 7 {
            let ip = format!("10.{company}.{n}.0/24");
            loader.row(Table::CompanyAddress, &[id, Some(ip.as_bytes()), None]);
        }
    }
    let Ok((config, _)) = loader.finish() else { panic!("invalid rows") };
    snapshot::compile(config, [generation, !generation], generation).unwrap()
}

/// Whether all of a snapshot belongs to this generation.
fn consistent(view: &View<'_>, generation: u64) -> bool {
    view.compiled_at() == generation
        && (0..COMPANIES).all(|n| {
            let mut id = *b"company-00";
            let id: &[u8] = if n < 10 {
                id[8] = b'0' + n as u8;
                &id[..9]
            } else {
                id[8] = b'0' + (n / 10) as u8;
                id[9] = b'0' + (n % 10) as u8;
                &id
            };
            view.company(id).is_some_and(|company| {
                let last = (generation % 7) as u8;
                let inside = Address::from_v4([10, n as u8, last, 9]);
                let outside = Address::from_v4([10, n as u8, last + 1, 9]);
                u64::from(company.max_calls()) == generation
                    && u64::from(company.brand().1) == generation
                    && company.range_of(inside).is_some()
                    && company.range_of(outside).is_none()
            })
        })
}

/// Reads until told to stop. Runs in a child of fork: allocates nothing.
fn read(store: &SnapshotStore, stop: &AtomicU64, reads: &AtomicU64) -> i32 {
    // SAFETY: the only claim of this child.
    let claimed = unsafe { store.publication().claim() };
    let Some(reader) = claimed else { return 2 };
    let mut newest = 0;
    while stop.load(SeqCst) == 0 {
        let Some(pinned) = store.pin(reader) else { return 3 };
        let generation = pinned.generation();
        let Some(view) = View::new(pinned.bytes()) else { return 4 };
        if generation < newest {
            return 5;
        }
        if !consistent(&view, generation) {
            return 6;
        }
        newest = generation;
        reads.fetch_add(1, SeqCst);
    }
    if newest > 1 { 0 } else { 7 }
}

#[test]
fn no_reader_ever_sees_a_torn_or_mixed_snapshot() {
    let store = SnapshotStore::new(4 << 20).unwrap();
    let stop = Area::share::<AtomicU64>().unwrap();
    let reads = Area::share::<AtomicU64>().unwrap();
    store.writer(PATIENCE).unwrap().publish(compile(1).bytes(), 0, |_, _| {}).unwrap();

    let children: Vec<_> =
        (0..READERS).map(|_| Child::start(|| read(&store, stop, reads))).collect();

    let mut most_used = 0;
    for generation in 2..=RELOADS {
        let blob = compile(generation);
        let published =
            store.writer(PATIENCE).unwrap().publish(blob.bytes(), 0, |_, _| {}).unwrap();
        assert_eq!(published.generation, generation);
        assert_eq!(published.lingering, None);
        most_used = most_used.max(store.resident());
    }
    let room_for_two = 2 * compile(6).bytes().len().next_multiple_of(4096);
    assert!(most_used <= room_for_two, "{most_used} bytes in use, {room_for_two} expected");

    stop.store(1, SeqCst);
    children.into_iter().for_each(Child::wait);
    assert!(reads.load(SeqCst) > RELOADS, "{} reads", reads.load(SeqCst));
}
