//! Grants: a company may send from a source until a time, without a row in a table.
//!
//! A fixed pool of records in shared memory, in chains by company. A grant matters only
//! where the tables refuse a source, so that no other request looks here.
#![forbid(unsafe_code)]

mod grant;
mod record;
mod table;

pub use grant::{Grant, GrantedBy, LONGEST_GRANT, MAX_NOTE};
pub use record::MAX_COMPANY;
pub use table::{GrantTable, NoRoom, Usage};
