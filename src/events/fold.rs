//! Repeats of an event become one, so that a flood makes few.

use std::hash::Hash;
use std::io;

use ahash::RandomState;
use bytemuck::{Pod, Zeroable};

use super::event::Event;
use crate::shm::{Area, ShortMutex};

/// Kinds of events that are folded at a time.
const SLOTS: usize = 2048;

/// The last event of a kind, with the repeats that were not told yet; its `since`
/// is where the period began.
#[repr(C)]
#[derive(Clone, Copy, Default, Pod, Zeroable)]
struct Held {
    /// Hash of what makes an event a repeat of another one: keyed, 64 bits.
    hash: u64,
    event: Event,
}

/// The events of the current period, in shared memory.
pub(super) struct Fold {
    slots: &'static [ShortMutex<Held>],
    hash: RandomState,
}

/// What is to be told of an event.
pub(super) enum Told {
    /// It is a repeat: nothing.
    Nothing,
    /// It is new.
    New(Box<Event>),
    /// It is new, and has taken the place of another one with repeats.
    NewAfter(Box<Event>, Box<Event>),
}

impl Fold {
    pub fn new(seed: [u64; 2]) -> io::Result<Self> {
        let hash = RandomState::with_seeds(seed[0], seed[1], !seed[0], !seed[1]);
        Ok(Fold { slots: Area::share_slice(SLOTS)?, hash })
    }

    /// Takes an event in that happens at `now`. The first of a period is made and
    /// told, repeats are counted.
    pub fn take(
        &self,
        key: &impl Hash,
        now: u64,
        period: u64,
        make: impl FnOnce() -> Event,
    ) -> Told {
        let hash = self.hash.hash_one(key);
        let Some(slot) = self.slots.get(hash as usize % SLOTS) else { return Told::Nothing };
        let mut held = slot.lock();
        if held.hash == hash && now.saturating_sub(held.event.since) < period {
            held.event.count = held.event.count.saturating_add(1);
            held.event.time = now;
            return Told::Nothing;
        }
        drop(held);
        let new = Box::new(make());
        let mut held = slot.lock();
        let before = held.event;
        *held = Held { hash, event: new.repeated(0, now) };
        drop(held);
        match before.count {
            0 => Told::New(new),
            _ => Told::NewAfter(Box::new(before), new),
        }
    }

    /// Gives out the repeats of periods that are over at `now`.
    pub fn flush(&self, now: u64, period: u64, mut tell: impl FnMut(&Event)) {
        for slot in self.slots {
            let mut held = slot.lock();
            let event = &mut held.event;
            if event.kind().is_none() || now.saturating_sub(event.since) < period {
                continue;
            }
            if event.count == 0 {
                *held = Held::zeroed();
                continue;
            }
            let repeats = *event;
            (event.count, event.since) = (0, now);
            drop(held);
            tell(&repeats);
        }
    }
}
