//! The module's own process: does what no SIP worker may wait for.

use std::cell::{Cell, RefCell};

use super::entry::{Entry, guard};
use super::persist::Keeper;
use super::state;
use super::{clock, flood};

/// Ms between two looks for what has run out.
const SWEEP: u64 = 200;

thread_local! {
    static SWEPT: Cell<u64> = const { Cell::new(0) };
    static KEEPER: RefCell<Keeper> = const { RefCell::new(Keeper::NEW) };
}

/// Called all the time in this process only.
pub unsafe extern "C" fn tick() {
    guard(Entry::Tick, (), || {
        let Some(state) = state::get() else { return };
        let now = clock::monotonic();
        if now.saturating_sub(SWEPT.get()) >= SWEEP {
            SWEPT.set(now);
            state.flood.sweep(clock::monotonic, |ended| flood::report_end(state, ended));
        }
        if let Some(path) = &state.settings.flood_persist {
            KEEPER.with_borrow_mut(|keeper| keeper.keep(state, path, now));
        }
    });
}
