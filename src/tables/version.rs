//! Versions of the tables' structure, as Kamailio keeps those of its own tables: rows of a
//! table `version`.

use std::collections::HashMap;

use super::Table;

/// The table of versions, and its columns.
pub const VERSIONS: &str = "version";
pub const VERSION_COLUMNS: [&str; 2] = ["table_name", "table_version"];

/// Version of a table's structure in this release.
const fn structure(_: Table) -> u32 {
    1
}

/// What the table of versions says, by name of the table. Empty where there is none.
#[derive(Default)]
pub struct Versions(HashMap<Box<[u8]>, String>);

impl Versions {
    pub fn add(&mut self, name: &[u8], version: &[u8]) {
        self.0.insert(name.into(), String::from_utf8_lossy(version).into_owned());
    }

    /// Checks a table; `folder` has the scripts for its database. One without a row is not
    /// checked: views of another schema have none.
    ///
    /// # Errors
    /// A sentence with the table, both versions and the remedy.
    pub fn check(&self, table: Table, name: &str, folder: &str) -> Result<(), String> {
        let wanted = structure(table);
        let Some(found) = self.0.get(name.as_bytes()) else { return Ok(()) };
        match found.parse::<u32>() {
            Ok(found) if found == wanted => Ok(()),
            Ok(found) if found > wanted => Err(format!(
                "table {name} has version {found}, and this sipwarden reads {wanted}: install the \
                 later sipwarden that made it"
            )),
            _ => Err(format!(
                "table {name} has version {found}, and {wanted} is needed: run \
                 {folder}/upgrade-0.9.0.sql"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(found: &str) -> Result<(), String> {
        let mut versions = Versions::default();
        versions.add(b"users", found.as_bytes());
        versions.check(Table::User, "users", "sql/mysql")
    }

    #[test]
    fn a_table_is_of_this_version_or_has_none() {
        assert_eq!(checked("1"), Ok(()));
        assert_eq!(Versions::default().check(Table::User, "users", ""), Ok(()));
        for (found, remedy) in [
            ("0", "0, and 1 is needed: run sql/mysql/upgrade-0.9.0.sql"),
            ("x", "x, and 1 is needed: run"),
            ("2", "2, and this sipwarden reads 1: install the later"),
        ] {
            let why = checked(found).unwrap_err();
            assert!(why.starts_with("table users has version ") && why.contains(remedy), "{why}");
        }
    }
}
