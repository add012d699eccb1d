//! Processes that are killed after any few of their instructions, while they reload, tell an
//! event or ask the broker: the others go on. Rings, grants and calls have tests of their own.

use std::time::{Duration, Instant};

use sipwarden::cluster::{Answer, Key, Want};
use sipwarden::desk::Slots;
use sipwarden::events::{Event, EventKind, Journal, JournalReader, Subject};
use sipwarden::shm::{SnapshotStore, page_size};

use crate::fork::{SharedMemory, Stepped};

/// A process that does what `act` does with what is shared. Not inlined, so that after as many
/// instructions it is always in the same place.
#[inline(never)]
pub fn actor<T>(shared: &T, act: &impl Fn(&T) -> i32) -> Stepped {
    Stepped::start(|| act(shared))
}

/// After how many instructions an [`actor`] is at its start, and behind each of its writes to
/// memory that others share: wherever else it is, they see the same.
pub fn places<T>(make: impl FnOnce() -> T, act: &impl Fn(&T) -> i32) -> Vec<usize> {
    let (memory, shared) = SharedMemory::made_by(make);
    let writes = actor(&shared, act).writes(&memory);
    [0].into_iter().chain(writes).collect()
}

/// Kills a process in one of `every` of its [`places`], not always the same ones. Says how many
/// writes there are.
pub fn killed_anywhere<T>(
    every: u64,
    make: impl Fn() -> T,
    act: impl Fn(&T) -> i32,
    mut look: impl FnMut(&T, usize),
) -> usize {
    let places = places(&make, &act);
    let (first, every) = (std::process::id() as usize % every as usize, every as usize);
    for &steps in places.iter().skip(first).step_by(every) {
        let shared = make();
        actor(&shared, &act).step_and_kill(steps);
        look(&shared, steps);
    }
    places.len() - 1
}

#[test]
fn a_reload_that_is_killed_leaves_the_old_snapshot_or_the_new_one() {
    const PATIENCE: Duration = Duration::from_secs(10);
    let publish = |store: &SnapshotStore, number: u8| {
        store.writer(PATIENCE).unwrap().publish(&[number; 64], 0, |_, _| ())
    };
    let make = || {
        let store = SnapshotStore::new(2 * page_size()).unwrap();
        publish(&store, 1).unwrap();
        store
    };
    let look = |store: &SnapshotStore, steps: usize| {
        // SAFETY: a store of its own, one thread.
        let reader = unsafe { store.publication().claim() }.unwrap();
        let bytes = || store.pin(reader).unwrap().bytes().to_vec();
        let before = store.publication().current() as u8;
        assert!([1, 2].contains(&before), "{steps} instructions");
        assert_eq!(bytes(), [before; 64], "{steps} instructions");
        for _ in 0..2 {
            let number = store.publication().current() as u8 + 1;
            let published = publish(store, number).unwrap();
            assert_eq!((published.generation, published.lingering), (number.into(), None));
            assert_eq!(bytes(), [number; 64], "{steps} instructions");
        }
        assert_eq!(store.resident(), page_size(), "{steps} instructions");
    };
    let writes = killed_anywhere(1, make, |store| i32::from(publish(store, 2).is_err()), look);
    assert!(writes > 4, "{writes}");
}

#[test]
fn an_event_that_is_cut_short_is_told_or_lost_and_the_next_ones_are_told() {
    let put = |journal: &Journal, company: &[u8], time: u64| {
        let subject = Subject { company, ..Subject::default() };
        journal.put_folded(&company, time, || Event::new(EventKind::Denied, time, &subject));
    };
    // The only place counts repeats of another kind: they are told when the place changes.
    let make = || {
        let journal = Journal::sized(8, 1, [1, 2]).unwrap();
        put(&journal, b"a", 0);
        put(&journal, b"a", 1);
        journal
    };
    let act = |journal: &Journal| {
        (2..4).for_each(|time| put(journal, b"b", time));
        0
    };
    let look = |journal: &Journal, steps: usize| {
        put(journal, b"b", 4);
        put(journal, b"b", 5);
        let (mut reader, mut told) = (JournalReader::NEW, [0u64; 2]);
        let mut count = |event: &Event| {
            told[usize::from(event.company() == b"b")] += u64::from(event.count);
        };
        while let Some(event) = reader.take(journal) {
            count(&event);
        }
        for now in [40_000, 80_000] {
            reader.repeats(journal, now, &mut count);
        }
        let all = told[0] + told[1] + journal.lost();
        assert!((4..=6).contains(&all), "{told:?}, {} lost, {steps}", journal.lost());
        assert!(told[0] <= 2 && (2..=4).contains(&told[1]), "{told:?}, {steps} instructions");
    };
    let writes = killed_anywhere(1, make, act, look);
    assert!(writes > 12, "{writes}");
}

#[test]
fn a_worker_that_is_killed_while_it_asks_keeps_no_other_one_waiting() {
    let wants = |number: u32| [Want { key: Key(number.into()), limit: number }].into_iter();
    let answer = |slots: &Slots| {
        let mut asked = Vec::new();
        slots.take(|ask| asked.push(ask));
        for ask in asked {
            let total = ask.wants[0].limit;
            slots.answer(ask.id, Answer::Full { key: ask.wants[0].key, total });
        }
    };
    let act = |slots: &Slots| {
        let question = slots.put(wants(7)).unwrap();
        i32::from(slots.wait(question, Instant::now()).is_some())
    };
    let look = |slots: &Slots, steps: usize| {
        answer(slots);
        for number in [1, 2] {
            let question = slots.put(wants(number)).unwrap();
            answer(slots);
            let told = slots.wait(question, Instant::now());
            let own = Answer::Full { key: Key(number.into()), total: number };
            assert_eq!(told, Some(own), "{steps} instructions");
        }
    };
    let writes = killed_anywhere(1, || Slots::new().unwrap(), act, look);
    assert!(writes > 6, "{writes}");
}
