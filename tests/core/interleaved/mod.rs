//! What several processes run at once, under a scheduler that draws interleavings of all atomic
//! operations (`make shuttle`). It has one order of all operations: that of memory is not drawn.
//! A wait in the kernel ends at any time.

mod asks;
mod budgets;
mod events;
mod grants;
mod ledger;
mod pool;
mod proofs;
mod ring;
mod snapshots;
mod sources;
mod users;

use std::sync::Arc;

use shuttle::thread::{self, JoinHandle};
use sipwarden::shm::Area;

/// For each test; fewer in `make test`.
fn schedules() -> usize {
    let set = std::env::var("SCHEDULES").map(|number| number.parse().unwrap());
    set.unwrap_or(20_000)
}

/// Each schedule makes what is shared, and its users, anew.
fn alone(schedule: impl Fn() + Send + Sync + 'static) -> impl Fn() + Send + Sync + 'static {
    move || {
        // SAFETY: all threads of the schedule before have ended, and what they shared is gone.
        unsafe { Area::free_shared() };
        schedule();
    }
}

/// Draws who goes on at each operation.
fn check(schedule: impl Fn() + Send + Sync + 'static) {
    shuttle::check_random(alone(schedule), schedules());
}

/// Draws `changes` of who goes first: where few of very many operations matter, schedules of
/// [`check`] seldom meet there.
fn check_long(changes: usize, schedule: impl Fn() + Send + Sync + 'static) {
    shuttle::check_pct(alone(schedule), schedules(), changes);
}

fn spawn<T: Send + Sync + 'static, R: Send + 'static>(
    shared: &Arc<T>,
    act: impl FnOnce(&T) -> R + Send + 'static,
) -> JoinHandle<R> {
    let shared = Arc::clone(shared);
    thread::spawn(move || act(&shared))
}
