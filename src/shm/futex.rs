//! Waiting in the kernel until a word in shared memory changes.

use std::io;
use std::time::Duration;

use super::area::Area;
use super::atomic::{AtomicU32, Ordering::SeqCst};

/// Sleeps while the word is `expected`, at most for `timeout`; may wake early.
#[cfg(not(shuttle))]
pub fn futex_wait(word: &AtomicU32, expected: u32, timeout: Duration) {
    let timeout = libc::timespec {
        tv_sec: timeout.as_secs() as libc::time_t,
        tv_nsec: timeout.subsec_nanos() as libc::c_long,
    };
    // SAFETY: the word and the timeout outlive the call. No FUTEX_PRIVATE_FLAG:
    // waiters are other processes.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            expected,
            &raw const timeout,
        );
    }
}

/// Wakes one that sleeps.
#[cfg(not(shuttle))]
pub fn futex_wake(word: &AtomicU32) {
    // SAFETY: the word is mapped; waking has no other effect on memory.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1);
    }
}

#[cfg(shuttle)]
pub fn futex_wait(_: &AtomicU32, _: u32, _: Duration) {
    shuttle::thread::yield_now();
}

#[cfg(shuttle)]
pub fn futex_wake(_: &AtomicU32) {}

/// Lets others go on for a time.
#[cfg(not(shuttle))]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

#[cfg(shuttle)]
pub fn pause(_: Duration) {
    shuttle::thread::yield_now();
}

/// Wakes one process that others have work for. A ring is a system call only while it sleeps.
pub struct Bell {
    rings: &'static AtomicU32,
    asleep: &'static AtomicU32,
}

impl Bell {
    /// Maps one.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new() -> io::Result<Self> {
        Ok(Bell { rings: Area::share_atomic()?, asleep: Area::share_atomic()? })
    }

    /// There is work: what was written before is seen by the one that wakes.
    pub fn ring(&self) {
        self.rings.fetch_add(1, SeqCst);
        if self.asleep.load(SeqCst) != 0 {
            futex_wake(self.rings);
        }
    }

    /// Rings so far; asked before one looks for work.
    pub fn rings(&self) -> u32 {
        self.rings.load(SeqCst)
    }

    /// Sleeps until the next ring after `seen`, at most for `timeout`. One process at a time.
    pub fn wait(&self, seen: u32, timeout: Duration) {
        self.asleep.store(1, SeqCst);
        if self.rings() == seen {
            futex_wait(self.rings, seen, timeout);
        }
        self.asleep.store(0, SeqCst);
    }
}
