//! Addresses that are nobody's: a name that resolves to one of them grants nothing.

use super::MOST_ADDRESSES;
use crate::address::{Address, Prefix};

/// IPv4 networks from which no stranger's request comes, and what they are.
const V4: [([u8; 4], u8, &str); 5] = [
    ([0, 0, 0, 0], 8, "no host's address"),
    ([127, 0, 0, 0], 8, "a loopback address"),
    ([169, 254, 0, 0], 16, "a link-local address"),
    ([224, 0, 0, 0], 4, "a multicast address"),
    ([240, 0, 0, 0], 4, "a reserved or broadcast address"),
];
/// The same for IPv6. `::/96` has the unspecified address, loopback and a form of IPv4 that is
/// not used any more.
const V6: [(u128, u8, &str); 4] = [
    (1, 128, "a loopback address"),
    (0, 96, "no host's address"),
    (0xfe80 << 112, 10, "a link-local address"),
    (0xff << 120, 8, "a multicast address"),
];

/// What an address is, if it cannot be a customer's or a carrier's.
pub fn absurd(address: Address) -> Option<&'static str> {
    let host = address.prefix(128);
    match address {
        Address::V4(_) => V4.iter().find_map(|(first, len, what)| {
            Prefix::V4(u32::from_be_bytes(*first), *len).contains(host).then_some(*what)
        }),
        Address::V6(_) => V6.iter().find_map(|(first, len, what)| {
            Prefix::V6(*first, *len).contains(host).then_some(*what)
        }),
    }
}

/// Addresses apart by blanks: as many as a name may have, and none that it may not have.
pub fn parse_addresses(text: &[u8]) -> Vec<Address> {
    let addresses = text.split(|byte| *byte == b' ').filter_map(Address::parse);
    addresses.filter(|address| absurd(*address).is_none()).take(MOST_ADDRESSES).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_nobody_are_known() {
        let what = |text: &str| absurd(Address::parse(text.as_bytes()).unwrap());
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "fe80::1",
            "febf::1",
            "ff02::1",
            "::ffff:0.0.0.0",
            "::ffff:127.0.0.1",
            "::ffff:255.255.255.255",
        ] {
            assert!(what(text).is_some(), "{text}");
        }
        assert_eq!(what("::1"), Some("a loopback address"));
        for text in [
            "1.0.0.1",
            "10.0.0.1",
            "128.0.0.1",
            "169.253.0.1",
            "223.255.255.255",
            "2001:db8::1",
            "fd00::1",
        ] {
            assert_eq!(what(text), None, "{text}");
        }
    }
}
