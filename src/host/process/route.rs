//! Event routes.

use std::ffi::CStr;

use crate::events::Event;
use crate::host::contract::abi;
use crate::host::script::variables;
use crate::host::state::State;

/// Runs an event route while `$swd` tells of the event.
pub fn run_route(state: &State, name: &CStr, event: &Event) {
    let Some(run) = abi::host().and_then(|host| host.run_event) else { return };
    variables::with_event(event, || {
        let callback = state.values.event_callback();
        // SAFETY: the name and the callback's name outlive the call.
        unsafe { run(name.as_ptr(), callback.as_ptr()) };
    });
}
