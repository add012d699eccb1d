//! The way of an event from any process to the module's own.

use std::hash::Hash;
use std::io;

use super::event::Event;
use super::fold::{Fold, Told};
use crate::shm::Ring;

/// Events that wait to be read.
const ROOM: usize = 4096;
/// Ms in which repeats become one event.
pub const PERIOD: u64 = 10_000;

/// All events. Any process puts them in; one takes them out.
pub struct Journal {
    ring: Ring<{ Event::WORDS }>,
    fold: Fold,
}

impl Journal {
    /// Maps a journal. `seed` keys its hash.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new(seed: [u64; 2]) -> io::Result<Self> {
        Ok(Journal { ring: Ring::new(ROOM)?, fold: Fold::new(seed)? })
    }

    /// Puts an event in that happens once in a while.
    pub fn put(&self, event: &Event) {
        self.ring.push(&bytemuck::cast(*event));
    }

    /// Puts an event in that may come in floods: repeats, with the same `key`, within
    /// [`PERIOD`] of `now` (ms since 1970) become one. Only what is no repeat is made.
    pub fn put_folded(&self, key: &impl Hash, now: u64, make: impl FnOnce() -> Event) {
        match self.fold.take(key, now, PERIOD, make) {
            Told::Nothing => {}
            Told::New(event) => self.put(&event),
            Told::NewAfter(before, event) => {
                self.put(&before);
                self.put(&event);
            }
        }
    }

    /// Takes the oldest event out. One process at a time.
    pub fn take(&self) -> Option<Event> {
        self.ring.pop().map(bytemuck::cast)
    }

    /// Repeats whose period is over at `now`, ms since 1970. One process at a time.
    pub fn repeats(&self, now: u64, tell: impl FnMut(&Event)) {
        self.fold.flush(now, PERIOD, tell);
    }

    /// Events that did not fit.
    pub fn lost(&self) -> u64 {
        self.ring.lost()
    }

    /// Bytes of address space.
    pub fn bytes(&self) -> usize {
        self.ring.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{EventKind, Subject};

    fn put(journal: &Journal, company: &[u8], time: u64) {
        let subject = Subject { company, ..Subject::default() };
        journal.put_folded(&company, time, || Event::new(EventKind::Denied, time, &subject));
    }

    fn drain(journal: &Journal) -> Vec<(Vec<u8>, u32, u64)> {
        let next = || journal.take().map(|e| (e.company().to_vec(), e.count, e.time));
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_flood_of_one_kind_makes_one_event_and_one_with_the_repeats() {
        let journal = Journal::new([1, 2]).unwrap();
        for n in 0..1000 {
            put(&journal, b"a", n);
            if n % 100 == 0 {
                put(&journal, b"b", n);
            }
        }
        assert_eq!(drain(&journal), [(b"a".to_vec(), 1, 0), (b"b".to_vec(), 1, 0)]);
        let mut repeats = Vec::new();
        journal.repeats(9_999, |e| repeats.push((e.company().to_vec(), e.count, e.time)));
        assert_eq!(repeats, []);
        journal.repeats(10_000, |e| repeats.push((e.company().to_vec(), e.count, e.time)));
        repeats.sort();
        assert_eq!(repeats, [(b"a".to_vec(), 999, 999), (b"b".to_vec(), 9, 900)]);
        // The next period goes on counting; a pause begins anew.
        put(&journal, b"a", 12_000);
        assert_eq!(drain(&journal), []);
        let mut again = Vec::new();
        journal.repeats(20_000, |e| again.push(e.count));
        journal.repeats(40_000, |e| again.push(e.count));
        assert_eq!(again, [1]);
        put(&journal, b"a", 50_000);
        assert_eq!(drain(&journal), [(b"a".to_vec(), 1, 50_000)]);
    }

    #[test]
    fn nothing_is_counted_twice_or_dropped_among_many_kinds() {
        let journal = Journal::new([3, 4]).unwrap();
        let (mut sent, mut got) = (0u64, 0u64);
        for round in 0..20u64 {
            for n in 0..3000u64 {
                let company = (n * n % 5000).to_string();
                put(&journal, company.as_bytes(), round * 1000);
                sent += 1;
            }
            got += drain(&journal).iter().map(|(_, count, _)| u64::from(*count)).sum::<u64>();
            journal.repeats(round * 1000, |e| got += u64::from(e.count));
        }
        journal.repeats(1_000_000, |e| got += u64::from(e.count));
        assert_eq!(got + journal.lost(), sent);
    }
}
