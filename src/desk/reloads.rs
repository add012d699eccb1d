//! Reloads that one node asks all others for, and which tables this one has. In shared memory.

use std::io;

use crate::shm::atomic::{AtomicU64, Ordering::*};
use crate::shm::{Area, SharedText};

/// Bytes kept of what became of a reload.
const OUTCOME: usize = 256;

/// The tables that are in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    /// Stands for their rows, the same on all nodes; 0: not known yet.
    pub mark: u64,
    /// When they were read, in seconds since 1970.
    pub loaded_at: u64,
}

/// Numbers of reloads are times in us, so a later one is larger.
pub struct Reloads {
    /// An operator here asks the others for it; 0: it was told.
    asked: &'static AtomicU64,
    /// Another node asks for it.
    due: &'static AtomicU64,
    /// It was done, or failed.
    done: &'static AtomicU64,
    outcome: SharedText<OUTCOME>,
    mark: &'static AtomicU64,
    loaded_at: &'static AtomicU64,
}

impl Reloads {
    /// Maps it: nothing is asked for.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new() -> io::Result<Self> {
        Ok(Reloads {
            asked: Area::share()?,
            due: Area::share()?,
            done: Area::share()?,
            outcome: SharedText::new()?,
            mark: Area::share()?,
            loaded_at: Area::share()?,
        })
    }

    /// All other nodes shall reload. Of two that were not told yet the later one holds.
    pub fn ask(&self, number: u64) {
        self.asked.fetch_max(number, Relaxed);
    }

    /// What was asked for since the last time. One process calls this, the broker.
    pub fn take_asked(&self) -> Option<u64> {
        Some(self.asked.swap(0, Relaxed)).filter(|number| *number > 0)
    }

    /// Another node has asked for it.
    pub fn order(&self, number: u64) {
        self.due.fetch_max(number, Relaxed);
    }

    /// The reload to do now.
    pub fn due(&self) -> Option<u64> {
        let due = self.due.load(Relaxed);
        (due > self.done.load(Relaxed)).then_some(due)
    }

    /// What became of it. One process calls this, the loader.
    pub fn answer(&self, number: u64, outcome: &str) {
        self.outcome.set(outcome);
        self.done.store(number, Release);
    }

    /// The last one that was done, and what became of it.
    pub fn answered(&self) -> (u64, String) {
        (self.done.load(Acquire), self.outcome.get())
    }

    /// The tables in force are these. One process calls this, the loader.
    pub fn set_tables(&self, tables: Tables) {
        self.loaded_at.store(tables.loaded_at, Relaxed);
        self.mark.store(tables.mark, Relaxed);
    }

    pub fn tables(&self) -> Tables {
        Tables { mark: self.mark.load(Relaxed), loaded_at: self.loaded_at.load(Relaxed) }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn a_reload_is_due_until_it_is_answered() {
        let reloads = Reloads::new().unwrap();
        assert_eq!((reloads.due(), reloads.take_asked()), (None, None));
        reloads.ask(7);
        reloads.ask(5);
        assert_eq!((reloads.take_asked(), reloads.take_asked()), (Some(7), None));
        reloads.order(9);
        reloads.order(8);
        assert_eq!(reloads.due(), Some(9));
        reloads.answer(9, "reloaded");
        assert_eq!(reloads.due(), None);
        assert_eq!(reloads.answered(), (9, "reloaded".to_owned()));
    }
}
