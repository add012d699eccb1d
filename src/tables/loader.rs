//! Turns database rows, all of them text, into a valid [`Configuration`].

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use super::value::{
    Column, MAX_AOR, MAX_CALLS, MAX_ID, alike, name, number, prefix, quoted, quoted_or_null,
    switch, text,
};
use super::{
    BadRows, Brand, Company, Configuration, Country, HostNames, Limits, MinPrefix, NamedFor,
    Problem, Problems, RangeRow, Table, Tool, Trusted, User,
};
use crate::address::Prefix;
use crate::countries::{CountryCode, CountryNetworks};
use crate::limiter::{ClassId, ClassNames};
use crate::memory::Growth;

pub(super) type Ids = HashMap<Box<[u8]>, u32>;

/// What a company with a filter grants.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Granted {
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
    pub(super) brands: Ids,
    pub(super) companies: Ids,
    users: Ids,
    /// Row of each company, and what is listed for it.
    pub(super) granted: Vec<(u64, Granted)>,
    pub(super) country_rows: Vec<u64>,
    /// Row of each limit.
    pub(super) limit_rows: Vec<u64>,
    /// Users whose AoR has no domain: row and AoR of the first one, and how many.
    pub(super) first_bare: Option<(u64, Box<[u8]>)>,
    pub(super) bare_users: u64,
    /// Classes of flood control.
    classes: ClassNames,
    pub(super) trusted: HashMap<Prefix, Option<ClassId>>,
    pub(super) host_names: HostNames,
    /// Memory for all rows, and for what is made of them.
    growth: Growth,
    /// Table and row at which there was none left.
    starved: Option<(Table, u64)>,
}

/// Most bytes that a row of a range takes, until the snapshot is compiled.
const RANGE_BYTES: usize = 96;
/// The same of any other row, without its texts.
const ROW_BYTES: usize = 512;

