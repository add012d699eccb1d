//! Addresses of special use. Lists of what must not come from the Internet (bogons) have them,
//! but customers behind a private network have them too. So no feed lists them.

use crate::address::Prefix;
use crate::snapshot::prefixes::{self, AddressBits};

/// Private networks (RFC 1918, 6598), this host, this link, multicast and what is reserved.
const V4: [(u32, u8); 8] = [
    (0x0000_0000, 8),  // 0.0.0.0
    (0x0a00_0000, 8),  // 10.0.0.0
    (0x6440_0000, 10), // 100.64.0.0
    (0x7f00_0000, 8),  // 127.0.0.0
    (0xa9fe_0000, 16), // 169.254.0.0
    (0xac10_0000, 12), // 172.16.0.0
    (0xc0a8_0000, 16), // 192.168.0.0
    (0xe000_0000, 3),  // 224.0.0.0
];

/// The same: RFC 4193, 4291.
const V6: [(u128, u8); 4] = [
    (0, 127),            // :: and ::1
    (0xfc00 << 112, 7),  // fc00::
    (0xfe80 << 112, 10), // fe80::
    (0xff00 << 112, 8),  // ff00::
];

/// The parts of a prefix that are not of special use: mostly the prefix itself.
pub fn ordinary(prefix: Prefix) -> Vec<Prefix> {
    match prefix {
        Prefix::V4(first, len) => without(&V4, first, len)
            .into_iter()
            .map(|(first, len)| Prefix::V4(first, len))
            .collect(),
        Prefix::V6(first, len) => without(&V6, first, len)
            .into_iter()
            .map(|(first, len)| Prefix::V6(first, len))
            .collect(),
    }
}

fn without<K: AddressBits>(special: &[(K, u8)], first: K, len: u8) -> Vec<(K, u8)> {
    let last = first.last_of(len);
    let is_around = |(start, own): &(K, u8)| *start <= first && last <= start.last_of(*own);
    if special.iter().any(is_around) {
        return Vec::new();
    }
    // What overlaps and is not around is within.
    let within = special.iter().filter(|(start, _)| first <= *start && *start <= last);
    let mut parts: Vec<_> = within.map(|(start, own)| (*start, *own, 2)).collect();
    if parts.is_empty() {
        return vec![(first, len)];
    }
    parts.push((first, len, 1));
    let parts = prefixes::unflatten(prefixes::flatten(parts).into_iter());
    parts
        .into_iter()
        .filter(|(.., value)| *value == 1)
        .map(|(first, len, _)| (first, len))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(prefix: &str) -> Vec<String> {
        let prefix = Prefix::parse(prefix, None).unwrap();
        ordinary(prefix).iter().map(Prefix::name).collect()
    }

    #[test]
    fn private_addresses_are_cut_out() {
        let none: [&str; 0] = [];
        for special in [
            "10.0.0.0/8",
            "10.1.2.3",
            "192.168.7.0/24",
            "127.0.0.1",
            "100.64.0.0/10",
            "0.0.0.0",
            "172.31.0.0/16",
            "169.254.1.1",
            "224.0.0.0/4",
            "240.0.0.0/4",
            "255.255.255.255",
            "::1",
            "fc00::/7",
            "fd77:1::/64",
            "fe80::1",
            "ff02::1",
        ] {
            assert_eq!(left(special), none, "{special}");
        }
        for ordinary in ["203.0.113.0/24", "11.0.0.0/8", "172.32.0.0/16", "2001:db8::/32", "::2"] {
            assert_eq!(left(ordinary), [ordinary]);
        }
        assert_eq!(left("192.168.0.0/15"), ["192.169.0.0/16"]);
        assert_eq!(left("172.0.0.0/11"), ["172.0.0.0/12"]);
        assert_eq!(left("::/126"), ["::2/127"]);
    }
}
