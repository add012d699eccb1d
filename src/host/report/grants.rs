//! Grants that begin and end: an entry in the table, a log line, an event, a counter.

use super::events;
use crate::address::Prefix;
use crate::clock;
use crate::grants::{Grant, NoRoom};
use crate::host::contract::counters::{self, Own};
use crate::host::contract::log;
use crate::host::settings::at;
use crate::host::state::State;
use crate::printable::Printable;
use crate::tables::MinPrefix;

/// The broadest sources that a grant may have.
pub fn broadest(state: &State) -> MinPrefix {
    let bits = |index| u8::try_from(state.values.int(index)).unwrap_or(u8::MAX);
    MinPrefix { v4: bits(at::GRANT_PREFIX), v6: bits(at::GRANT_IPV6_PREFIX) }
}

/// Adds a grant and tells of it; the earlier one that it replaces.
pub fn give(state: &State, grant: &Grant) -> Result<Option<Grant>, NoRoom> {
    let before = state.grants.grant(grant)?;
    counters::count_own(Own::GrantsStarted);
    if before.is_some() {
        counters::count_own(Own::GrantsEnded);
    }
    events::grant_started(state, grant);
    let again = if before.is_some() { ", in place of an earlier grant" } else { "" };
    log::warning(format_args!(
        "company \"{}\" may send from {} for {} s: a grant by the {}{again}{}",
        Printable::full(&grant.company),
        grant.source.name(),
        clock::seconds_left(grant.until, grant.since),
        grant.by.name(),
        noted(grant)
    ));
    Ok(before)
}

/// A grant has run out.
pub fn report_end(state: &State, grant: &Grant) {
    end(state, grant, "its time is over");
}

/// An operator has ended a grant.
pub fn report_revoked(state: &State, grant: &Grant) {
    end(state, grant, "an operator said so");
}

fn end(state: &State, grant: &Grant, why: &str) {
    counters::count_own(Own::GrantsEnded);
    events::grant_ended(state, grant);
    log::warning(format_args!(
        "the grant of company \"{}\" for {} ends: {why}; {} requests were allowed by it{}",
        Printable::full(&grant.company),
        grant.source.name(),
        grant.used,
        noted(grant)
    ));
}

fn noted(grant: &Grant) -> String {
    match grant.note.as_slice() {
        [] => String::new(),
        note => format!("; note: {}", Printable::full(note)),
    }
}

/// What is wrong with the source of a grant: it is too broad.
pub fn too_broad(state: &State, source: Prefix) -> Option<String> {
    let broadest = broadest(state);
    broadest.is_longer_than(&source).then(|| {
        let (parameter, bits) = match source {
            Prefix::V4(..) => ("grant_prefix", broadest.v4),
            Prefix::V6(..) => ("grant_ipv6_prefix", broadest.v6),
        };
        format!("{source} is broader than /{bits}, which {parameter} allows")
    })
}
