//! Decisions: pure functions of a snapshot, the time and what was asked.
#![forbid(unsafe_code)]

mod source;

pub use source::{SourceDecision, check_company_ip};