/// Most bytes that a row takes, until the snapshot is compiled: its texts are in the rows, in a
/// map, in the strings of the snapshot, and in what has grown to twice its size.
fn bytes_of(table: Table, values: &[Column<'_>]) -> usize {
    match table {
        Table::CompanyAddress => RANGE_BYTES,
        _ => {
            let texts = values.iter().flatten().map(|text| text.len());
            ROW_BYTES + 4 * texts.sum::<usize>()
        }
    }
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
            granted: Vec::new(),
            country_rows: Vec::new(),
            limit_rows: Vec::new(),
            first_bare: None,
            bare_users: 0,
            classes: ClassNames::default(),
            trusted: HashMap::new(),
            host_names: HostNames::default(),
            growth: Growth::default(),
            starved: None,
        }
    }

    /// With the classes that tags may name, and the lengths from which companies'
    /// ranges count for flood control.
    pub fn flood(mut self, classes: ClassNames, min_prefix: MinPrefix) -> Self {
        self.classes = classes;
        self.config.min_prefix = min_prefix;
        self
    }

    /// With the kinds of scopes that are known.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.config.limits = limits;
        self
    }

    /// With the countries of networks.
    pub fn networks(mut self, networks: CountryNetworks) -> Self {
        self.config.networks = networks;
        self
    }

    /// Takes one row; values in the order of [`Table::columns`].
    pub fn row(&mut self, table: Table, values: &[Column<'_>]) {
        let number = match self.config.rows.get_mut(table.index()) {
            Some(count) => {
                *count += 1;
                *count
            }
            None => 0,
        };
        if !self.growth.add(bytes_of(table, values)) {
            self.starved.get_or_insert((table, number));
            return;
        }
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
            (Table::User, &[aor, company, calls]) => self.user(aor, company, calls, number),
            (Table::Trusted, &[ip, mask, tag]) => self.trusted(ip, mask, tag, number),
            (Table::Limit, values) => match values.try_into() {
                Ok(values) => self.config.limits.row(values).map(|()| self.limit_rows.push(number)),
                Err(_) => Err(wrong_count(table, values)),
            },
            (Table::Tool, &[header, kind, pattern]) => {
                Tool::row([header, kind, pattern], self.config.tools.len())
                    .map(|tool| self.config.tools.push(tool))
            }
            _ => Err(wrong_count(table, values)),
        };
        if let Err(text) = result {
            let table = self.table_name(table);
            self.problems.add(|| Problem { table, row: number, text });
        }
    }

    /// The configuration and, with [`BadRows::Skip`], the rows left out.
    ///
    /// # Errors
    /// The bad rows, with [`BadRows::Fail`] and at least one of them; the row for which there
    /// was no memory left.
    pub fn finish(mut self) -> Result<(Configuration, Problems), Problems> {
        if let (Some((table, row)), Some(text)) = (self.starved, self.growth.refusal()) {
            let mut problems = Problems::default();
            let table = self.table_name(table);
            problems.add(|| Problem { table, row, text });
            return Err(problems);
        }
        if self.bad_rows == BadRows::Fail && self.problems.count() > 0 {
            return Err(self.problems);
        }
        self.add_named_addresses();
        self.warn_of_empty_filters();
        self.warn_of_exempt_crowds();
        self.warn_of_useless_countries();
        self.warn_of_bare_users();
        self.warn_of_limits();
        Ok((self.config, self.problems))
    }

    /// Rows of a table so far, bad ones too.
    pub fn rows_read(&self, table: Table) -> usize {
        self.config.rows.get(table.index()).map_or(0, |rows| *rows as usize)
    }

    pub(super) fn table_name(&self, table: Table) -> String {
        self.names.get(table.index()).cloned().unwrap_or_default()
    }

    fn brand(&mut self, id: Column<'_>, max_calls: Column<'_>) -> Result<(), String> {
        let id = text("id", id, MAX_ID)?;
        let max_calls =
            number("max_calls", max_calls, MAX_CALLS).map_err(|e| of("brand", id, &e))?;
        claim(&mut self.brands, "id", id, self.config.brands.len())?;
        self.config.brands.push(Brand { id: id.into(), max_calls });
        Ok(())
    }

    fn company(
        &mut self,
        id: Column<'_>,
        brand: Column<'_>,
        filter: Column<'_>,
        max_calls: Column<'_>,
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
        self.granted.push((row, Granted::Nothing));
        Ok(())
    }

    fn company_position(&self, id: Column<'_>) -> Result<u32, String> {
        let id = text("company_id", id, MAX_ID)?;
        self.companies.get(id).copied().ok_or_else(|| self.unknown("company", id, &self.companies))
    }

    /// The problem of an unknown brand or company; it names one that differs in case or
    /// blanks only. Searches only while problems are kept.
    fn unknown(&self, what: &str, id: &[u8], known: &Ids) -> String {
        let alike = match self.problems.has_room() {
            true => alike(id, known.keys().map(AsRef::as_ref)),
            false => None,
        };
        let hint = alike.map_or_else(String::new, |alike| {
            format!(": {} differs in case or blanks only", quoted(alike))
        });
        format!("{what}_id {} is not a {what}{hint}", quoted(id))
    }

    fn company_address(
        &mut self,
        company: Column<'_>,
        ip: Column<'_>,
        mask: Column<'_>,
        row: u64,
    ) -> Result<(), String> {
        let id = self.company_position(company)?;
        let company = company.unwrap_or_default();
        let prefix = match prefix(ip, mask) {
            Ok(prefix) => prefix,
            Err(wrong) => {
                let name = self.host_names.name(ip, mask, wrong);
                let name = name.map_err(|e| of("company", company, &e))?;
                self.named_row(name, NamedFor::Company(id));
                self.mark_listed(id, Granted::Ranges);
                return Ok(());
            }
        };
        let filters = self.config.companies.get(id as usize).is_some_and(|c| c.ip_filter);
        let mut warn = |what: String| {
            let table = self.names.get(Table::CompanyAddress.index()).cloned().unwrap_or_default();
            let text = format!("company {}: {what}", quoted(company));
            self.config.warnings.add(|| Problem { table, row, text });
        };
        if prefix.is_everything() {
            warn(format!("{prefix} grants every address of its family"));
        }
        if filters && self.config.min_prefix.is_longer_than(&prefix) {
            warn(format!(
                "{prefix} is broader than {}: its sources are flood-checked as everybody's",
                MinPrefix::parameter(&prefix)
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
        self.mark_listed(id, Granted::Ranges);
        Ok(())
    }

    fn company_country(
        &mut self,
        company: Column<'_>,
        country: Column<'_>,
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
        self.mark_listed(id, Granted::CountriesOnly);
        Ok(())
    }

    fn user(
        &mut self,
        aor: Column<'_>,
        company: Column<'_>,
        calls: Column<'_>,
        row: u64,
    ) -> Result<(), String> {
        let aor = name("aor", aor, MAX_AOR)?;
        let named = |e: String| of("user", aor, &e);
        let company = self.company_position(company).map_err(named)?;
        let calls = number("external_calls", calls, 3).map_err(named)?;
        claim(&mut self.users, "aor", aor, self.config.users.len())?;
        let external_calls = u8::try_from(calls).map_err(|e| named(e.to_string()))?;
        if !has_domain(aor) {
            self.bare_users += 1;
            self.first_bare.get_or_insert_with(|| (row, aor.into()));
        }
        self.config.users.push(User { aor: aor.into(), company, external_calls });
        Ok(())
    }

    fn trusted(
        &mut self,
        ip: Column<'_>,
        mask: Column<'_>,
        tag: Column<'_>,
        row: u64,
    ) -> Result<(), String> {
        let prefix = match prefix(ip, mask) {
            Ok(prefix) => prefix,
            Err(wrong) => {
                let name = self.host_names.name(ip, mask, wrong)?;
                let class =
                    self.class_of_tag(tag).map_err(|e| format!("{}: {e}", quoted(&name)))?;
                self.host_names.set_class(&name, class)?;
                self.named_row(name, NamedFor::Trusted(class));
                return Ok(());
            }
        };
        let class = self.class_of_tag(tag).map_err(|e| format!("{prefix}: {e}"))?;
        // The first row holds, however many come after it.
        if *self.trusted.entry(prefix).or_insert(class) != class {
            return Err(format!("{prefix} stands twice, with different tags"));
        }
        if class.is_none() && self.config.min_prefix.is_longer_than(&prefix) {
            let table = self.table_name(Table::Trusted);
            let text = format!("{prefix} exempts so many addresses from flood control");
            self.config.warnings.add(|| Problem { table, row, text });
        }
        self.config.trusted.push(Trusted { prefix, class, is_named: false });
        Ok(())
    }

    /// The class that a tag names; `exempt`, or none, is no class.
    fn class_of_tag(&self, tag: Column<'_>) -> Result<Option<ClassId>, String> {
        let tag = tag.unwrap_or_default();
        if tag.is_empty() {
            return Ok(None);
        }
        let class = std::str::from_utf8(tag).ok().and_then(|tag| self.classes.parse(tag));
        class.ok_or_else(|| format!("tag {} is not one of {}", quoted(tag), self.classes.all()))
    }

    fn mark_listed(&mut self, company: u32, what: Granted) {
        if let Some((_, listed)) = self.granted.get_mut(company as usize) {
            *listed = what.max(*listed);
        }
    }
}

/// Whether an AoR has a domain.
pub fn has_domain(aor: &[u8]) -> bool {
    aor.iter().rposition(|byte| *byte == b'@').is_some_and(|at| at + 1 < aor.len())
}

fn wrong_count(table: Table, values: &[Column<'_>]) -> String {
    format!("{} columns where {} are expected", values.len(), table.columns().len())
}

/// What is wrong, and with which row.
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
#[path = "loader_tests.rs"]
mod tests;
