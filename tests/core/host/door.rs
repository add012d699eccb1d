//! Calls of the module, and what its pointers point to: the only unsafe code of the fake
//! host. Each pointer of the contract lives as long as the call that it is passed to.
#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::net::IpAddr;
use std::ptr;
use std::sync::OnceLock;

use serde_json::{Value, json};
use sipwarden::host::abi::*;
use sipwarden::host::sw_rust_module as MODULE;

use super::request::Request;
use super::rpc::Rpc;
use super::served::{HOST, handle};
use super::world::world;

pub fn text(text: &str) -> sw_text {
    text.as_bytes().into()
}

pub fn none() -> sw_text {
    sw_text { s: ptr::null(), len: 0 }
}

pub fn string(text: sw_text) -> String {
    // SAFETY: a text of the contract lives as long as the call that it came with.
    String::from_utf8_lossy(unsafe { text.bytes() }).into_owned()
}

pub fn c_string(text: *const c_char) -> String {
    // SAFETY: as above; such a text ends in NUL.
    (!text.is_null())
        .then(|| unsafe { CStr::from_ptr(text) })
        .map_or(String::new(), |text| text.to_str().unwrap().to_owned())
}

/// What a pointer of the contract points to.
pub fn at<'a, T>(pointer: *const T) -> &'a T {
    // SAFETY: never NULL, and valid during the call that it came with; nobody keeps it.
    unsafe { pointer.as_ref() }.unwrap()
}

/// As `at`, for what the host is to fill.
pub fn at_mut<'a, T>(pointer: *mut T) -> &'a mut T {
    // SAFETY: as in `at`, and nobody else uses it during the call.
    unsafe { pointer.as_mut() }.unwrap()
}

pub fn slice<'a, T>(first: *const T, count: u32) -> &'a [T] {
    match count {
        0 => &[],
        // SAFETY: the contract passes so many of them, valid during the call.
        count => unsafe { std::slice::from_raw_parts(first, count as usize) },
    }
}

/// As `slice`, for what the host is to fill.
pub fn slice_mut<'a, T>(first: *mut T, count: u32) -> &'a mut [T] {
    match count {
        0 => &mut [],
        // SAFETY: as in `slice`, and nobody else uses it during the call.
        count => unsafe { std::slice::from_raw_parts_mut(first, count as usize) },
    }
}

pub fn value_of(value: &sw_value) -> Value {
    match value.kind {
        SW_VALUE_INT => value.number.into(),
        SW_VALUE_TEXT => string(value.text).into(),
        _ => Value::Null,
    }
}

macro_rules! call {
    ($entry:ident($($argument:expr),*)) => {
        // SAFETY: the arguments are what the contract asks for, and outlive the call.
        unsafe { MODULE.$entry.unwrap()($($argument),*) }
    };
}

pub fn attach() {
    call!(attach(&raw const HOST));
}

/// Name, kind, and default of a parameter: a number, or a text.
pub fn param(index: u32) -> Option<(String, sw_param_kind, Value)> {
    // SAFETY: all zero is a value of the structure.
    let mut param: sw_param = unsafe { std::mem::zeroed() };
    (call!(param(index, &raw mut param)) != 0).then(|| {
        let default = match param.kind {
            SW_PARAM_INT => param.int_default.into(),
            _ => c_string(param.text_default).into(),
        };
        (c_string(param.name), param.kind, default)
    })
}

/// A value as the contract has it: a number, or a text.
fn with_value<R>(value: &Value, f: impl FnOnce(*const c_char, i32) -> R) -> R {
    let text = value.as_str().map(|text| CString::new(text).unwrap());
    let pointer = text.as_deref().map_or(ptr::null(), CStr::as_ptr);
    f(pointer, value.as_i64().unwrap_or(0) as i32)
}

/// Hands a row to the module, which answers whether to go on.
pub fn give_row(row: sw_row_fn, context: *mut c_void, cells: &[sw_text]) -> c_int {
    // SAFETY: the callback takes its own context, and texts that outlive the call.
    unsafe { row.unwrap()(context, cells.as_ptr(), cells.len() as u32) }
}

