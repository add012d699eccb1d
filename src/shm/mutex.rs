//! Mutexes between processes.
//!
//! `parking_lot`'s own mutex parks threads in a table of one process, so only
//! its guards are used (`lock_api`), over a word in shared memory. The word names
//! the owner, so a lock whose owner has died is taken over. There are two kinds.
//! Waiters for a [`SharedMutex`] sleep on a futex. A [`ShortMutex`] is for critical
//! sections of about ten instructions: unlock is a plain store, and waiters poll.

use std::time::Duration;
#[cfg(not(shuttle))]
use std::time::Instant;

use once_cell::sync::OnceCell;
use parking_lot::lock_api::{GuardNoSend, Mutex, MutexGuard, RawMutex};

#[cfg(not(shuttle))]
use super::area::Area;
use super::area::Shared;
#[cfg(not(shuttle))]
use super::atomic::AtomicU64;
use super::atomic::{AtomicU32, Ordering::*};
#[cfg(not(shuttle))]
use super::futex::{futex_wait, futex_wake};
#[cfg(not(shuttle))]
use super::owner::is_unknown;
use super::owner::{id_of, is_gone, own_process};

/// Set while there may be waiters; the rest of the word names the owner.
const WAITERS: u32 = 1 << 31;
/// Looks at the word before a waiter goes to sleep.
#[cfg(not(shuttle))]
const SPINS: u32 = 200;
/// How long a waiter for a [`ShortMutex`] leaves the processor to its owner.
#[cfg(not(shuttle))]
const LOOK_AGAIN: Duration = Duration::from_micros(50);
/// How often a waiter looks whether the owner is still alive.
#[cfg(not(shuttle))]
const OWNER_CHECK: Duration = Duration::from_millis(200);
/// How long a waiter trusts `kill`, which says that a process with the owner's pid exists.
/// After that it checks that this is the same process, and reports the wait.
#[cfg(not(shuttle))]
const LONG: Duration = Duration::from_secs(1);

/// Called in a process that has waited for a lock for more than a second.
static ON_LONG_WAIT: OnceCell<fn(u32)> = OnceCell::new();
/// Locks that were taken over by all processes that were forked since the first look.
#[cfg(not(shuttle))]
static TAKEOVERS: OnceCell<&'static AtomicU64> = OnceCell::new();

/// Sets what runs, with the id of the owner, where a wait for a lock lasts longer than a
/// second. Only the first call has an effect.
pub fn on_long_wait(run: fn(owner: u32)) {
    let _ = ON_LONG_WAIT.set(run);
}

/// Locks that were taken over from owners that had ended, by this process or by those that
/// share its first look with it. 0 if there is no memory to count them.
#[cfg(not(shuttle))]
pub fn takeovers() -> u64 {
    TAKEOVERS.get_or_try_init(Area::share_atomic::<AtomicU64>).map_or(0, |all| all.load(Relaxed))
}

/// The scheduler's threads do not die.
#[cfg(shuttle)]
pub fn takeovers() -> u64 {
    0
}

#[cfg(shuttle)]
pub fn count_takeover() {}

/// Counts one, also where what a lock protects was left half done with the lock free.
#[cfg(not(shuttle))]
pub fn count_takeover() {
    if let Some(all) = TAKEOVERS.get() {
        all.fetch_add(1, Relaxed);
    }
}

/// A wait for a lock.
#[cfg(not(shuttle))]
struct Wait {
    started: Instant,
    owner: u32,
    /// Since when the owner is the same, or when it was last checked.
    since: Instant,
    /// Whether a long wait is reported.
    reports: bool,
}

#[cfg(not(shuttle))]
impl Wait {
    fn new(reports: bool) -> Self {
        let now = Instant::now();
        Wait { started: now, owner: 0, since: now, reports }
    }

    /// Whether the owner has ended: the lock must be taken over.
    fn has_ended(&mut self, owner: u32) -> bool {
        if is_unknown(owner) {
            return true;
        }
        let now = Instant::now();
        if owner != self.owner {
            (self.owner, self.since) = (owner, now);
        }
        if now.duration_since(self.since) < LONG {
            return false;
        }
        self.since = now;
        if is_gone(owner) {
            return true;
        }
        let reports = std::mem::take(&mut self.reports);
        if let Some(report) = ON_LONG_WAIT.get().filter(|_| reports) {
            report(id_of(owner));
        }
        false
    }
}

/// The lock word: 0 free, else the owner and [`WAITERS`].
#[repr(transparent)]
pub struct RawSharedMutex(AtomicU32);

/// A value of type `T` under a mutex of all processes.
pub type SharedMutex<T> = Mutex<RawSharedMutex, T>;

// SAFETY: a word and plain data, of which any bytes are a value, so zero and those of
// other processes too; the lock gives one process at a time access to the data.
unsafe impl<T: bytemuck::AnyBitPattern + Send> Shared for SharedMutex<T> {}

// SAFETY: the word is non-zero exactly while one owner holds the lock; it goes
// from zero (or a dead owner) to the new owner in one exchange.
unsafe impl RawMutex for RawSharedMutex {
    #[allow(clippy::declare_interior_mutable_const)]
    const INIT: Self = RawSharedMutex(AtomicU32::new(0));
    type GuardMarker = GuardNoSend;

    fn lock(&self) {
        self.acquire(None);
    }

