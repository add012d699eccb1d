//! Flags that the script writes down: a mistake in them stops the start.

use crate::host::report::complaint::no_such_flag;
use crate::policy::{CallFlags, FloodFlags};
use crate::verdict::FLOOD_CHECK;

/// Whether a function has these flags.
///
/// # Errors
/// The first one that it does not have.
pub fn check_flags(function: &[u8], flags: &[u8]) -> Result<(), String> {
    let (unknown, known) = match function == FLOOD_CHECK.name.as_bytes() {
        true => (FloodFlags::parse(flags).1, FloodFlags::KNOWN),
        false => (CallFlags::parse(flags).1, CallFlags::KNOWN),
    };
    let function = String::from_utf8_lossy(function);
    unknown.map_or(Ok(()), |letter| Err(no_such_flag(&function, letter, known)))
}