pub fn set_param(index: u32, value: &Value) -> bool {
    with_value(value, |text, number| call!(set_param(index, text, number)) == 0)
}

pub fn check_setting(index: u32, value: &Value) -> bool {
    with_value(value, |text, number| call!(check_setting(index, text, number)) == 0)
}

pub fn apply_setting(index: u32, value: &Value) {
    with_value(value, |text, number| apply(index, text, number));
}

/// As `apply_setting`, with the value of a caller.
pub fn apply(index: u32, text: *const c_char, number: i32) {
    call!(apply_setting(index, text, number));
}

pub fn init() -> bool {
    call!(init()) == 0
}

pub fn destroy() {
    call!(destroy());
}

pub fn can_load() -> bool {
    call!(can_load()) != 0
}

pub fn load() {
    call!(load());
}

pub fn can_resolve() -> bool {
    call!(can_resolve()) != 0
}

pub fn resolve() {
    call!(resolve());
}

pub fn tick() {
    call!(tick());
}

pub fn record() -> bool {
    call!(record()) != 0
}

pub fn check_flags(function: &str, flags: &str) -> bool {
    call!(check_flags(text(function), text(flags))) == 0
}

/// Name of a statistic, and whether it is asked for its value.
pub fn statistic(index: u32) -> Option<(String, bool)> {
    let mut gauge = 0;
    let name = call!(statistic(index, &raw mut gauge));
    (!name.is_null()).then(|| (c_string(name), gauge != 0))
}

pub fn gauge(index: u32) -> u64 {
    call!(gauge(index))
}

fn message(request: &Request) -> sw_message {
    let mut source = sw_address { bytes: [0; 16], family: 0 };
    match request.source {
        Some(IpAddr::V4(address)) => {
            source.family = 4;
            source.bytes[..4].copy_from_slice(&address.octets());
        }
        Some(IpAddr::V6(address)) => source = sw_address { bytes: address.octets(), family: 6 },
        None => {}
    }
    sw_message {
        address: (&raw const *request).cast(),
        id: request.id,
        pid: request.pid as i32,
        source,
        proxied: request.proxied.into(),
        stream: request.stream.into(),
        is_given: request.given.is_some().into(),
        given: request.given.as_deref().map_or(none(), text),
    }
}

fn call_of(request: &Request) -> sw_call {
    sw_call {
        msg: message(request),
        call_id: text(&request.call_id),
        cseq: text(&request.cseq),
        branch: text(&request.branch),
        initial_invite: request.initial_invite.into(),
        within: request.within.into(),
        misplaced: request.misplaced.into(),
    }
}

pub fn check_company_ip(request: &Request, company: &str) -> i32 {
    call!(check_company_ip(&message(request), text(company)))
}

pub fn check_country(request: &Request, list: &str) -> i32 {
    call!(check_country(&message(request), text(list)))
}

pub fn flood_check(request: &Request, flags: &str) -> i32 {
    call!(flood_check(&message(request), text(flags)))
}

pub fn scanner_check(request: &Request) -> i32 {
    call!(scanner_check(&message(request)))
}

pub fn dialog_request(request: &Request) {
    call!(dialog_request(&message(request)));
}

pub fn auth_check(request: &Request, aor: &str) -> i32 {
    call!(auth_check(&message(request), text(aor)))
}

pub fn auth_failed(request: &Request, aor: &str, credentials: Option<&str>) -> i32 {
    let mut attempt = sw_attempt {
        msg: message(request),
        credentials: [none(); 4],
        credential_count: request.credentials.len() as u32,
        code: text(&request.code),
    };
    for (to, body) in attempt.credentials.iter_mut().zip(&request.credentials) {
        *to = text(body);
    }
    let given = credentials.map(text);
    let given = given.as_ref().map_or(ptr::null(), ptr::from_ref);
    call!(auth_failed(&raw const attempt, text(aor), given))
}

