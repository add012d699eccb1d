//! Whether the tables come from a file.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::shm::{Area, SharedText};

/// Bytes kept of the reason why the database's tables were not loaded.
const REASON: usize = 512;

pub struct Fallback {
    /// 1 while the tables come from the file.
    on: &'static AtomicU64,
    /// Generation that the file keeps.
    kept: &'static AtomicU64,
    reason: SharedText<REASON>,
}

impl Fallback {
    pub fn new() -> io::Result<Self> {
        Ok(Fallback { on: Area::share()?, kept: Area::share()?, reason: SharedText::new()? })
    }

    /// Whether the current tables come from the file.
    pub fn is_on(&self) -> bool {
        self.on.load(Relaxed) != 0
    }

    /// Why; empty if they come from the database.
    pub fn reason(&self) -> String {
        if self.is_on() { self.reason.get() } else { String::new() }
    }

    /// The database's tables could not be loaded.
    pub fn explain(&self, why: &str) {
        self.reason.set(why);
    }

    /// The tables of the file serve as this generation: the database's could not be loaded.
    pub fn begin(&self, generation: u64, why: &str) {
        self.explain(why);
        self.keep(generation);
        self.on.store(1, Relaxed);
    }

    /// The tables of the database serve; whether those of the file did before.
    pub fn end(&self) -> bool {
        self.on.swap(0, Relaxed) != 0
    }

    /// The file keeps this generation.
    pub fn keep(&self, generation: u64) {
        self.kept.store(generation, Relaxed);
    }

    /// Generation that the file keeps.
    pub fn kept(&self) -> u64 {
        self.kept.load(Relaxed)
    }
}
