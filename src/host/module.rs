//! The table of functions that the C shim calls, and the life cycle.

use std::ffi::{CStr, c_char};
use std::ptr;

use super::contract::abi::{
    self, SW_PARAM_DURATION, SW_PARAM_INT, SW_PARAM_LIST, SW_PARAM_TEXT, sw_host, sw_module,
    sw_param,
};
use super::contract::guard::{Entry, guard, prepare};
use super::contract::{dialogs, log};
use super::process::{keeper, loader, recorder, warden};
use super::reload::{compile, fallback};
use super::report::{bans, blocks, complaint};
use super::script::{auth, calls, flags, flood, sources, variables};
use super::settings::{Kind, PARAMS, Param, Settings, Values, configure};
use super::state::rules::with_rules;
use super::state::{self, State, gauges, reader};
use super::{change, rpc};
use crate::clock;
use crate::flood::Rules;
use crate::shm::watch_waits;

/// What `c_shim/sipwarden.h` declares as the only symbol of the Rust side.
#[unsafe(no_mangle)]
#[allow(non_upper_case_globals)]
pub static sw_rust_module: sw_module = sw_module {
    param: Some(param),
    statistic: Some(statistic),
    gauge: Some(gauges::gauge),
    variable_index: Some(variables::variable_index),
    variable_name: Some(variables::variable_name),
    attach: Some(attach),
    set_param: Some(set_param),
    check_setting: Some(check_setting),
    apply_setting: Some(apply_setting),
    check_flags: Some(flags::check_flags),
    init: Some(init),
    destroy: Some(destroy),
    check_company_ip: Some(sources::check_company_ip),
    roadwarrior_acquire: Some(calls::roadwarrior_acquire),
    cc_limit: Some(calls::cc_limit),
    check_country: Some(sources::check_country),
    flood_check: Some(flood::flood_check),
    auth_check: Some(auth::auth_check),
    auth_failed: Some(auth::auth_failed),
    auth_ok: Some(auth::auth_ok),
    dialog_event: Some(calls::dialog_event),
    dialog_expired: Some(calls::dialog_expired),
    dialog_counts: Some(calls::dialog_counts),
    dialog_restored: Some(calls::dialog_restored),
    tick: Some(warden::tick),
    record: Some(recorder::record),
    can_load: Some(loader::can_load),
    load: Some(loader::load),
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
        *out = describe(param);
        1
    })
}

fn describe(param: &Param) -> sw_param {
    let (kind, default) = match param.kind {
        Kind::Int { .. } => (SW_PARAM_INT, None),
        Kind::Duration { default } => (SW_PARAM_DURATION, Some(default)),
        Kind::Classes | Kind::AuthClasses => (SW_PARAM_LIST, Some(c"")),
        Kind::Text { default, .. }
        | Kind::Name { default }
        | Kind::Choice { default, .. }
        | Kind::Class { default } => (SW_PARAM_TEXT, Some(default)),
    };
    let (int_default, int_min, int_max) = match param.kind {
        Kind::Int { default, min, max } => (default, min, max),
        _ => (0, 0, 0),
    };
    sw_param {
        name: param.name.as_ptr(),
        kind,
        text_default: default.map_or(ptr::null(), CStr::as_ptr),
        int_default,
        int_min,
        int_max,
        runtime: i32::from(param.runtime),
        meaning: param.meaning.as_ptr(),
    }
}

unsafe extern "C" fn statistic(index: u32, gauge: *mut i32) -> *const c_char {
    guard(Entry::Statistic, ptr::null(), || {
        // SAFETY: the shim passes a number of its own.
        let (Some((name, is_gauge)), Some(gauge)) =
            (gauges::names().nth(index as usize), unsafe { gauge.as_mut() })
        else {
            return ptr::null();
        };
        *gauge = i32::from(is_gauge);
        name.as_ptr()
    })
}

unsafe extern "C" fn attach(host: *const sw_host) {
    guard(Entry::Attach, (), || {
        // SAFETY: a constant of the shim, valid as long as the library.
        if let Some(host) = unsafe { host.as_ref() } {
            abi::attach(host);
        }
        prepare();
        watch_waits(complaint::long_wait);
    });
}

