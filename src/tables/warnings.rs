//! Rows that are valid but look like a mistake, found when all tables are read.

use std::collections::HashSet;

use super::loader::{Granted, Ids, Loader};
use super::value::quoted;
use super::{LimitRow, MinPrefix, Problem, Table};
use crate::ledger::{Direction, ScopeKind};

impl Loader {
    /// A filter under which nothing is listed rejects everything.
    pub(super) fn warn_of_empty_filters(&mut self) {
        let table = self.table_name(Table::Company);
        let companies = self.config.companies.iter().zip(&self.granted);
        for (company, &(row, listed)) in companies.filter(|(company, _)| company.ip_filter) {
            let what = match listed {
                Granted::Ranges => continue,
                Granted::CountriesOnly if self.config.networks.count() > 0 => continue,
                Granted::Nothing => "nothing listed",
                Granted::CountriesOnly => "only countries listed, and geoip_db is not set",
            };
            self.config.warnings.add(|| Problem {
                table: table.clone(),
                row,
                text: format!(
                    "company {}: filter on, {what}: all is rejected",
                    quoted(&company.id)
                ),
            });
        }
    }

    /// Each range of a company may be narrow enough to exempt its sources from flood control,
    /// and all of them together be the whole Internet.
    pub(super) fn warn_of_exempt_crowds(&mut self) {
        let (v4, v6) = (self.config.ranges_v4.iter(), self.config.ranges_v6.iter());
        let v4 = v4.map(|row| (row.company, u128::from(row.start), row.len));
        let v6 = v6.map(|row| (row.company, row.start, row.len));
        let MinPrefix { v4: least_v4, v6: least_v6 } = self.config.min_prefix;
        let found_v4 = self.crowds(v4, least_v4, 32).into_iter().map(|found| ("IPv4", found));
        let found_v6 = self.crowds(v6, least_v6, 128).into_iter().map(|found| ("IPv6", found));
        let found: Vec<_> = found_v4.chain(found_v6).collect();
        let table = self.table_name(Table::Company);
        for (family, (company, broad)) in found {
            let Some(of) = self.config.companies.get(company as usize) else { continue };
            let row = self.granted.get(company as usize).map_or(0, |(row, _)| *row);
            let text = format!(
                "company {}: its {family} ranges exempt as many addresses from flood control as a \
                 /{broad} has",
                quoted(&of.id)
            );
            self.config.warnings.add(|| Problem { table: table.clone(), row, text });
        }
    }

    /// Companies whose ranges, each of a length of at least `least`, have more addresses
    /// together than one such range may have; and the length of one that has about as many.
    fn crowds(
        &self,
        ranges: impl Iterator<Item = (u32, u128, u8)> + Clone,
        least: u8,
        bits: u8,
    ) -> Vec<(u32, u8)> {
        let size = |len: u8| 1u128.checked_shl((bits - len).into()).unwrap_or(u128::MAX);
        let companies = &self.config.companies;
        let exempt = ranges.filter(|(company, _, len)| {
            *len >= least && companies.get(*company as usize).is_some_and(|of| of.ip_filter)
        });
        // Those within others count twice here: most companies need no second look.
        let mut sums = vec![0u128; companies.len()];
        for (company, _, len) in exempt.clone() {
            if let Some(sum) = sums.get_mut(company as usize) {
                *sum = sum.saturating_add(size(len));
            }
        }
        let is_large =
            |company: &u32| sums.get(*company as usize).is_some_and(|n| *n > size(least));
        let mut large: Vec<_> = exempt.filter(|(company, ..)| is_large(company)).collect();
        large.sort_unstable();
        let of_each = large.chunk_by(|a, b| a.0 == b.0).filter_map(|own| {
            let (mut sum, mut last) = (0u128, None);
            for &(_, start, len) in own {
                if last.is_none_or(|last| start > last) {
                    sum = sum.saturating_add(size(len));
                    last = Some(start.saturating_add(size(len) - 1));
                }
            }
            let broad = bits.saturating_sub(u8::try_from(sum.checked_ilog2()?).ok()?);
            Some((own.first()?.0, broad)).filter(|_| sum > size(least))
        });
        of_each.collect()
    }

    /// Countries without a database, or that it does not know, grant nothing.
    pub(super) fn warn_of_useless_countries(&mut self) {
        let table = self.table_name(Table::CompanyCountry);
        let (countries, networks) = (&self.config.countries, &self.config.networks);
        let mut unknown = (countries.iter().zip(&self.country_rows))
            .filter(|(country, _)| !networks.codes.contains(&country.code));
        let Some((country, row)) = unknown.next() else { return };
        let why = match networks.count() {
            0 => "geoip_db is not set",
            _ => "the database knows no network of it",
        };
        let more = match unknown.count() {
            0 => String::new(),
            more => format!(", nor do {more} more rows"),
        };
        let text = format!("country {} grants nothing: {why}{more}", country.code.name());
        self.config.warnings.add(|| Problem { table, row: *row, text });
    }

    /// Limits of companies and brands that are not there, or whose slots for emergencies are
    /// cut by a lower `max_calls` in the table of companies or brands.
    pub(super) fn warn_of_limits(&mut self) {
        let companies: Vec<_> =
            self.config.companies.iter().map(|c| (&*c.id, c.max_calls)).collect();
        let brands: Vec<_> = self.config.brands.iter().map(|b| (&*b.id, b.max_calls)).collect();
        let mut found = self.limits_to_warn_of(ScopeKind::COMPANY, &self.companies, &companies);
        found.extend(self.limits_to_warn_of(ScopeKind::BRAND, &self.brands, &brands));
        found.extend(self.limits_undone());
        found.extend(self.limits_of_emergencies_only());
        found.extend(self.limits_of_bare_users());
        found.sort_unstable();
        let table = self.table_name(Table::Limit);
        for (row, text) in found {
            self.config.warnings.add(|| Problem { table: table.clone(), row, text });
        }
    }

