//! The module's own process: does what no SIP worker may wait for.

use std::cell::Cell;

use super::entry::{Entry, guard};
use super::state;
use super::{clock, flood, persist};

/// Ms between two looks for what has run out.
const SWEEP: u64 = 200;
/// Ms between two writes of the file of blocks.
const PERSIST: u64 = 1000;

thread_local! {
    static SWEPT: Cell<u64> = const { Cell::new(0) };
    static PERSISTED: Cell<u64> = const { Cell::new(0) };
    /// [`crate::flood::FloodTable::changes`] at the last write.
    static WRITTEN: Cell<Option<u64>> = const { Cell::new(None) };
}

/// Called all the time in this process only.
pub unsafe extern "C" fn tick() {
    guard(Entry::Tick, (), || {
        let Some(state) = state::get() else { return };
        let now = clock::monotonic();
        if due(&SWEPT, now, SWEEP) {
            state.flood.sweep(now, |ended| flood::report_end(state, ended));
        }
        if let Some(path) = &state.settings.flood_persist
            && due(&PERSISTED, now, PERSIST)
        {
            let changes = state.flood.changes();
            if WRITTEN.get() != Some(changes) && persist::write(state, path) {
                WRITTEN.set(Some(changes));
            }
        }
    });
}

fn due(last: &'static std::thread::LocalKey<Cell<u64>>, now: u64, period: u64) -> bool {
    let due = now.saturating_sub(last.get()) >= period;
    if due {
        last.set(now);
    }
    due
}