unsafe extern "C" fn set_param(index: u32, text: *const c_char, number: i32) -> i32 {
    guard(Entry::SetParam, FAILED, || {
        // SAFETY: Kamailio's value stays during the call.
        let text = unsafe { bytes_of(&text) };
        match configure(index as usize, text, number) {
            Ok(()) => OK,
            Err(why) => {
                log::error(format_args!("{why}"));
                FAILED
            }
        }
    })
}

/// The bytes of a value; None for NULL.
///
/// # Safety
/// The text, ended by NUL, stays as it is as long as the reference.
unsafe fn bytes_of(text: &*const c_char) -> Option<&[u8]> {
    // SAFETY: as the caller guarantees.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(*text) }.to_bytes())
}

unsafe extern "C" fn check_setting(index: u32, text: *const c_char, number: i32) -> i32 {
    guard(Entry::CheckSetting, FAILED, || {
        // SAFETY: the new value stays during the call.
        match change::check(index as usize, unsafe { bytes_of(&text) }, number) {
            Ok(()) => OK,
            Err(why) => {
                log::error(format_args!("not changed: {why}"));
                FAILED
            }
        }
    })
}

unsafe extern "C" fn apply_setting(index: u32, text: *const c_char, number: i32) {
    guard(Entry::ApplySetting, (), || {
        // SAFETY: the value stays during the call.
        let text = unsafe { bytes_of(&text) };
        let (Some(state), Some(param)) = (state::get(), PARAMS.get(index as usize)) else { return };
        let before = with_rules(state, |rules| *rules);
        let value = param.check(text, number);
        match value.and_then(|value| change::apply(state, index as usize, &value)) {
            Ok(()) => blocks::log_rules(state, &before),
            Err(why) => log::error(format_args!("not changed: {why}")),
        }
    });
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
    reader::watch_forks()?;
    let (mut settings, mut flood) = Settings::take()?;
    flood.tick = clock::tick();
    settings.auth.tick = clock::tick();
    change::check_configured()?;
    let values = Values::new().map_err(|e| format!("no address space: {e}"))?;
    Settings::publish(&values);
    let auth_seed = match values.flood_persist().as_deref().and_then(keeper::seed) {
        Some(seed) => seed,
        None => compile::hash_key()?,
    };
    let state = State::new(settings, values, flood, compile::hash_key()?, auth_seed)?;
    let state = state::install(state);
    log::info(format_args!(
        "snapshots: 2 of up to {} bytes each, readers: up to {} processes, {} bytes",
        state.store.room(),
        crate::shm::MAX_READERS,
        size_of_val(state.store.publication())
    ));
    let ledger = state.ledger.memory();
    log::info(format_args!("calls: up to {}, {} bytes", ledger.capacity, ledger.bytes));
    let sources = state.flood.memory();
    log::info(format_args!("sources: up to {}, {} bytes", sources.capacity, sources.bytes));
    blocks::log_rules(state, &Rules::NONE);
    bans::log_start(state);
    match (dialogs::loaded(), dialogs::persist()) {
        (false, _) => log::warning(format_args!(
            "there is no dialog module: cc_limit and roadwarrior_acquire refuse every call that \
             they would have to count; loadmodule \"dialog.so\""
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
    fallback::start(state)?;
    if let Some(path) = state.values.flood_persist() {
        match keeper::load(state, &path) {
            Ok((blocks, bans)) => {
                let path = path.display();
                log::info(format_args!("{blocks} blocks and {bans} bans loaded from {path}"));
            }
            Err(why) => log::error(format_args!("no blocks and bans are loaded: {why}")),
        }
    }
    Ok(())
}

/// Nothing to give back: the mappings go with the last process, and other
/// modules may still call into this one. No lock may be taken here, since its
/// owner may have been killed.
unsafe extern "C" fn destroy() {
    guard(Entry::Destroy, (), || {});
}
