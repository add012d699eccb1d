//! First events of what may be repeated, kept by the reader until nothing counts their repeats.

use super::event::Event;
use super::fold::FoldKey;
use crate::memory;

/// Kinds that are remembered per slot of the fold: as many as may follow each other there
/// before the repeats of the first one are reported.
const REMEMBERED: usize = 4;

/// Where an event is kept.
struct Known {
    mark: u32,
    /// In [`KnownEvents::events`].
    place: u32,
    /// When it came, or its repeats were last seen to be counted.
    seen: u64,
}

/// Takes its memory at once, and touches no more of it than the most that were known at a time:
/// pieces of a heap that come and go would leave holes between them for ever.
pub(super) struct KnownEvents {
    /// By slot of the fold, the newest first.
    slots: Vec<Vec<Known>>,
    events: Vec<Event>,
    /// Places whose events are forgotten.
    free: Vec<u32>,
}

impl KnownEvents {
    /// For a fold of so many slots; None if the process cannot have the memory.
    pub fn new(slots: usize) -> Option<Self> {
        let most = slots * REMEMBERED;
        let of_place = size_of::<Known>() + size_of::<Event>() + size_of::<u32>();
        let bytes = most * of_place + slots * size_of::<Vec<Known>>();
        memory::has_room(bytes).then(|| KnownEvents {
            slots: (0..slots).map(|_| Vec::with_capacity(REMEMBERED)).collect(),
            events: Vec::with_capacity(most),
            free: Vec::with_capacity(most),
        })
    }

    /// Remembers an event, in place of the oldest one if its slot is full.
    pub fn remember(&mut self, key: FoldKey, event: &Event) {
        let Some(known) = self.slots.get_mut(key.slot) else { return };
        let same = known.iter().position(|of| of.mark == key.mark);
        if let Some(gone) = same.or((known.len() >= REMEMBERED).then_some(REMEMBERED - 1)) {
            self.free.push(known.remove(gone).place);
        }
        let place = keep(&mut self.events, &mut self.free, event);
        known.insert(0, Known { mark: key.mark, place, seen: event.time });
    }

    pub fn get(&self, key: FoldKey) -> Option<&Event> {
        let known = self.slots.get(key.slot)?.iter().find(|of| of.mark == key.mark)?;
        self.events.get(known.place as usize)
    }

    /// Forgets at `now` what was not seen to be counted for `afterwards` ms. `counted`: the mark
    /// whose repeats a slot counts.
    pub fn forget(&mut self, now: u64, afterwards: u64, counted: impl Fn(usize) -> u32) {
        for (slot, known) in self.slots.iter_mut().enumerate() {
            let counted = counted(slot);
            known.retain_mut(|of| {
                if of.mark == counted {
                    of.seen = now;
                }
                let stays = now < of.seen.saturating_add(afterwards);
                if !stays {
                    self.free.push(of.place);
                }
                stays
            });
        }
    }

    /// How many are known, and how many places were ever used.
    #[cfg(test)]
    pub fn sizes(&self) -> (usize, usize) {
        (self.slots.iter().map(Vec::len).sum(), self.events.len())
    }
}

/// Puts an event into a free place, or into a new one.
fn keep(events: &mut Vec<Event>, free: &mut Vec<u32>, event: &Event) -> u32 {
    let place = free.pop().unwrap_or(events.len() as u32);
    match events.get_mut(place as usize) {
        Some(old) => *old = *event,
        None => events.push(*event),
    }
    place
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::events::{EventKind, Subject};

    const SLOTS: usize = 8;

    fn event(company: u32, time: u64) -> Event {
        let company = &company.to_be_bytes();
        Event::new(EventKind::Denied, time, &Subject { company, ..Subject::default() })
    }

    #[test]
    fn each_is_found_until_it_is_forgotten_and_places_are_used_again() {
        let mut known = KnownEvents::new(SLOTS).unwrap();
        for round in 0..100u32 {
            let now = u64::from(round) * 100;
            let marks = 1 + round * 8..1 + round * 8 + 2 * SLOTS as u32;
            let key = |mark: u32| FoldKey { slot: mark as usize % SLOTS, mark };
            marks.clone().for_each(|mark| known.remember(key(mark), &event(mark, now)));
            for mark in marks {
                let company = known.get(key(mark)).map(|event| event.company().to_vec());
                assert_eq!(company, Some(mark.to_be_bytes().to_vec()));
            }
            if round % 3 == 0 {
                known.forget(now, 100, |_| 0);
            }
            assert!(known.sizes().0 <= SLOTS * REMEMBERED);
        }
        let places = known.sizes().1;
        assert!(places <= SLOTS * REMEMBERED, "{places}");
        // What is counted stays.
        known.remember(FoldKey { slot: 3, mark: 7 }, &event(7, 10_000));
        known.forget(20_000, 100, |slot| if slot == 3 { 7 } else { 0 });
        assert_eq!(known.sizes(), (1, places));
        known.forget(20_100, 100, |_| 0);
        assert_eq!(known.sizes(), (0, places));
    }
}
