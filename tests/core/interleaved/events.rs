//! The fold, with the ring of events.

use std::sync::Arc;

use shuttle::thread;
use sipwarden::events::{Event, EventKind, Journal, JournalReader, Subject};

use super::{check_long, spawn};

/// An event takes a hundred steps in the ring, and few of them matter.
const CHANGES: usize = 3;

fn put(journal: &Journal, company: &[u8], time: u64) {
    let subject = Subject { company, ..Subject::default() };
    journal.put_folded(&company, time, || Event::new(EventKind::Denied, time, &subject));
}

/// Three workers, two kinds that share the one place of the fold, a reader meanwhile:
/// each event is told once, under its own name, or counted as lost.
#[test]
fn each_event_is_told_once_and_under_its_name() {
    check_long(CHANGES, || {
        let journal = Arc::new(Journal::sized(9, 1, [1, 2]).unwrap());
        let workers: Vec<_> = [[b"a", b"a", b"b"], [b"a", b"b", b"b"], [b"b", b"a", b"a"]]
            .into_iter()
            .map(|companies| {
                spawn(&journal, move |journal| {
                    for (n, company) in (0u64..).zip(companies) {
                        put(journal, company, n * 6_000);
                    }
                })
            })
            .collect();
        let (mut reader, mut told) = (JournalReader::NEW, [0u64; 2]);
        let mut count = |event: &Event| match event.company() {
            b"a" => told[0] += u64::from(event.count),
            b"b" => told[1] += u64::from(event.count),
            other => panic!("{other:?}"),
        };
        for now in [5_000, 11_000] {
            if let Some(event) = reader.take(&journal) {
                count(&event);
            } else {
                reader.repeats(&journal, now, &mut count);
            }
            thread::yield_now();
        }
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        while let Some(event) = reader.take(&journal) {
            count(&event);
        }
        // The first may finish what an earlier one has begun.
        for _ in 0..2 {
            reader.repeats(&journal, 40_000, &mut count);
        }
        assert!(told[0] <= 5 && told[1] <= 4, "{told:?}");
        assert_eq!(told[0] + told[1] + journal.lost(), 9, "{told:?}");
    });
}
