//! The queue of events from all processes to the recorder.

use std::hash::Hash;
use std::io;

use bytemuck::{Pod, Zeroable};

use super::event::Event;
use super::fold::{Fold, FoldKey, Repeats};
use super::known::KnownEvents;
use crate::shm::Ring;

/// Events that strangers can cause at will and that wait to be read; there is as much room
/// for all others.
const ROOM: usize = 4096;
/// Kinds of events whose repeats are counted at a time.
const KINDS: usize = 2048;
/// Ms in which repeats become one event.
pub const PERIOD: u64 = 10_000;
/// Ms for which an event is remembered while nothing counts its repeats: a process begins to
/// count them after it is in the ring, and puts them there after they are counted no more.
const AFTERWARDS: u64 = 5_000;

/// An item of the ring: an event, or repeats of one.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Item {
    /// Of no kind if this is about repeats.
    event: Event,
    /// Mark in the fold, 0 for an event that is not folded.
    mark: u32,
    slot: u32,
    /// Repeats, and when the last one came.
    count: u64,
    last: u64,
}

const WORDS: usize = size_of::<Item>() / 8;

/// All events. Any process puts them in; one takes them out.
pub struct Journal {
    ring: Ring<WORDS>,
    /// Events that may come in floods get in while fewer than these wait. The rest of the
    /// ring is for rare ones, so that the refusals of a hundred thousand sources never hide
    /// a failed reload. One ring keeps their order.
    room: u64,
    fold: Fold,
}

impl Journal {
    /// Maps a journal. `seed` keys its hash.
    pub fn new(seed: [u64; 2]) -> io::Result<Self> {
        Self::sized(ROOM, KINDS, seed)
    }

    /// `room`: for events that may come in floods, and as much for all others; `kinds`: whose
    /// repeats are counted.
    pub fn sized(room: usize, kinds: usize, seed: [u64; 2]) -> io::Result<Self> {
        let fold = Fold::new(kinds, PERIOD, seed)?;
        Ok(Journal { ring: Ring::new(2 * room)?, room: room as u64, fold })
    }

    /// Puts in a rare event.
    pub fn put(&self, event: &Event) {
        let item = Item { event: *event, ..Item::zeroed() };
        if !self.ring.push(&bytemuck::cast(item)) {
            self.ring.lose(1);
        }
    }

    /// Puts in an event that may come in floods, though each one is about another source.
    pub fn put_frequent(&self, event: &Event) {
        self.push(&Item { event: *event, ..Item::zeroed() }, 1);
    }

    /// Puts in an event that may come in floods. Those with the same `key` within [`PERIOD`]
    /// of `now` (ms since 1970) are repeats and become one; `make` does not run for them.
    pub fn put_folded(&self, key: &impl Hash, now: u64, make: impl FnOnce() -> Event) {
        let Some(first) = self.fold.count(key, now) else { return };
        let FoldKey { slot, mark } = first.key;
        let item = Item { event: make(), mark, slot: slot as u32, ..Item::zeroed() };
        if !self.push(&item, 1) {
            return;
        }
        if let Some(Repeats { key, count, last }) = self.fold.begin(&first, now) {
            let slot = key.slot as u32;
            self.push(&Item { event: Event::zeroed(), mark: key.mark, slot, count, last }, count);
        }
    }

    fn push(&self, item: &Item, stands_for: u64) -> bool {
        let fits = self.ring.push_within(self.room, &bytemuck::cast(*item));
        if !fits {
            self.ring.lose(stands_for);
        }
        fits
    }

    /// Events that did not fit, repeats included.
    pub fn lost(&self) -> u64 {
        self.ring.lost()
    }

    pub fn bytes(&self) -> usize {
        self.ring.bytes() + self.fold.bytes()
    }
}

/// Takes the events out, in one process; remembers what was repeated.
#[derive(Default)]
pub struct JournalReader {
    /// None before the first event that may be repeated.
    known: Option<KnownEvents>,
    /// The ring's end at the last look, and its time. Once read up to it, the first event of
    /// every repeat counted so far is known.
    mark: Option<(u64, u64)>,
}

impl JournalReader {
    pub const NEW: Self = JournalReader { known: None, mark: None };

