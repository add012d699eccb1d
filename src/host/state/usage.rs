//! Calls of companies and brands against their limits.

use std::cmp::Reverse;

use super::State;
use crate::ledger::{Direction, ScopeKind};
use crate::policy;
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

/// Live calls of a scope in one direction against their limit.
pub struct ScopeUsage<'a> {
    /// Word of its kind.
    pub word: &'a [u8],
    /// Its id; `...` stands behind one that is cut.
    pub id: Vec<u8>,
    /// The calls that are counted.
    pub direction: Direction,
    /// Live calls.
    pub calls: u32,
    /// Their limit, 0 for none.
    pub limit: u32,
}

impl ScopeUsage<'_> {
    /// Calls in percent of the limit, 0 without one.
    pub fn percent(&self) -> u64 {
        percent(self.calls, self.limit)
    }
}

fn percent(calls: u32, limit: u32) -> u64 {
    (u64::from(calls) * 100).checked_div(limit.into()).unwrap_or(0)
}

impl Usage<'_> {
    pub fn percent(&self) -> u64 {
        percent(self.calls, self.limit)
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
        limit: policy::limit_of(view, ScopeKind::COMPANY, company.id(), company.max_calls()).calls,
    };
    ranked(view.companies().map(usage))
}

/// Brands with calls, those nearest to their limit first.
pub fn brands<'a>(state: &State, view: &View<'a>) -> Vec<Usage<'a>> {
    ranked(view.brands().map(|(brand, limit)| Usage {
        company: &[],
        brand,
        calls: state.ledger.live(ScopeKind::BRAND, brand),
        limit: policy::limit_of(view, ScopeKind::BRAND, brand, limit).calls,
    }))
}

fn ranked<'a>(all: impl Iterator<Item = Usage<'a>>) -> Vec<Usage<'a>> {
    let mut busy: Vec<_> = all.filter(|usage| usage.calls > 0).collect();
    busy.sort_by_key(Usage::rank);
    busy
}

/// Scopes with calls besides brands, companies and roadwarriors, those nearest to a limit
/// first.
pub fn scopes<'a>(state: &State, view: &View<'a>) -> Vec<ScopeUsage<'a>> {
    let positions = 0..state.ledger.scope_positions();
    let mut all = Vec::new();
    for scope in positions.filter_map(|position| state.ledger.scope_at(position)) {
        if scope.kind < ScopeKind::USER {
            continue;
        }
        let limits = view.limits(scope.kind, &scope.id);
        for (direction, limit) in Direction::ALL.into_iter().zip(limits) {
            let calls = scope.calls.of(direction);
            if calls > 0 && (direction == Direction::Any || limit.calls > 0) {
                let (word, id) = (view.word_of(scope.kind), scope.id.clone());
                all.push(ScopeUsage { word, id, direction, calls, limit: limit.calls });
            }
        }
    }
    all.sort_by_key(|usage| Reverse((usage.percent(), usage.calls)));
    all
}