    /// The rows of limits, with their numbers in the table.
    fn numbered_limits(&self) -> impl Iterator<Item = (&LimitRow, u64)> + Clone {
        self.config.limits.rows.iter().zip(self.limit_rows.iter().copied())
    }

    /// Rows that say only when an id is near to its limit, and so take away what holds for all.
    fn limits_undone(&self) -> Vec<(u64, String)> {
        let of_all =
            self.numbered_limits().filter(|(row, _)| row.id.is_none() && row.limit.is_on());
        let of_all: HashSet<_> = of_all.map(|(row, _)| (row.kind, row.direction)).collect();
        let undone = |row: &LimitRow| {
            let id = row.id.as_ref().filter(|_| row.says_near && !row.limit.is_on())?;
            let word = String::from_utf8_lossy(self.config.limits.word_of(row.kind)?);
            of_all.contains(&(row.kind, row.direction)).then(|| {
                format!(
                    "{word} {}: this row has only near_percent, and takes the place of the row \"*\" \
                     with its limits (repeat them here)",
                    quoted(id)
                )
            })
        };
        self.numbered_limits().filter_map(|(row, at)| Some((at, undone(row)?))).collect()
    }

    /// Rows whose slots are all reserved.
    fn limits_of_emergencies_only(&self) -> Vec<(u64, String)> {
        let text = |row: &LimitRow| {
            let calls = Some(row.limit.calls).filter(|calls| *calls > 0)?;
            let word = String::from_utf8_lossy(self.config.limits.word_of(row.kind)?);
            let id = quoted(row.id.as_deref().unwrap_or(b"*"));
            (row.limit.reserved == calls).then(|| {
                format!("{word} {id}: all of its {calls} slots are reserved: only emergencies pass")
            })
        };
        self.numbered_limits().filter_map(|(row, at)| Some((at, text(row)?))).collect()
    }

    /// The first row of a user without a domain.
    fn limits_of_bare_users(&self) -> Option<(u64, String)> {
        let users = self.numbered_limits().filter(|(row, _)| row.kind == ScopeKind::USER);
        let ids = users.filter_map(|(row, at)| Some((row.id.as_deref()?, at)));
        let mut bare = ids.filter(|(id, _)| !id.contains(&b'@'));
        let (id, at) = bare.next()?;
        Some((at, no_domain("user", id, 1 + bare.count() as u64)))
    }

    fn limits_to_warn_of(
        &self,
        kind: ScopeKind,
        known: &Ids,
        own: &[(&[u8], u32)],
    ) -> Vec<(u64, String)> {
        let all = self.numbered_limits().filter(|(row, _)| row.kind == kind);
        let listed = all.clone().filter(|(row, _)| row.direction == Direction::Any);
        let listed: HashSet<&[u8]> = listed.filter_map(|(row, _)| row.id.as_deref()).collect();
        let word = String::from_utf8_lossy(kind.word().unwrap_or_default());
        let warning = |row: &LimitRow| match &row.id {
            Some(id) => match known.get(id).and_then(|at| own.get(*at as usize)) {
                None => Some(format!("{word} {} is not known, so nothing is limited", quoted(id))),
                Some(own) => cut(row, &word, &mut [*own].into_iter()),
            },
            None => {
                cut(row, &word, &mut own.iter().filter(|(id, _)| !listed.contains(id)).copied())
            }
        };
        all.filter_map(|(row, number)| Some((number, warning(row)?))).collect()
    }

    /// Scripts ask for `user@domain`, which is not found where only the user is listed.
    pub(super) fn warn_of_bare_users(&mut self) {
        let Some((row, aor)) = self.first_bare.take() else { return };
        let table = self.table_name(Table::User);
        let text = no_domain("aor", &aor, self.bare_users);
        self.config.warnings.add(|| Problem { table, row, text });
    }
}

/// What to say of a user without a domain, the first one of so many.
fn no_domain(what: &str, id: &[u8], all: u64) -> String {
    let more = if all > 1 { format!(" ({all} such rows)") } else { String::new() };
    format!(
        "{what} {} has no domain: write user@domain if the script asks for that{more}",
        quoted(id)
    )
}

/// What to say of a row of which the `max_calls` of some of these scopes cut the reserved slots.
fn cut(row: &LimitRow, word: &str, own: &mut dyn Iterator<Item = (&[u8], u32)>) -> Option<String> {
    let LimitRow { limit, direction: Direction::Any, .. } = row else { return None };
    if limit.reserved == 0 {
        return None;
    }
    let left = |calls: u32| limit.beside(calls).reserved;
    let mut cut = own.filter(|(_, calls)| left(*calls) < limit.reserved);
    let (id, calls) = cut.next()?;
    let more = match cut.count() {
        0 => String::new(),
        more => format!(" (and {more} more like it)"),
    };
    Some(format!(
        "{word} {}: {} of {} reserved slots can be used, since its own max_calls {calls} is lower \
         than {}{more}",
        quoted(id),
        left(calls),
        limit.reserved,
        limit.calls
    ))
}
