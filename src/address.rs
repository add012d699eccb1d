//! Source addresses and prefixes in the form that lookups compare.
//!
//! IPv4-mapped IPv6 (`::ffff:a.b.c.d`) equals the IPv4 address everywhere.
#![forbid(unsafe_code)]

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::digits::parse_digits;

/// A source address, mapped IPv4 already turned into IPv4. Host byte order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    V4(u32),
    /// IPv6 that is not IPv4-mapped.
    V6(u128),
}

impl Address {
    #[inline]
    pub fn from_v4(octets: [u8; 4]) -> Self {
        Address::V4(u32::from_be_bytes(octets))
    }

    /// From network-order octets; a mapped address becomes IPv4.
    pub fn from_v6(octets: [u8; 16]) -> Self {
        IpAddr::V6(Ipv6Addr::from(octets)).into()
    }

    /// Parses `192.0.2.1`, `2001:db8::1` or `::ffff:192.0.2.1`, also in the
    /// brackets that SIP puts around IPv6.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let bracketed = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
        match bracketed {
            Some(inner) => inner.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            None => text.parse::<IpAddr>().ok(),
        }
        .map(Address::from)
    }
}

impl Address {
    /// The source that requests from this address count for: the IPv4 address
    /// itself, an IPv6 address cut after `ipv6_len` bits.
    pub fn prefix(self, ipv6_len: u8) -> Prefix {
        match self {
            Address::V4(_) => self.prefix_of(32),
            Address::V6(_) => self.prefix_of(ipv6_len),
        }
    }

    /// The prefix of this length that contains the address.
    pub fn prefix_of(self, len: u8) -> Prefix {
        match self {
            Address::V4(bits) => {
                let len = len.min(32);
                Prefix::V4(bits & !u32::MAX.checked_shr(len.into()).unwrap_or(0), len)
            }
            Address::V6(bits) => {
                let len = len.min(128);
                Prefix::V6(bits & !u128::MAX.checked_shr(len.into()).unwrap_or(0), len)
            }
        }
    }
}

impl From<IpAddr> for Address {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(v4) => Address::V4(v4.into()),
            IpAddr::V6(v6) => Address::V6(v6.into()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Address::V4(bits) => Ipv4Addr::from(bits).fmt(f),
            Address::V6(bits) => Ipv6Addr::from(bits).fmt(f),
        }
    }
}

/// A range in CIDR form without host bits. `::/0` and other IPv6 ranges that
/// contain `::ffff:0:0/96` grant no IPv4 address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Prefix {
    /// IPv4: network address and length 0..=32.
    V4(u32, u8),
    /// IPv6: network address and length 0..=128.
    V6(u128, u8),
}

impl Prefix {
    /// Parses an address with an optional `/len` in it and an optional `mask` column beside
    /// it. Neither means a host.
    pub fn parse(ip: &str, mask: Option<&str>) -> Result<Self, PrefixError> {
        let (ip, inline) = match ip.split_once('/') {
            Some((ip, len)) => (ip, Some(len)),
            None => (ip, None),
        };
        let address: IpAddr = ip.parse().map_err(|_| PrefixError::Address)?;
        let inline = inline.map(parse_mask).transpose()?;
        let column = mask.map(parse_mask).transpose()?;
        let len = match (inline, column) {
            (Some(inline), Some(column)) if inline != column => {
                return Err(PrefixError::MasksDiffer { inline, column });
            }
            (a, b) => a.or(b),
        };
        Self::new(address, len)
    }

    fn new(address: IpAddr, len: Option<u8>) -> Result<Self, PrefixError> {
        let widest = if address.is_ipv4() { 32 } else { 128 };
        let len = len.unwrap_or(widest);
        let net = IpNet::new(address, len)
            .map_err(|_| PrefixError::Mask(format!("mask {len} is larger than {widest}")))?;
        if net.network() != address {
            return Err(PrefixError::HostBits(net.trunc()));
        }
        match net {
            IpNet::V4(net) => Ok(Prefix::V4(net.network().into(), len)),
            IpNet::V6(net) => match net.network().to_ipv4_mapped() {
                Some(v4) if len >= 96 => Ok(Prefix::V4(v4.into(), len - 96)),
                Some(_) => Err(PrefixError::Mask(format!(
                    "mask {len} is too wide for an IPv4-mapped address (96 to 128)"
                ))),
                None => Ok(Prefix::V6(net.network().into(), len)),
            },
        }
    }

