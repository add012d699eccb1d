//! The functions that C calls: each turns its pointers into safe types, within the
//! guard, and hands them to the module.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;
use std::time::Duration;

use super::abi::{
    self, SW_DIALOG_ANSWERED, SW_DIALOG_ENDED, SW_DIALOG_GONE, SW_DIALOG_RESUMED, SW_MAX_ARGUMENTS,
    SW_MAX_USAGE, SW_PARAM_DURATION, SW_PARAM_INT, SW_PARAM_LIST, SW_PARAM_TEXT, sw_attempt,
    sw_call, sw_dialog, sw_dialog_event, sw_expiry, sw_host, sw_message, sw_module, sw_param,
    sw_restored, sw_rpc_method, sw_text, sw_value,
};
use super::guard::{Entry, guard, prepare};
use super::message::{Attempt, CallRequest, Message};
use super::module::{DialogEvent, Module, ParamKind, Restored};
use super::rpc::{Call, Fault};
use super::values::tell;
use crate::verdict::Verdict;

/// The table of a module's entries.
pub const fn table<M: Module>() -> sw_module {
    sw_module {
        param: Some(param::<M>),
        rpc_method: Some(rpc_method::<M>),
        statistic: Some(statistic::<M>),
        gauge: Some(gauge::<M>),
        variable_index: Some(variable_index::<M>),
        variable_name: Some(variable_name::<M>),
        event_name: Some(event_name::<M>),
        attach: Some(attach),
        set_param: Some(set_param::<M>),
        check_setting: Some(check_setting::<M>),
        apply_setting: Some(apply_setting::<M>),
        check_flags: Some(check_flags::<M>),
        check_scopes: Some(check_scopes::<M>),
        init: Some(init::<M>),
        destroy: Some(destroy::<M>),
        can_load: Some(can_load::<M>),
        load: Some(load::<M>),
        can_serve: Some(can_serve::<M>),
        serve: Some(serve::<M>),
        can_resolve: Some(can_resolve::<M>),
        resolve: Some(resolve::<M>),
        check_company_ip: Some(check_company_ip::<M>),
        check_country: Some(check_country::<M>),
        flood_check: Some(flood_check::<M>),
        auth_check: Some(auth_check::<M>),
        auth_failed: Some(auth_failed::<M>),
        auth_ok: Some(auth_ok::<M>),
        scanner_check: Some(scanner_check::<M>),
        grant: Some(grant::<M>),
        roadwarrior_acquire: Some(roadwarrior_acquire::<M>),
        cc_limit: Some(cc_limit::<M>),
        dialog_request: Some(dialog_request::<M>),
        dialog_event: Some(dialog_event::<M>),
        dialog_expired: Some(dialog_expired::<M>),
        dialog_counts: Some(dialog_counts::<M>),
        dialog_restored: Some(dialog_restored::<M>),
        tick: Some(tick::<M>),
        record: Some(record::<M>),
        variable: Some(variable::<M>),
        rpc: Some(rpc::<M>),
    }
}

/// How long a process rests that would be called again at once.
const AFTER_A_PANIC: Duration = Duration::from_millis(100);

/// As C has it: 0 is well.
fn status(is_well: bool) -> i32 {
    if is_well { 0 } else { -1 }
}

unsafe extern "C" fn param<M: Module>(index: u32, out: *mut sw_param) -> i32 {
    guard(Entry::Param, 0, || {
        // SAFETY: the shim passes a structure of its own.
        let (Some(param), Some(out)) = (M::param(index as usize), unsafe { out.as_mut() }) else {
            return 0;
        };
        let (kind, default) = match param.kind {
            ParamKind::Int(..) => (SW_PARAM_INT, None),
            ParamKind::Text(default) => (SW_PARAM_TEXT, Some(default)),
            ParamKind::Duration(default) => (SW_PARAM_DURATION, Some(default)),
            ParamKind::List => (SW_PARAM_LIST, Some(c"")),
        };
        let (int_default, int_min, int_max) = match param.kind {
            ParamKind::Int(default, min, max) => (default, min, max),
            _ => (0, 0, 0),
        };
        *out = sw_param {
            name: param.name.as_ptr(),
            kind,
            text_default: default.map_or(ptr::null(), CStr::as_ptr),
            int_default,
            int_min,
            int_max,
            runtime: i32::from(param.runtime),
            meaning: param.meaning.as_ptr(),
        };
        1
    })
}

