//! The module's own process: does what no SIP worker may wait for.

use std::cell::{Cell, RefCell};

use super::audit::Audit;
use super::feeder::Feeder;
use super::keeper::Keeper;
use super::route::run_route;
use super::{revision, tables_keeper, usage};
use crate::clock;
use crate::events::{Event, EventKind, Expiry, Reader};
use crate::host::contract::log;
use crate::host::reload::fallback;
use crate::host::report::{bans, blocks};
use crate::host::state::rules::with_auth_rules;
use crate::host::state::{self, State};
use crate::printable::Printable;

/// Ms between two looks for what has run out.
const SWEEP: u64 = 200;
/// Ms between two looks for repeats of events.
const REPEATS: u64 = 1000;
/// Events that are told in one go.
const AT_ONCE: usize = 500;

thread_local! {
    static SWEPT: Cell<u64> = const { Cell::new(0) };
    static REPEATED: Cell<u64> = const { Cell::new(0) };
    static READER: RefCell<Reader> = const { RefCell::new(Reader::NEW) };
    static KEEPER: RefCell<Keeper> = const { RefCell::new(Keeper::NEW) };
    static TABLES: RefCell<tables_keeper::Keeper> = const { RefCell::new(tables_keeper::Keeper::NEW) };
    static FEEDER: RefCell<Feeder> = RefCell::new(Feeder::default());
    static AUDIT: RefCell<Audit> = const { RefCell::new(Audit::NEW) };
}

/// Called all the time in this process only.
pub fn tick() {
    let Some(state) = state::get() else { return };
    let now = clock::monotonic();
    if now.saturating_sub(SWEPT.get()) >= SWEEP {
        SWEPT.set(now);
        state.flood.sweep(clock::monotonic, |ended| blocks::report_end(state, ended));
        with_auth_rules(state, |rules| {
            state.auth.sweep(rules, clock::monotonic, |ban| bans::report_end(state, ban));
        });
        revision::revise(state);
    }
    READER.with_borrow_mut(|reader| {
        for _ in 0..AT_ONCE {
            let Some(event) = reader.take(&state.journal) else { break };
            tell(state, &event);
        }
        if now.saturating_sub(REPEATED.get()) >= REPEATS {
            REPEATED.set(now);
            reader.repeats(&state.journal, clock::wall(), |event| tell(state, event));
        }
    });
    usage::tell(state, now);
    AUDIT.with_borrow_mut(|audit| audit.write(&state.values, now));
    KEEPER.with_borrow_mut(|keeper| keeper.keep(state, now));
    TABLES.with_borrow_mut(|keeper| keeper.keep(state, now));
    fallback::tell(state, now);
    if let Some(sets) = &state.settings.firewall {
        FEEDER.with_borrow_mut(|feeder| feeder.feed(state, sets, now));
    }
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
    let call_id = Printable::full(event.aor());
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
