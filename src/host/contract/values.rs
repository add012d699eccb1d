//! Values of script variables, and of the attributes of events.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::Write;

use super::abi::{SW_VALUE_INT, SW_VALUE_TEXT, sw_attribute, sw_value};
use crate::address::Address;

/// The value of an attribute.
pub enum Value<'a> {
    /// A number.
    Int(i64),
    /// A text that lasts as long as the process.
    Static(&'static [u8]),
    /// Any other text; it is copied.
    Text(&'a [u8]),
    /// An address, as text.
    Address(Address),
}

thread_local! {
    /// The last text of each attribute: the host reads it after the entry has returned,
    /// and maybe that of another attribute meanwhile.
    static TEXTS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Gives the value of an attribute to the host. It stays until the same attribute is
/// read again.
pub(super) fn tell(out: &mut sw_value, attribute: usize, value: Value<'_>) {
    let text = match value {
        Value::Int(number) => {
            (out.kind, out.number) = (SW_VALUE_INT, number);
            return;
        }
        Value::Static(text) => {
            (out.kind, out.text) = (SW_VALUE_TEXT, text.into());
            return;
        }
        other => other,
    };
    TEXTS.with_borrow_mut(|texts| {
        if texts.len() <= attribute {
            texts.resize(attribute + 1, Vec::new());
        }
        let Some(kept) = texts.get_mut(attribute) else { return };
        kept.clear();
        // A vector takes all.
        let _ = match text {
            Value::Text(text) => kept.write_all(text),
            Value::Address(address) => write!(kept, "{address}"),
            Value::Int(_) | Value::Static(_) => Ok(()),
        };
        (out.kind, out.text) = (SW_VALUE_TEXT, kept.as_slice().into());
    });
}

/// Gives attributes to `f` as C has them; their texts last as long.
pub(super) fn attributes_of(attributes: &[(&str, Value<'_>)], f: impl FnOnce(&[sw_attribute])) {
    let text = |value: &Value<'_>| match *value {
        Value::Int(_) => Cow::Borrowed(&b""[..]),
        Value::Static(text) => Cow::Borrowed(text),
        Value::Text(text) => Cow::Owned(text.to_vec()),
        Value::Address(address) => Cow::Owned(address.to_string().into_bytes()),
    };
    let texts: Vec<Cow<'_, [u8]>> = attributes.iter().map(|(_, value)| text(value)).collect();
    let attributes = attributes.iter().zip(&texts).map(|((name, value), text)| {
        let (kind, number) = match value {
            Value::Int(number) => (SW_VALUE_INT, *number),
            _ => (SW_VALUE_TEXT, 0),
        };
        let value = sw_value { kind, number, text: text.as_ref().into() };
        sw_attribute { name: name.as_bytes().into(), value }
    });
    f(&attributes.collect::<Vec<_>>());
}
