//! Builds the blob from a valid configuration, in private memory.

use super::blob::{
    Blob, Builder, Section, WORD_BROADEST, WORD_BUILT, WORD_CONTAINED, WORD_COUNTRIES, WORD_KEY,
    WORD_NETWORKS, WORD_ROWS, WORD_SOURCES, WORD_TIME,
};
use super::prefixes::{self, AddressBits};
use super::sources::{PrefixBlock, Sources, number_of};
use super::text::Text;
use super::{ids, limits, names, tools};
use crate::address::Prefix;
use crate::countries::{CountryCode, Network};
use crate::ledger::{ScopeKey, ScopeKind};
use crate::tables::{Company, Configuration, NamedFor, RangeRow, Trusted};

/// Ids up to this many bytes are in the company's record itself.
pub const INLINE_ID: usize = 24;
/// Up to this many IPv4 ranges stand behind the company's record, in a cache line that can
/// be fetched together with the record's: 12 addresses and lengths.
pub const INLINE_RANGES: usize = 12;
/// First word of a company's record that belongs to these ranges.
pub const INLINE_BLOCK: usize = 16;
/// Last word of a company's record: place of its first range among those of all companies.
pub const FIRST_RANGE: usize = 31;
/// A company: 64 bytes about it, then the block of its IPv4 ranges, if it fits.
pub type CompanyRecord = [u32; 32];

const _: () = assert!(INLINE_BLOCK + INLINE_RANGES + INLINE_RANGES.div_ceil(4) <= FIRST_RANGE);
/// Flag in a company record: filter on.
pub const FLAG_FILTER: u32 = 1 << 16;

/// Flag in a company record: the filter reports and refuses nothing.
pub const FLAG_MONITOR: u32 = 1 << 17;

/// Flag in a company record: a host name is listed for it.
pub const FLAG_NAMES: u32 = 1 << 18;

/// The configuration does not fit in 4 GiB.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLarge;

/// Compiles `config`. `key` seeds the id hash, `now` is in seconds since 1970.
///
/// # Errors
/// [`TooLarge`] if the blob would exceed 4 GiB.
pub fn compile(config: Configuration, key: ids::HashKey, now: u64) -> Result<Blob, TooLarge> {
    compile_keyed(config, key, now, |_, _| None)
}

/// As [`compile`], for a ledger that has these keys of brands and companies, so that a call needs
/// to hash neither.
///
/// # Errors
/// As [`compile`].
pub fn compile_keyed(
    config: Configuration,
    key: ids::HashKey,
    now: u64,
    scope_key: impl Fn(ScopeKind, &[u8]) -> Option<ScopeKey>,
) -> Result<Blob, TooLarge> {
    build(config, key, now, scope_key).ok_or(TooLarge)
}

