//! Where the tables come from.

use std::path::PathBuf;

use super::{BadRows, Table};

/// Where the tables come from, as it was at one time.
pub struct TableSource {
    pub db_url: String,
    /// Names of the tables, in the order of [`Table::ALL`].
    pub tables: [String; Table::ALL.len()],
    /// What bad rows do.
    pub bad_rows: BadRows,
    /// MaxMind DB with the countries of networks.
    pub geoip_db: Option<PathBuf>,
}
