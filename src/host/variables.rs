//! `$swd(attribute)`: the last verdict in this message.

use super::abi::{SW_VALUE_INT, SW_VALUE_TEXT, sw_message, sw_text, sw_value};
use super::call::last_verdict;
use super::entry::{Entry, guard};

/// Attributes and what they say.
pub const ATTRIBUTES: [(&str, &str); 2] = [
    ("code", "code of the last verdict in this message"),
    ("reason", "reason of the last verdict in this message"),
];

/// Index of an attribute, or -1.
pub unsafe extern "C" fn variable_index(name: sw_text) -> i32 {
    guard(Entry::VariableIndex, -1, || {
        // SAFETY: the text outlives the call.
        let name = unsafe { name.bytes() };
        ATTRIBUTES
            .iter()
            .position(|(attribute, _)| attribute.as_bytes() == name)
            .and_then(|index| i32::try_from(index).ok())
            .unwrap_or(-1)
    })
}

/// Fills `out`, which arrives as NULL value.
pub unsafe extern "C" fn variable(msg: *const sw_message, index: i32, out: *mut sw_value) {
    guard(Entry::Variable, (), || {
        // SAFETY: the shim passes both, valid during the call.
        let (Some(msg), Some(out)) = (unsafe { (msg.as_ref(), out.as_mut()) }) else {
            return;
        };
        let Some(verdict) = last_verdict(msg) else { return };
        match index {
            0 => {
                out.kind = SW_VALUE_INT;
                out.number = i64::from(verdict.code());
            }
            1 => {
                out.kind = SW_VALUE_TEXT;
                out.text = verdict.reason().as_bytes().into();
            }
            _ => {}
        }
    });
}
