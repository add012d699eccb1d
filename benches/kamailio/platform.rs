//! Companies with ranges, and sources inside and outside of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use super::support::sqlite::Sqlite;

const COMPANIES_PER_BRAND: u32 = 1000;

/// Mixes a counter into 64 bits that look random (SplitMix64, Steele et al. 2014).
pub fn mix(n: u64) -> u64 {
    let z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    V4,
    V6,
}

/// A source as the benchmarks' module reads it: 32 bytes.
pub struct Pick {
    pub family: Family,
    pub company: u32,
    /// In the upper bits, for IPv4 the upper 32.
    pub address: u128,
}

/// `brand.company`, so that the brand's id is the beginning of the company's.
pub fn company_id(company: u32) -> String {
    format!("{}.{company}", company / COMPANIES_PER_BRAND)
}

fn brand_id(company: u32) -> String {
    (company / COMPANIES_PER_BRAND).to_string()
}

/// Writes a file of picks.
pub fn write_picks(file: &Path, picks: impl Iterator<Item = Pick>) {
    let mut bytes = Vec::new();
    for pick in picks {
        let (id, brand) = (company_id(pick.company), brand_id(pick.company));
        assert!(id.len() <= 12);
        let family = if pick.family == Family::V4 { 4 } else { 6 };
        bytes.extend([family, id.len() as u8, brand.len() as u8, 0]);
        let mut text = [0u8; 12];
        text[..id.len()].copy_from_slice(id.as_bytes());
        bytes.extend(text);
        bytes.extend(pick.address.to_be_bytes());
    }
    fs::write(file, bytes).unwrap();
}

#[derive(Clone, Copy)]
struct Range {
    start: u128,
    /// Length of the prefix.
    len: u32,
}

impl Range {
    fn last(self) -> u128 {
        self.start | (u128::MAX >> self.len)
    }
}

/// Companies with ranges of one family: IPv4 of /24 to /32, IPv6 of /48 to /64.
pub struct Platform {
    pub companies: u32,
    pub family: Family,
    ranges: Vec<Range>,
    /// Begin and end of what the ranges cover, merged.
    covered: BTreeMap<u128, u128>,
}

impl Platform {
    pub fn new(companies: u32, ranges: u32, family: Family) -> Self {
        let ranges: Vec<Range> = (0..u64::from(ranges))
            .map(|n| {
                let (bits, other) = (mix(n), mix(n ^ 0xabcd_0000_0000));
                let (address, len) = match family {
                    Family::V4 => (u128::from(bits) << 64, 24 + other % 9),
                    // 2000::/3
                    Family::V6 => (u128::from(bits >> 3 | 1 << 61) << 64, 48 + other % 17),
                };
                let len = len as u32;
                Range { start: address & !(u128::MAX >> len), len }
            })
            .collect();
        let mut sorted: Vec<(u128, u128)> = ranges.iter().map(|r| (r.start, r.last())).collect();
        // A range before those that begin with it and lie within it.
        sorted.sort_unstable_by_key(|&(start, last)| (start, std::cmp::Reverse(last)));
        let mut covered = BTreeMap::new();
        let mut end = None;
        for (start, last) in sorted {
            if end.is_none_or(|end| start > end) {
                covered.insert(start, last);
                end = Some(last);
            }
        }
        Platform { companies, family, ranges, covered }
    }

    fn company_of(&self, range: usize) -> u32 {
        range as u32 % self.companies
    }

    fn text(&self, range: Range) -> String {
        match self.family {
            Family::V4 => Ipv4Addr::from((range.start >> 96) as u32).to_string(),
            Family::V6 => Ipv6Addr::from(range.start).to_string(),
        }
    }

    /// Addresses that a company's range grants, of ranges drawn at random.
    pub fn hits(&self, count: u64) -> impl Iterator<Item = Pick> + '_ {
        (0..count).map(|n| {
            let chosen = (mix(n ^ 0x11_0000_0000) % self.ranges.len() as u64) as usize;
            let range = self.ranges[chosen];
            let host = u128::from(mix(n ^ 0x22_0000_0000)) << 64 | u128::from(mix(n));
            Pick {
                family: self.family,
                company: self.company_of(chosen),
                address: range.start | (host & (u128::MAX >> range.len)),
            }
        })
    }

    /// Addresses that no range grants, of companies drawn at random.
    pub fn misses(&self, count: u64) -> impl Iterator<Item = Pick> + '_ {
        let addresses = (0u64..).map(|n| {
            let bits = mix(n ^ 0x33_0000_0000);
            match self.family {
                Family::V4 => u128::from(bits) << 64,
                Family::V6 => u128::from(bits >> 3 | 1 << 61) << 64,
            }
        });
        let outside = addresses.filter(|address| {
            let below = self.covered.range(..=*address).next_back();
            below.is_none_or(|(_, last)| last < address)
        });
        outside.take(count as usize).enumerate().map(|(n, address)| Pick {
            family: self.family,
            company: (mix(n as u64 ^ 0x44_0000_0000) % u64::from(self.companies)) as u32,
            address,
        })
    }

    /// A database with the platform. Users have a company's id as AoR and 3 calls.
    pub fn database(&self, file: PathBuf) -> Sqlite {
        let db = Sqlite::create(file);
        let mut sql = String::from("BEGIN;\n");
        insert(&mut sql, "sipwarden_brand", self.companies.div_ceil(COMPANIES_PER_BRAND), |n| {
            format!("('{n}',0)")
        });
        insert(&mut sql, "sipwarden_company", self.companies, |n| {
            format!("('{}','{}',1,0)", company_id(n), brand_id(n))
        });
        insert(&mut sql, "sipwarden_user", self.companies, |n| {
            format!("('{0}','{0}',3)", company_id(n))
        });
        insert(&mut sql, "sipwarden_company_address", self.ranges.len() as u32, |n| {
            let range = self.ranges[n as usize];
            let company = company_id(self.company_of(n as usize));
            format!("('{company}','{}',{})", self.text(range), range.len)
        });
        sql.push_str("COMMIT;\n");
        db.run(&sql);
        db
    }

    /// The same ranges for `permissions`, all of one group.
    pub fn address_file(&self, file: &Path) {
        let mut text = String::new();
        for &range in &self.ranges {
            writeln!(text, "1 {} {}", self.text(range), range.len).unwrap();
        }
        fs::write(file, text).unwrap();
    }
}

fn insert(sql: &mut String, table: &str, count: u32, row: impl Fn(u32) -> String) {
    for first in (0..count).step_by(500) {
        let rows: Vec<_> = (first..count.min(first + 500)).map(&row).collect();
        writeln!(sql, "INSERT INTO {table} VALUES {};", rows.join(",")).unwrap();
    }
}
