//! A snapshot as the rows that would make it again.

use std::fmt::Write;

use super::blob::{self, Section};
use super::view::{CompanyView, View};
use super::{prefixes, sources};
use crate::address::Prefix;
use crate::countries::{CountryCode, CountryNetworks};
use crate::ledger::Limit;
use crate::limiter::ClassNames;
use crate::tables::Table;
use crate::tables::kept::{self, Rows};

/// A text that is reused for each row.
#[derive(Default)]
struct Text(String);

impl Text {
    fn of(&mut self, value: impl std::fmt::Display) -> Option<&[u8]> {
        self.0.clear();
        // Writing to a text cannot fail.
        let _ = write!(self.0, "{value}");
        Some(self.0.as_bytes())
    }
}

/// The file that keeps the tables of a snapshot, without the ranges that another one
/// contains. NULL columns are not marked in it.
pub fn kept(view: &View<'_>, classes: &ClassNames) -> Vec<u8> {
    let mut writer = kept::RowWriter::default();
    rows(view, classes, &mut writer);
    writer.finish(&view.networks(), view.compiled_at())
}

/// Most bytes that it takes to turn a snapshot into a file, with a copy of it.
pub fn kept_room(view: &View<'_>) -> usize {
    16 * view.bytes()
}

/// Stands for the rows of a snapshot: the same on all nodes with the same tables, and never 0.
pub fn mark(view: &View<'_>, classes: &ClassNames) -> u64 {
    let mut mark = kept::Mark::default();
    rows(view, classes, &mut mark);
    mark.get()
}

fn rows(view: &View<'_>, classes: &ClassNames, out: &mut impl Rows) {
    let mut text = Text::default();
    for (id, max_calls) in view.brands() {
        out.row(Table::Brand, &[Some(id), text.of(max_calls)]);
    }
    let mut calls = Text::default();
    for company in view.companies() {
        let filter = u8::from(company.ip_filter()) + u8::from(company.monitor());
        let (filter, calls) = (text.of(filter), calls.of(company.max_calls()));
        out.row(Table::Company, &[Some(company.id()), Some(company.brand().0), filter, calls]);
    }
    let mut answers: Vec<_> = view.answers().into_iter().collect();
    answers.sort_unstable();
    answers.iter().for_each(|(name, addresses)| out.answer(name, addresses));
    let named = view.named_only();
    for (position, company) in (0u32..).zip(view.companies()) {
        let named = named.get(&position);
        let is_listed = |range: &Prefix| named.is_none_or(|named| !named.contains(range));
        for range in company.ranges().filter(is_listed) {
            out.row(Table::CompanyAddress, &[Some(company.id()), text.of(range), None]);
        }
    }
    for row in view.named_rows() {
        let Some(company) = row.company() else { continue };
        out.row(Table::CompanyAddress, &[Some(company.id()), Some(row.name()), None]);
    }
    for company in view.companies() {
        for country in company.countries() {
            let code = Some(country.name().as_bytes());
            out.row(Table::CompanyCountry, &[Some(company.id()), code]);
        }
    }
    for (aor, company, calls) in view.users() {
        out.row(Table::User, &[Some(aor), Some(company.id()), text.of(calls)]);
    }
    for (range, kind, is_named) in view.trusted_ranges() {
        let sources::SourceKind::Trusted(class) = kind else { continue };
        if !is_named {
            out.row(Table::Trusted, &[text.of(range), None, Some(classes.name(class).as_bytes())]);
        }
    }
    for row in view.named_rows() {
        let Some(sources::SourceKind::Trusted(class)) = row.trusted() else { continue };
        let class = Some(classes.name(class).as_bytes());
        out.row(Table::Trusted, &[Some(row.name()), None, class]);
    }
    limits(view, out);
    for (header, kind, pattern) in view.tools().iter() {
        let [header, kind] = [header.name(), kind.name()].map(|name| Some(name.as_bytes()));
        out.row(Table::Tool, &[header, kind, Some(pattern)]);
    }
}