    /// Takes the oldest event out.
    pub fn take(&mut self, journal: &Journal) -> Option<Event> {
        loop {
            let item: Item = bytemuck::cast(journal.ring.pop()?);
            let key = FoldKey { slot: item.slot as usize, mark: item.mark };
            if item.count > 0 {
                let repeats = Repeats { key, count: item.count, last: item.last };
                if let Some(event) = self.repeated(journal, repeats) {
                    return Some(event);
                }
                continue;
            }
            if key.mark != 0 {
                // Without memory to remember it its repeats are lost, and counted.
                let new = || KnownEvents::new(journal.fold.slots());
                self.known = self.known.take().or_else(new);
                if let Some(known) = &mut self.known {
                    known.remember(key, &item.event);
                }
            }
            return Some(item.event);
        }
    }

    /// Reports the repeats of periods that are over at `now`, in ms since 1970; with a later
    /// call if the ring is not yet read so far.
    pub fn repeats(&mut self, journal: &Journal, now: u64, mut report: impl FnMut(&Event)) {
        let (end, read) = journal.ring.positions();
        let (end, time) = *self.mark.get_or_insert((end, now));
        if read < end {
            return;
        }
        self.mark = None;
        journal.fold.flush(time, |repeats| {
            let event = self.repeated(journal, repeats);
            event.iter().for_each(&mut report);
            event.is_some()
        });
        // Those of a crowd of kinds would else be known for ever.
        if let Some(known) = &mut self.known {
            known.forget(time, AFTERWARDS, |slot| journal.fold.mark_at(slot));
        }
    }

