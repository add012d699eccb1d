//! What the host does for the module besides: events, settings, its user.

use std::ffi::CStr;
use std::ptr;

use super::abi::{self, sw_event};
use super::values::{Value, attributes_of};

/// Tells the host of an event: its name, and what there is to say about it. In the
/// recorder only.
pub fn tell_event(name: &str, attributes: &[(&str, Value<'_>)]) {
    let Some(tell) = abi::host().and_then(|host| host.tell_event) else { return };
    attributes_of(attributes, |attributes| {
        let event = sw_event {
            name: name.as_bytes().into(),
            attributes: attributes.as_ptr(),
            attribute_count: attributes.len() as u32,
        };
        // SAFETY: the event, and what it points to, outlive the call.
        unsafe { tell(&raw const event) };
    });
}

/// Whether the warden has applied all changes of settings so far.
pub fn settings_are_settled() -> bool {
    let settled = abi::host().and_then(|host| host.settings_settled);
    // SAFETY: takes nothing, and may be called in any process.
    settled.is_none_or(|settled| unsafe { settled() } != 0)
}

/// Hands a change that was checked to the host, which tells all processes; whether it
/// took it. `text` is None for a number.
pub fn change_setting(index: usize, text: Option<&CStr>, number: i32) -> bool {
    abi::host().and_then(|host| host.change_setting).is_some_and(|change| {
        let text = text.map_or(ptr::null(), CStr::as_ptr);
        // SAFETY: the text outlives the call, which copies it.
        unsafe { change(index as u32, text, number) == 0 }
    })
}

/// The user that the host's processes run as: it may still be root at the
/// start, and another one afterwards.
pub fn user() -> u32 {
    // SAFETY: asks for a number.
    abi::host().and_then(|host| host.run_as).map_or(0, |run_as| unsafe { run_as() })
}