unsafe extern "C" fn rpc_method<M: Module>(index: u32, out: *mut sw_rpc_method) -> i32 {
    guard(Entry::RpcMethod, 0, || {
        // SAFETY: the shim passes a structure of its own.
        let (Some(method), Some(out)) = (M::rpc_method(index as usize), unsafe { out.as_mut() })
        else {
            return 0;
        };
        *out = sw_rpc_method {
            name: method.name.as_ptr(),
            meaning: method.meaning.as_ptr(),
            arguments: [ptr::null(); SW_MAX_ARGUMENTS as usize],
            argument_count: method.arguments.len() as u32,
            required: method.required as u32,
            usage: [0; SW_MAX_USAGE as usize],
        };
        let names = method.arguments.iter().map(|argument| argument.name.as_ptr());
        out.arguments.iter_mut().zip(names).for_each(|(to, name)| *to = name);
        // The last byte stays NUL.
        let usage = method.usage();
        let bytes = usage.bytes().take(out.usage.len() - 1);
        out.usage.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte as c_char);
        1
    })
}

unsafe extern "C" fn statistic<M: Module>(index: u32, gauge: *mut i32) -> *const c_char {
    guard(Entry::Statistic, ptr::null(), || {
        // SAFETY: the shim passes a number of its own.
        let (Some((name, is_gauge)), Some(gauge)) =
            (M::statistic(index as usize), unsafe { gauge.as_mut() })
        else {
            return ptr::null();
        };
        *gauge = i32::from(is_gauge);
        name.as_ptr()
    })
}

unsafe extern "C" fn gauge<M: Module>(index: u32) -> u64 {
    guard(Entry::Gauge, 0, || M::gauge(index as usize))
}

unsafe extern "C" fn variable_index<M: Module>(name: sw_text) -> i32 {
    guard(Entry::VariableIndex, -1, || {
        // SAFETY: the text outlives the call.
        let index = M::variable_index(unsafe { name.bytes() });
        index.and_then(|index| i32::try_from(index).ok()).unwrap_or(-1)
    })
}

unsafe extern "C" fn variable_name<M: Module>(index: u32) -> sw_text {
    guard(Entry::VariableIndex, b"".as_slice().into(), || {
        M::variable_name(index as usize).unwrap_or_default().as_bytes().into()
    })
}

unsafe extern "C" fn event_name<M: Module>(index: u32) -> sw_text {
    guard(Entry::EventName, b"".as_slice().into(), || {
        M::event_name(index as usize).unwrap_or_default().as_bytes().into()
    })
}

/// Fills `out`, which arrives as NULL value.
unsafe extern "C" fn variable<M: Module>(msg: *const sw_message, index: i32, out: *mut sw_value) {
    guard(Entry::Variable, (), || {
        // SAFETY: the shim passes both, valid during the call.
        let (Some(message), Some(out)) = (unsafe { (Message::new(msg), out.as_mut()) }) else {
            return;
        };
        let Ok(index) = usize::try_from(index) else { return };
        M::variable(message, index, |value| tell(out, index, value));
    });
}

unsafe extern "C" fn attach(host: *const sw_host) {
    guard(Entry::Attach, (), || {
        // SAFETY: a constant of the shim, valid as long as the library.
        if let Some(host) = unsafe { host.as_ref() } {
            abi::attach(host);
        }
        prepare();
    });
}

/// The bytes of a value; None for NULL.
///
/// # Safety
/// The text, ended by NUL, stays as it is as long as the reference.
unsafe fn bytes_of(text: &*const c_char) -> Option<&[u8]> {
    // SAFETY: as the caller guarantees.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(*text) }.to_bytes())
}

unsafe extern "C" fn set_param<M: Module>(index: u32, text: *const c_char, number: i32) -> i32 {
    guard(Entry::SetParam, status(false), || {
        // SAFETY: the host's value stays during the call.
        status(M::set_param(index as usize, unsafe { bytes_of(&text) }, number))
    })
}

unsafe extern "C" fn check_setting<M: Module>(index: u32, text: *const c_char, number: i32) -> i32 {
    guard(Entry::CheckSetting, status(false), || {
        // SAFETY: the new value stays during the call.
        status(M::check_setting(index as usize, unsafe { bytes_of(&text) }, number))
    })
}

unsafe extern "C" fn apply_setting<M: Module>(index: u32, text: *const c_char, number: i32) {
    guard(Entry::ApplySetting, (), || {
        // SAFETY: the value stays during the call.
        M::apply_setting(index as usize, unsafe { bytes_of(&text) }, number);
    });
}

unsafe extern "C" fn check_flags<M: Module>(function: sw_text, flags: sw_text) -> i32 {
    guard(Entry::CheckFlags, status(true), || {
        // SAFETY: the shim passes texts that outlive the call.
        let (function, flags) = unsafe { (function.bytes(), flags.bytes()) };
        status(M::check_flags(function, flags))
    })
}

unsafe extern "C" fn check_scopes<M: Module>(scopes: sw_text) -> i32 {
    guard(Entry::CheckFlags, status(true), || {
        // SAFETY: the shim passes a text that outlives the call.
        status(M::check_scopes(unsafe { scopes.bytes() }))
    })
}

