//! The host's resolver.

use std::ffi::CString;

use super::abi::{self, sw_address};
use super::message::address_of;
use crate::address::Address;
use crate::names::{Answer, Family};

/// Addresses of one answer that are looked at.
const MOST: usize = 64;

/// Asks for the addresses of a name, and waits.
pub fn ask(name: &[u8], family: Family) -> Answer {
    let Some(find) = abi::host().and_then(|host| host.find_addresses) else {
        return Answer::Silence;
    };
    // With a dot at its end no domain is appended.
    let Ok(name) = CString::new([name, b"."].concat()) else { return Answer::Nothing };
    let family = if family == Family::V4 { 4 } else { 6 };
    let mut found = [sw_address { bytes: [0; 16], family: 0 }; MOST];
    let mut ttl = 0;
    // SAFETY: the name and the room for answers outlive the call.
    let count =
        unsafe { find(name.as_ptr(), family, found.as_mut_ptr(), MOST as u32, &raw mut ttl) };
    match usize::try_from(count) {
        Err(_) => Answer::Silence,
        Ok(0) => Answer::Nothing,
        Ok(count) => {
            let addresses = found.iter().take(count).filter_map(address_of);
            Answer::Addresses(addresses.collect::<Vec<Address>>(), ttl)
        }
    }
}
