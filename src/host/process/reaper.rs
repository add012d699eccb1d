//! Compares leases with dialogs. It finds leaks, which only a defect can cause.

use std::cell::{Cell, RefCell};

use crate::host::contract::counters::{self, Own};
use crate::host::contract::{dialogs, log};
use crate::host::report::events;
use crate::host::settings::at;
use crate::host::state::State;
use crate::ledger::LeaseInfo;
use crate::printable::Printable;
use crate::shm::takeovers;

/// Records in one slice: some ms, so that events do not wait longer.
const SLICE: u32 = 5_000;

thread_local! {
    static ROUND: RefCell<Round> = const { RefCell::new(Round { begun: 0, next: None }) };
}

/// A comparison of all leases, a slice at a time: millions of leases at once would block the
/// process for seconds.
struct Round {
    /// Ms of the clock when the last one began.
    begun: u64,
    /// The next record; None: it is done.
    next: Option<u32>,
}

impl Round {
    /// The records to look at now; `interval` is ms between two beginnings.
    fn slice(&mut self, positions: u32, now: u64, interval: u64) -> std::ops::Range<u32> {
        let from = match self.next {
            Some(next) => next,
            None if now.saturating_sub(self.begun) >= interval => {
                self.begun = now;
                0
            }
            None => return 0..0,
        };
        let to = from.saturating_add(SLICE).min(positions);
        self.next = (to < positions).then_some(to);
        from..to
    }
}

/// Ms between two counts of all calls: meanwhile none can begin or end.
const RECOUNTING: u64 = 1000;
/// In so many looks all locks are looked at.
const PARTS: u32 = 32;

thread_local! {
    static LOOKS: Cell<u32> = const { Cell::new(0) };
    static RECOUNTED: Cell<u64> = const { Cell::new(0) };
}

/// Counts all calls anew after a process has died with a lock, or a panic has left them half
/// counted. Called all the time in the recorder.
pub fn recount(state: &State, now: u64) {
    let look = LOOKS.get();
    LOOKS.set(look.wrapping_add(1));
    state.ledger.free_left_locks(look % PARTS, PARTS);
    if now.saturating_sub(RECOUNTED.get()) < RECOUNTING {
        return;
    }
    if let Some(wrong) = state.ledger.recount_if_due() {
        RECOUNTED.set(now);
        log::warning(format_args!(
            "all calls were counted anew: a process had ended, or a panic was caught, while calls \
             were counted; counts that were wrong: {wrong}"
        ));
    }
}

/// Called all the time in the recorder, which may wait for dialogs. Each `reaper_interval` a
/// comparison begins; it frees the leases that the last one found without a dialog too.
pub fn reap(state: &State, now: u64) {
    let interval = 1000 * u64::try_from(state.values.int(at::REAPER_INTERVAL)).unwrap_or(0);
    if interval == 0 || !dialogs::can_look_up() {
        return;
    }
    let positions = state.ledger.positions();
    let slice = ROUND.with_borrow_mut(|round| round.slice(positions, now, interval));
    compare_with(state, slice, |info, missing| free_leaked(state, info, missing, false));
}

/// What a comparison found.
#[derive(Default)]
pub struct Reconciled {
    pub leases: u64,
    pub missing: u64,
    pub freed: u64,
    /// Call-IDs of the first leases without a dialog.
    pub named: Vec<String>,
}

/// Call-IDs that [`Reconciled`] names.
const NAMED: usize = 20;

/// Compares all leases with dialogs and changes nothing.
pub fn compare(state: &State) -> Reconciled {
    compare_with(state, 0..state.ledger.positions(), |_, _| false)
}

/// Compares all leases with dialogs. One without a dialog is freed if the last
/// comparison missed its dialog too, since a dialog may just be ending, or with `free`.
pub fn reconcile(state: &State, free: bool) -> Reconciled {
    let all = 0..state.ledger.positions();
    compare_with(state, all, |info, missing| free_leaked(state, info, missing, free))
}

/// Frees a lease if its dialog is missing again; whether it did.
fn free_leaked(state: &State, info: &LeaseInfo, missing: bool, free: bool) -> bool {
    let again = state.ledger.note_missing(info.dialog, info.lease, missing);
    let freed = missing && (again || free) && state.ledger.forget_lease(info.dialog, info.lease);
    if freed {
        report(info);
        events::leaked(state, &info.call_id);
    }
    freed
}

/// Calls `act` for each lease with whether its dialog is missing; `act` returns whether it
/// freed the lease.
fn compare_with(
    state: &State,
    positions: std::ops::Range<u32>,
    act: impl Fn(&LeaseInfo, bool) -> bool,
) -> Reconciled {
    let mut found = Reconciled::default();
    for position in positions {
        let Some(info) = state.ledger.at(position) else { continue };
        found.leases += 1;
        // Without any lock: the host takes the dialog's own.
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
    let call_id = Printable::full(&info.call_id);
    let was = if info.live { "counted" } else { "remembered" };
    if takeovers() == 0 {
        log::error(format_args!(
            "BUG: the call {call_id} was still {was} while its dialog was gone; freed"
        ));
    } else {
        log::warning(format_args!(
            "the call {call_id} was still {was} while its dialog was gone; freed. A process had ended, \
             or a panic was caught, before"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_looks_at_each_lease_once_a_slice_at_a_time() {
        const LEASES: u32 = 3 * SLICE + 7;
        let mut round = Round { begun: 0, next: None };
        assert!(round.slice(LEASES, 999, 1000).is_empty());
        for begin in [1000, 5000] {
            let mut seen = 0;
            for look in 0..4 {
                let slice = round.slice(LEASES, begin + look, 1000);
                assert!(slice.start == seen && slice.len() <= SLICE as usize, "{slice:?}");
                seen = slice.end;
            }
            assert_eq!(seen, LEASES);
            assert!(round.slice(LEASES, begin + 999, 1000).is_empty());
        }
        assert!(round.slice(0, 9000, 1000).is_empty() && round.next.is_none());
    }
}
