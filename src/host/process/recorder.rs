//! The process that may wait: it runs event routes, writes the audit table, and compares calls
//! with dialogs. Nothing urgent depends on it.

use std::cell::{Cell, RefCell};

use super::audit::Audit;
use super::route::run_route;
use super::{longest, reaper, usage};
use crate::clock;
use crate::events::{Event, EventKind, Expiry, JournalReader};
use crate::host::contract::guard::{Entry, guard};
use crate::host::contract::log;
use crate::host::state::{self, State};
use crate::printable::Printable;

/// Ms between two looks for repeats of events.
const REPEATS: u64 = 1000;
/// Ms for which events are reported at a time.
const REPORTING: u64 = 50;
/// Ms between two slices of a comparison of calls with dialogs.
const REAPING: u64 = 100;

thread_local! {
    static REPEATED: Cell<u64> = const { Cell::new(0) };
    static REAPED: Cell<u64> = const { Cell::new(0) };
    static READER: RefCell<JournalReader> = const { RefCell::new(JournalReader::NEW) };
    static AUDIT: RefCell<Audit> = const { RefCell::new(Audit::NEW) };
}

/// Called all the time in this process only, each job with a guard of its own. True if
/// there is more to do at once.
pub fn record() -> bool {
    let Some(state) = state::get() else { return false };
    let now = clock::monotonic();
    let events = guard(Entry::Tell, false, || report_all(state, now));
    guard(Entry::Gauges, (), || usage::tell(state, now));
    // In this process, since the host may keep a dialog's lock while it asks a database.
    if now.saturating_sub(REAPED.get()) >= REAPING {
        REAPED.set(now);
        guard(Entry::Reap, (), || reaper::recount(state, now));
        guard(Entry::Reap, (), || reaper::reap(state, now));
    }
    guard(Entry::EndCalls, (), || longest::end_calls(state, now));
    let write = || AUDIT.with_borrow_mut(|audit| audit.write(&state.values, now));
    let rows = guard(Entry::Audit, false, write);
    events || rows
}

/// True if time was up before the last event.
fn report_all(state: &State, now: u64) -> bool {
    let mut all = false;
    while !all && clock::monotonic().saturating_sub(now) < REPORTING {
        let event = READER.with_borrow_mut(|reader| reader.take(&state.journal));
        event.iter().for_each(|event| report(state, event));
        all = event.is_none();
    }
    if now.saturating_sub(REPEATED.get()) >= REPEATS {
        REPEATED.set(now);
        let mut repeats = Vec::new();
        READER.with_borrow_mut(|reader| {
            reader.repeats(&state.journal, clock::wall(), |event| repeats.push(*event));
        });
        repeats.iter().for_each(|event| report(state, event));
    }
    !all
}

/// Passes an event to the listings, the audit table and its event route.
fn report(state: &State, event: &Event) {
    let Some(kind) = event.kind() else { return };
    match kind {
        EventKind::Denied | EventKind::Limit => state.recent.add(event),
        EventKind::BlockStarted | EventKind::BanStarted => state.starts.add(event),
        _ => {}
    }
    if kind == EventKind::CallExpired {
        log_expired(event);
    }
    if state.values.has_audit() {
        AUDIT.with_borrow_mut(|audit| audit.add(event));
    }
    run_route(kind.route(), event);
}

/// Logged here, since where it happens a dialog may be locked.
fn log_expired(event: &Event) {
    let call_id = Printable::full(event.call_id());
    let company = Printable::full(event.company());
    let why = event.expiry().map_or("", Expiry::meaning);
    if event.is_monitored() {
        log::warning(format_args!(
            "the call {call_id} of company \"{company}\" goes on in monitor mode, else it would be \
             ended: {why}"
        ));
        return;
    }
    let becomes = match (event.expiry(), event.said_bye()) {
        (Some(Expiry::Longest), false) => {
            log::warning(format_args!(
                "the call {call_id} of company \"{company}\" cannot be ended: {why}, but not both \
                 ends can be sent a BYE; it counts while its dialog lives, and each minute is \
                 tried again"
            ));
            return;
        }
        (Some(Expiry::Longest), true) => "both ends were sent a BYE",
        // Told before the host sends it.
        (_, true) => "both ends get a BYE if they can be reached",
        (_, false) => "no BYE was sent, it may go on uncounted",
    };
    log::warning(format_args!(
        "the call {call_id} of company \"{company}\" counts no more: {why}; {becomes}"
    ));
}
