//! A message as the shim hands it over.

use std::ptr;

use super::abi::{self, sw_address, sw_message, sw_text};
use crate::address::Address;

impl sw_address {
    /// None if the message has no IP source.
    pub fn to_address(self) -> Option<Address> {
        let [a, b, c, d, ..] = self.bytes;
        match self.family {
            4 => Some(Address::from_v4([a, b, c, d])),
            6 => Some(Address::from_v6(self.bytes)),
            _ => None,
        }
    }
}

/// Call-ID of a message and the URI in its From header, empty where it has none.
pub fn names(msg: &sw_message) -> [&[u8]; 2] {
    let mut texts = [sw_text { s: ptr::null(), len: 0 }; 2];
    if let Some(read) = abi::host().and_then(|host| host.message_names) {
        let [call_id, from] = &mut texts;
        // SAFETY: the shim made it of the message that the script function was called for.
        unsafe { read(msg, call_id, from) };
    }
    // SAFETY: the texts are of this message, which outlives `msg`.
    texts.map(|text| unsafe { text.bytes() })
}
