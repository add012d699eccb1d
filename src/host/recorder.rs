//! The module's own process: does what no SIP worker may wait for.

use std::cell::{Cell, RefCell};

use super::abi;
use super::audit::Audit;
use super::entry::{Entry, guard};
use super::firewall::Feeder;
use super::persist::Keeper;
use super::state::{self, State};
use super::tables_file;
use super::{auth, clock, fallback, flood, gauges, log, reaper, revision, variables};
use crate::events::{Event, EventKind, Expiry, Reader};
use crate::printable::Printable;

/// Ms between two looks for what has run out.
const SWEEP: u64 = 200;
/// Ms between two looks for repeats of events.
const REPEATS: u64 = 1000;
/// Ms for which events are told in one go: as many as there are, unless telling them
/// takes its time.
const TELLING: u64 = 50;

thread_local! {
    static SWEPT: Cell<u64> = const { Cell::new(0) };
    static REPEATED: Cell<u64> = const { Cell::new(0) };
    static READER: RefCell<Reader> = const { RefCell::new(Reader::NEW) };
    static KEEPER: RefCell<Keeper> = const { RefCell::new(Keeper::NEW) };
    static TABLES: RefCell<tables_file::Keeper> = const { RefCell::new(tables_file::Keeper::NEW) };
    static FEEDER: RefCell<Feeder> = RefCell::new(Feeder::default());
    static AUDIT: RefCell<Audit> = const { RefCell::new(Audit::NEW) };
}

/// Called all the time in this process only.
pub unsafe extern "C" fn tick() {
    guard(Entry::Tick, (), || {
        let Some(state) = state::get() else { return };
        let now = clock::monotonic();
        if now.saturating_sub(SWEPT.get()) >= SWEEP {
            SWEPT.set(now);
            state.flood.sweep(clock::monotonic, |ended| flood::report_end(state, ended));
            auth::sweep(state);
            revision::revise(state);
        }
        guard(Entry::Reap, (), || reaper::reap(state, now));
        READER.with_borrow_mut(|reader| {
            while clock::monotonic().saturating_sub(now) < TELLING {
                let Some(event) = reader.take(&state.journal) else { break };
                tell(state, &event);
            }
            if now.saturating_sub(REPEATED.get()) >= REPEATS {
                REPEATED.set(now);
                reader.repeats(&state.journal, clock::wall(), |event| tell(state, event));
            }
        });
        gauges::tell(state, now);
        AUDIT.with_borrow_mut(|audit| audit.write(&state.values, now));
        KEEPER.with_borrow_mut(|keeper| keeper.keep(state, now));
        TABLES.with_borrow_mut(|keeper| keeper.keep(state, now));
        fallback::tell(state, now);
        if let Some(sets) = &state.settings.firewall {
            FEEDER.with_borrow_mut(|feeder| feeder.feed(state, sets, now));
        }
    });
}

/// Everything that becomes of an event.
fn tell(state: &State, event: &Event) {
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
    run_route(state, kind.route(), event);
}

/// Said here and not where it happens: a dialog may be locked there.
fn log_expired(event: &Event) {
    let call_id = Printable::full(event.call_id());
    let company = Printable::full(event.company());
    let why = event.expiry().map_or("", Expiry::meaning);
    let bye = match event.said_bye() {
        true => "both ends were sent a BYE",
        false => "no BYE was sent, it may go on uncounted",
    };
    log::warning(format_args!(
        "the call {call_id} of company \"{company}\" counts no more: {why}; {bye}"
    ));
}

/// Runs an event route while `$swd` tells of the event.
pub fn run_route(state: &State, name: &std::ffi::CStr, event: &Event) {
    let Some(run) = abi::host().and_then(|host| host.run_event) else { return };
    variables::with_event(event, || {
        let callback = state.values.event_callback();
        // SAFETY: the name and the callback's name outlive the call.
        unsafe { run(name.as_ptr(), callback.as_ptr()) };
    });
}
