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

/// One word for each of these.
#[derive(Clone, Copy)]
enum Of {
    /// An operator here asks the others for it; 0: it was told.
    Asked,
    /// Another node asks for it.
    Due,
    /// It is being done, or was.
    Begun,
    /// It was done, or failed.
    Done,
    Mark,
    LoadedAt,
    /// Other nodes whose tables have differed for long.
    Others,
    Count,
}

/// Numbers of reloads are times in us, so a later one is larger.
pub struct Reloads {
    words: &'static [AtomicU64; Of::Count as usize],
    outcome: SharedText<OUTCOME>,
}

impl Reloads {
    /// Maps it: nothing is asked for.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new() -> io::Result<Self> {
        Ok(Reloads { words: Area::share()?, outcome: SharedText::new()? })
    }

    #[allow(clippy::indexing_slicing)] // there is a word for each
    fn word(&self, of: Of) -> &AtomicU64 {
        &self.words[of as usize]
    }

    /// All other nodes shall reload. Of two that were not told yet the later one holds.
    pub fn ask(&self, number: u64) {
        self.word(Of::Asked).fetch_max(number, Relaxed);
    }

    /// What was asked for since the last time. One process calls this, the broker.
    pub fn take_asked(&self) -> Option<u64> {
        Some(self.word(Of::Asked).swap(0, Relaxed)).filter(|number| *number > 0)
    }

    /// Another node has asked for it.
    pub fn order(&self, number: u64) {
        self.word(Of::Due).fetch_max(number, Relaxed);
    }

    /// The reload to do now.
    pub fn due(&self) -> Option<u64> {
        let due = self.word(Of::Due).load(Relaxed);
        (due > self.word(Of::Begun).load(Relaxed)).then_some(due)
    }

    /// It is being done: it is due no more. One process calls this, the loader.
    pub fn begin(&self, number: u64) {
        self.word(Of::Begun).store(number, Relaxed);
    }

    /// What became of it. One process calls this, the loader.
    pub fn answer(&self, number: u64, outcome: &str) {
        self.outcome.set(outcome);
        self.word(Of::Done).store(number, Release);
    }

    /// The last one that was done, and what became of it.
    pub fn answered(&self) -> (u64, String) {
        (self.word(Of::Done).load(Acquire), self.outcome.get())
    }

    /// The tables in force are these. Called under the reload lock.
    pub fn set_tables(&self, tables: Tables) {
        self.word(Of::LoadedAt).store(tables.loaded_at, Relaxed);
        self.word(Of::Mark).store(tables.mark, Relaxed);
    }

    /// So many other nodes have had other tables for long. One process calls this, the broker.
    pub fn set_others(&self, nodes: u64) {
        self.word(Of::Others).store(nodes, Relaxed);
    }

    pub fn others(&self) -> u64 {
        self.word(Of::Others).load(Relaxed)
    }

    pub fn tables(&self) -> Tables {
        Tables {
            mark: self.word(Of::Mark).load(Relaxed),
            loaded_at: self.word(Of::LoadedAt).load(Relaxed),
        }
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
        reloads.begin(9);
        reloads.answer(9, "reloaded");
        assert_eq!(reloads.due(), None);
        assert_eq!(reloads.answered(), (9, "reloaded".to_owned()));
        // Somebody at the server shows it again, or an older one.
        reloads.order(9);
        reloads.order(3);
        assert_eq!(reloads.due(), None);
    }
}
