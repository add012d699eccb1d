//! Rows that are valid but look like a mistake, found when all tables are read.

use super::loader::{Granted, Loader};
use super::value::quoted;
use super::{Problem, Table};

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

    /// Scripts ask for `user@domain`, which is not found where only the user is listed.
    pub(super) fn warn_of_bare_users(&mut self) {
        let Some((row, aor)) = self.first_bare.take() else { return };
        let table = self.table_name(Table::User);
        let more = match self.bare_users {
            0 | 1 => String::new(),
            all => format!(" ({all} such rows)"),
        };
        let text = format!(
            "aor {} has no domain: write user@domain if the script asks for that{more}",
            quoted(&aor)
        );
        self.config.warnings.add(|| Problem { table, row, text });
    }
}
