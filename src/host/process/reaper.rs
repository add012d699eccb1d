//! Compares leases with dialogs: with correct code it finds nothing.

use std::cell::Cell;

use crate::clock;
use crate::host::contract::counters::{self, Own};
use crate::host::contract::{dialogs, log};
use crate::host::report::events;
use crate::host::settings::at;
use crate::host::state::{self, State};
use crate::ledger::LeaseInfo;
use crate::printable::Printable;

thread_local! {
    /// Ms at the last comparison of this process.
    static REAPED: Cell<u64> = const { Cell::new(0) };
}

/// Runs each second in a timer process, and each `reaper_interval` frees what two
/// comparisons in turn found leaked.
pub fn reap() {
    let Some(state) = state::get() else { return };
    let interval = 1000 * u64::try_from(state.values.int(at::REAPER_INTERVAL)).unwrap_or(0);
    let now = clock::monotonic();
    // A timer that comes a little early is not put off to the next second.
    if interval > 0 && now.saturating_sub(REAPED.get()) + 500 >= interval {
        REAPED.set(now);
        reconcile(state, false);
    }
}

/// What a comparison found.
#[derive(Default)]
pub struct Reconciled {
    /// Leases looked at.
    pub leases: u64,
    /// Leases without a dialog.
    pub missing: u64,
    /// Leases freed.
    pub freed: u64,
    /// Call-IDs of the first leases without a dialog.
    pub named: Vec<String>,
}

/// Call-IDs that [`Reconciled`] names.
const NAMED: usize = 20;

/// Compares all leases with dialogs and changes nothing.
pub fn compare(state: &State) -> Reconciled {
    walk(state, |_, _| false)
}

/// Compares all leases with dialogs. One without a dialog is freed if the last
/// comparison missed its dialog too, since a dialog may just be going, or if
/// `free` says so.
pub fn reconcile(state: &State, free: bool) -> Reconciled {
    walk(state, |info, missing| {
        let again = state.ledger.note_missing(info.dialog, info.lease, missing);
        let freed =
            missing && (again || free) && state.ledger.forget_lease(info.dialog, info.lease);
        if freed {
            report(info);
            events::leaked(state, &info.call_id);
        }
        freed
    })
}

/// Asks for each lease whether its dialog exists; `act` says whether it freed it.
fn walk(state: &State, act: impl Fn(&LeaseInfo, bool) -> bool) -> Reconciled {
    let mut found = Reconciled::default();
    for position in 0..state.ledger.positions() {
        let Some(info) = state.ledger.at(position) else { continue };
        found.leases += 1;
        // No lock is held here: the host takes the dialog's own.
        let missing = dialogs::exists(info.dialog) == Some(false);
        found.freed += u64::from(act(&info, missing));
        found.missing += u64::from(missing);
        if missing && found.named.len() < NAMED {
            found.named.push(Printable::full(&info.call_id).to_string());
        }
    }
    found
}

fn report(info: &LeaseInfo) {
    counters::count_own(Own::LeasesLeaked);
    log::error(format_args!(
        "BUG: the call {} was still counted while its dialog was gone; freed",
        Printable::full(&info.call_id)
    ));
}
