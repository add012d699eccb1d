//! Ends blocks and bans that the current tables and settings would not make: the source has
//! become exempt, or has another class. They end at once, and not only when the source sends
//! again. Those of operators stay.

use std::cell::Cell;

use crate::address::Prefix;
use crate::auth::Ban;
use crate::flood::Block;
use crate::host::report::bans::report_outdated as report_ban;
use crate::host::report::blocks::report_outdated as report_block;
use crate::host::state::rules::{with_auth_rules, with_rules};
use crate::host::state::{State, with_snapshot};
use crate::limiter::ClassId;
use crate::policy;

/// What blocks and bans are judged by: the generation of the tables, and the versions of
/// both rules.
type Basis = (u64, u64, u64);

thread_local! {
    static LOOKED: Cell<Option<Basis>> = const { Cell::new(None) };
}

/// Ends what is outdated, if tables or settings have changed since the last call. Called all
/// the time in the warden.
pub fn revise(state: &State) {
    let basis = (
        state.store.publication().current(),
        with_rules(state, |rules| rules.version),
        with_auth_rules(state, |rules| rules.version),
    );
    if LOOKED.get() == Some(basis) {
        return;
    }
    with_rules(state, |rules| {
        let is_over = |block: &Block| {
            // With another `flood_ipv6_prefix` it is not a source any more.
            let prefix = block.prefix;
            let is_source = prefix == rules.source_of(prefix.first());
            let class = class_of(prefix, block.class, rules.company_sources());
            // A proof, or its end, ends no block.
            let unlisted = rules.are_unlisted(class, block.class);
            let class = if unlisted { block.class } else { class };
            let is_over = class != block.class || rules.class(class).block == 0;
            (is_source && is_over).then_some(class)
        };
        let ended = |block: &Block, class| report_block(state, block, class);
        state.flood.revise(is_over, ended);
    });
    with_auth_rules(state, |rules| {
        let is_over = |ban: &Ban| {
            let class = class_of(ban.source, ban.class, rules.company_sources());
            (class != ban.class).then_some(class)
        };
        state.auth.revise(is_over, |ban, class| report_ban(state, ban, class));
    });
    LOOKED.set(Some(basis));
}

/// The current class of a source, by its first and last address. If those differ, the class
/// stays as it was: it was decided for the address that has sent.
fn class_of(
    source: Prefix,
    before: Option<ClassId>,
    company_sources: Option<ClassId>,
) -> Option<ClassId> {
    let ends @ [first, last] = [source.first(), source.last()];
    let classes = with_snapshot(|view, _| {
        ends.map(|address| policy::source_class(view, address, company_sources).0)
    });
    match classes {
        Some([a, b]) if a == b && (a.is_none() || first == last) => a,
        _ => before,
    }
}
