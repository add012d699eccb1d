//! Validated rows, with references resolved to positions.

use super::{Limits, Problems, Table, Tool};
use crate::address::{Address, Prefix};
use crate::countries::{CountryCode, CountryNetworks};
use crate::limiter::ClassId;

pub struct Brand {
    /// 1..=128 bytes, compared byte by byte.
    pub id: Box<[u8]>,
    /// Concurrent external calls; 0 is off.
    pub max_calls: u32,
}

pub struct Company {
    /// 1..=128 bytes, compared byte by byte.
    pub id: Box<[u8]>,
    /// Position in [`Configuration::brands`].
    pub brand: u32,
    /// Whether users may send from listed sources only.
    pub ip_filter: bool,
    /// The filter reports and refuses nothing.
    pub monitor: bool,
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
    pub len: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Country {
    /// Position in [`Configuration::companies`].
    pub company: u32,
    pub code: CountryCode,
}

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
    pub prefix: Prefix,
    /// Class for flood control; None: exempt.
    pub class: Option<ClassId>,
    /// It is here for a host name only.
    pub is_named: bool,
}

/// Whom a row with a host name is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NamedFor {
    /// The company at a position.
    Company(u32),
    /// Trusted sources of a class; None: exempt.
    Trusted(Option<ClassId>),
}

/// A row with a host name, and what that means now.
#[derive(Clone, Debug)]
pub struct NamedRow {
    /// In lower case.
    pub name: Box<[u8]>,
    pub of: NamedFor,
    pub addresses: Vec<NamedAddress>,
}

/// An address of a host name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NamedAddress {
    pub address: Address,
    /// It counts without the name too: a row of its own has it.
    pub is_listed: bool,
}

/// Shortest prefix length at which a company's range decides the class of its addresses;
/// broader ranges are ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinPrefix {
    /// 0..=32.
    pub v4: u8,
    /// 0..=128.
    pub v6: u8,
}

impl Default for MinPrefix {
    fn default() -> Self {
        MinPrefix { v4: 16, v6: 32 }
    }
}

impl MinPrefix {
    /// The parameter that sets the bound for a prefix.
    pub fn parameter(prefix: &Prefix) -> &'static str {
        match prefix {
            Prefix::V4(..) => "flood_exempt_prefix",
            Prefix::V6(..) => "flood_exempt_ipv6_prefix",
        }
    }

    /// The bound of a prefix's family.
    pub fn of(self, prefix: &Prefix) -> u8 {
        match prefix {
            Prefix::V4(..) => self.v4,
            Prefix::V6(..) => self.v6,
        }
    }

    /// Whether a prefix is broader than this.
    pub fn is_longer_than(self, prefix: &Prefix) -> bool {
        prefix.mask() < self.of(prefix)
    }
}

/// Everything that was read, valid and with references resolved.
#[derive(Default)]
pub struct Configuration {
    pub brands: Vec<Brand>,
    pub companies: Vec<Company>,
    /// IPv4 ranges of companies, in the order read.
    pub ranges_v4: Vec<RangeRow<u32>>,
    /// IPv6 ranges of companies, in the order read.
    pub ranges_v6: Vec<RangeRow<u128>>,
    /// Countries of companies, in the order read.
    pub countries: Vec<Country>,
    /// Countries of all networks; empty without a database of them.
    pub networks: CountryNetworks,
    pub users: Vec<User>,
    /// Platform servers and peers.
    pub trusted: Vec<Trusted>,
    /// Rows with host names; what these mean is among the ranges and trusted sources.
    pub names: Vec<NamedRow>,
    /// Limits of scopes.
    pub limits: Limits,
    /// Patterns of scanners.
    pub tools: Vec<Tool>,
    pub min_prefix: MinPrefix,
    /// Rows read per table, bad ones too.
    pub rows: [u64; Table::ALL.len()],
    /// Ranges that were left out of these rows already, since another one contains them.
    pub contained: Option<u32>,
    /// Rows that are valid but look like a mistake.
    pub warnings: Problems,
}
