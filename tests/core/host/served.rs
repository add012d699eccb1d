//! What the module calls: the host's side of the contract.

use std::ffi::{c_char, c_int, c_void};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::ptr;

use serde_json::{Map, Value};
use sipwarden::host::abi::*;

use super::door::{
    apply, at, at_mut, c_string, gauge, give_row, none, slice, slice_mut, string, text, value_of,
};
use super::request::Request;
use super::rpc::{Given, Rpc};
use super::world::world;

/// A handle of the fake host: a number from 1.
pub fn handle(place: usize) -> *mut c_void {
    ptr::without_provenance_mut(place + 1)
}

fn place(handle: *mut c_void) -> Option<usize> {
    (handle as usize).checked_sub(1)
}

extern "C" fn log(level: sw_log_level, line: sw_text) {
    world().log.push((level, string(line)));
}

extern "C" fn log_enabled(_: sw_log_level) -> c_int {
    1
}

extern "C" fn count(index: u32) {
    *world().counts.entry(index).or_default() += 1;
}

extern "C" fn counted(index: u32) -> u64 {
    let counted = world().counts.get(&index).copied();
    counted.unwrap_or_else(|| gauge(index))
}

extern "C" fn db_open(url: *const c_char, error: *mut *const c_char) -> *mut c_void {
    assert!(c_string(url).starts_with("mysql://"));
    if world().has_database {
        return handle(0);
    }
    *at_mut(error) = c"the fake database is away".as_ptr();
    ptr::null_mut()
}

extern "C" fn db_rows(
    _: *mut c_void,
    table: *const c_char,
    columns: *const *const c_char,
    count: u32,
    row: sw_row_fn,
    context: *mut c_void,
) -> c_int {
    let columns: Vec<String> = slice(columns, count).iter().map(|name| c_string(*name)).collect();
    let Some(rows) = world().read(&c_string(table), &columns) else { return -1 };
    for cells in rows {
        let cells: Vec<sw_text> =
            cells.iter().map(|cell| cell.as_deref().map_or(none(), text)).collect();
        let rc = give_row(row, context, &cells);
        if rc != 0 {
            return rc;
        }
    }
    0
}

extern "C" fn db_close(_: *mut c_void) -> c_int {
    0
}

extern "C" fn db_has_driver(url: *const c_char) -> c_int {
    c_string(url).starts_with("mysql:").into()
}

extern "C" fn nonces_are_bound() -> c_int {
    c_int::from(world().has_bound_nonces)
}

extern "C" fn dialog_support() -> c_int {
    world().dialog_support as c_int
}

extern "C" fn dialog_hold(
    call: *const sw_call,
    out: *mut sw_dialog,
    why: *mut *const c_char,
) -> *mut c_void {
    let (call, mut world) = (at(call), world());
    match world.dialog(&string(call.call_id), call.initial_invite != 0) {
        Some(found) => {
            world.held += 1;
            let (entry, id) = world.dialogs[found].name;
            *at_mut(out) = sw_dialog { entry, id };
            handle(found)
        }
        None => {
            *at_mut(why) = c"the fake host has no dialog of this call".as_ptr();
            ptr::null_mut()
        }
    }
}

extern "C" fn dialog_unhold(held: *mut c_void) {
    assert!(place(held).is_some());
    world().held -= 1;
}

extern "C" fn dialog_answered(held: *mut c_void) -> c_int {
    world().dialogs[place(held).unwrap()].is_answered.into()
}

extern "C" fn dialog_remember(held: *mut c_void, name: *const c_char, value: sw_text) -> c_int {
    let dialog = &mut world().dialogs[place(held).unwrap()];
    dialog.remembers.insert(c_string(name), string(value));
    1
}

extern "C" fn dialog_append(held: *mut c_void, value: sw_text) -> c_int {
    let dialog = &mut world().dialogs[place(held).unwrap()];
    dialog.remembers.entry("more".into()).or_default().push_str(&string(value));
    1
}

extern "C" fn dialog_end(dialog: sw_dialog) -> c_int {
    let name = (dialog.entry, dialog.id);
    let mut world = world();
    let is_mute = world.is_mute;
    let found = world.dialogs.iter_mut().find(|dialog| dialog.name == name && !dialog.is_gone);
    if is_mute && found.is_some() {
        return -1;
    }
    found.map(|dialog| dialog.is_gone = true).is_some().into()
}

extern "C" fn dialog_exists(dialog: sw_dialog) -> c_int {
    let name = (dialog.entry, dialog.id);
    world().dialogs.iter().any(|dialog| dialog.name == name && !dialog.is_gone).into()
}

extern "C" fn message_claims(
    msg: *const sw_message,
    agent: *mut sw_text,
    from: *mut sw_text,
    to: *mut sw_text,
) {
    let request = at(at(msg).address.cast::<Request>());
    *at_mut(agent) = text(&request.user_agent);
    *at_mut(from) = text(&request.from);
    *at_mut(to) = text("");
}

extern "C" fn message_names(msg: *const sw_message, call_id: *mut sw_text, from: *mut sw_text) {
    // The address of a message is that of its request, which outlives the function.
    let request = at(at(msg).address.cast::<Request>());
    *at_mut(call_id) = text(&request.call_id);
    *at_mut(from) = text(&request.from);
}

extern "C" fn tell_event(event: *const sw_event) {
    let event = at(event);
    let mut attributes = Map::new();
    for attribute in slice(event.attributes, event.attribute_count) {
        let before = attributes.insert(string(attribute.name), value_of(&attribute.value));
        assert!(before.is_none());
    }
    world().events.push((string(event.name), attributes));
}

extern "C" fn run_as() -> u32 {
    std::fs::metadata("/proc/self").unwrap().uid()
}

