//! Authorized ranges: may this company's user send from this address?

use crate::address::{Address, Prefix};
use crate::snapshot::View;
use crate::verdict::Verdict;

/// A verdict about a source and the rule behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceDecision {
    /// What the script is told.
    pub verdict: Verdict,
    /// The range that grants the source.
    pub range: Option<Prefix>,
}

impl From<Verdict> for SourceDecision {
    fn from(verdict: Verdict) -> Self {
        SourceDecision { verdict, range: None }
    }
}

/// Decides for the company with this id. An empty id, or `<null>`, which is
/// what Kamailio prints for an unset variable, is an error of the script.
#[inline]
pub fn check_company_ip(snapshot: &View<'_>, company: &[u8], source: Address) -> SourceDecision {
    if company.is_empty() || company == b"<null>" {
        return Verdict::InternalError.into();
    }
    let Some(company) = snapshot.company(company) else {
        return Verdict::UnknownCompany.into();
    };
    if !company.ip_filter() {
        return Verdict::FilterOff.into();
    }
    match company.range_of(source) {
        Some(range) => SourceDecision { verdict: Verdict::GrantedRange, range: Some(range) },
        None if company.lists_anything() => Verdict::DeniedSource.into(),
        None => Verdict::DeniedNoRanges.into(),
    }
}
