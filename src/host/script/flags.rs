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
    let mut count = 2;
    for scope in named_scopes(&without_variables(text)) {
        match scope {
            // It may be any scopes, or none.
            Err(BadScopes::NotAScope(part)) if part.contains(&b'$') => continue,
            scope => scope.map_err(|bad| bad_scopes(&bad))?,
        };
        count += 1;
    }
    if count > SCOPES { Err(bad_scopes(&BadScopes::TooMany)) } else { Ok(()) }
}

/// A text with `$` in place of each variable: a transformation may have marks of scopes in it.
fn without_variables(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut bytes = text.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        out.push(byte);
        if byte != b'$' {
            continue;
        }
        while bytes.next_if(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').is_some() {}
        let mut depth = 0;
        while let Some(byte) = bytes.next_if(|byte| depth > 0 || *byte == b'(') {
            match byte {
                b'(' => depth += 1,
                b')' if depth == 1 => break,
                b')' => depth -= 1,
                _ => {}
            }
        }
    }
    out
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_checked_beside_variables_and_not_in_them() {
        let guide = "carrier=$avp(carrier);did=$(rU{s.select,0,;});user=$avp(callee)";
        for right in [guide, "$var(scopes)", "$avp(a);carrier=$si", "a=$(var(x){s.select,0,;})", ""]
        {
            assert_eq!(check_scopes(right.as_bytes()), Ok(()), "{right}");
        }
        let many: String = (0..11).map(|n| format!("did=$(rU{{s.select,{n},;}});")).collect();
        for (wrong, why) in [
            ("did=$(rU{s.select,0,;});carrier", "\"carrier\" is not kind=id"),
            ("$var(scopes);company=$fd", "\"company\" cannot be named"),
            (&many, "at most 12 scopes"),
        ] {
            let told = check_scopes(wrong.as_bytes()).unwrap_err();
            assert!(told.contains(why), "{told}");
        }
    }
}
