//! Calls of companies, brands and other scopes against their limits.

use std::cell::LazyCell;
use std::cmp::Reverse;
use std::collections::HashMap;

use super::State;
use crate::ledger::{Direction, KEPT_ID, Limit, ScopeInfo, ScopeKind};
use crate::policy;
use crate::snapshot::{CompanyView, View};

/// Live calls of a company or brand against its limit.
pub struct Usage<'a> {
    /// Id of the company; empty for a brand.
    pub company: &'a [u8],
    /// Id of the brand.
    pub brand: &'a [u8],
    /// Live calls, and what holds for them.
    pub load: Load,
}

impl Usage<'_> {
    /// The scope, in all directions.
    pub fn of(&self) -> (ScopeKind, &[u8], Direction) {
        match self.company {
            [] => (ScopeKind::BRAND, self.brand, Direction::Any),
            company => (ScopeKind::COMPANY, company, Direction::Any),
        }
    }
}

/// Live calls of a scope in one direction against its limit.
pub struct ScopeUsage<'a> {
    /// Its kind.
    pub kind: ScopeKind,
    /// Word of its kind.
    pub word: &'a [u8],
    /// Its id; `...` stands behind one that is cut, which only one without a row is.
    pub id: Vec<u8>,
    /// The calls that are counted.
    pub direction: Direction,
    /// Those calls, and what holds for them.
    pub load: Load,
}

impl ScopeUsage<'_> {
    /// The scope.
    pub fn of(&self) -> (ScopeKind, &[u8], Direction) {
        (self.kind, &self.id, self.direction)
    }
}

/// Live calls, and the limit that holds for them.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Live calls.
    pub calls: u32,
    /// The limit.
    pub limit: Limit,
}

impl Load {
    /// Calls in percent of the limit, 0 without one.
    pub fn percent(&self) -> u64 {
        (u64::from(self.calls) * 100).checked_div(self.limit.calls.into()).unwrap_or(0)
    }

    /// Whether the calls are near to the limit.
    pub fn is_near(&self) -> bool {
        self.limit.is_near(self.calls)
    }

    /// Those that are near come first, then the others by what they use.
    fn rank(&self) -> Reverse<(bool, u64, u32)> {
        Reverse((self.is_near(), self.percent(), self.calls))
    }
}

/// Companies with calls, those nearest to their limit first.
pub fn companies<'a>(state: &State, view: &View<'a>) -> Vec<Usage<'a>> {
    ranked(view.companies().map(|company: CompanyView<'a>| Usage {
        company: company.id(),
        brand: company.brand().0,
        load: load(state, view, (ScopeKind::COMPANY, company.id()), company.max_calls()),
    }))
}

/// Most bytes of what the functions below list, for one who shows them.
pub fn room(state: &State) -> usize {
    /// For a scope, in each list and in what is made of it.
    const SCOPE_BYTES: usize = 1024;
    SCOPE_BYTES * state.ledger.memory().scopes as usize
}

/// Brands with calls, those nearest to their limit first.
pub fn brands<'a>(state: &State, view: &View<'a>) -> Vec<Usage<'a>> {
    ranked(view.brands().map(|(brand, max_calls)| Usage {
        company: &[],
        brand,
        load: load(state, view, (ScopeKind::BRAND, brand), max_calls),
    }))
}

fn load(state: &State, view: &View<'_>, (kind, id): (ScopeKind, &[u8]), max_calls: u32) -> Load {
    let calls = state.ledger.live(kind, id);
    Load { calls, limit: policy::limit_of(view, kind, id, max_calls) }
}

fn ranked<'a>(all: impl Iterator<Item = Usage<'a>>) -> Vec<Usage<'a>> {
    let mut busy: Vec<_> = all.filter(|usage| usage.load.calls > 0).collect();
    busy.sort_by_key(|usage| usage.load.rank());
    busy
}

/// Other scopes with calls, and limits of companies and brands for one direction, those
/// nearest to a limit first.
pub fn scopes<'a>(state: &State, view: &View<'a>) -> Vec<ScopeUsage<'a>> {
    let positions = 0..state.ledger.scope_positions();
    let known = positions.filter_map(|position| state.ledger.scope_at(position));
    let long_ids = LazyCell::new(|| long_ids(state, view));
    let whole = |scope: ScopeInfo| match scope.is_cut {
        true => usages(view, &scope, long_ids.get(&scope.hash).copied()),
        false => usages(view, &scope, Some(&scope.id)),
    };
    let mut all: Vec<_> = known.flat_map(whole).collect();
    all.sort_by_key(|usage| usage.load.rank());
    all
}

/// Ids of which the ledger may keep a part only, by the hashes of their scopes: those with
/// limits of their own.
fn long_ids<'a>(state: &State, view: &View<'a>) -> HashMap<u128, &'a [u8]> {
    let rows = view.limit_rows().filter_map(|(kind, id, ..)| Some((kind, id?)));
    let long = rows.filter(|(_, id)| id.len() > KEPT_ID);
    long.map(|(kind, id)| (state.ledger.scope_hash(kind, id), id)).collect()
}

/// `id`: the whole one; None if it is not known, and not listed.
fn usages<'a>(view: &View<'a>, scope: &ScopeInfo, id: Option<&[u8]>) -> Vec<ScopeUsage<'a>> {
    let listed_elsewhere = scope.kind < ScopeKind::USER;
    // No row has an empty id.
    let limits = view.limits(scope.kind, id.unwrap_or_default());
    let of = |(direction, limit): (Direction, &Limit)| {
        let load = Load { calls: scope.calls.of(direction), limit: *limit };
        let counts_all = direction == Direction::Any && !listed_elsewhere;
        let is_told =
            load.calls > 0 && (counts_all || (direction != Direction::Any && limit.calls > 0));
        is_told.then(|| ScopeUsage {
            kind: scope.kind,
            word: view.word_of(scope.kind),
            id: id.unwrap_or(&scope.id).to_vec(),
            direction,
            load,
        })
    };
    Direction::ALL.into_iter().zip(limits).filter_map(of).collect()
}
