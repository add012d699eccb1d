//! Events for the script.

use crate::events::Event;
use crate::host::contract::process::tell_event;
use crate::host::script::variables;

/// Tells the script of an event, with the attributes that `$swd` has of it.
pub fn run_route(name: &str, event: &Event) {
    variables::with_attributes(event, |attributes| tell_event(name, attributes));
}
