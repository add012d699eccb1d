//! The kind of a source for the limiters: trusted, or of a company.

use super::prefixes::{self, AddressBits};
use crate::address::Prefix;
use crate::limiter::ClassId;
use crate::tables::{RangeRow, Trusted};

/// The first that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SourceKind {
    /// Listed as trusted: of a class, or (None) exempt.
    Trusted(Option<ClassId>),
    /// In a range of a company whose filter is on.
    Company,
    /// Neither.
    Anybody,
}

/// The class of a trusted source as a number in a map; 0 is not trusted.
pub(super) fn number_of(class: Option<ClassId>) -> u8 {
    ClassId::to_number(class).saturating_add(1)
}

/// The reverse of [`number_of`].
pub(super) fn class_of(number: u8) -> Option<SourceKind> {
    Some(SourceKind::Trusted(ClassId::from_number(number.checked_sub(1)?)))
}

/// Elements of a section, and the number of keys in them.
pub(super) struct PrefixBlock<K> {
    pub elements: Vec<K>,
    pub count: usize,
}

impl<K: AddressBits> PrefixBlock<K> {
    pub fn of(pairs: &[(K, u8)]) -> Self {
        let mut elements = Vec::with_capacity(pairs.len() * 3 / 2);
        prefixes::append(&mut elements, pairs);
        PrefixBlock { elements, count: pairs.len() }
    }
}

pub(super) struct Sources<K> {
    pub trusted: PrefixBlock<K>,
    pub companies: PrefixBlock<K>,
}

/// One address family.
pub(super) trait Family: AddressBits {
    fn of(prefix: Prefix) -> Option<(Self, u8)>;
}

impl Family for u32 {
    fn of(prefix: Prefix) -> Option<(Self, u8)> {
        if let Prefix::V4(bits, len) = prefix { Some((bits, len)) } else { None }
    }
}

impl Family for u128 {
    fn of(prefix: Prefix) -> Option<(Self, u8)> {
        if let Prefix::V6(bits, len) = prefix { Some((bits, len)) } else { None }
    }
}

impl<K: Family> Sources<K> {
    /// `filters` returns whether the filter of the company at a position is on. Ranges
    /// shorter than `min_prefix` do not decide a class.
    pub fn new(
        trusted: &[Trusted],
        ranges: &[RangeRow<K>],
        min_prefix: u8,
        filters: impl Fn(u32) -> bool,
    ) -> Self {
        let of_family = trusted.iter().filter_map(|row| {
            K::of(row.prefix).map(|(bits, len)| (bits, len, number_of(row.class)))
        });
        let mut classes: Vec<_> = of_family.collect();
        classes.sort_unstable();
        classes.dedup_by_key(|(bits, len, _)| (*bits, *len));
        let counts = ranges.iter().filter(|row| row.len >= min_prefix && filters(row.company));
        let mut companies: Vec<_> = counts.map(|row| (row.start, row.len)).collect();
        prefixes::normalise(&mut companies);
        Sources {
            trusted: PrefixBlock::of(&prefixes::flatten(classes)),
            companies: PrefixBlock::of(&companies),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;
    use crate::limiter::ClassNames;
    use crate::snapshot::{View, compile};
    use crate::tables::{BadRows, Loader, MinPrefix, Table};

    #[test]
    fn trusted_comes_before_companies_and_the_longest_prefix_first() {
        let mut classes = ClassNames::default();
        classes.add("carrier".into()).unwrap();
        let mut loader = Loader::new(Table::ALL.map(|t| t.short_name().into()), BadRows::Fail)
            .flood(classes, MinPrefix::default());
        let mut row = |table: Table, values: &[&str]| {
            let values: Vec<_> = values.iter().map(|v| Some(v.as_bytes())).collect();
            loader.row(table, &values);
        };
        row(Table::Brand, &["b", "0"]);
        for (company, filter) in [("on", "1"), ("off", "0")] {
            row(Table::Company, &[company, "b", filter, "0"]);
        }
        for (company, range, len) in [
            ("on", "10.0.0.0", "8"),
            ("on", "10.1.0.0", "16"),
            ("on", "2001:db8::", "32"),
            ("on", "2001::", "16"),
            ("off", "10.2.0.0", "16"),
        ] {
            row(Table::CompanyAddress, &[company, range, len]);
        }
        for (range, len, tag) in [
            ("192.0.2.0", "24", "carrier"),
            ("192.0.2.8", "29", "exempt"),
            ("192.0.2.9", "32", "default"),
            ("10.1.7.0", "24", "carrier"),
            ("2001:db8:1::", "48", "exempt"),
        ] {
            row(Table::Trusted, &[range, len, tag]);
        }
        let Ok((config, _)) = loader.finish() else { panic!("invalid rows") };
        let blob = compile(config, [1, 2], 0).unwrap();
        let view = View::new(blob.bytes()).unwrap();
        let carrier = SourceKind::Trusted(Some(ClassId(1)));
        for (address, kind) in [
            ("192.0.2.1", carrier),
            ("192.0.2.8", SourceKind::Trusted(None)),
            ("192.0.2.9", SourceKind::Trusted(Some(ClassId::DEFAULT))),
            ("192.0.2.16", carrier),
            ("192.0.3.0", SourceKind::Anybody),
            ("10.1.7.1", carrier),
            ("10.1.8.1", SourceKind::Company),
            ("10.2.0.1", SourceKind::Anybody),
            ("10.9.0.1", SourceKind::Anybody),
            ("2001:db8:1::1", SourceKind::Trusted(None)),
            ("2001:db8:2::1", SourceKind::Company),
            ("2001:db9::1", SourceKind::Anybody),
        ] {
            let source = Address::parse(address.as_bytes()).unwrap();
            assert_eq!(view.source_kind(source), kind, "{address}");
        }
        let listed = |a: &str| view.trusted_range(Address::parse(a.as_bytes()).unwrap());
        assert_eq!(listed("192.0.2.9").unwrap().to_string(), "192.0.2.9/32");
        assert_eq!(listed("192.0.2.10").unwrap().to_string(), "192.0.2.8/29");
        assert_eq!(listed("10.9.0.1"), None);
    }
}
