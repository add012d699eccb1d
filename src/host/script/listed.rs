//! Sources that a feed lists.

use crate::address::Prefix;
use crate::feeds::Pass;
use crate::flood::{FloodCheck, FloodOutcome, Rules};
use crate::host::contract::counters::{self, Own};
use crate::host::report::complaint::{ComplaintKind, complain};
use crate::host::state::State;
use crate::host::state::feeds::Feeds;
use crate::host::state::listed::pass_of;
use crate::limiter::ClassId;
use crate::source::Source;

/// The refusal of a listed source; None: it is judged as any other. `counts`: a request asks.
#[inline(always)]
pub fn refuse_listed(
    state: &State,
    rules: &Rules,
    source: Source,
    counts: bool,
) -> Option<FloodCheck> {
    let feeds = state.feeds.as_ref()?;
    look(state, feeds, rules, source, counts)
}

#[inline(never)]
fn look(
    state: &State,
    feeds: &Feeds,
    rules: &Rules,
    source: Source,
    counts: bool,
) -> Option<FloodCheck> {
    // First what costs least: nearly nobody is listed.
    let listed = feeds.lists(source.address)?;
    judge(state, feeds, rules, (source, listed), counts)
}

#[cold]
fn judge(
    state: &State,
    feeds: &Feeds,
    rules: &Rules,
    (source, listed): (Source, Prefix),
    counts: bool,
) -> Option<FloodCheck> {
    let pass = pass_of(state, rules, source.address);
    if counts {
        feeds.count(source.address, pass.is_some());
    }
    match pass {
        Some(pass) if counts => tell_passed(feeds, source, pass),
        Some(_) => {}
        None if counts && state.settings.firewall.is_some() => {
            feeds.note_sender(rules, source, listed);
        }
        None => {}
    }
    if pass.is_some() {
        return None;
    }
    let class = Some(ClassId::DEFAULT);
    Some(FloodCheck { outcome: FloodOutcome::Listed, class, requests: 0, evicted: false })
}

fn tell_passed(feeds: &Feeds, source: Source, pass: Pass) {
    counters::count_own(Own::ListedPassed);
    let address = source.address;
    let listing = feeds.listing(address);
    let feed = listing.first().map_or("", |(name, _)| name);
    complain(
        ComplaintKind::Listed,
        format_args!(
            "{address} is served although feed {feed} lists it: it is {} (said once a minute)",
            pass.name()
        ),
    );
}
