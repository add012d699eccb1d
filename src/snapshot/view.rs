//! Reads a blob. Nothing here allocates, locks, parses or logs.

use super::blob::{self, HEADER_WORDS, Section};
use super::compile::{
    CompanyRecord, FIRST_RANGE, FLAG_FILTER, FLAG_MONITOR, FLAG_NAMES, INLINE_BLOCK, INLINE_ID,
    INLINE_RANGES,
};
use super::sources::{self, SourceKind};
use super::{ids, prefixes};
use crate::address::{Address, Prefix};
use crate::countries::CountryCode;
use crate::ledger::ScopeKey;
use crate::tables::{MinPrefix, Table};

impl Counts {
    /// Rows read from one table.
    pub fn rows_of(&self, table: Table) -> u32 {
        self.rows.get(table.index()).copied().unwrap_or(0)
    }
}

/// A blob that is a snapshot. In a damaged one nothing is found.
#[derive(Clone, Copy)]
pub struct View<'a> {
    bytes: &'a [u8],
    header: &'a [u32; HEADER_WORDS],
}

/// What a snapshot contains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Rows read per table, in the order of [`Table::ALL`].
    pub rows: [u32; Table::ALL.len()],
    /// Ranges left out because another range of the company contains them.
    pub contained_ranges: u32,
}

impl<'a> View<'a> {
    /// None if `bytes` are no snapshot of this layout or not aligned to 16.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let header = blob::header(bytes)?;
        Some(View { bytes, header })
    }

    pub(super) fn section<T: bytemuck::Pod>(&self, section: Section) -> &'a [T] {
        blob::section(self.bytes, self.header, section)
    }

    pub(super) fn word(&self, index: usize) -> u32 {
        self.header.get(index).copied().unwrap_or(0)
    }

    fn wide(&self, index: usize) -> u64 {
        u64::from(self.word(index)) | u64::from(self.word(index + 1)) << 32
    }

    pub(super) fn key(&self) -> ids::HashKey {
        [self.wide(blob::WORD_KEY), self.wide(blob::WORD_KEY + 2)]
    }

    pub(super) fn text(&self, offset: u32, len: usize) -> &'a [u8] {
        let offset = offset as usize;
        self.section::<u8>(Section::Text)
            .get(offset..offset.saturating_add(len))
            .unwrap_or_default()
    }

    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// A copy of its bytes, aligned as they are.
    pub fn copied(&self) -> Vec<u128> {
        blob::copy_of(self.bytes)
    }

    /// When it was compiled, in seconds since 1970.
    pub fn compiled_at(&self) -> u64 {
        self.wide(blob::WORD_TIME)
    }

    pub fn counts(&self) -> Counts {
        let rows = std::array::from_fn(|n| self.word(blob::WORD_ROWS + n));
        Counts { rows, contained_ranges: self.word(blob::WORD_CONTAINED) }
    }

    /// The company with exactly this id.
    #[inline(always)]
    pub fn company(&self, id: &[u8]) -> Option<CompanyView<'a>> {
        let records: &[CompanyRecord] = self.section(Section::Companies);
        let at = |number| Some(CompanyView { view: *self, record: records.get(number)?, number });
        let slots = self.section(Section::CompanyIndex);
        let found = ids::find(slots, &self.key(), id, |n| at(n).is_some_and(|c| c.id() == id))?;
        at(found)
    }

    pub fn companies(&self) -> impl Iterator<Item = CompanyView<'a>> + use<'a> {
        let (view, records) = (*self, self.section::<CompanyRecord>(Section::Companies));
        records.iter().enumerate().map(move |(number, record)| CompanyView { view, record, number })
    }

    /// The company with this number, from 0 on.
    pub(super) fn company_at(&self, number: usize) -> Option<CompanyView<'a>> {
        let record = self.section::<CompanyRecord>(Section::Companies).get(number)?;
        Some(CompanyView { view: *self, record, number })
    }

    /// Ranges of all companies.
    pub fn range_count(&self) -> usize {
        let companies = self.section::<CompanyRecord>(Section::Companies).len();
        let last = companies.checked_sub(1).and_then(|last| self.company_at(last));
        last.map_or(0, |company| company.first_range() + company.range_count())
    }

    /// Id and call limit of each brand.
    pub fn brands(&self) -> impl Iterator<Item = (&'a [u8], u32)> + use<'a> {
        let (view, records) = (*self, self.section::<[u32; 8]>(Section::Brands));
        records
            .iter()
            .map(move |&[offset, len, max_calls, ..]| (view.text(offset, len as usize), max_calls))
    }

    /// The user with exactly this AoR.
    pub fn user(&self, aor: &[u8]) -> Option<UserView<'a>> {
        let records: &[[u32; 4]] = self.section(Section::Users);
        let slots = self.section(Section::UserIndex);
        let is = |n: usize| {
            records.get(n).is_some_and(|&[offset, len, ..]| self.text(offset, len as usize) == aor)
        };
        let &[_, _, company, calls] = records.get(ids::find(slots, &self.key(), aor, is)?)?;
        Some(UserView { company: self.company_at(company as usize)?, external_calls: calls })
    }
}

