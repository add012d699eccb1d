//! `$swd(attribute)`: the last verdict in this message.

use super::abi::{SW_VALUE_INT, SW_VALUE_TEXT, sw_message, sw_text, sw_value};
use super::call::{About, FloodNumbers, Told, last_told};
use super::entry::{Entry, guard};
use super::state;
use crate::ledger::ScopeKind;

/// What an attribute tells.
enum Value {
    Int(i64),
    Text(&'static str),
}

/// An attribute of `$swd`.
pub struct Attribute {
    /// Name in `$swd(name)`.
    pub name: &'static str,
    /// One sentence for the reference.
    pub meaning: &'static str,
    value: fn(&Told) -> Option<Value>,
}

fn scope(told: &Told, kind: ScopeKind) -> Option<(u32, u32)> {
    let About::Calls(numbers) = &told.about else { return None };
    *numbers.scopes.get(kind as usize)?
}

fn count(told: &Told, kind: ScopeKind) -> Option<Value> {
    scope(told, kind).map(|(count, _)| Value::Int(count.into()))
}

fn limit(told: &Told, kind: ScopeKind) -> Option<Value> {
    scope(told, kind).map(|(_, limit)| Value::Int(limit.into()))
}

fn flood(told: &Told, number: fn(&FloodNumbers) -> u32) -> Option<Value> {
    let About::Flood(numbers) = &told.about else { return None };
    Some(Value::Int(number(numbers).into()))
}

fn class(told: &Told) -> Option<Value> {
    let About::Flood(numbers) = &told.about else { return None };
    Some(Value::Text(state::get()?.settings.class_name(numbers.class)))
}

/// All attributes.
pub const ATTRIBUTES: [Attribute; 12] = [
    Attribute {
        name: "code",
        meaning: "code of the last verdict in this message",
        value: |told| Some(Value::Int(told.verdict.code().into())),
    },
    Attribute {
        name: "reason",
        meaning: "reason of the last verdict in this message",
        value: |told| Some(Value::Text(told.verdict.reason())),
    },
    Attribute {
        name: "company_calls",
        meaning: "live calls of the company, this one included if it counts",
        value: |told| count(told, ScopeKind::Company),
    },
    Attribute {
        name: "company_limit",
        meaning: "its `max_calls`, 0 for none",
        value: |told| limit(told, ScopeKind::Company),
    },
    Attribute {
        name: "brand_calls",
        meaning: "live calls of the company's brand",
        value: |told| count(told, ScopeKind::Brand),
    },
    Attribute {
        name: "brand_limit",
        meaning: "its `max_calls`, 0 for none",
        value: |told| limit(told, ScopeKind::Brand),
    },
    Attribute {
        name: "user_calls",
        meaning: "live calls that the user has placed from addresses that are not granted",
        value: |told| count(told, ScopeKind::User),
    },
    Attribute {
        name: "user_limit",
        meaning: "its `external_calls`",
        value: |told| limit(told, ScopeKind::User),
    },
    Attribute {
        name: "class",
        meaning: "class of the source as `flood_check` saw it: `exempt`, `default` or another",
        value: class,
    },
    Attribute {
        name: "requests",
        meaning: "requests of the source in its window, this one included; 0 for a blocked or exempt one",
        value: |told| flood(told, |numbers| numbers.requests),
    },
    Attribute {
        name: "request_limit",
        meaning: "the limit of its class",
        value: |told| flood(told, |numbers| numbers.limit),
    },
    Attribute {
        name: "block_seconds",
        meaning: "seconds that the source is still blocked",
        value: |told| flood(told, |numbers| numbers.block_seconds),
    },
];

/// Index of an attribute, or -1.
pub unsafe extern "C" fn variable_index(name: sw_text) -> i32 {
    guard(Entry::VariableIndex, -1, || {
        // SAFETY: the text outlives the call.
        let name = unsafe { name.bytes() };
        ATTRIBUTES
            .iter()
            .position(|attribute| attribute.name.as_bytes() == name)
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
        let attribute = usize::try_from(index).ok().and_then(|index| ATTRIBUTES.get(index));
        let value = last_told(msg).zip(attribute).and_then(|(told, a)| (a.value)(&told));
        match value {
            Some(Value::Int(number)) => {
                out.kind = SW_VALUE_INT;
                out.number = number;
            }
            Some(Value::Text(text)) => {
                out.kind = SW_VALUE_TEXT;
                out.text = text.as_bytes().into();
            }
            None => {}
        }
    });
}
