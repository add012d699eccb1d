//! Calls of companies and brands against their limits.

use std::cmp::Reverse;

use super::State;
use crate::ledger::ScopeKind;
use crate::snapshot::{CompanyView, View};

/// Share of a limit, in percent, from which on it is near.
pub const NEAR: u64 = 80;

/// Calls of a company or brand against its limit.
pub struct Usage<'a> {
    /// Id of the company; empty for a brand.
    pub company: &'a [u8],
    /// Id of the brand.
    pub brand: &'a [u8],
    /// Live calls.
    pub calls: u32,
    /// Its limit, 0 for none.
    pub limit: u32,
}

impl Usage<'_> {
    /// Calls in percent of the limit, 0 without one.
    pub fn percent(&self) -> u64 {
        (u64::from(self.calls) * 100).checked_div(self.limit.into()).unwrap_or(0)
    }

    fn rank(&self) -> Reverse<(u64, u32)> {
        Reverse((self.percent(), self.calls))
    }
}

/// Companies with calls, those nearest to their limit first.
pub fn companies<'a>(state: &State, view: &View<'a>) -> Vec<Usage<'a>> {
    let usage = |company: CompanyView<'a>| Usage {
        company: company.id(),
        brand: company.brand().0,
        calls: state.ledger.live(ScopeKind::COMPANY, company.id()),
        limit: company.max_calls(),
    };
    ranked(view.companies().map(usage))
}

/// Brands with calls, those nearest to their limit first.
pub fn brands<'a>(state: &State, view: &View<'a>) -> Vec<Usage<'a>> {
    ranked(view.brands().map(|(brand, limit)| Usage {
        company: &[],
        brand,
        calls: state.ledger.live(ScopeKind::BRAND, brand),
        limit,
    }))
}

fn ranked<'a>(all: impl Iterator<Item = Usage<'a>>) -> Vec<Usage<'a>> {
    let mut busy: Vec<_> = all.filter(|usage| usage.calls > 0).collect();
    busy.sort_by_key(Usage::rank);
    busy
}
