//! The last refusals, for `sipwarden.denied`.

use std::io;

use super::event::Event;
use crate::shm::{Area, SharedMutex};

/// Refusals that are kept.
const KEPT: usize = 1024;

/// The last refusals, each kind once. The recorder adds, RPC processes read; SIP workers do
/// neither.
pub struct Recent {
    slots: &'static [SharedMutex<Event>],
}

impl Recent {
    pub fn new() -> io::Result<Self> {
        Ok(Recent { slots: Area::share_slice(KEPT)? })
    }

    /// Adds a refusal: to one of the same kind, else in place of the oldest.
    pub fn add(&self, event: &Event) {
        let mut oldest = None;
        for slot in self.slots {
            let mut held = slot.lock();
            if held.is_like(event) {
                let (count, since) = (held.count.saturating_add(event.count), held.since);
                *held = event.repeated(count, since, event.time);
                return;
            }
            if oldest.is_none_or(|(time, _)| held.time < time) {
                oldest = Some((held.time, slot));
            }
        }
        if let Some((_, slot)) = oldest {
            *slot.lock() = event.repeated(event.count, event.time, event.time);
        }
    }

    /// All refusals that are `wanted`, the last one first. `since` is the time
    /// of the first.
    pub fn list(&self, wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
        let copies = self.slots.iter().map(|slot| *slot.lock());
        let mut found: Vec<_> = copies.filter(|e| e.kind().is_some() && wanted(e)).collect();
        found.sort_by_key(|event| std::cmp::Reverse(event.time));
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::{EventKind, Subject};

    #[test]
    fn the_last_are_kept_each_kind_once() {
        let recent = Recent::new().unwrap();
        let event = |company: &[u8], time| {
            Event::new(EventKind::Denied, time, &Subject { company, ..Subject::default() })
        };
        for n in 0..2 * KEPT as u64 {
            recent.add(&event(n.to_string().as_bytes(), 1000 + n));
        }
        recent.add(&event(b"1500", 9000));
        let all = recent.list(|_| true);
        assert_eq!(all.len(), KEPT);
        assert_eq!((all[0].company(), all[0].count), (&b"1500"[..], 2));
        assert_eq!((all[0].since, all[0].time), (2500, 9000));
        assert!(all.windows(2).all(|pair| pair[0].time >= pair[1].time));
        assert_eq!(recent.list(|e| e.company() == b"3").len(), 0);
    }
}