impl View<'_> {
    /// The kind of a source, for the limiters.
    pub fn source_kind(&self, source: Address) -> SourceKind {
        match source {
            Address::V4(bits) => {
                self.kind_in::<u32>(bits, [Section::TrustedV4, Section::CompanyV4], 0)
            }
            Address::V6(bits) => {
                self.kind_in::<u128>(bits, [Section::TrustedV6, Section::CompanyV6], 1)
            }
        }
    }

    fn kind_in<K: prefixes::AddressBits>(
        &self,
        bits: K,
        [trusted, companies]: [Section; 2],
        family: usize,
    ) -> SourceKind {
        let count = |section: usize| self.word(blob::WORD_SOURCES + 2 * section + family) as usize;
        let trusted = prefixes::last_at(self.section(trusted), count(0), bits);
        if let Some(kind) = trusted.and_then(|(_, number)| sources::class_of(number)) {
            return kind;
        }
        match prefixes::find(self.section(companies), count(1), bits) {
            Some(_) => SourceKind::Company,
            None => SourceKind::Anybody,
        }
    }

    /// The country of an address; None if it is not known.
    pub fn country_of(&self, address: Address) -> Option<CountryCode> {
        let number = match address {
            Address::V4(bits) => {
                self.country_number::<u32>(bits, Section::CountryV4, blob::WORD_COUNTRIES)
            }
            Address::V6(bits) => {
                self.country_number::<u128>(bits, Section::CountryV6, blob::WORD_COUNTRIES + 1)
            }
        };
        let codes: &[CountryCode] = self.section(Section::CountryCodes);
        codes.get(usize::from(number).checked_sub(1)?).copied()
    }

    fn country_number<K: prefixes::AddressBits>(&self, bits: K, map: Section, count: usize) -> u8 {
        let count = self.word(count) as usize;
        prefixes::last_at(self.section(map), count, bits).map_or(0, |(_, number)| number)
    }

    /// Networks in the database of countries; 0 without one.
    pub fn country_networks(&self) -> u32 {
        self.word(blob::WORD_NETWORKS)
    }

    /// When that database was built, in seconds since 1970.
    pub fn countries_built_at(&self) -> u64 {
        self.wide(blob::WORD_BUILT)
    }

    /// Whether a trusted range or one of a company begins or ends within a prefix:
    /// its addresses may then be of several classes.
    pub fn divides(&self, prefix: Prefix) -> bool {
        match prefix {
            Prefix::V4(first, len) => {
                self.divides_in::<u32>(first, len, [Section::TrustedV4, Section::CompanyV4], 0)
            }
            Prefix::V6(first, len) => {
                self.divides_in::<u128>(first, len, [Section::TrustedV6, Section::CompanyV6], 1)
            }
        }
    }

    fn divides_in<K: prefixes::AddressBits>(
        &self,
        first: K,
        len: u8,
        [trusted, companies]: [Section; 2],
        family: usize,
    ) -> bool {
        let count = |section: usize| self.word(blob::WORD_SOURCES + 2 * section + family) as usize;
        let last = first.last_of(len);
        let trusted = prefixes::last_at(self.section(trusted), count(0), last);
        let company = prefixes::last_at(self.section(companies), count(1), last);
        trusted.is_some_and(|(at, _)| at > first)
            || company.is_some_and(|(at, own)| at > first || at == first && own > len)
    }

    /// Shortest lengths at which companies' ranges decide a class.
    pub fn min_prefix(&self) -> MinPrefix {
        let word = |n: usize| self.word(blob::WORD_BROADEST + n) as u8;
        MinPrefix { v4: word(0), v6: word(1) }
    }

    pub(super) fn trusted(&self) -> impl Iterator<Item = Prefix> {
        let records: &[[u32; 8]] = self.section(Section::Trusted);
        records.iter().map(|&[family, len, a, b, c, d, ..]| {
            let bits: u128 = bytemuck::cast([a, b, c, d]);
            match family {
                4 => Prefix::V4(bits as u32, len as u8),
                _ => Prefix::V6(bits, len as u8),
            }
        })
    }

    /// The longest trusted range that contains an address. Reads all of them.
    pub fn trusted_range(&self, source: Address) -> Option<Prefix> {
        let around = self.trusted().filter(|range| range.contains(source.prefix(128)));
        around.max_by_key(Prefix::mask)
    }

    /// The number of trusted ranges within a prefix, and the first one.
    pub fn trusted_within(&self, prefix: Prefix) -> (usize, Option<Prefix>) {
        let mut hit = self.trusted().filter(|range| prefix.contains(*range)).peekable();
        let first = hit.peek().copied();
        (hit.count(), first)
    }

    /// The first company, of those with a filter, with a `wanted` range that contains an
    /// address. Reads all of them.
    pub fn company_of(
        &self,
        source: Address,
        wanted: impl Fn(&Prefix) -> bool,
    ) -> Option<(CompanyView<'_>, Prefix)> {
        self.companies().filter(CompanyView::ip_filter).find_map(|company| {
            company.range_of(source).filter(&wanted).map(|range| (company, range))
        })
    }
}