fn build(
    config: Configuration,
    key: ids::HashKey,
    now: u64,
    scope_key: impl Fn(ScopeKind, &[u8]) -> Option<ScopeKey>,
) -> Option<Blob> {
    let Configuration {
        brands,
        companies,
        ranges_v4,
        ranges_v6,
        mut countries,
        networks,
        users,
        trusted,
        limits,
        tools,
        names,
        min_prefix,
        rows,
        contained,
        warnings: _,
    } = config;
    let estimate = ranges_v4.len() * 12 + ranges_v6.len() * 40 + companies.len() * 192;
    let mut out = Builder::new(estimate + users.len() * 64);
    let mut text = Text::default();

    let filters = |company: u32| companies.get(company as usize).is_some_and(|c| c.ip_filter);
    let sources_v4 = Sources::new(&trusted, &ranges_v4, min_prefix.v4, filters);
    let sources_v6 = Sources::new(&trusted, &ranges_v6, min_prefix.v6, filters);
    let mut records: Vec<CompanyRecord> = vec![[0; 32]; companies.len()];
    let mut block = Vec::new();
    let v4 = Ranges::group(ranges_v4, companies.len(), |company, prefixes| {
        let record = records.get_mut(company as usize);
        let Some(record) = record.filter(|_| prefixes.len() <= INLINE_RANGES) else { return false };
        block.clear();
        prefixes::append(&mut block, prefixes);
        record.iter_mut().skip(INLINE_BLOCK).zip(&block).for_each(|(to, from)| *to = *from);
        true
    });
    let v6 = Ranges::group(ranges_v6, companies.len(), |_, _| false);
    countries.sort_unstable();
    countries.dedup();
    let country_blocks = blocks_of(companies.len(), countries.iter().map(|c| c.company));

    let network_count = networks.count() as u32;
    let (countries_v4, countries_v6) = (country_map(networks.v4), country_map(networks.v6));

    let brand_records: Vec<[u32; 8]> = brands
        .iter()
        .map(|b| Some([text.add(&b.id)?, b.id.len() as u32, b.max_calls, 0, 0, 0, 0, 0]))
        .collect::<Option<_>>()?;
    let mut ranges: u32 = 0;
    for (n, (company, record)) in companies.iter().zip(&mut records).enumerate() {
        let spans = [&v4.spans, &v6.spans, &country_blocks].map(|p| p.get(n).copied());
        let [.., first_range] = record;
        *first_range = ranges;
        ranges = spans.iter().take(2).flatten().try_fold(ranges, |all, s| all.checked_add(s.1))?;
        let about = company_record(company, text.add(&company.id)?, spans)?;
        record.iter_mut().zip(about).for_each(|(to, from)| *to = from);
    }
    for row in &names {
        let NamedFor::Company(company) = row.of else { continue };
        if let Some([about, ..]) = records.get_mut(company as usize) {
            *about |= FLAG_NAMES;
        }
    }
    let user_records: Vec<[u32; 4]> = users
        .iter()
        .map(|u| {
            let calls = u32::from(u.external_calls);
            Some([text.add(&u.aor)?, u.aor.len() as u32, u.company, calls])
        })
        .collect::<Option<_>>()?;
    let trusted_records: Vec<[u32; 8]> = trusted.iter().map(trusted_record).collect();
    let country_codes: Vec<CountryCode> = countries.iter().map(|c| c.code).collect();

    let scope_keys: Option<Vec<[ScopeKey; 2]>> = companies
        .iter()
        .map(|company| {
            let brand = brands.get(company.brand as usize)?;
            let of_brand = scope_key(ScopeKind::BRAND, &brand.id)?;
            Some([of_brand, scope_key(ScopeKind::COMPANY, &company.id)?])
        })
        .collect();

    out.section(Section::Brands, &brand_records)?;
    out.section(Section::Companies, &records)?;
    out.section(Section::Users, &user_records)?;
    out.section(Section::Trusted, &trusted_records)?;
    out.section(Section::BrandIndex, &ids::build(&key, brands.iter().map(|b| &*b.id)))?;
    out.section(Section::CompanyIndex, &ids::build(&key, companies.iter().map(|c| &*c.id)))?;
    out.section(Section::UserIndex, &ids::build(&key, users.iter().map(|u| &*u.aor)))?;
    out.section(Section::RangesV4, &v4.elements)?;
    out.section(Section::RangesV6, &v6.elements)?;
    out.section(Section::Countries, &country_codes)?;
    out.section(Section::TrustedV4, &sources_v4.trusted.elements)?;
    out.section(Section::TrustedV6, &sources_v6.trusted.elements)?;
    out.section(Section::CompanyV4, &sources_v4.companies.elements)?;
    out.section(Section::CompanyV6, &sources_v6.companies.elements)?;

    out.section(Section::CountryV4, &countries_v4.elements)?;
    out.section(Section::CountryV6, &countries_v6.elements)?;
    out.section(Section::CountryCodes, &networks.codes)?;

    limits::compile(limits, &key, &mut text, &mut out)?;
    out.section(Section::ScopeKeys, &scope_keys.unwrap_or_default())?;
    tools::compile(&tools, &mut text, &mut out)?;
    names::compile(&names, &mut text, &mut out)?;
    out.section(Section::Text, &text.bytes)?;

    let counts = [
        sources_v4.trusted.count,
        sources_v6.trusted.count,
        sources_v4.companies.count,
        sources_v6.companies.count,
    ];
    for (n, count) in counts.into_iter().enumerate() {
        out.word(WORD_SOURCES + n, u32::try_from(count).ok()?);
    }
    for (n, count) in [countries_v4.count, countries_v6.count].into_iter().enumerate() {
        out.word(WORD_COUNTRIES + n, u32::try_from(count).ok()?);
    }
    out.word(WORD_NETWORKS, network_count);
    out.word(WORD_BUILT, networks.built as u32);
    out.word(WORD_BUILT + 1, (networks.built >> 32) as u32);
    out.word(WORD_BROADEST, min_prefix.v4.into());
    out.word(WORD_BROADEST + 1, min_prefix.v6.into());
    out.word(WORD_TIME, now as u32);
    out.word(WORD_TIME + 1, (now >> 32) as u32);
    for (n, half) in key.iter().enumerate() {
        out.word(WORD_KEY + 2 * n, *half as u32);
        out.word(WORD_KEY + 2 * n + 1, (half >> 32) as u32);
    }
    for (n, count) in rows.iter().enumerate() {
        out.word(WORD_ROWS + n, u32::try_from(*count).ok()?);
    }
    let contained = contained.or(u32::try_from(v4.contained + v6.contained).ok());
    out.word(WORD_CONTAINED, contained?);
    Some(out.finish())
}

/// The countries of one address family; neighbours of one country are one entry.
fn country_map<K: AddressBits>(networks: Vec<Network<K>>) -> PrefixBlock<K> {
    let mut map = prefixes::flatten(networks);
    map.dedup_by_key(|(_, number)| *number);
    PrefixBlock::of(&map)
}

/// Offset in elements of its section, and how many.
type Span = (u32, u32);

/// Ranges of all companies as prefix blocks.
struct Ranges<K> {
    elements: Vec<K>,
    spans: Vec<Span>,
    contained: usize,
}

