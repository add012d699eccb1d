//! The table of functions that the C shim calls, and the life cycle.

use std::ffi::{CStr, c_char};
use std::ptr;

use super::abi::{self, sw_host, sw_module, sw_param};
use super::entry::{Entry, guard, keep_panic_messages};
use super::settings::{self, Kind, PARAMS, Settings};
use super::state::{self, State};
use super::{calls, dialogs, functions, log, process, reaper, reload, rpc, statistics, variables};

/// What `c_shim/sipwarden.h` declares as the only symbol of the Rust side.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static sw_rust_module: sw_module = sw_module {
    param: Some(param),
    statistic: Some(statistic),
    variable_index: Some(variables::variable_index),
    attach: Some(attach),
    set_param: Some(set_param),
    init: Some(init),
    destroy: Some(destroy),
    check_company_ip: Some(functions::check_company_ip),
    roadwarrior_acquire: Some(calls::roadwarrior_acquire),
    cc_limit: Some(calls::cc_limit),
    dialog_event: Some(calls::dialog_event),
    dialog_restored: Some(calls::dialog_restored),
    reap_interval: Some(reaper::reap_interval),
    reap: Some(reaper::reap),
    variable: Some(variables::variable),
    rpc: Some(rpc::call),
};

const OK: i32 = 0;
const FAILED: i32 = -1;

unsafe extern "C" fn param(index: u32, out: *mut sw_param) -> i32 {
    guard(Entry::Param, 0, || {
        // SAFETY: the shim passes a structure of its own.
        let (Some(param), Some(out)) = (PARAMS.get(index as usize), unsafe { out.as_mut() }) else {
            return 0;
        };
        let (text, number) = match param.kind {
            Kind::Int { default, .. } => (ptr::null(), default),
            Kind::Text { default, .. } | Kind::Name { default } | Kind::Choice { default, .. } => {
                (default.as_ptr(), 0)
            }
        };
        *out = sw_param { name: param.name.as_ptr(), text_default: text, int_default: number };
        1
    })
}

unsafe extern "C" fn statistic(index: u32) -> *const c_char {
    guard(Entry::Statistic, ptr::null(), || {
        statistics::names().nth(index as usize).map_or(ptr::null(), CStr::as_ptr)
    })
}

unsafe extern "C" fn attach(host: *const sw_host) {
    guard(Entry::Attach, (), || {
        // SAFETY: a constant of the shim, valid as long as the library.
        if let Some(host) = unsafe { host.as_ref() } {
            abi::attach(host);
        }
        keep_panic_messages();
    });
}

unsafe extern "C" fn set_param(index: u32, text: *const c_char, number: i32) -> i32 {
    guard(Entry::SetParam, FAILED, || {
        let text = (!text.is_null()).then(|| {
            // SAFETY: Kamailio's value, ended by NUL, stays while it runs.
            unsafe { CStr::from_ptr(text) }.to_bytes()
        });
        match settings::configure(index as usize, text, number) {
            Ok(()) => OK,
            Err(why) => {
                log::error(format_args!("{why}"));
                FAILED
            }
        }
    })
}

unsafe extern "C" fn init() -> i32 {
    guard(Entry::Init, FAILED, || match start() {
        Ok(()) => OK,
        Err(why) => {
            log::error(format_args!("not started: {why}"));
            FAILED
        }
    })
}

fn start() -> Result<(), String> {
    log::info(format_args!(
        "sipwarden {} for {}",
        env!("CARGO_PKG_VERSION"),
        abi::kamailio_version()
    ));
    process::watch_forks()?;
    let settings = Settings::take();
    let reserve = settings.snapshot_bytes;
    let state = State::new(settings, reload::hash_key()?)
        .map_err(|e| format!("no address space (snapshot_memory is {reserve} bytes): {e}"))?;
    let state = state::install(state);
    log::info(format_args!(
        "snapshots: 2 of up to {} bytes each, readers: up to {} processes, {} bytes",
        state.store.room(),
        crate::shm::MAX_READERS,
        size_of_val(state.store.publication())
    ));
    let ledger = state.ledger.memory();
    log::info(format_args!("calls: up to {}, {} bytes", ledger.capacity, ledger.bytes));
    match (dialogs::loaded(), dialogs::persist()) {
        (false, _) => log::info(format_args!(
            "no dialog module: cc_limit and roadwarrior_acquire can count nothing"
        )),
        (true, false) => log::info(format_args!(
            "the dialog module has no database (db_mode): after a restart the counts begin at zero"
        )),
        (true, true) => {}
    }
    if dialogs::loaded() && !dialogs::can_look_up() {
        log::warning(format_args!(
            "dialogs cannot be looked up in this Kamailio: leaked calls are not found"
        ));
    }
    reload::reload(state)?;
    Ok(())
}

/// Nothing to give back: the mappings go with the last process, and other
/// modules may still call into this one. No lock may be taken here, since its
/// owner may have been killed.
unsafe extern "C" fn destroy() {
    guard(Entry::Destroy, (), || {});
}
