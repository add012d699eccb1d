//! The pid of the calling process without a system call each time.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use once_cell::sync::OnceCell;

static PID: AtomicU32 = AtomicU32::new(0);
static WATCHING: OnceCell<bool> = OnceCell::new();

extern "C" fn forget() {
    PID.store(0, Relaxed);
}

/// The caller's pid.
pub fn process_id() -> u32 {
    match PID.load(Relaxed) {
        0 => learn(),
        pid => pid,
    }
}

#[cold]
fn learn() -> u32 {
    let pid = std::process::id();
    // SAFETY: the handler is a single atomic store.
    let watch = || unsafe { libc::pthread_atfork(None, None, Some(forget)) } == 0;
    if *WATCHING.get_or_init(watch) {
        PID.store(pid, Relaxed);
    }
    pid
}
