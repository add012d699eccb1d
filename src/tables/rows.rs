//! Validated rows, with references resolved to positions.

use super::{Problems, Table};
use crate::address::Prefix;

/// A brand.
pub struct Brand {
    /// 1..=128 bytes, compared byte by byte.
    pub id: Box<[u8]>,
    /// Concurrent external calls; 0 is off.
    pub max_calls: u32,
}

/// A company of a brand.
pub struct Company {
    /// 1..=128 bytes, compared byte by byte.
    pub id: Box<[u8]>,
    /// Position in [`Configuration::brands`].
    pub brand: u32,
    /// Whether users may send from listed sources only.
    pub ip_filter: bool,
    /// Concurrent external calls; 0 is off.
    pub max_calls: u32,
}

/// A range granted to a company.
#[derive(Clone, Copy)]
pub struct RangeRow<K> {
    /// Position in [`Configuration::companies`].
    pub company: u32,
    /// Network address without host bits.
    pub start: K,
    /// Prefix length.
    pub len: u8,
}

/// A country allowed for a company.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Country {
    /// Position in [`Configuration::companies`].
    pub company: u32,
    /// ISO 3166-1 alpha-2, capitals.
    pub code: [u8; 2],
}

/// A user of a company.
pub struct User {
    /// 1..=320 bytes, compared byte by byte.
    pub aor: Box<[u8]>,
    /// Position in [`Configuration::companies`].
    pub company: u32,
    /// Calls at a time from addresses that are not granted: 0..=3.
    pub external_calls: u8,
}

/// An address of the platform or of a peer.
pub struct Trusted {
    /// The range.
    pub prefix: Prefix,
    /// At most 64 bytes; may be empty.
    pub tag: Box<[u8]>,
}

/// Everything that was read, valid and with references resolved.
#[derive(Default)]
pub struct Configuration {
    /// Brands.
    pub brands: Vec<Brand>,
    /// Companies.
    pub companies: Vec<Company>,
    /// IPv4 ranges of companies, in the order read.
    pub ranges_v4: Vec<RangeRow<u32>>,
    /// IPv6 ranges of companies, in the order read.
    pub ranges_v6: Vec<RangeRow<u128>>,
    /// Countries of companies, in the order read.
    pub countries: Vec<Country>,
    /// Users.
    pub users: Vec<User>,
    /// Platform servers and peers.
    pub trusted: Vec<Trusted>,
    /// Rows read per table, bad ones too.
    pub rows: [u64; Table::ALL.len()],
    /// Rows that are valid but look like a mistake.
    pub warnings: Problems,
}
