//! Turns database rows, all of them text, into a valid [`Configuration`].

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::value::{Value, name, number, prefix, quoted, quoted_or_null, switch, text};
use super::{
    BadRows, Brand, Broadest, Company, Configuration, Country, Problem, Problems, RangeRow, Table,
    Trusted, User,
};
use crate::address::Prefix;
use crate::countries::{CountryCode, CountryNetworks};
use crate::flood::{ClassId, ClassNames};

/// Longest id of a brand or company, in bytes.
pub const MAX_ID: usize = 128;
/// Longest AoR: a user part of 64, `@`, and a domain of 255 bytes.
pub const MAX_AOR: usize = 320;
/// Highest call limit.
pub const MAX_CALLS: u32 = i32::MAX as u32;

type Ids = HashMap<Box<[u8]>, u32>;

/// What a company with a filter grants.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Listed {
    Nothing,
    CountriesOnly,
    Ranges,
}

/// Takes rows table by table, in the order of [`Table::ALL`].
pub struct Loader {
    pub(super) names: [String; Table::ALL.len()],
    bad_rows: BadRows,
    pub(super) config: Configuration,
    problems: Problems,
    brands: Ids,
    companies: Ids,
    users: Ids,
    /// Row of each company, and what is listed for it.
    pub(super) listed: Vec<(u64, Listed)>,
    /// Rows of the companies' countries.
    pub(super) country_rows: Vec<u64>,
    /// Classes of flood control.
    classes: ClassNames,
    trusted: HashMap<Prefix, Option<ClassId>>,
}

impl Loader {
    /// `names` are the tables as the database knows them, for messages.
    pub fn new(names: [String; Table::ALL.len()], bad_rows: BadRows) -> Self {
        Loader {
            names,
            bad_rows,
            config: Configuration::default(),
            problems: Problems::default(),
            brands: Ids::new(),
            companies: Ids::new(),
            users: Ids::new(),
            listed: Vec::new(),
            country_rows: Vec::new(),
            classes: ClassNames::default(),
            trusted: HashMap::new(),
        }
    }

    /// With the classes that tags may name, and the lengths from which companies'
    /// ranges count for flood control.
    pub fn flood(mut self, classes: ClassNames, broadest: Broadest) -> Self {
        self.classes = classes;
        self.config.broadest = broadest;
        self
    }

    /// With the countries of networks.
    pub fn networks(mut self, networks: CountryNetworks) -> Self {
        self.config.networks = networks;
        self
    }

