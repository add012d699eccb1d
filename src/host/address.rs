//! Addresses as the shim hands them over.

use super::abi::sw_address;
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