unsafe extern "C" fn init<M: Module>() -> i32 {
    guard(Entry::Init, status(false), || status(M::init()))
}

/// Nothing to give back: the mappings go with the last process, and other
/// modules may still call into this one. No lock may be taken here, since its
/// owner may have been killed.
unsafe extern "C" fn destroy<M: Module>() {
    guard(Entry::Destroy, (), M::destroy);
}

unsafe extern "C" fn can_load<M: Module>() -> i32 {
    guard(Entry::CanLoad, 0, || M::can_load().into())
}

unsafe extern "C" fn load<M: Module>() {
    guard(Entry::Load, (), M::load);
}

unsafe extern "C" fn can_serve<M: Module>() -> i32 {
    guard(Entry::CanServe, 0, || M::can_serve().into())
}

/// Called again at once: a panic each time must not take a core.
unsafe extern "C" fn serve<M: Module>() {
    let served = guard(Entry::Serve, false, || {
        M::serve();
        true
    });
    if !served {
        std::thread::sleep(AFTER_A_PANIC);
    }
}

unsafe extern "C" fn can_resolve<M: Module>() -> i32 {
    guard(Entry::CanResolve, 0, || M::can_resolve().into())
}

unsafe extern "C" fn resolve<M: Module>() {
    guard(Entry::Resolve, (), M::resolve);
}

/// The code of a verdict; that of `failed` after a panic, or where C passes nothing.
#[inline(always)]
fn judge(entry: Entry, failed: Verdict, f: impl FnOnce() -> Option<Verdict>) -> i32 {
    guard(entry, failed.code(), || f().unwrap_or(failed).code())
}

unsafe extern "C" fn check_company_ip<M: Module>(msg: *const sw_message, company: sw_text) -> i32 {
    judge(Entry::CheckCompanyIp, Verdict::InternalError, || {
        // SAFETY: the shim passes a message and a text that outlive the call.
        let (message, company) = unsafe { (Message::new(msg)?, company.bytes()) };
        Some(M::check_company_ip(message, company))
    })
}

unsafe extern "C" fn check_country<M: Module>(msg: *const sw_message, list: sw_text) -> i32 {
    judge(Entry::CheckCountry, Verdict::InternalError, || {
        // SAFETY: the shim passes a message and a text that outlive the call.
        let (message, list) = unsafe { (Message::new(msg)?, list.bytes()) };
        Some(M::check_country(message, list))
    })
}

unsafe extern "C" fn flood_check<M: Module>(msg: *const sw_message, flags: sw_text) -> i32 {
    judge(Entry::FloodCheck, Verdict::FloodUntracked, || {
        // SAFETY: the shim passes a message and a text that outlive the call.
        let (message, flags) = unsafe { (Message::new(msg)?, flags.bytes()) };
        Some(M::flood_check(message, flags))
    })
}

unsafe extern "C" fn auth_check<M: Module>(msg: *const sw_message, aor: sw_text) -> i32 {
    judge(Entry::AuthCheck, Verdict::AuthUntracked, || {
        // SAFETY: the shim passes a message and a text that outlive the call.
        let (message, aor) = unsafe { (Message::new(msg)?, aor.bytes()) };
        Some(M::auth_check(message, aor))
    })
}

unsafe extern "C" fn auth_failed<M: Module>(
    attempt: *const sw_attempt,
    aor: sw_text,
    credentials: *const sw_text,
) -> i32 {
    judge(Entry::AuthFailed, Verdict::AuthUntracked, || {
        // SAFETY: the shim passes a message and texts that outlive the call.
        let (attempt, aor, credentials) = unsafe {
            (Attempt::new(attempt)?, aor.bytes(), credentials.as_ref().map(|text| text.bytes()))
        };
        Some(M::auth_failed(attempt, aor, credentials))
    })
}

unsafe extern "C" fn auth_ok<M: Module>(msg: *const sw_message, aor: sw_text) -> i32 {
    judge(Entry::AuthOk, Verdict::AuthUntracked, || {
        // SAFETY: the shim passes a message and a text that outlive the call.
        let (message, aor) = unsafe { (Message::new(msg)?, aor.bytes()) };
        Some(M::auth_ok(message, aor))
    })
}

unsafe extern "C" fn scanner_check<M: Module>(msg: *const sw_message) -> i32 {
    judge(Entry::ScannerCheck, Verdict::NoScanner, || {
        // SAFETY: the shim passes a message that outlives the call.
        Some(M::scanner_check(unsafe { Message::new(msg) }?))
    })
}

unsafe extern "C" fn dialog_request<M: Module>(msg: *const sw_message) {
    guard(Entry::DialogRequest, (), || {
        // SAFETY: the shim passes a message that outlives the call.
        if let Some(message) = unsafe { Message::new(msg) } {
            M::dialog_request(message);
        }
    });
}

