//! The configuration in the database: tables, rows, what is valid.
#![forbid(unsafe_code)]

pub mod kept;
mod limits;
mod loader;
mod named;
mod names;
mod problems;
mod rows;
mod source;
mod tools;
mod value;
mod version;
mod warnings;

pub use limits::{Kinds, LimitRow, Limits};
pub use loader::{Loader, has_domain};
pub use names::HostNames;
pub use problems::{Problem, Problems};
pub use rows::{
    Brand, Company, Configuration, Country, MinPrefix, NamedAddress, NamedFor, NamedRow, RangeRow,
    Trusted, User,
};
pub use source::TableSource;
pub use tools::{Tool, ToolHeader, ToolMatch};
pub use value::{MAX_ID, alike};
pub use version::{VERSION_COLUMNS, VERSIONS, Versions};

/// What to do with bad rows of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadRows {
    /// Any bad row fails the whole load.
    Fail,
    /// Bad rows are left out and reported.
    Skip,
}

/// A table of the configuration, in the order in which tables are read: what
/// a row refers to has been read before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    Brand,
    /// Companies of the brands.
    Company,
    /// Address ranges of the companies.
    CompanyAddress,
    /// Countries allowed for the companies.
    CompanyCountry,
    /// Users of the companies.
    User,
    /// Addresses of the platform and its peers.
    Trusted,
    /// Limits of scopes. It may be left out.
    Limit,
    /// Patterns of scanners. It may be left out.
    Tool,
}

impl Table {
    /// All tables, in the order in which they are read.
    pub const ALL: [Table; 8] = [
        Table::Brand,
        Table::Company,
        Table::CompanyAddress,
        Table::CompanyCountry,
        Table::User,
        Table::Trusted,
        Table::Limit,
        Table::Tool,
    ];

    /// More columns than any table has.
    pub const MOST_COLUMNS: usize = 10;

    /// The columns, in the order in which [`Loader::row`] takes them.
    pub const fn columns(self) -> &'static [&'static str] {
        match self {
            Table::Brand => &["id", "max_calls"],
            Table::Company => &["id", "brand_id", "ip_filter", "max_calls"],
            Table::CompanyAddress => &["company_id", "ip_addr", "mask"],
            Table::CompanyCountry => &["company_id", "country"],
            Table::User => &["aor", "company_id", "external_calls"],
            Table::Trusted => &["ip_addr", "mask", "tag"],
            Table::Limit => &[
                "kind",
                "id",
                "direction",
                "max_calls",
                "max_new",
                "window_seconds",
                "reserved",
                "longest",
                "near_percent",
                "max_ringing",
            ],
            Table::Tool => &["header", "kind", "pattern"],
        }
    }

    /// Short name, as RPC replies print it.
    pub const fn short_name(self) -> &'static str {
        match self {
            Table::Brand => "brands",
            Table::Company => "companies",
            Table::CompanyAddress => "ranges",
            Table::CompanyCountry => "countries",
            Table::User => "users",
            Table::Trusted => "trusted",
            Table::Limit => "limits",
            Table::Tool => "tools",
        }
    }

    /// Position in [`Table::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}
