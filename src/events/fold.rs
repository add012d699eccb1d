//! Repeats of an event become one, so that a flood makes few.

use std::io;

use ahash::RandomState;
use bytemuck::Zeroable;

use super::event::Event;
use crate::shm::{Area, ShortMutex};

/// Kinds of events that are folded at a time.
const SLOTS: usize = 2048;

/// The events of the current period, in shared memory.
pub(super) struct Fold {
    slots: &'static [ShortMutex<Event>],
    hash: RandomState,
}

/// What is to be told of an event.
pub(super) enum Told {
    /// It is a repeat: nothing.
    Nothing,
    /// It is new.
    New,
    /// It is new, and has taken the place of another one with repeats.
    NewAfter(Box<Event>),
}

impl Fold {
    pub fn new(seed: [u64; 2]) -> io::Result<Self> {
        let hash = RandomState::with_seeds(seed[0], seed[1], !seed[0], !seed[1]);
        Ok(Fold { slots: Area::share_slice(SLOTS)?, hash })
    }

    /// Takes an event in. The first of a period is told, repeats are counted. A
    /// slot holds the last event with the repeats that were not told yet; its
    /// `since` is where the period began.
    pub fn take(&self, event: &Event, period: u64) -> Told {
        let at = event.hash(&self.hash) as usize % SLOTS;
        let Some(slot) = self.slots.get(at) else { return Told::New };
        let mut held = slot.lock();
        if held.is_like(event) && event.time.saturating_sub(held.since) < period {
            let (count, since) = (held.count.saturating_add(event.count), held.since);
            *held = event.repeated(count, since);
            return Told::Nothing;
        }
        let before = *held;
        *held = event.repeated(0, event.time);
        drop(held);
        match before.count {
            0 => Told::New,
            _ => Told::NewAfter(Box::new(before)),
        }
    }

    /// Gives out the repeats of periods that are over at `now`.
    pub fn flush(&self, now: u64, period: u64, mut tell: impl FnMut(&Event)) {
        for slot in self.slots {
            let mut held = slot.lock();
            let over = held.kind().is_some() && now.saturating_sub(held.since) >= period;
            if !over {
                continue;
            }
            let event = *held;
            if event.count == 0 {
                *held = Event::zeroed();
            } else {
                (held.count, held.since) = (0, now);
            }
            drop(held);
            if event.count > 0 {
                tell(&event);
            }
        }
    }
}