#[derive(Clone, Copy)]
pub struct UserView<'a> {
    pub company: CompanyView<'a>,
    /// Calls at a time from addresses that are not granted: 0..=3.
    pub external_calls: u32,
}

#[derive(Clone, Copy)]
pub struct CompanyView<'a> {
    view: View<'a>,
    record: &'a CompanyRecord,
    number: usize,
}

impl<'a> CompanyView<'a> {
    pub(super) fn view(&self) -> View<'a> {
        self.view
    }

    #[inline]
    pub fn id(&self) -> &'a [u8] {
        let len = (self.record[0] & 0xffff) as usize;
        if len <= INLINE_ID {
            let words = self.record.get(10..INLINE_BLOCK).unwrap_or_default();
            let inline: &[u8] = bytemuck::cast_slice(words);
            inline.get(..len).unwrap_or_default()
        } else {
            self.view.text(self.record[1], len)
        }
    }

    /// Whether its users may send only from listed sources.
    pub fn ip_filter(&self) -> bool {
        self.record[0] & FLAG_FILTER != 0
    }

    /// Whether its filter reports and refuses nothing.
    pub fn monitor(&self) -> bool {
        self.record[0] & FLAG_MONITOR != 0
    }

    /// Concurrent external calls; 0 is off.
    pub fn max_calls(&self) -> u32 {
        self.record[3]
    }

    /// Id and call limit of its brand.
    pub fn brand(&self) -> (&'a [u8], u32) {
        match self.view.section::<[u32; 8]>(Section::Brands).get(self.record[2] as usize) {
            Some(&[offset, len, max_calls, ..]) => {
                (self.view.text(offset, len as usize), max_calls)
            }
            None => (&[], 0),
        }
    }

    /// Keys of its brand's scope and of its own, if they last.
    pub fn scope_keys(&self) -> [Option<ScopeKey>; 2] {
        let keys: &[[ScopeKey; 2]] = self.view.section(Section::ScopeKeys);
        keys.get(self.number).map_or([None; 2], |keys| keys.map(Some))
    }

    fn block<K: bytemuck::Pod>(&self, section: Section, offset: u32) -> &'a [K] {
        self.view.section(section).get(offset as usize..).unwrap_or_default()
    }

    fn v4(&self) -> (&'a [u32], usize) {
        let count = self.record[5] as usize;
        if count <= INLINE_RANGES {
            // At a position that does not depend on the record, so that both cache lines are
            // fetched at once.
            return (self.record.get(INLINE_BLOCK..).unwrap_or_default(), count);
        }
        (self.block(Section::RangesV4, self.record[4]), count)
    }

    fn v6(&self) -> (&'a [u128], usize) {
        (self.block(Section::RangesV6, self.record[6]), self.record[7] as usize)
    }

    /// The range that contains the address.
    #[inline]
    pub fn range_of(&self, address: Address) -> Option<Prefix> {
        self.locate(address).map(|(_, range)| range)
    }

    /// The same, with its place among the ranges of all companies.
    #[inline]
    pub fn locate(&self, address: Address) -> Option<(u32, Prefix)> {
        let first = self.record[FIRST_RANGE];
        match address {
            Address::V4(bits) => {
                let (block, count) = self.v4();
                let (at, start, len) = prefixes::locate(block, count, bits)?;
                Some((first.wrapping_add(at as u32), Prefix::V4(start, len)))
            }
            Address::V6(bits) => {
                let (block, count) = self.v6();
                let (at, start, len) = prefixes::locate(block, count, bits)?;
                let first = first.wrapping_add(self.record[5]);
                Some((first.wrapping_add(at as u32), Prefix::V6(start, len)))
            }
        }
    }

    /// Place of its first range among those of all companies; its others follow.
    pub fn first_range(&self) -> usize {
        self.record[FIRST_RANGE] as usize
    }

    /// Its ranges: IPv4, then IPv6, each ascending; no range within another.
    pub fn ranges(&self) -> impl Iterator<Item = Prefix> + use<'a> {
        let ((v4, n4), (v6, n6)) = (self.v4(), self.v6());
        let v4 = prefixes::iter(v4, n4).map(|(start, len)| Prefix::V4(start, len));
        v4.chain(prefixes::iter(v6, n6).map(|(start, len)| Prefix::V6(start, len)))
    }

    pub fn range_count(&self) -> usize {
        self.record[5] as usize + self.record[7] as usize
    }

    /// Countries allowed for it, ascending.
    pub fn countries(&self) -> &'a [CountryCode] {
        let block: &[CountryCode] = self.block(Section::Countries, self.record[8]);
        block.get(..self.record[9] as usize).unwrap_or_default()
    }

    /// The country of an address, if it is allowed for the company. Looks the address up
    /// only where countries are listed.
    pub fn country_granted(&self, address: Address) -> Option<CountryCode> {
        let allowed = self.countries();
        if allowed.is_empty() {
            return None;
        }
        self.view.country_of(address).filter(|code| allowed.binary_search(code).is_ok())
    }

    /// Whether any range, country or host name is listed.
    pub fn lists_anything(&self) -> bool {
        self.range_count() > 0 || self.record[9] > 0 || self.record[0] & FLAG_NAMES != 0
    }
}
