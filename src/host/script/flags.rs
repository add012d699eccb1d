//! Flags that the script writes down: a mistake in them stops the start.

use crate::host::contract::abi::sw_text;
use crate::host::contract::guard::{Entry, guard};
use crate::host::contract::log;
use crate::host::report::complaint::no_such_flag;
use crate::policy::{CallFlags, FloodFlags};
use crate::verdict::FLOOD_CHECK;

/// Whether a function has these flags; what is wrong is logged. 0: it has.
pub unsafe extern "C" fn check_flags(function: sw_text, flags: sw_text) -> i32 {
    guard(Entry::CheckFlags, 0, || {
        // SAFETY: the shim passes texts that outlive the call.
        let (function, flags) = unsafe { (function.bytes(), flags.bytes()) };
        let (unknown, known) = match function == FLOOD_CHECK.name.as_bytes() {
            true => (FloodFlags::parse(flags).1, FloodFlags::KNOWN),
            false => (CallFlags::parse(flags).1, CallFlags::KNOWN),
        };
        let Some(letter) = unknown else { return 0 };
        let function = String::from_utf8_lossy(function);
        log::error(format_args!("{}", no_such_flag(&function, letter, known)));
        -1
    })
}