unsafe extern "C" fn grant<M: Module>(
    msg: *const sw_message,
    company: sw_text,
    seconds: sw_text,
) -> i32 {
    judge(Entry::Grant, Verdict::InternalError, || {
        // SAFETY: the shim passes a message and texts that outlive the call.
        let (message, company, seconds) =
            unsafe { (Message::new(msg)?, company.bytes(), seconds.bytes()) };
        Some(M::grant(message, company, seconds))
    })
}

/// What a panic answers: an emergency is allowed all the same.
fn failed(flags: &[u8], emergency: Verdict) -> Verdict {
    if flags.contains(&b'e') { emergency } else { Verdict::InternalError }
}

unsafe extern "C" fn roadwarrior_acquire<M: Module>(
    call: *const sw_call,
    aor: sw_text,
    company: sw_text,
    flags: sw_text,
) -> i32 {
    // SAFETY: the shim passes a call and texts that outlive this one.
    let (call, aor, company, flags) =
        unsafe { (CallRequest::new(call), aor.bytes(), company.bytes(), flags.bytes()) };
    judge(Entry::RoadwarriorAcquire, failed(flags, Verdict::RoadwarriorEmergency), || {
        Some(M::roadwarrior_acquire(call?, aor, company, flags))
    })
}

unsafe extern "C" fn cc_limit<M: Module>(
    call: *const sw_call,
    company: sw_text,
    flags: sw_text,
    scopes: sw_text,
) -> i32 {
    // SAFETY: the shim passes a call and texts that outlive this one.
    let (call, company, flags, scopes) =
        unsafe { (CallRequest::new(call), company.bytes(), flags.bytes(), scopes.bytes()) };
    judge(Entry::CcLimit, failed(flags, Verdict::CallEmergency), || {
        Some(M::cc_limit(call?, company, flags, scopes))
    })
}

unsafe extern "C" fn dialog_event<M: Module>(event: sw_dialog_event, dialog: sw_dialog) {
    guard(Entry::DialogEvent, (), || {
        #[allow(non_upper_case_globals)]
        let event = match event {
            SW_DIALOG_ENDED => DialogEvent::Ended,
            SW_DIALOG_RESUMED => DialogEvent::Resumed,
            SW_DIALOG_ANSWERED => DialogEvent::Answered,
            SW_DIALOG_GONE => DialogEvent::Gone,
            _ => return,
        };
        M::dialog_event(event, dialog.into());
    });
}

unsafe extern "C" fn dialog_expired<M: Module>(dialog: sw_dialog, why: sw_expiry, said_bye: i32) {
    guard(Entry::DialogExpired, (), || {
        M::dialog_expired(dialog.into(), why as usize, said_bye != 0);
    });
}

unsafe extern "C" fn dialog_counts<M: Module>(dialog: sw_dialog) -> i32 {
    guard(Entry::DialogCounts, 0, || M::dialog_counts(dialog.into()).into())
}

unsafe extern "C" fn dialog_restored<M: Module>(restored: *const sw_restored) {
    guard(Entry::DialogRestored, (), || {
        // SAFETY: the shim passes a structure whose texts outlive the call.
        let Some(restored) = (unsafe { restored.as_ref() }) else { return };
        // SAFETY: as above.
        let restored = unsafe {
            Restored {
                dialog: restored.dialog.into(),
                call_id: restored.call_id.bytes(),
                company: restored.company.bytes(),
                user: restored.user.bytes(),
                flags: restored.flags.bytes(),
                more: restored.more.bytes(),
                started: restored.started,
            }
        };
        M::dialog_restored(&restored);
    });
}

unsafe extern "C" fn tick<M: Module>() {
    guard(Entry::Tick, (), M::tick);
}

unsafe extern "C" fn record<M: Module>() -> i32 {
    guard(Entry::Record, 0, || M::record().into())
}

unsafe extern "C" fn rpc<M: Module>(index: u32, handle: *mut c_void) {
    let Some(host) = abi::host() else { return };
    let crashed = Err(Fault::internal(format!("internal error: see {}'s log", abi::host_name())));
    let answered = guard(Entry::Rpc, crashed, || {
        #[cfg(feature = "planted")]
        super::planted::plant();
        let index = index as usize;
        let method = M::rpc_method(index).ok_or_else(|| Fault::internal("no such method"))?;
        // SAFETY: the shim passes the handle of a call that lasts until we return.
        let call = unsafe { Call::read(host, handle, method) }?;
        M::rpc(index, &call)
    });
    if let Err(fault) = answered {
        // SAFETY: as above; nothing has ended it.
        unsafe { fault.send(host, handle) };
    }
}