fn limits(view: &View<'_>, out: &mut impl Rows) {
    for (kind, id, direction, limit) in view.limit_rows() {
        let Limit { rate, calls, reserved, longest, ringing, .. } = *limit;
        let near = limit.near_percent();
        let ringing = ringing.into();
        let numbers = [calls, rate.calls(), rate.window(), reserved, longest, near, ringing];
        let [a, b, c, d, e, f, g] = numbers.map(|number| number.to_string());
        let numbers = [&a, &b, &c, &d, &e, &f, &g];
        let [a, b, c, d, e, f, g] = numbers.map(|text| Some(text.as_bytes()));
        let (word, id) = (view.word_of(kind), id.unwrap_or(b"*"));
        let (word, id, direction) = (Some(word), Some(id), Some(direction.name()));
        out.row(Table::Limit, &[word, id, direction, a, b, c, d, e, f, g]);
    }
}

impl<'a> View<'a> {
    /// Each user: AoR, company, calls from elsewhere.
    pub fn users(&self) -> impl Iterator<Item = (&'a [u8], CompanyView<'a>, u32)> + use<'a> {
        let records: &[[u32; 4]] = self.section(Section::Users);
        let view = *self;
        records.iter().filter_map(move |&[offset, len, company, calls]| {
            let company = view.company_at(company as usize)?;
            Some((view.text(offset, len as usize), company, calls))
        })
    }

    /// Each trusted range, its class, and whether it is one for a host name only.
    pub fn trusted_ranges(&self) -> impl Iterator<Item = (Prefix, sources::SourceKind, bool)> {
        let records = self.section::<[u32; 8]>(Section::Trusted).iter();
        let more = records.map(|record| (sources::class_of(record[6] as u8), record[7] != 0));
        self.trusted().zip(more).filter_map(|(range, (kind, named))| Some((range, kind?, named)))
    }

    /// The countries of all networks.
    fn networks(&self) -> CountryNetworks {
        let codes: &[CountryCode] = self.section(Section::CountryCodes);
        let count = |n: usize| self.word(blob::WORD_COUNTRIES + n) as usize;
        let v4 = prefixes::iter::<u32>(self.section(Section::CountryV4), count(0));
        let v6 = prefixes::iter::<u128>(self.section(Section::CountryV6), count(1));
        CountryNetworks {
            v4: prefixes::unflatten(v4),
            v6: prefixes::unflatten(v6),
            codes: codes.to_vec(),
            built: self.countries_built_at(),
            kind: String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Address;
    use crate::snapshot::compile;
    use crate::tables::kept::Kept;
    use crate::tables::{BadRows, Kinds, Limits, Loader};

    fn loader(classes: &ClassNames) -> Loader {
        let names = Table::ALL.map(|t| t.short_name().into());
        Loader::new(names, BadRows::Fail).flood(classes.clone(), Default::default())
    }

    #[test]
    fn a_snapshot_comes_back_from_its_file() {
        let mut classes = ClassNames::default();
        classes.add("carrier".into()).unwrap();
        let mut loader_of_rows = loader(&classes);
        let mut row = |table: Table, values: &[&str]| {
            let values: Vec<_> =
                values.iter().map(|v| (*v != "NULL").then_some(v.as_bytes())).collect();
            loader_of_rows.row(table, &values);
        };
        let long = "l".repeat(128);
        row(Table::Brand, &["b", "5"]);
        row(Table::Brand, &["\u{e9}", "0"]);
        for (id, filter) in [("off", "0"), ("on", "1"), ("watched", "2"), (long.as_str(), "1")] {
            row(Table::Company, &[id, "\u{e9}", filter, "3"]);
            for n in 0..40 {
                row(Table::CompanyAddress, &[id, &format!("10.{n}.0.0"), "16"]);
                row(Table::CompanyAddress, &[id, &format!("2001:db8:{n}::"), "48"]);
            }
        }
        row(Table::CompanyAddress, &["on", "0.0.0.0/0", "NULL"]);
        row(Table::CompanyCountry, &["on", "ES"]);
        row(Table::User, &["alice@x", "watched", "3"]);
        row(Table::Trusted, &["192.0.2.0", "24", "carrier"]);
        row(Table::Trusted, &["192.0.2.1", "NULL", "exempt"]);
        row(Table::Trusted, &["2001:db8::1", "NULL", "default"]);
        row(Table::Limit, &["did", "*", "in", "5", "3", "60", "1", "3600", "50", "4"]);
        row(
            Table::Limit,
            &["did", "7", "NULL", "5", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL"],
        );
        let spain = vec![CountryCode::parse(b"ES").unwrap()];
        let (v4, v6) = (vec![(0, 0, 1)], vec![(1 << 120, 8, 1)]);
        let networks = CountryNetworks { v4, v6, codes: spain, built: 9, kind: String::new() };
        let Ok((config, _)) = loader_of_rows.networks(networks).finish() else { panic!("bad") };
        let blob = compile(config, [1, 2], 1234).unwrap();
        let before = View::new(blob.bytes()).unwrap();

        let file = kept(&before, &classes);
        let read = Kept::read(&file).unwrap();
        assert_eq!(read.date, 1234);
        let Ok((config, _)) = read.load(loader(&classes)).unwrap().finish() else { panic!("bad") };
        let blob = compile(config, [3, 4], read.date).unwrap();
        let after = View::new(blob.bytes()).unwrap();

        for id in ["off", "on", "watched", &long] {
            let [old, new] = [&before, &after].map(|view| view.company(id.as_bytes()).unwrap());
            assert_eq!(old.ranges().collect::<Vec<_>>(), new.ranges().collect::<Vec<_>>());
            assert_eq!(old.countries(), new.countries());
            assert_eq!(old.brand(), new.brand());
            let flags = |c: &CompanyView<'_>| (c.ip_filter(), c.monitor(), c.max_calls());
            assert_eq!(flags(&old), flags(&new));
        }
        assert_eq!(before.brands().collect::<Vec<_>>(), after.brands().collect::<Vec<_>>());
        let user = after.user(b"alice@x").unwrap();
        assert_eq!((user.company.id(), user.external_calls), (&b"watched"[..], 3));
        for address in ["192.0.2.1", "192.0.2.2", "10.3.0.1", "11.0.0.1", "2001:db8::1", "100::1"] {
            let address = Address::parse(address.as_bytes()).unwrap();
            assert_eq!(before.source_kind(address), after.source_kind(address));
            assert_eq!(before.country_of(address), after.country_of(address));
        }
        assert_eq!(after.countries_built_at(), 9);
        let limits = before.limit_rows().collect::<Vec<_>>();
        assert_eq!((limits.len(), limits), (2, after.limit_rows().collect()));
        // What is kept of a kept one is the same.
        assert!(kept(&after, &classes) == file);
        assert_eq!(mark(&before, &classes), mark(&after, &classes));
    }

    #[test]
    fn other_rows_have_another_mark_and_their_order_does_not_matter() {
        let classes = ClassNames::default();
        let mark = |rows: &[&str]| {
            let mut loader = loader(&classes);
            rows.iter().for_each(|id| loader.row(Table::Brand, &[Some(id.as_bytes()), Some(b"5")]));
            let Ok((config, _)) = loader.finish() else { panic!("bad") };
            let blob = compile(config, [rows.len() as u64, 7], 1234).unwrap();
            mark(&View::new(blob.bytes()).unwrap(), &classes)
        };
        assert_eq!(mark(&["a", "b"]), mark(&["b", "a"]));
        let all = [mark(&[]), mark(&["a"]), mark(&["a", "b"]), mark(&["a", "c"])];
        assert!((1..all.len()).all(|n| !all[..n].contains(&all[n])), "{all:?}");
    }

    #[test]
    fn when_a_node_warns_of_a_limit_is_not_in_the_mark() {
        let classes = ClassNames::default();
        let mark = |near_percent: u32, calls: &str| {
            let limits = Limits::new(Kinds::default(), near_percent, 1);
            let mut loader = loader(&classes).limits(limits);
            let n = None;
            let calls = Some(calls.as_bytes());
            loader.row(Table::Limit, &[Some(b"did"), Some(b"7"), n, calls, n, n, n, n, n, n]);
            let Ok((config, _)) = loader.finish() else { panic!("bad") };
            mark(&View::new(compile(config, [1, 7], 1234).unwrap().bytes()).unwrap(), &classes)
        };
        assert_eq!(mark(80, "5"), mark(90, "5"));
        assert_ne!(mark(80, "5"), mark(80, "6"));
    }
}
