//! Sources that feeds list, by the current tables, grants and proofs.

use super::feeds::{Feeds, with_feeds};
use super::rules::proofs_of;
use super::{State, with_snapshot};
use crate::address::{Address, Prefix};
use crate::clock;
use crate::feeds::Pass;
use crate::flood::Rules;
use crate::policy;
use crate::snapshot::SourceKind;

/// Why a listed source is served all the same.
pub fn pass_of(state: &State, rules: &Rules, address: Address) -> Option<Pass> {
    let kind = with_snapshot(|view, _| policy::source_class(view, address, None).1);
    match kind {
        Some(SourceKind::Trusted(_)) => Some(Pass::Trusted),
        Some(SourceKind::Company) => Some(Pass::Authorized),
        _ if proofs_of(state, rules, address).show_customer() => Some(Pass::Proven),
        _ if state.grants.touches(address.prefix(128), clock::monotonic()) => Some(Pass::Granted),
        _ => None,
    }
}

/// Whether all requests from a prefix are refused because feeds list it.
pub fn refuses_all(state: &State, rules: &Rules, prefix: Prefix) -> bool {
    let Some(feeds) = &state.feeds else { return false };
    let is_listed = feeds.lists(prefix.first()).is_some_and(|listed| listed.contains(prefix));
    let divides = || with_snapshot(|view, _| view.divides(prefix)).unwrap_or(true);
    is_listed
        && !divides()
        && pass_of(state, rules, prefix.first()).is_none()
        && !state.grants.touches(prefix, clock::monotonic())
}

/// Prefixes that are listed by all feeds together.
pub fn prefixes(state: &State) -> u64 {
    let feeds = state.feeds.as_ref();
    feeds.and_then(|feeds| with_feeds(feeds, |view, _| view.count())).unwrap_or(0)
}

/// Feeds whose file is wrong or missing: what they listed before is in force.
pub fn failing(state: &State) -> u64 {
    let all = state.feeds.iter().flat_map(Feeds::all);
    all.filter(|(_, note)| !note.problem().is_empty()).count() as u64
}

/// Seconds since the file of the feed that is oldest was written; 0 without one.
pub fn oldest_age(state: &State) -> u64 {
    let Some(feeds) = &state.feeds else { return 0 };
    let ages = with_feeds(feeds, |view, _| {
        let feeds = (0..feeds.files.len()).filter_map(|n| view.feed(n));
        let modified = feeds.map(|feed| feed.stamp().modified).filter(|at| *at > 0);
        modified.map(clock::age).max()
    });
    ages.flatten().unwrap_or(0)
}