    /// The network that starts at `first`; None if host bits are set.
    pub fn of_network(first: IpAddr, len: u8) -> Option<Self> {
        Self::new(first, Some(len)).ok()
    }

    pub fn first(&self) -> Address {
        match *self {
            Prefix::V4(bits, _) => Address::V4(bits),
            Prefix::V6(bits, _) => Address::V6(bits),
        }
    }

    pub fn last(&self) -> Address {
        match *self {
            Prefix::V4(bits, len) => {
                Address::V4(bits | u32::MAX.checked_shr(len.into()).unwrap_or(0))
            }
            Prefix::V6(bits, len) => {
                Address::V6(bits | u128::MAX.checked_shr(len.into()).unwrap_or(0))
            }
        }
    }

    /// Whether all of `other` is within it.
    pub fn contains(&self, other: Prefix) -> bool {
        let same_family = matches!(
            (self, other),
            (Prefix::V4(..), Prefix::V4(..)) | (Prefix::V6(..), Prefix::V6(..))
        );
        same_family && self.mask() <= other.mask() && other.first().prefix_of(self.mask()) == *self
    }

    /// Distance of an address, 0 within; None for one of the other family.
    pub fn distance(&self, address: Address) -> Option<u128> {
        match (self.first(), self.last(), address) {
            (Address::V4(first), Address::V4(last), Address::V4(at)) => {
                Some(first.saturating_sub(at).max(at.saturating_sub(last)).into())
            }
            (Address::V6(first), Address::V6(last), Address::V6(at)) => {
                Some(first.saturating_sub(at).max(at.saturating_sub(last)))
            }
            _ => None,
        }
    }

    pub fn name(&self) -> String {
        match *self {
            Prefix::V4(bits, 32) => Address::V4(bits).to_string(),
            Prefix::V6(bits, 128) => Address::V6(bits).to_string(),
            _ => self.to_string(),
        }
    }

    pub fn mask(&self) -> u8 {
        match *self {
            Prefix::V4(_, len) | Prefix::V6(_, len) => len,
        }
    }

    /// Whether it is a whole address family: `0.0.0.0/0` or `::/0`.
    pub fn is_everything(&self) -> bool {
        self.mask() == 0
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Prefix::V4(bits, len) => match Ipv4Net::new(bits.into(), len) {
                Ok(net) => net.fmt(f),
                Err(_) => write!(f, "{}/{len}", Ipv4Addr::from(bits)),
            },
            Prefix::V6(bits, len) => match Ipv6Net::new(bits.into(), len) {
                Ok(net) => net.fmt(f),
                Err(_) => write!(f, "{}/{len}", Ipv6Addr::from(bits)),
            },
        }
    }
}

/// What is wrong with a prefix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrefixError {
    Address,
    /// The message shows the mask.
    Mask(String),
    MasksDiffer {
        inline: u8,
        column: u8,
    },
    /// With the network that is meant.
    HostBits(IpNet),
}

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrefixError::Address => f.write_str("is not an IP address"),
            PrefixError::Mask(what) => f.write_str(what),
            PrefixError::MasksDiffer { inline, column } => {
                write!(f, "/{inline} in the address and mask {column} beside it differ")
            }
            PrefixError::HostBits(net) => write!(f, "host bits set: write {net}"),
        }
    }
}

fn parse_mask(text: &str) -> Result<u8, PrefixError> {
    let mask = Some(text).filter(|text| text.len() <= 3).map(str::as_bytes);
    mask.and_then(parse_digits).ok_or_else(|| {
        let shown = format!("mask \"{}\"", text.escape_debug());
        PrefixError::Mask(match netmask_len(text) {
            Some(len) => format!("{shown} is dotted: write {len}"),
            None => format!("{shown} is not a number from 0 to 128"),
        })
    })
}