extern "C" fn settings_settled() -> c_int {
    1
}

/// This host applies a change at once.
extern "C" fn change_setting(index: u32, text: *const c_char, number: i32) -> c_int {
    apply(index, text, number);
    0
}

extern "C" fn audit_open(url: *const c_char, table: *const c_char) -> *mut c_void {
    assert_eq!(
        (c_string(url), c_string(table)),
        ("mysql://fake/audit".into(), "sipwarden_audit".into())
    );
    handle(0)
}

extern "C" fn audit_write(_: *mut c_void, row: *const sw_audit) -> c_int {
    let row = at(row);
    let [reason, source, company] = [row.reason, row.source, row.company].map(string);
    world().audit.push((reason, source, company, row.hits));
    0
}

extern "C" fn audit_close(_: *mut c_void) {}

fn with_rpc<R>(f: impl FnOnce(&mut Rpc) -> R) -> R {
    f(world().rpc.as_mut().unwrap())
}

extern "C" fn rpc_argument(_: *mut c_void, name: *mut sw_text, value: *mut sw_text) -> sw_argument {
    with_rpc(|rpc| {
        let Some((by_name, given)) = rpc.next() else { return SW_ARGUMENT_NONE };
        let is_named = by_name.is_some();
        let (kind, is) = match given {
            Given::Text(text) => (SW_ARGUMENT_TEXT, text),
            Given::Doubtful(text) => (SW_ARGUMENT_DOUBTFUL, text),
            Given::Unusable => (SW_ARGUMENT_UNUSABLE, String::new()),
        };
        // They stay until the next argument is asked for.
        rpc.current = [by_name.unwrap_or_default(), is];
        let [by_name, is] = &rpc.current;
        *at_mut(name) = if is_named { text(by_name) } else { none() };
        *at_mut(value) = text(is);
        kind
    })
}

extern "C" fn rpc_open(
    _: *mut c_void,
    parent: *mut c_void,
    name: *const c_char,
    array: c_int,
) -> *mut c_void {
    handle(with_rpc(|rpc| rpc.open(place(parent), c_string(name), array != 0)))
}

fn add(parent: *mut c_void, name: String, value: Value) {
    with_rpc(|rpc| rpc.add(place(parent).unwrap(), name, value));
}

extern "C" fn rpc_int(_: *mut c_void, parent: *mut c_void, name: *const c_char, value: i64) {
    add(parent, c_string(name), value.into());
}

extern "C" fn rpc_text(_: *mut c_void, parent: *mut c_void, name: *const c_char, value: sw_text) {
    add(parent, c_string(name), string(value).into());
}

extern "C" fn rpc_item(_: *mut c_void, array: *mut c_void, value: sw_text) {
    add(array, String::new(), string(value).into());
}

extern "C" fn rpc_fault(_: *mut c_void, code: c_int, reason: sw_text) {
    let reason = string(reason);
    with_rpc(|rpc| rpc.fault = Some((code, reason)));
}

extern "C" fn find_addresses(
    name: *const c_char,
    family: c_int,
    out: *mut sw_address,
    most: u32,
    ttl: *mut u32,
) -> c_int {
    let (world, name) = (world(), c_string(name));
    if !world.has_resolver {
        return -1;
    }
    let Some((addresses, seconds)) = world.names.get(name.strip_suffix('.').unwrap()) else {
        return 0;
    };
    let octets = |address: &IpAddr| match (address, family) {
        (IpAddr::V4(v4), 4) => Some(v4.octets().to_vec()),
        (IpAddr::V6(v6), 6) => Some(v6.octets().to_vec()),
        _ => None,
    };
    let found: Vec<_> = addresses.iter().filter_map(octets).collect();
    for (to, octets) in slice_mut(out, most).iter_mut().zip(&found) {
        to.family = family as u8;
        to.bytes.iter_mut().zip(octets).for_each(|(to, octet)| *to = *octet);
    }
    *at_mut(ttl) = *seconds;
    found.len() as c_int
}

pub static HOST: sw_host = sw_host {
    name: c"Fake".as_ptr(),
    version: c"fake 1.0".as_ptr(),
    build_flags: c"no flags".as_ptr(),
    db_url: c"mysql://fake/tables".as_ptr(),
    method_prefix: c"fake ask ".as_ptr(),
    reason_bytes: 0,
    unusable_argument: c"is nothing that the fake host can read".as_ptr(),
    log: Some(log),
    log_enabled: Some(log_enabled),
    count: Some(count),
    counted: Some(counted),
    db_open: Some(db_open),
    db_rows: Some(db_rows),
    db_close: Some(db_close),
    dialog_support: Some(dialog_support),
    dialog_hold: Some(dialog_hold),
    dialog_unhold: Some(dialog_unhold),
    dialog_remember: Some(dialog_remember),
    dialog_append: Some(dialog_append),
    dialog_end: Some(dialog_end),
    dialog_answered: Some(dialog_answered),
    dialog_exists: Some(dialog_exists),
    message_names: Some(message_names),
    message_claims: Some(message_claims),
    nonces_are_bound: Some(nonces_are_bound),
    tell_event: Some(tell_event),
    run_as: Some(run_as),
    find_addresses: Some(find_addresses),
    settings_settled: Some(settings_settled),
    change_setting: Some(change_setting),
    db_has_driver: Some(db_has_driver),
    audit_open: Some(audit_open),
    audit_write: Some(audit_write),
    audit_close: Some(audit_close),
    rpc_argument: Some(rpc_argument),
    rpc_open: Some(rpc_open),
    rpc_int: Some(rpc_int),
    rpc_text: Some(rpc_text),
    rpc_item: Some(rpc_item),
    rpc_fault: Some(rpc_fault),
};
