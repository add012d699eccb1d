//! When ranges of companies were last used, in whole days.

use std::io;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering::Relaxed};

use crate::clock;
use crate::shm::Area;
use crate::snapshot::Mark;

pub struct Uses {
    /// Mark of a range that is used now. Turned by one process, so that requests ask no clock.
    today: &'static AtomicU32,
    /// Marks that were set.
    changes: &'static AtomicU32,
}

impl Uses {
    pub fn new() -> io::Result<Self> {
        let uses = Uses { today: Area::share()?, changes: Area::share()? };
        uses.turn();
        Ok(uses)
    }

    /// Begins a day. Called now and then.
    pub fn turn(&self) {
        self.today.store(Mark::used(clock::seconds()).bits().into(), Relaxed);
    }

    /// Raised with every mark that is set.
    pub fn changes(&self) -> u32 {
        self.changes.load(Relaxed)
    }

    /// Notes a use.
    #[inline]
    pub fn note(&self, slot: &AtomicU16) {
        let today = self.today.load(Relaxed) as u16;
        if slot.load(Relaxed) != today {
            self.set(slot, today);
        }
    }

    #[cold]
    fn set(&self, slot: &AtomicU16, today: u16) {
        slot.store(today, Relaxed);
        self.changes.fetch_add(1, Relaxed);
    }
}