    fn try_lock(&self) -> bool {
        self.0.compare_exchange(0, own_process(), Acquire, Relaxed).is_ok()
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
    /// Pid of the process that has the lock, 0 if it is free.
    pub fn owner(&self) -> u32 {
        id_of(self.0.load(Relaxed))
    }

    /// Whether the process that has the lock has ended. Where none has it this costs a look.
    pub fn is_left(&self) -> bool {
        let owner = self.0.load(Relaxed) & !WAITERS;
        owner != 0 && is_gone(owner)
    }

    /// Takes the lock; false if `timeout` passes before.
    pub fn acquire(&self, timeout: Option<Duration>) -> bool {
        let me = own_process();
        if self.0.compare_exchange(0, me, Acquire, Relaxed).is_ok() {
            return true;
        }
        self.acquire_contended(me, timeout)
    }

    #[cold]
    #[cfg(not(shuttle))]
    fn acquire_contended(&self, me: u32, timeout: Option<Duration>) -> bool {
        // Most critical sections are shorter than a system call.
        for _ in 0..SPINS {
            std::hint::spin_loop();
            if self.0.load(Relaxed) == 0 && self.0.compare_exchange(0, me, Acquire, Relaxed).is_ok()
            {
                return true;
            }
        }
        // With a timeout the caller reports the wait.
        let mut wait = Wait::new(timeout.is_none());
        loop {
            let seen = self.0.load(Relaxed);
            if seen == 0 || wait.has_ended(seen & !WAITERS) {
                // Others may wait too, so the flag is kept with the lock.
                if self.0.compare_exchange(seen, me | WAITERS, Acquire, Relaxed).is_ok() {
                    if seen != 0 {
                        count_takeover();
                    }
                    return true;
                }
                continue;
            }
            if timeout.is_some_and(|limit| wait.started.elapsed() >= limit) {
                return false;
            }
            let marked = seen | WAITERS;
            if seen == marked || self.0.compare_exchange(seen, marked, Relaxed, Relaxed).is_ok() {
                futex_wait(&self.0, marked, OWNER_CHECK);
            }
        }
    }
}

/// The word of a [`ShortMutex`]: 0 free, else the owner.
#[repr(transparent)]
pub struct RawShortMutex(AtomicU32);

/// A value of type `T` under a mutex of all processes, never locked during a system call.
pub type ShortMutex<T> = Mutex<RawShortMutex, T>;

pub type ShortGuard<'a, T> = MutexGuard<'a, RawShortMutex, T>;

// SAFETY: as for `SharedMutex`.
unsafe impl<T: bytemuck::Pod + Send> Shared for ShortMutex<T> {}

// SAFETY: as for `RawSharedMutex`.
unsafe impl RawMutex for RawShortMutex {
    #[allow(clippy::declare_interior_mutable_const)]
    const INIT: Self = RawShortMutex(AtomicU32::new(0));
    type GuardMarker = GuardNoSend;

    fn lock(&self) {
        if !self.try_lock() {
            self.wait();
        }
    }

    fn try_lock(&self) -> bool {
        self.0.compare_exchange(0, own_process(), Acquire, Relaxed).is_ok()
    }

    unsafe fn unlock(&self) {
        self.0.store(0, Release);
    }
}

impl RawShortMutex {
    /// The owner runs on another core, was preempted, or is dead.
    #[cold]
    #[cfg(not(shuttle))]
    fn wait(&self) {
        let mut wait = Wait::new(true);
        loop {
            for _ in 0..SPINS {
                std::hint::spin_loop();
                if self.0.load(Relaxed) == 0 && self.try_lock() {
                    return;
                }
            }
            std::thread::sleep(LOOK_AGAIN);
            let owner = self.0.load(Relaxed);
            if owner != 0
                && wait.has_ended(owner)
                && self.0.compare_exchange(owner, own_process(), Acquire, Relaxed).is_ok()
            {
                count_takeover();
                return;
            }
        }
    }

    #[cfg(shuttle)]
    fn wait(&self) {
        while !self.try_lock() {
            shuttle::thread::yield_now();
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

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::shm::owner::tests::{with_reused_id, zombie};
    use std::sync::Arc;

    #[test]
    fn both_kinds_exclude_and_hand_over() {
        fn count_to_80_000<R: RawMutex + Send + Sync + 'static>(mutex: Mutex<R, u64>) {
            let mutex = Arc::new(mutex);
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
        count_to_80_000(SharedMutex::new(0));
        count_to_80_000(ShortMutex::new(0));
    }

    #[test]
    fn a_dead_owner_loses_the_lock() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        let mutex = RawSharedMutex(AtomicU32::new(pid));
        assert!(mutex.acquire(Some(Duration::ZERO)));
        let mutex = RawShortMutex(AtomicU32::new(pid));
        mutex.lock();
        assert!(!mutex.try_lock());
    }

    #[test]
    fn nobody_waits_for_ever_for_an_owner_that_only_seems_to_live() {
        let mut child = zombie();
        for owner in [with_reused_id(), child.id()] {
            let mutex = RawSharedMutex(AtomicU32::new(owner));
            mutex.lock();
            assert_eq!(mutex.owner(), std::process::id());
            RawShortMutex(AtomicU32::new(owner)).lock();
        }
        child.wait().unwrap();
    }

    #[test]
    fn a_long_wait_for_a_live_owner_is_reported() {
        static OWNER: AtomicU32 = AtomicU32::new(0);
        on_long_wait(|owner| OWNER.store(owner, Relaxed));
        let mutex = Arc::new(ShortMutex::new(0));
        let guard = mutex.lock();
        let waiter = std::thread::spawn({
            let mutex = Arc::clone(&mutex);
            move || drop(mutex.lock())
        });
        while OWNER.load(Relaxed) == 0 {
            std::thread::yield_now();
        }
        drop(guard);
        waiter.join().unwrap();
        assert_eq!(OWNER.load(Relaxed), std::process::id());
    }

    #[test]
    fn a_live_owner_keeps_it() {
        let mutex = RawSharedMutex(AtomicU32::new(std::process::id()));
        assert!(!mutex.acquire(Some(Duration::ZERO)));
    }
}
