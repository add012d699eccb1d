//! A mutex between processes, for rare work such as reloads.
//!
//! `parking_lot`'s own mutex parks threads in a table of one process, so only
//! its guards are used (`lock_api`), over a futex word in shared memory. The
//! word holds the owner's pid, so a lock whose owner has died is taken over.

use std::time::Duration;
#[cfg(not(shuttle))]
use std::time::Instant;

use parking_lot::lock_api::{GuardNoSend, Mutex, RawMutex};

use super::area::Shared;
use super::atomic::{AtomicU32, Ordering::*};
use super::process_id::process_id;

/// Set while somebody may be waiting; the rest of the word is the owner's pid.
const WAITERS: u32 = 1 << 31;
/// Looks at the word before a waiter goes to sleep.
#[cfg(not(shuttle))]
const SPINS: u32 = 200;
/// How often a waiter looks whether the owner is still alive.
#[cfg(not(shuttle))]
const OWNER_CHECK: Duration = Duration::from_millis(200);

/// The lock word: 0 free, else pid of the owner and [`WAITERS`].
#[repr(transparent)]
pub struct RawSharedMutex(AtomicU32);

/// A value of type `T` under a mutex of all processes.
pub type SharedMutex<T> = Mutex<RawSharedMutex, T>;

// SAFETY: a word and plain data, both valid when zero; the lock gives one
// process at a time access to the data.
unsafe impl<T: bytemuck::Pod + Send> Shared for SharedMutex<T> {}

// SAFETY: the word is non-zero exactly while one owner holds the lock; it goes
// from zero (or a dead owner's pid) to the new owner's pid in one exchange.
unsafe impl RawMutex for RawSharedMutex {
    #[allow(clippy::declare_interior_mutable_const)]
    const INIT: Self = RawSharedMutex(AtomicU32::new(0));
    type GuardMarker = GuardNoSend;

    fn lock(&self) {
        self.acquire(None);
    }

    fn try_lock(&self) -> bool {
        self.0.compare_exchange(0, process_id(), Acquire, Relaxed).is_ok()
    }

    unsafe fn unlock(&self) {
        let word = self.0.swap(0, Release);
        #[cfg(not(shuttle))]
        if word & WAITERS != 0 {
            futex_wake(&self.0);
        }
        #[cfg(shuttle)]
        let _ = word;
    }
}

impl RawSharedMutex {
    /// Pid of the process that holds the lock, 0 if none does.
    pub fn owner(&self) -> u32 {
        self.0.load(Relaxed) & !WAITERS
    }

    /// Takes the lock; false if `timeout` passes before.
    pub fn acquire(&self, timeout: Option<Duration>) -> bool {
        let me = process_id();
        if self.0.compare_exchange(0, me, Acquire, Relaxed).is_ok() {
            return true;
        }
        self.acquire_contended(me, timeout)
    }

    #[cold]
    #[cfg(not(shuttle))]
    fn acquire_contended(&self, me: u32, timeout: Option<Duration>) -> bool {
        // Most locks are held for less than a system call takes.
        for _ in 0..SPINS {
            std::hint::spin_loop();
            if self.0.load(Relaxed) == 0 && self.0.compare_exchange(0, me, Acquire, Relaxed).is_ok()
            {
                return true;
            }
        }
        let started = Instant::now();
        loop {
            let seen = self.0.load(Relaxed);
            if seen == 0 || !is_alive(seen & !WAITERS) {
                // Others may wait too, so the flag is kept with the lock.
                if self.0.compare_exchange(seen, me | WAITERS, Acquire, Relaxed).is_ok() {
                    return true;
                }
                continue;
            }
            if timeout.is_some_and(|limit| started.elapsed() >= limit) {
                return false;
            }
            let marked = seen | WAITERS;
            if seen == marked || self.0.compare_exchange(seen, marked, Relaxed, Relaxed).is_ok() {
                futex_wait(&self.0, marked, OWNER_CHECK);
            }
        }
    }
}

#[cfg(shuttle)]
impl RawSharedMutex {
    fn acquire_contended(&self, me: u32, _timeout: Option<Duration>) -> bool {
        while self.0.compare_exchange(0, me, Acquire, Relaxed).is_err() {
            shuttle::thread::yield_now();
        }
        true
    }
}

/// Whether a process with this pid exists, zombies aside.
pub fn is_alive(pid: u32) -> bool {
    let Ok(pid) = libc::pid_t::try_from(pid) else {
        return false;
    };
    // SAFETY: signal 0 only asks whether the process exists.
    let rc = unsafe { libc::kill(pid, 0) };
    rc == 0 || std::io::Error::last_os_error().raw_os_error() == Some(libc::EPERM)
}

#[cfg(not(shuttle))]
fn futex_wait(word: &AtomicU32, expected: u32, timeout: Duration) {
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

#[cfg(not(shuttle))]
fn futex_wake(word: &AtomicU32) {
    // SAFETY: the word is mapped; waking has no other effect on memory.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, 1);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn it_excludes_and_hands_over() {
        let mutex = Arc::new(SharedMutex::new(0u64));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let mutex = Arc::clone(&mutex);
                std::thread::spawn(move || {
                    for _ in 0..20_000 {
                        let mut guard = mutex.lock();
                        let seen = std::hint::black_box(*guard);
                        *guard = seen + 1;
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|t| t.join().unwrap());
        assert_eq!(*mutex.lock(), 80_000);
    }

    #[test]
    fn a_dead_owner_loses_the_lock() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        let mutex = RawSharedMutex(AtomicU32::new(pid));
        assert!(mutex.acquire(Some(Duration::ZERO)));
    }

    #[test]
    fn a_live_owner_keeps_it() {
        let mutex = RawSharedMutex(AtomicU32::new(std::process::id()));
        assert!(!mutex.acquire(Some(Duration::ZERO)));
    }
}
