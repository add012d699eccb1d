//! Calls of companies and brands against their limits.

use std::cmp::Reverse;

use super::State;
use crate::ledger::ScopeKind;
use crate::snapshot::{CompanyView, View};

/// Percent of a limit from which on it is near.
pub const NEAR: u64 = 80;

pub struct Usage<'a> {
    /// Id of the company; empty for a brand.
    pub company: &'a [u8],
    pub brand: &'a [u8],
    pub calls: u32,
    pub limit: u32,
}

impl Usage<'_> {
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
