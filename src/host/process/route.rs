//! Event routes.

use std::ffi::CStr;

use crate::events::Event;
use crate::host::contract::process::run_event;
use crate::host::script::variables;
use crate::host::state::State;

/// Runs an event route while `$swd` tells of the event.
pub fn run_route(state: &State, name: &CStr, event: &Event) {
    variables::with_event(event, || run_event(name, &state.values.event_callback()));
}