pub fn auth_ok(request: &Request, aor: &str) -> i32 {
    call!(auth_ok(&message(request), text(aor)))
}

pub fn grant(request: &Request, company: &str, seconds: &str) -> i32 {
    call!(grant(&message(request), text(company), text(seconds)))
}

pub fn roadwarrior_acquire(request: &Request, aor: &str, company: &str, flags: &str) -> i32 {
    let call = call_of(request);
    call!(roadwarrior_acquire(&raw const call, text(aor), text(company), text(flags)))
}

pub fn cc_limit(request: &Request, company: &str, flags: &str) -> i32 {
    cc_limit_scopes(request, company, flags, "")
}

pub fn cc_limit_scopes(request: &Request, company: &str, flags: &str, scopes: &str) -> i32 {
    call!(cc_limit(&call_of(request), text(company), text(flags), text(scopes)))
}

/// All attributes of the script's variable.
pub fn variable_names() -> Vec<String> {
    let names = (0..).map(|index| string(call!(variable_name(index))));
    names.take_while(|name| !name.is_empty()).collect()
}

pub fn variable(request: &Request, name: &str) -> Value {
    let index = call!(variable_index(text(name)));
    assert!(index >= 0, "{name}");
    let mut value = sw_value { kind: SW_VALUE_NULL, number: 0, text: none() };
    call!(variable(&message(request), index, &raw mut value));
    value_of(&value)
}

fn dialog((entry, id): (u32, u32)) -> sw_dialog {
    sw_dialog { entry, id }
}

pub fn dialog_event(event: sw_dialog_event, name: (u32, u32)) {
    call!(dialog_event(event, dialog(name)));
}

pub fn dialog_expired(name: (u32, u32), why: sw_expiry, said_bye: bool) {
    call!(dialog_expired(dialog(name), why, said_bye.into()));
}

pub fn dialog_counts(name: (u32, u32)) -> bool {
    call!(dialog_counts(dialog(name))) != 0
}

/// A dialog that remembers company, user and flags.
pub fn dialog_restored(name: (u32, u32), call_id: &str, [company, user, flags]: [&str; 3]) {
    let restored = sw_restored {
        dialog: dialog(name),
        call_id: text(call_id),
        company: text(company),
        user: text(user),
        flags: text(flags),
        more: none(),
        started: 1_000_000,
    };
    call!(dialog_restored(&raw const restored));
}

/// An RPC method: its name, names of its arguments, how many must be there, its usage.
pub fn rpc_method(index: u32) -> Option<(String, Vec<String>, usize, String)> {
    // SAFETY: all zero is a value of the structure.
    let mut method: sw_rpc_method = unsafe { std::mem::zeroed() };
    (call!(rpc_method(index, &raw mut method)) != 0).then(|| {
        let names = &method.arguments[..method.argument_count as usize];
        let names = names.iter().map(|name| c_string(*name)).collect();
        let usage = c_string(method.usage.as_ptr());
        (c_string(method.name), names, method.required as usize, usage)
    })
}

/// Names of all methods, and those of their arguments; asked for once.
pub fn rpc_methods() -> &'static [(String, Vec<String>)] {
    static ALL: OnceLock<Vec<(String, Vec<String>)>> = OnceLock::new();
    let ask = || (0..).map_while(rpc_method).map(|(name, names, ..)| (name, names)).collect();
    ALL.get_or_init(ask)
}

/// What a method answers: params are a list, or an object with names.
pub fn rpc(method: &str, params: Value) -> Result<Value, (i32, String)> {
    let index = rpc_methods().iter().position(|(name, _)| name == method).unwrap();
    world().rpc = Some(Rpc::new(&params));
    call!(rpc(index as u32, handle(0)));
    let rpc = world().rpc.take();
    rpc.unwrap().answer()
}

/// As `rpc`, of a method that answers.
pub fn ask(method: &str, params: Value) -> Value {
    rpc(method, params).unwrap_or_else(|fault| panic!("{method}: {}", json!(fault)))
}
