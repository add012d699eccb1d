//! Flags that the script writes down: a mistake in them stops the start.

use crate::host::report::complaint::no_such_flag;
use crate::ledger::SCOPES;
use crate::policy::{BadScopes, CallFlags, FloodFlags, named_scopes};
use crate::printable::Printable;
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

/// Whether scopes of `cc_limit` can be as the script writes them. What stands in variables
/// is seen when the function is called.
///
/// # Errors
/// The first part that cannot be, or that there are too many.
pub fn check_scopes(text: &[u8]) -> Result<(), String> {
    // A transformation may have these marks itself.
    if text.contains(&b'{') || text.starts_with(b"$") {
        return Ok(());
    }
    let mut count = 2;
    for scope in named_scopes(text) {
        scope.map_err(|bad| bad_scopes(&bad))?;
        count += 1;
    }
    if count > SCOPES { Err(bad_scopes(&BadScopes::TooMany)) } else { Ok(()) }
}

/// What is wrong with scopes, for the operator.
pub fn bad_scopes(bad: &BadScopes<'_>) -> String {
    match bad {
        BadScopes::NotAScope(part) => {
            format!("cc_limit: the scope \"{}\" is not kind=id", Printable::short(part))
        }
        BadScopes::NotNamed(word) => format!(
            "cc_limit: \"{}\" cannot be named as a scope; the first argument is the company",
            Printable::short(word)
        ),
        BadScopes::TooMany => format!(
            "cc_limit: a call counts against at most {SCOPES} scopes, its company and brand among \
             them"
        ),
    }
}
