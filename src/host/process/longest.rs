//! Ends calls that have lasted as long as the limits of their scopes allow, and forgets
//! scopes whose calls are over when their rates have, or are in limit_table no more.

use std::cell::Cell;

use crate::clock;
use crate::events::Expiry;
use crate::host::contract::counters::{self, Own};
use crate::host::contract::dialogs::{self, Ending};
use crate::host::report::events;
use crate::host::state::rules::monitors;
use crate::host::state::{State, with_snapshot};

/// Ms between two looks.
const PERIOD: u64 = 500;
/// Seconds until a call is tried again that could not be ended: more than a BYE without an
/// answer takes, so that an end that has got one gets no other.
const AGAIN: i64 = 60;
/// Scopes that one look sweeps.
const SWEPT: u32 = 20_000;

thread_local! {
    static LOOKED: Cell<u64> = const { Cell::new(0) };
}

/// Called all the time in the recorder, as the host may wait while it sends a BYE.
pub fn end_calls(state: &State, now: u64) {
    if now.saturating_sub(LOOKED.get()) < PERIOD {
        return;
    }
    LOOKED.set(now);
    let time = clock::whole_seconds(now);
    for position in 0..state.ledger.positions() {
        let Some(call) = state.ledger.overdue(position, time) else { continue };
        if monitors() {
            if state.ledger.clear_end(call.dialog) {
                events::call_would_expire(state, &call, Expiry::Longest);
            }
            continue;
        }
        // No lock is held here: the host takes the dialog's own. One that was not answered
        // is asked for again.
        let ending = dialogs::end(call.dialog);
        if ending == Ending::Failed {
            state.ledger.postpone_end(call.dialog, time + AGAIN);
        }
        // Told once, also if it cannot be ended for hours.
        if ending != Ending::Nothing && !call.is_stuck {
            counters::count_own(Own::CallsExpired);
            events::call_expired(state, &call, Expiry::Longest, ending == Ending::Sent);
        }
    }
    with_snapshot(|view, _| {
        let has_rate = |kind, id: &[u8]| view.limits(kind, id).iter().any(|l| l.rate.is_on());
        state.ledger.sweep_where(SWEPT, now, has_rate)
    });
}
