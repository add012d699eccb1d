//! Authorized ranges: may this company's user send from this address?

use std::num::NonZeroU32;

use crate::address::{Address, Prefix};
use crate::countries::{CountryCode, countries_of};
use crate::snapshot::{CompanyView, View};
use crate::unset::is_unset;
use crate::verdict::Verdict;

/// A verdict about a source and the rule behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceDecision {
    pub verdict: Verdict,
    pub range: Option<Prefix>,
    /// Place of the range among those of all companies, from 1.
    pub place: Option<NonZeroU32>,
    pub country: Option<CountryCode>,
}

impl From<Verdict> for SourceDecision {
    fn from(verdict: Verdict) -> Self {
        SourceDecision { verdict, range: None, place: None, country: None }
    }
}

/// Decides for the company with this id. An unset id is an error of the script.
#[inline]
pub fn check_company_ip(snapshot: &View<'_>, company: &[u8], source: Address) -> SourceDecision {
    check_source(snapshot.company(company).as_ref(), company, source)
}

/// The same for a company that was looked up.
#[inline]
pub fn check_source(
    company: Option<&CompanyView<'_>>,
    id: &[u8],
    source: Address,
) -> SourceDecision {
    if is_unset(id) {
        return Verdict::InternalError.into();
    }
    let Some(company) = company else {
        return Verdict::UnknownCompany.into();
    };
    if !company.ip_filter() {
        return Verdict::FilterOff.into();
    }
    if let Some((place, range)) = company.locate(source) {
        let (range, place) = (Some(range), NonZeroU32::new(place.wrapping_add(1)));
        return SourceDecision { range, place, ..Verdict::GrantedRange.into() };
    }
    match company.country_granted(source) {
        Some(country) => {
            SourceDecision { country: Some(country), ..Verdict::GrantedCountry.into() }
        }
        None if company.lists_anything() => Verdict::DeniedSource.into(),
        None => Verdict::DeniedNoRanges.into(),
    }
}

/// The same where the tables refuse the source and `granted` says by which grant it is
/// allowed for now.
#[inline]
pub fn with_grant(
    decision: SourceDecision,
    granted: impl FnOnce() -> Option<Prefix>,
) -> SourceDecision {
    if !matches!(decision.verdict, Verdict::DeniedSource | Verdict::DeniedNoRanges) {
        return decision;
    }
    match granted() {
        Some(range) => SourceDecision { range: Some(range), ..Verdict::GrantedTemporarily.into() },
        None => decision,
    }
}

/// Whether an address is in one of the countries of a list like `ES, FR,PT`.
///
/// # Errors
/// The first part of the list that is not a country.
pub fn check_country<'a>(
    snapshot: &View<'_>,
    list: &'a [u8],
    source: Address,
) -> Result<Verdict, &'a [u8]> {
    let country = snapshot.country_of(source);
    let mut listed = false;
    for code in countries_of(list) {
        listed |= Some(code?) == country;
    }
    Ok(match country {
        None => Verdict::CountryUnknown,
        Some(_) if listed => Verdict::CountryListed,
        Some(_) => Verdict::CountryNotListed,
    })
}
