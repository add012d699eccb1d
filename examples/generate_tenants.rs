//! Prints SQL that fills the tables with a large platform:
//! `generate_tenants COMPANIES RANGES`. Company n is `company-n`; its ranges are
//! IPv4 prefixes of /24 to /32 and, one in ten, IPv6 prefixes of /48 to /64.
//! The same arguments give the same rows.

use std::io::{BufWriter, Write, stdout};

/// Rows per INSERT; every database takes that many.
const BATCH: u64 = 500;
const COMPANIES_PER_BRAND: u64 = 1000;

/// Mixes a counter into 64 bits that look random (SplitMix64, Steele et al. 2014).
fn mix(n: u64) -> u64 {
    let z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn range(n: u64) -> String {
    let bits = mix(n);
    if n % 10 == 9 {
        let len = 48 + bits % 17;
        let host = u128::MAX >> len;
        let address = ((0x2001_0db8u128 << 96) | (u128::from(bits) << 32)) & !host;
        format!("{}/{len}", std::net::Ipv6Addr::from(address))
    } else {
        let len = 24 + (bits >> 32) % 9;
        let host = if len == 32 { 0 } else { u32::MAX >> len };
        format!("{}/{len}", std::net::Ipv4Addr::from(bits as u32 & !host))
    }
}

fn insert(
    out: &mut impl Write,
    table: &str,
    count: u64,
    row: impl Fn(u64) -> String,
) -> std::io::Result<()> {
    for first in (0..count).step_by(BATCH as usize) {
        let rows: Vec<_> = (first..count.min(first + BATCH)).map(&row).collect();
        writeln!(out, "INSERT INTO {table} VALUES {};", rows.join(","))?;
    }
    Ok(())
}

fn main() -> std::io::Result<()> {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let (companies, ranges) = match *numbers.as_slice() {
        [companies, ranges] if companies > 0 => (companies, ranges),
        _ => {
            eprintln!("usage: generate_tenants COMPANIES RANGES");
            std::process::exit(2);
        }
    };
    let mut out = BufWriter::new(stdout().lock());
    writeln!(out, "BEGIN;")?;
    insert(&mut out, "sipwarden_brand", companies.div_ceil(COMPANIES_PER_BRAND), |n| {
        format!("('brand-{n}',0)")
    })?;
    insert(&mut out, "sipwarden_company", companies, |n| {
        format!("('company-{n}','brand-{}',1,10)", n / COMPANIES_PER_BRAND)
    })?;
    insert(&mut out, "sipwarden_company_address", ranges, |n| {
        format!("('company-{}','{}',NULL)", mix(n ^ 0xffff) % companies, range(n))
    })?;
    writeln!(out, "COMMIT;")
}
