//! Companies and brands for a monitoring system: few at a time, by event routes.

use std::cell::Cell;
use std::cmp::Reverse;

use super::clock;
use super::events::NEAR;
use super::process::with_snapshot;
use super::recorder::run_route;
use super::state::State;
use crate::events::{Event, EventKind, Subject};
use crate::ledger::ScopeKind;
use crate::snapshot::View;

/// Ms between two rounds.
const PERIOD: u64 = 10_000;
/// Companies, and brands, that are told in any case: the busiest. Others are told
/// when they come near to their limit.
const BUSIEST: usize = 20;
/// Never more than these.
const MOST: usize = 200;

thread_local! {
    static TOLD: Cell<u64> = const { Cell::new(0) };
}

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
    let usage = |company: crate::snapshot::CompanyView<'a>| Usage {
        company: company.id(),
        brand: company.brand().0,
        calls: state.ledger.live(ScopeKind::Company, company.id()),
        limit: company.max_calls(),
    };
    ranked(view.companies().map(usage))
}

/// Brands with calls, those nearest to their limit first.
pub fn brands<'a>(state: &State, view: &View<'a>) -> Vec<Usage<'a>> {
    ranked(view.brands().map(|(brand, limit)| Usage {
        company: &[],
        brand,
        calls: state.ledger.live(ScopeKind::Brand, brand),
        limit,
    }))
}

fn ranked<'a>(all: impl Iterator<Item = Usage<'a>>) -> Vec<Usage<'a>> {
    let mut busy: Vec<_> = all.filter(|usage| usage.calls > 0).collect();
    busy.sort_by_key(Usage::rank);
    busy
}

/// Runs `event_route[sipwarden:gauge]` for whom it is worth it, now and then.
pub fn tell(state: &State, now: u64) {
    if now.saturating_sub(TOLD.get()) < PERIOD {
        return;
    }
    TOLD.set(now);
    let events: Option<Vec<Event>> = with_snapshot(|view, _| {
        [companies(state, view), brands(state, view)].iter().flat_map(worth_telling).collect()
    });
    // The snapshot is let go before the script runs.
    for event in events.iter().flatten() {
        run_route(state, c"sipwarden:gauge", event);
    }
}

fn worth_telling<'a>(ranked: &'a Vec<Usage<'a>>) -> impl Iterator<Item = Event> + use<'a> {
    let told = |(n, usage): &(usize, &Usage<'_>)| *n < BUSIEST || usage.percent() >= NEAR;
    ranked.iter().enumerate().filter(told).take(MOST).map(|(_, usage)| {
        let Usage { company, brand, .. } = *usage;
        let subject = Subject { company, brand, ..Subject::default() };
        let mut event = Event::new(EventKind::NearLimit, clock::wall(), &subject);
        (event.calls, event.limit) = (usage.calls, usage.limit);
        event
    })
}
