//! Whether the firewall's sets are fed, as all processes see it.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::shm::{Area, SharedText};

/// Bytes kept of what is wrong.
const PROBLEM: usize = 256;

/// Whether the sets are fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Mode {
    Off,
    /// No answer from nft yet.
    Starting,
    On,
    /// They cannot be fed.
    Failed,
}

impl Mode {
    const ALL: [Mode; 4] = [Mode::Off, Mode::Starting, Mode::On, Mode::Failed];

    /// As `sipwarden.stats` prints it.
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Off => "off",
            Mode::Starting => "starting",
            Mode::On => "on",
            Mode::Failed => "failed",
        }
    }
}

/// Read by all processes, written by the warden.
pub struct Status {
    mode: &'static AtomicU64,
    elements: &'static AtomicU64,
    left_out: &'static AtomicU64,
    problem: SharedText<PROBLEM>,
}

impl Status {
    pub fn new() -> io::Result<Self> {
        Ok(Status {
            mode: Area::share()?,
            elements: Area::share()?,
            left_out: Area::share()?,
            problem: SharedText::new()?,
        })
    }

    /// Whether the sets are fed.
    pub fn mode(&self) -> Mode {
        Mode::ALL.get(self.mode.load(Relaxed) as usize).copied().unwrap_or(Mode::Off)
    }

    pub fn elements(&self) -> u64 {
        self.elements.load(Relaxed)
    }

    pub fn set_elements(&self, count: usize) {
        self.elements.store(count as u64, Relaxed);
    }

    /// Blocks for which there is no room.
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Relaxed)
    }

    pub fn set_left_out(&self, count: usize) {
        self.left_out.store(count as u64, Relaxed);
    }

    /// Why they cannot be fed; empty if they can.
    pub fn problem(&self) -> String {
        self.problem.get()
    }

    /// Whether they cannot be fed for this reason.
    pub fn has_failed(&self, problem: &str) -> bool {
        self.mode() == Mode::Failed && self.problem.is(problem)
    }

    /// Sets mode and problem.
    pub fn set(&self, mode: Mode, problem: &str) {
        self.mode.store(mode as u64, Relaxed);
        self.problem.set(problem);
    }
}
