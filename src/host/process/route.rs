//! Events for the script.

use crate::events::Event;
use crate::host::contract::process::tell_event;
use crate::host::script::variables;

/// Runs the event's route in the script, with the attributes that `$swd` has of it.
pub fn run_route(name: &str, event: &Event) {
    variables::with_attributes(event, |attributes| tell_event(name, attributes));
}