impl<K: AddressBits> Ranges<K> {
    /// `keep` returns true where it takes the ranges of a company: their block is not here.
    fn group(
        mut rows: Vec<RangeRow<K>>,
        companies: usize,
        mut keep: impl FnMut(u32, &[(K, u8)]) -> bool,
    ) -> Self {
        rows.sort_unstable_by_key(|row| row.company);
        let mut out = Ranges {
            elements: Vec::with_capacity(rows.len() * 3 / 2),
            spans: vec![(0, 0); companies],
            contained: 0,
        };
        let mut prefixes = Vec::new();
        for of_company in rows.chunk_by(|a, b| a.company == b.company) {
            prefixes.clear();
            prefixes.extend(of_company.iter().map(|row| (row.start, row.len)));
            out.contained += prefixes::normalise(&mut prefixes);
            let Some(company) = of_company.first().map(|row| row.company) else { continue };
            if let Some(slot) = out.spans.get_mut(company as usize) {
                *slot = (out.elements.len() as u32, prefixes.len() as u32);
            }
            if !keep(company, &prefixes) {
                prefixes::append(&mut out.elements, &prefixes);
            }
        }
        out
    }
}

/// Spans of runs of equal owners, which must come in ascending order.
fn blocks_of(owners: usize, sorted: impl Iterator<Item = u32>) -> Vec<Span> {
    let mut spans = vec![(0u32, 0u32); owners];
    for (n, owner) in sorted.enumerate() {
        if let Some((offset, count)) = spans.get_mut(owner as usize) {
            if *count == 0 {
                *offset = n as u32;
            }
            *count += 1;
        }
    }
    spans
}

fn company_record(company: &Company, text: u32, spans: [Option<Span>; 3]) -> Option<[u32; 16]> {
    let [v4, v6, countries] = spans;
    let flag = |on: bool, flag: u32| if on { flag } else { 0 };
    let flags = flag(company.ip_filter, FLAG_FILTER) | flag(company.monitor, FLAG_MONITOR);
    let mut inline = [0u8; INLINE_ID];
    if company.id.len() <= INLINE_ID {
        inline.iter_mut().zip(&*company.id).for_each(|(to, from)| *to = *from);
    }
    let [i0, i1, i2, i3, i4, i5]: [u32; 6] = bytemuck::cast(inline);
    Some([
        company.id.len() as u32 | flags,
        text,
        company.brand,
        company.max_calls,
        v4?.0,
        v4?.1,
        v6?.0,
        v6?.1,
        countries?.0,
        countries?.1,
        i0,
        i1,
        i2,
        i3,
        i4,
        i5,
    ])
}

fn trusted_record(trusted: &Trusted) -> [u32; 8] {
    let (family, bits, len) = match trusted.prefix {
        Prefix::V4(bits, len) => (4, u128::from(bits), len),
        Prefix::V6(bits, len) => (6, bits, len),
    };
    let [a, b, c, d]: [u32; 4] = bytemuck::cast(bits);
    [
        family,
        u32::from(len),
        a,
        b,
        c,
        d,
        u32::from(number_of(trusted.class)),
        trusted.is_named.into(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;
    use crate::snapshot::View;
    use crate::tables::{BadRows, Loader, Table};

    #[test]
    fn ranges_are_found_in_the_record_and_outside() {
        let mut loader = Loader::new(Table::ALL.map(|t| t.short_name().into()), BadRows::Fail);
        let mut row = |table: Table, values: &[&str]| {
            let values: Vec<_> = values.iter().map(|v| Some(v.as_bytes())).collect();
            loader.row(table, &values);
        };
        row(Table::Brand, &["b", "0"]);
        let counts = [0, 1, INLINE_RANGES - 1, INLINE_RANGES, INLINE_RANGES + 1, 16, 17, 40];
        for count in counts {
            let company = format!("company-{count}");
            row(Table::Company, &[&company, "b", "1", "0"]);
            for n in 0..count {
                let range = format!("10.{count}.{}.0", 2 * n);
                row(Table::CompanyAddress, &[&company, &range, &(24 + n % 8).to_string()]);
            }
        }
        let Ok((config, _)) = loader.finish() else { panic!("invalid rows") };
        let blob = compile(config, [1, 2], 0).unwrap();
        let view = View::new(blob.bytes()).unwrap();
        for count in counts {
            let company = view.company(format!("company-{count}").as_bytes()).unwrap();
            assert_eq!(company.ranges().count(), count);
            for other in counts {
                for n in 0..=other {
                    let address = Address::from_v4([10, other as u8, 2 * n as u8, 0]);
                    let range = company.range_of(address).map(|range| range.to_string());
                    let own = format!("10.{count}.{}.0/{}", 2 * n, 24 + n % 8);
                    let expected = (count == other && n < count).then_some(own);
                    assert_eq!(range, expected, "{count} ranges, {address:?}");
                }
            }
        }
    }
}