    /// The event that stands for repeats. None if their first event is not known: then they
    /// are lost.
    fn repeated(&self, journal: &Journal, repeats: Repeats) -> Option<Event> {
        let known = self.known.as_ref().and_then(|known| known.get(repeats.key));
        let Some(event) = known else {
            journal.ring.lose(repeats.count);
            return None;
        };
        let count = u32::try_from(repeats.count).unwrap_or(u32::MAX);
        Some(event.repeated(count, event.since, repeats.last.max(event.time)))
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::events::{EventKind, Subject};

    type Summary = (Vec<u8>, u32, u64);

    fn put(journal: &Journal, company: &[u8], time: u64) {
        let subject = Subject { company, ..Subject::default() };
        journal.put_folded(&company, time, || Event::new(EventKind::Denied, time, &subject));
    }

    fn summary(event: &Event) -> Summary {
        (event.company().to_vec(), event.count, event.time)
    }

    fn drain(reader: &mut JournalReader, journal: &Journal) -> Vec<Summary> {
        std::iter::from_fn(|| reader.take(journal).as_ref().map(summary)).collect()
    }

    fn repeats(reader: &mut JournalReader, journal: &Journal, now: u64) -> Vec<Summary> {
        let mut all = Vec::new();
        reader.repeats(journal, now, |event| all.push(summary(event)));
        all.sort();
        all
    }

    #[test]
    fn a_flood_of_one_kind_makes_one_event_and_one_with_the_repeats() {
        let (journal, mut reader) = (Journal::new([1, 2]).unwrap(), JournalReader::NEW);
        for n in 0..1000 {
            put(&journal, b"a", n);
            if n % 100 == 0 {
                put(&journal, b"b", n);
            }
        }
        let firsts = [(b"a".to_vec(), 1, 0), (b"b".to_vec(), 1, 0)];
        assert_eq!(drain(&mut reader, &journal), firsts);
        assert_eq!(repeats(&mut reader, &journal, 9_999), []);
        let more = [(b"a".to_vec(), 999, 999), (b"b".to_vec(), 9, 900)];
        assert_eq!(repeats(&mut reader, &journal, 10_000), more);
        // The next period goes on counting; a pause begins anew.
        put(&journal, b"a", 12_000);
        assert_eq!(drain(&mut reader, &journal), []);
        let again = [(b"a".to_vec(), 1, 12_000)];
        assert_eq!(repeats(&mut reader, &journal, 20_000), again);
        assert_eq!(repeats(&mut reader, &journal, 40_000), []);
        put(&journal, b"a", 50_000);
        assert_eq!(drain(&mut reader, &journal), [(b"a".to_vec(), 1, 50_000)]);
    }

    #[test]
    fn what_is_repeated_for_long_is_known_and_a_crowd_that_is_gone_is_forgotten() {
        let (journal, mut reader) = (Journal::new([1, 2]).unwrap(), JournalReader::NEW);
        let (mut told, mut sent) = (Vec::new(), 0);
        for second in 0..120u64 {
            let now = second * 1000;
            put(&journal, b"stays", now);
            if second < 10 {
                (0..300u64).for_each(|n| put(&journal, &(n * 16 + second).to_be_bytes(), now));
            }
            sent += 1 + 300 * u64::from(second < 10);
            told.extend(drain(&mut reader, &journal));
            told.extend(repeats(&mut reader, &journal, now));
        }
        let known = |reader: &JournalReader| reader.known.as_ref().map(|known| known.sizes().0);
        assert_eq!(known(&reader), Some(1));
        for now in [200_000, 300_000] {
            told.extend(repeats(&mut reader, &journal, now));
        }
        let count: u64 = told.iter().map(|(_, count, _)| u64::from(*count)).sum();
        assert_eq!((count, journal.lost()), (sent, 0));
        assert_eq!(known(&reader), Some(0));
    }

    #[test]
    fn a_flood_of_refusals_leaves_room_for_what_is_rare() {
        const ROOM: u32 = 64;
        let (journal, mut reader) =
            (Journal::sized(ROOM as usize, 1024, [1, 2]).unwrap(), JournalReader::NEW);
        for n in 0..10 * ROOM {
            put(&journal, &n.to_be_bytes(), 1);
        }
        assert!(journal.lost() > 0);
        let lost = journal.lost();
        let rare = Event::new(EventKind::ReloadFailed, 2, &Subject::default());
        (0..ROOM).for_each(|_| journal.put(&rare));
        assert_eq!(journal.lost(), lost);
        let told: Vec<_> = std::iter::from_fn(|| reader.take(&journal)).collect();
        let told = told.iter().filter(|event| event.kind() == rare.kind()).count();
        assert_eq!(told, ROOM as usize);
    }

    #[test]
    fn nothing_is_counted_twice_or_dropped_among_many_kinds() {
        let (journal, mut reader) = (Journal::sized(512, 64, [3, 4]).unwrap(), JournalReader::NEW);
        let (mut sent, mut got) = (0u64, 0u64);
        let sum =
            |told: Vec<Summary>| told.iter().map(|(_, count, _)| u64::from(*count)).sum::<u64>();
        for round in 0..20u64 {
            for n in 0..3000u64 {
                let company = (n * n % 5000).to_string();
                put(&journal, company.as_bytes(), round * 1000);
                sent += 1;
            }
            got += sum(drain(&mut reader, &journal));
            got += sum(repeats(&mut reader, &journal, round * 1000));
        }
        got += sum(repeats(&mut reader, &journal, 100_000));
        assert!(journal.lost() > 0);
        assert_eq!(got + journal.lost(), sent);
    }

    #[test]
    fn many_processes_at_once_count_each_event_once() {
        const EACH: u64 = 200_000;
        let journal: &Journal = Box::leak(Box::new(Journal::sized(256, 8, [5, 6]).unwrap()));
        let workers: Vec<_> = (0..4u64)
            .map(|w| {
                std::thread::spawn(move || {
                    for n in 0..EACH {
                        let kind = (n * (w + 7) % 13).to_string();
                        put(journal, kind.as_bytes(), n / 4);
                    }
                })
            })
            .collect();
        let (mut reader, mut got) = (JournalReader::NEW, 0u64);
        while workers.iter().any(|worker| !worker.is_finished()) {
            while let Some(event) = reader.take(journal) {
                got += u64::from(event.count);
            }
            reader.repeats(journal, EACH / 4, |event| got += u64::from(event.count));
        }
        workers.into_iter().for_each(|worker| worker.join().unwrap());
        while let Some(event) = reader.take(journal) {
            got += u64::from(event.count);
        }
        // The first may finish what an earlier one has begun.
        for _ in 0..2 {
            reader.repeats(journal, 200_000, |event| got += u64::from(event.count));
        }
        assert_eq!(got + journal.lost(), 4 * EACH);
    }
}