/// The length that a dotted netmask like `255.255.255.0` stands for.
fn netmask_len(text: &str) -> Option<u8> {
    ipnet::ip_mask_to_prefix(text.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(ip: &str, mask: Option<&str>) -> String {
        match Prefix::parse(ip, mask) {
            Ok(p) => p.to_string(),
            Err(e) => format!("error: {e}"),
        }
    }

    #[test]
    fn a_mask_may_stand_in_either_column() {
        assert_eq!(prefix("192.0.2.0/24", None), "192.0.2.0/24");
        assert_eq!(prefix("192.0.2.0", Some("24")), "192.0.2.0/24");
        assert_eq!(prefix("192.0.2.0/24", Some("24")), "192.0.2.0/24");
        assert_eq!(prefix("192.0.2.1", None), "192.0.2.1/32");
        assert_eq!(prefix("2001:db8::1", None), "2001:db8::1/128");
        assert_eq!(prefix("0.0.0.0", Some("0")), "0.0.0.0/0");
        assert_eq!(prefix("::", Some("0")), "::/0");
    }

    #[test]
    fn mapped_ranges_are_ipv4() {
        assert_eq!(prefix("::ffff:192.0.2.0/120", None), "192.0.2.0/24");
        assert_eq!(prefix("::ffff:192.0.2.7", None), "192.0.2.7/32");
        assert_eq!(prefix("::ffff:0.0.0.0/96", None), "0.0.0.0/0");
        assert!(prefix("::ffff:0:0/90", None).starts_with("error"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (ip, mask, what) in [
            ("192.0.2.1/24", None, "host bits set: write 192.0.2.0/24"),
            ("192.0.2.0", Some("33"), "mask 33 is larger than 32"),
            ("2001:db8::", Some("129"), "mask 129 is larger than 128"),
            ("192.0.2.0/24", Some("25"), "/24 in the address and mask 25"),
            ("192.0.2", None, "is not an IP address"),
            ("192.0.2.01", None, "is not an IP address"),
            (" 192.0.2.1", None, "is not an IP address"),
            ("192.0.2.0/", None, "mask \"\" is not"),
            ("192.0.2.0/+4", None, "mask \"+4\" is not"),
            ("192.0.2.0", Some("abc"), "mask \"abc\" is not"),
            ("192.0.2.0", Some("255.255.255.0"), "mask \"255.255.255.0\" is dotted: write 24"),
            ("192.0.2.0/255.255.0.255", None, "is not a number from 0 to 128"),
            ("192.0.2.0", Some("4294967328"), "is not a number from 0 to 128"),
            ("2001:db8::", Some("32"), ""),
        ] {
            let got = prefix(ip, mask);
            assert!(got.contains(what), "{ip} {mask:?}: {got}");
            assert!(what.is_empty() || got.starts_with("error"), "{ip}: {got}");
        }
    }

    #[test]
    fn prefixes_contain_what_lies_in_them() {
        let parse = |text: &str| Prefix::parse(text, None).unwrap();
        for (outer, inner, within) in [
            ("10.0.0.0/8", "10.255.0.0/16", true),
            ("10.0.0.0/8", "10.0.0.0/8", true),
            ("10.0.0.0/8", "10.0.0.0/7", false),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("::/0", "2001:db8::/32", true),
            ("::/0", "10.0.0.1", false),
            ("2001:db8::/64", "2001:db8:0:1::1", false),
        ] {
            assert_eq!(parse(outer).contains(parse(inner)), within, "{outer} {inner}");
        }
        assert_eq!(Address::V4(u32::MAX).prefix_of(0), parse("0.0.0.0/0"));
        let far = |range: &str, at: &[u8]| parse(range).distance(Address::parse(at).unwrap());
        assert_eq!(far("192.0.2.0/24", b"192.0.1.255"), Some(1));
        assert_eq!(far("192.0.2.0/24", b"192.0.3.1"), Some(2));
        assert_eq!(far("192.0.2.0/24", b"192.0.2.9"), Some(0));
        assert_eq!(far("2001:db8::/64", b"2001:db8:0:1::5"), Some(6));
        assert_eq!(far("::/0", b"192.0.2.9"), None);
        let source = Address::parse(b"2001:db8:1:2:3::4").unwrap();
        assert_eq!(source.prefix(64), parse("2001:db8:1:2::/64"));
        assert_eq!(source.prefix(128), Prefix::V6(0x2001_0db8_0001_0002_0003_0000_0000_0004, 128));
    }

    #[test]
    fn mapped_and_bracketed_addresses_are_read() {
        assert_eq!(Address::parse(b"::ffff:192.0.2.1"), Some(Address::V4(0xc000_0201)));
        assert_eq!(Address::parse(b"[2001:db8::1]"), Address::parse(b"2001:db8::1"));
        assert_eq!(Address::parse(b"[192.0.2.1]"), None);
        assert_eq!(Address::parse(b"192.0.2.1\0"), None);
        assert_eq!(Address::parse(b""), None);
        assert_eq!(
            Address::from_v6(Ipv4Addr::new(192, 0, 2, 1).to_ipv6_mapped().octets()),
            Address::from_v4([192, 0, 2, 1])
        );
    }
}