    /// Takes one row; values stand in the order of [`Table::columns`].
    pub fn row(&mut self, table: Table, values: &[Value<'_>]) {
        let number = match self.config.rows.get_mut(table.index()) {
            Some(count) => {
                *count += 1;
                *count
            }
            None => 0,
        };
        let result = match (table, values) {
            (Table::Brand, &[id, max_calls]) => self.brand(id, max_calls),
            (Table::Company, &[id, brand, filter, max_calls]) => {
                self.company(id, brand, filter, max_calls, number)
            }
            (Table::CompanyAddress, &[company, ip, mask]) => {
                self.company_address(company, ip, mask, number)
            }
            (Table::CompanyCountry, &[company, country]) => {
                self.company_country(company, country, number)
            }
            (Table::User, &[aor, company, calls]) => self.user(aor, company, calls),
            (Table::Trusted, &[ip, mask, tag]) => self.trusted(ip, mask, tag, number),
            _ => Err(format!(
                "{} columns where {} are expected",
                values.len(),
                table.columns().len()
            )),
        };
        if let Err(text) = result {
            let table = self.table_name(table);
            self.problems.add(|| Problem { table, row: number, text });
        }
    }

    /// The configuration and, with [`BadRows::Skip`], the rows left out.
    ///
    /// # Errors
    /// The bad rows, with [`BadRows::Fail`] and at least one of them.
    pub fn finish(mut self) -> Result<(Configuration, Problems), Problems> {
        if self.bad_rows == BadRows::Fail && self.problems.count() > 0 {
            return Err(self.problems);
        }
        self.warn_of_empty_filters();
        self.warn_of_useless_countries();
        Ok((self.config, self.problems))
    }

    /// Rows of a table so far, bad ones too.
    pub fn rows_read(&self, table: Table) -> usize {
        self.config.rows.get(table.index()).map_or(0, |rows| *rows as usize)
    }

    pub(super) fn table_name(&self, table: Table) -> String {
        self.names.get(table.index()).cloned().unwrap_or_default()
    }

    fn brand(&mut self, id: Value<'_>, max_calls: Value<'_>) -> Result<(), String> {
        let id = text("id", id, MAX_ID)?;
        let max_calls =
            number("max_calls", max_calls, MAX_CALLS).map_err(|e| of("brand", id, &e))?;
        claim(&mut self.brands, "id", id, self.config.brands.len())?;
        self.config.brands.push(Brand { id: id.into(), max_calls });
        Ok(())
    }

    fn company(
        &mut self,
        id: Value<'_>,
        brand: Value<'_>,
        filter: Value<'_>,
        max_calls: Value<'_>,
        row: u64,
    ) -> Result<(), String> {
        let id = name("id", id, MAX_ID)?;
        let named = |e: String| of("company", id, &e);
        let brand_id = text("brand_id", brand, MAX_ID).map_err(named)?;
        let brand = *self
            .brands
            .get(brand_id)
            .ok_or_else(|| named(self.unknown("brand", brand_id, &self.brands)))?;
        let ip_filter = switch("ip_filter", filter, 2).map_err(named)?;
        if filter.is_none() {
            let table = self.table_name(Table::Company);
            self.config.warnings.add(|| Problem {
                table,
                row,
                text: format!("company {}: ip_filter is NULL, which is taken as off", quoted(id)),
            });
        }
        let max_calls = number("max_calls", max_calls, MAX_CALLS).map_err(named)?;
        claim(&mut self.companies, "id", id, self.config.companies.len())?;
        self.config.companies.push(Company {
            id: id.into(),
            brand,
            ip_filter: ip_filter > 0,
            monitor: ip_filter == 2,
            max_calls,
        });
        self.listed.push((row, Listed::Nothing));
        Ok(())
    }

    fn company_position(&self, id: Value<'_>) -> Result<u32, String> {
        let id = text("company_id", id, MAX_ID)?;
        self.companies.get(id).copied().ok_or_else(|| self.unknown("company", id, &self.companies))
    }

    /// Says that there is no brand or company with an id, and which one differs in
    /// case or blanks only. That is looked for while problems are kept.
    fn unknown(&self, what: &str, id: &[u8], known: &Ids) -> String {
        let id_bare = id.trim_ascii();
        let is_alike = |other: &&[u8]| other.trim_ascii().eq_ignore_ascii_case(id_bare);
        let alike = match self.problems.has_room() {
            true => known.keys().map(AsRef::as_ref).find(is_alike),
            false => None,
        };
        let hint = alike.map_or_else(String::new, |alike| {
            format!(": {} differs in case or blanks only", quoted(alike))
        });
        format!("{what}_id {} is no {what}{hint}", quoted(id))
    }

    fn company_address(
        &mut self,
        company: Value<'_>,
        ip: Value<'_>,
        mask: Value<'_>,
        row: u64,
    ) -> Result<(), String> {
        let id = self.company_position(company)?;
        let company = company.unwrap_or_default();
        let prefix = prefix(ip, mask).map_err(|e| of("company", company, &e))?;
        let filters = self.config.companies.get(id as usize).is_some_and(|c| c.ip_filter);
        let mut warn = |what: String| {
            let table = self.names.get(Table::CompanyAddress.index()).cloned().unwrap_or_default();
            let text = format!("company {}: {what}", quoted(company));
            self.config.warnings.add(|| Problem { table, row, text });
        };
        if prefix.is_everything() {
            warn(format!("{prefix} grants every address of its family"));
        }
        if filters && self.config.broadest.is_exceeded_by(&prefix) {
            warn(format!(
                "{prefix} is broader than {}: its sources are flood-checked as everybody's",
                Broadest::parameter(&prefix)
            ));
        }
        match prefix {
            Prefix::V4(start, len) => {
                self.config.ranges_v4.push(RangeRow { company: id, start, len });
            }
            Prefix::V6(start, len) => {
                self.config.ranges_v6.push(RangeRow { company: id, start, len });
            }
        }
        self.mark_listed(id, Listed::Ranges);
        Ok(())
    }

    fn company_country(
        &mut self,
        company: Value<'_>,
        country: Value<'_>,
        row: u64,
    ) -> Result<(), String> {
        let id = self.company_position(company)?;
        let code = country.and_then(CountryCode::parse).ok_or_else(|| {
            let country = quoted_or_null(country);
            let wrong =
                format!("country {country} is not two capital letters (ISO 3166-1 alpha-2)");
            of("company", company.unwrap_or_default(), &wrong)
        })?;
        self.config.countries.push(Country { company: id, code });
        self.country_rows.push(row);
        self.mark_listed(id, Listed::CountriesOnly);
        Ok(())
    }

    fn user(&mut self, aor: Value<'_>, company: Value<'_>, calls: Value<'_>) -> Result<(), String> {
        let aor = name("aor", aor, MAX_AOR)?;
        let named = |e: String| of("user", aor, &e);
        let company = self.company_position(company).map_err(named)?;
        let calls = number("external_calls", calls, 3).map_err(named)?;
        claim(&mut self.users, "aor", aor, self.config.users.len())?;
        let external_calls = u8::try_from(calls).map_err(|e| named(e.to_string()))?;
        self.config.users.push(User { aor: aor.into(), company, external_calls });
        Ok(())
    }

    fn trusted(
        &mut self,
        ip: Value<'_>,
        mask: Value<'_>,
        tag: Value<'_>,
        row: u64,
    ) -> Result<(), String> {
        let prefix = prefix(ip, mask)?;
        let class = self.class_of_tag(tag).map_err(|e| format!("{prefix}: {e}"))?;
        if let Some(before) = self.trusted.insert(prefix, class)
            && before != class
        {
            return Err(format!("{prefix} stands twice, with different tags"));
        }
        if class.is_none() && self.config.broadest.is_exceeded_by(&prefix) {
            let table = self.table_name(Table::Trusted);
            let text = format!("{prefix} exempts so many addresses from flood control");
            self.config.warnings.add(|| Problem { table, row, text });
        }
        self.config.trusted.push(Trusted { prefix, class });
        Ok(())
    }

    /// The class that a tag names; `exempt`, or none, is no class.
    fn class_of_tag(&self, tag: Value<'_>) -> Result<Option<ClassId>, String> {
        let tag = tag.unwrap_or_default();
        if tag.is_empty() {
            return Ok(None);
        }
        let class = std::str::from_utf8(tag).ok().and_then(|tag| self.classes.parse(tag));
        class.ok_or_else(|| format!("tag {} is none of {}", quoted(tag), self.classes.all()))
    }

    fn mark_listed(&mut self, company: u32, what: Listed) {
        if let Some((_, listed)) = self.listed.get_mut(company as usize) {
            *listed = what.max(*listed);
        }
    }
}

/// What is wrong, and with whose row.
fn of(kind: &str, id: &[u8], wrong: &str) -> String {
    format!("{wrong} ({kind} {})", quoted(id))
}

/// Remembers `id` at `position`; a second row with it is bad.
fn claim(ids: &mut Ids, column: &str, id: &[u8], position: usize) -> Result<(), String> {
    let position = u32::try_from(position).map_err(|_| "too many rows".to_owned())?;
    match ids.entry(id.into()) {
        Entry::Occupied(_) => Err(format!("{column} {} stands twice", quoted(id))),
        Entry::Vacant(slot) => {
            slot.insert(position);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> [String; 6] {
        Table::ALL.map(|t| t.short_name().to_owned())
    }

    fn load(bad_rows: BadRows, rows: &[(Table, &[Value<'_>])]) -> Loader {
        let mut classes = ClassNames::default();
        classes.add("carrier".into()).unwrap();
        let mut loader = Loader::new(names(), bad_rows).flood(classes, Broadest::default());
        loader.row(Table::Brand, &[Some(b"b1"), Some(b"10")]);
        loader.row(Table::Company, &[Some(b"c1"), Some(b"b1"), Some(b"1"), None]);
        for (table, values) in rows {
            loader.row(*table, values);
        }
        loader
    }

    fn error(table: Table, values: &[Value<'_>]) -> String {
        match load(BadRows::Fail, &[(table, values)]).finish() {
            Ok(_) => panic!("{table:?} was taken"),
            Err(problems) => problems.kept()[0].to_string(),
        }
    }

    #[test]
    fn each_kind_of_bad_row_is_named() {
        let long = vec![b'x'; 65536];
        let cases: &[(Table, &[Value<'_>], &str)] = &[
            (Table::Brand, &[Some(b"b1"), None], "brands row 2: id \"b1\" stands twice"),
            (Table::Brand, &[None, None], "id is NULL"),
            (Table::Brand, &[Some(b""), None], "id is empty"),
            (Table::Brand, &[Some(b"<null>"), None], "id \"<null>\""),
            (Table::Brand, &[Some(&long), None], "is longer than 128 bytes"),
            (
                Table::Brand,
                &[Some(b"2"), Some(b"-1")],
                "max_calls \"-1\" is not a number from 0 to 2147483647 (brand \"2\")",
            ),
            (Table::Brand, &[Some(b"2"), Some(b"2147483648")], "max_calls \"2147483648\""),
            (Table::Company, &[Some(b"2"), Some(b"zz"), None, None], "brand_id \"zz\" is no brand"),
            (Table::Company, &[Some(b"2"), Some(b"b1"), Some(b"3"), None], "ip_filter \"3\""),
            (Table::Company, &[Some(b"c1"), Some(b"b1"), None, None], "id \"c1\" stands twice"),
            (Table::Company, &[Some(b"None"), Some(b"b1"), None, None], "id \"None\" is what"),
            (Table::Company, &[Some(b"2"), Some(b"b1"), None, Some(b"ten")], "max_calls \"ten\""),
            (
                Table::CompanyAddress,
                &[Some(b"c9"), Some(b"192.0.2.1"), None],
                "\"c9\" is no company",
            ),
            (
                Table::CompanyAddress,
                &[Some(b"c1"), Some(b"192.0.2.300"), None],
                "ranges row 1: ip_addr \"192.0.2.300\": is not an IP address (company \"c1\")",
            ),
            (Table::CompanyAddress, &[Some(b"c1"), None, None], "ip_addr NULL"),
            (Table::CompanyAddress, &[Some(b"c1"), Some(b"192.0.2.1"), Some(b"24")], "host bits"),
            (Table::CompanyAddress, &[Some(b"c1"), Some(b"\xff\n"), None], "\"\\xff\\n\""),
            (Table::CompanyCountry, &[Some(b"c1"), Some(b"es")], "country \"es\""),
            (Table::CompanyCountry, &[Some(b"c1"), None], "country NULL"),
            (Table::User, &[Some(b"u@d"), Some(b"c1"), Some(b"4")], "external_calls \"4\""),
            (Table::User, &[Some(b"u@d"), Some(b"c2"), None], "company_id \"c2\""),
            (
                Table::Trusted,
                &[Some(b"192.0.2.1"), None, Some(b"carier")],
                "trusted row 1: 192.0.2.1/32: tag \"carier\" is none of exempt, default, carrier",
            ),
            (Table::Trusted, &[Some(b"192.0.2.1"), None, Some(&long)], "tag \"xxx"),
            (Table::Trusted, &[Some(b"x"), None, None], "ip_addr \"x\""),
            (Table::Brand, &[Some(b"2")], "1 columns where 2"),
            // What MariaDB gives of UUID, BIT and INET6.
            (
                Table::Brand,
                &[Some(b"\x12\x3e\x45\x67\xe8\x9b\x12\xd3\xa4\x56\x42\x66\x14\x17\x40\x00"), None],
                "is no text (UTF-8); cast it in a view: CAST(id AS CHAR)",
            ),
            (Table::User, &[Some(b"u\xe9@d"), Some(b"c1"), None], "CAST(aor AS CHAR)"),
            (Table::User, &[Some(b"u@d"), Some(b"c\0"), None], "CAST(company_id AS CHAR)"),
            (
                Table::User,
                &[Some(b"u@d"), Some(b"c1"), Some(b"\x01")],
                "CAST(external_calls AS UNSIGNED)",
            ),
            (Table::Brand, &[Some(b"2"), Some(b"\x00\x07")], "CAST(max_calls AS UNSIGNED)"),
            (
                Table::Company,
                &[Some(b"2"), Some(b"b1"), Some(b"\x03"), None],
                "CAST(ip_filter AS UNSIGNED)",
            ),
            (
                Table::Company,
                &[Some(b"2"), Some(b"b1"), Some(b"yes"), None],
                "ip_filter \"yes\" is not",
            ),
            (
                Table::CompanyAddress,
                &[Some(b"c1"), Some(b"\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"), None],
                "is not an IP address; cast it in a view: CAST(ip_addr AS CHAR)",
            ),
        ];
        for (table, values, what) in cases {
            let got = error(*table, values);
            assert!(got.contains(what), "{got} lacks {what}");
            assert!(got.len() < 400, "{}", got.len());
        }
    }

    #[test]
    fn skipping_keeps_the_good_rows() {
        let rows: &[(Table, &[Value<'_>])] = &[
            (Table::CompanyAddress, &[Some(b"c1"), Some(b"bad"), None]),
            (Table::CompanyAddress, &[Some(b"c1"), Some(b"192.0.2.1"), None]),
        ];
        let loader = load(BadRows::Skip, rows);
        let Ok((config, problems)) = loader.finish() else { panic!("failed") };
        assert_eq!(problems.count(), 1);
        assert_eq!(config.ranges_v4.len(), 1);
        assert_eq!(config.rows[Table::CompanyAddress.index()], 2);
    }

    #[test]
    fn only_twenty_problems_are_kept_and_all_counted() {
        let mut loader = load(BadRows::Fail, &[]);
        for _ in 0..1000 {
            loader.row(Table::Brand, &[None, None]);
        }
        let Err(problems) = loader.finish() else { panic!("taken") };
        assert_eq!((problems.kept().len(), problems.count()), (20, 1000));
    }

    #[test]
    fn suspicious_rows_are_warned_of() {
        let rows: &[(Table, &[Value<'_>])] = &[
            (Table::Company, &[Some(b"c2"), Some(b"b1"), Some(b"1"), None]),
            (Table::Company, &[Some(b"c3"), Some(b"b1"), Some(b"1"), None]),
            (Table::Company, &[Some(b"c4"), Some(b"b1"), None, None]),
            (Table::CompanyAddress, &[Some(b"c1"), Some(b"0.0.0.0/0"), None]),
            (Table::CompanyAddress, &[Some(b"c1"), Some(b"172.16.0.0/12"), None]),
            (Table::CompanyAddress, &[Some(b"c1"), Some(b"172.17.0.0/16"), None]),
            (Table::CompanyAddress, &[Some(b"c4"), Some(b"172.16.0.0/12"), None]),
            (Table::CompanyAddress, &[Some(b"c1"), Some(b"2001:db8::/31"), None]),
            (Table::CompanyCountry, &[Some(b"c3"), Some(b"ES")]),
            (Table::Trusted, &[Some(b"10.0.0.0/15"), None, None]),
            (Table::Trusted, &[Some(b"12.0.0.0/15"), None, Some(b"carrier")]),
            (Table::Trusted, &[Some(b"12.0.0.0/15"), None, Some(b"carrier")]),
        ];
        let Ok((config, _)) = load(BadRows::Fail, rows).finish() else { panic!("failed") };
        let texts: Vec<_> = config.warnings.kept().iter().map(|p| p.to_string()).collect();
        let expected = [
            "company \"c4\": ip_filter is NULL",
            "company \"c1\": 0.0.0.0/0 grants every",
            "company \"c1\": 0.0.0.0/0 is broader than flood_exempt_prefix",
            "company \"c1\": 172.16.0.0/12 is broader",
            "company \"c1\": 2001:db8::/31 is broader",
            "trusted row 1: 10.0.0.0/15 exempts so many",
            "row 2: company \"c2\": filter on, nothing listed",
            "row 3: company \"c3\": filter on, only countries listed",
            "countries row 1: country ES grants nothing: geoip_db is not set",
        ];
        assert_eq!(texts.len(), expected.len(), "{texts:?}");
        for (text, expected) in texts.iter().zip(expected) {
            assert!(text.contains(expected), "{text} lacks {expected}");
        }
    }

    #[test]
    fn an_address_with_two_tags_is_bad() {
        let rows: &[(Table, &[Value<'_>])] = &[
            (Table::Trusted, &[Some(b"192.0.2.1"), None, Some(b"carrier")]),
            (Table::Trusted, &[Some(b"::ffff:192.0.2.1"), Some(b"128"), Some(b"exempt")]),
        ];
        let Err(problems) = load(BadRows::Fail, rows).finish() else { panic!("taken") };
        let text = problems.kept()[0].to_string();
        assert!(text.contains("row 2: 192.0.2.1/32 stands twice"), "{text}");
    }

    #[test]
    fn a_filter_may_be_a_boolean() {
        for (value, on, watched) in [
            (&b"0"[..], false, false),
            (b"1", true, false),
            (b"2", true, true),
            (b"t", true, false),
            (b"f", false, false),
            (b"true", true, false),
            (b"FALSE", false, false),
            (b"\x00", false, false),
            (b"\x01", true, false),
            (b"\x02", true, true),
        ] {
            let row: &[Value<'_>] = &[Some(b"c2"), Some(b"b1"), Some(value), None];
            let Ok((config, _)) = load(BadRows::Fail, &[(Table::Company, row)]).finish() else {
                panic!("{value:?}")
            };
            let company = &config.companies[1];
            assert_eq!((company.ip_filter, company.monitor), (on, watched), "{value:?}");
        }
    }

    #[test]
    fn null_numbers_are_zero_and_a_null_filter_is_off() {
        let row: &[Value<'_>] = &[Some(b"c2"), Some(b"b1"), None, None];
        let Ok((config, _)) = load(BadRows::Fail, &[(Table::Company, row)]).finish() else {
            panic!("failed")
        };
        assert!(!config.companies[1].ip_filter);
        assert_eq!(config.companies[1].max_calls, 0);
    }
}
