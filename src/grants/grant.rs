//! One grant.

use crate::address::Prefix;

/// Longest note in bytes; what is longer is cut.
pub const MAX_NOTE: usize = 64;
/// Longest grant in seconds: a year.
pub const LONGEST_GRANT: u32 = 31_536_000;

/// Who has given it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GrantedBy {
    /// An operator, by RPC or on the page.
    Operator,
    /// The function `grant` of the script.
    Script,
}

impl GrantedBy {
    /// Both, in the order of their numbers.
    pub const ALL: [GrantedBy; 2] = [GrantedBy::Operator, GrantedBy::Script];

    /// As listings print it.
    pub const fn name(self) -> &'static str {
        match self {
            GrantedBy::Operator => "operator",
            GrantedBy::Script => "script",
        }
    }

    /// The reverse of [`GrantedBy::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|by| by.name() == name)
    }
}

/// A source that a company may use until a time. Times are ms of the table's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Id of the company, at most 128 bytes.
    pub company: Vec<u8>,
    pub source: Prefix,
    pub since: u64,
    pub until: u64,
    /// Requests that were allowed by it.
    pub used: u64,
    pub by: GrantedBy,
    /// What the giver has said of it, at most [`MAX_NOTE`] bytes.
    pub note: Vec<u8>,
}

impl Grant {
    /// One that begins at `now` and lasts so many seconds, without a note.
    pub fn new(company: &[u8], source: Prefix, by: GrantedBy, now: u64, seconds: u32) -> Self {
        let (since, until) = (now, now + u64::from(seconds) * 1000);
        Grant { company: company.to_vec(), source, since, until, used: 0, by, note: Vec::new() }
    }
}
