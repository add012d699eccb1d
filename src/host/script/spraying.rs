//! Failures of a source over all AoRs: what `auth_failed` does besides its own count.

use crate::auth::Rules;
use crate::clock;
use crate::flood::{self, Block};
use crate::host::report::{bans, blocks};
use crate::host::state::State;
use crate::host::state::rules::{flood_class, with_rules};
use crate::limiter::{ClassId, Reason};
use crate::source::Source;
use crate::spraying::Failure;

/// Counts a failure of an AoR, known by its hash; whether the source is blocked for it. Only
/// failures that have answered a nonce come here, so it is not somebody else's. A class that
/// flood control never blocks is not blocked here either.
pub fn failed(
    state: &State,
    rules: &Rules,
    source: Source,
    failure: (Failure, u32),
    (class, monitored): (Option<ClassId>, bool),
) -> bool {
    let prefix = with_rules(state, |flood| flood.source_of(source.address));
    let checked = state.spraying.failed(prefix, failure, class, rules, clock::monotonic);
    let Some(passed) = checked.passed else { return false };
    with_rules(state, |flood| {
        let (flood_class, _) = flood_class(state, flood, source.address);
        let blocks = flood_class.is_some() && flood.class(flood_class).block > 0;
        bans::spraying(state, (prefix, class), &passed, (blocks, monitored));
        if !blocks || monitored {
            return blocks;
        }
        let seconds = rules.class(class).spray_block;
        block(state, flood, source, flood_class, seconds);
        true
    })
}

/// Blocks the source, unless it is blocked already.
fn block(
    state: &State,
    rules: &flood::Rules,
    source: Source,
    class: Option<ClassId>,
    seconds: u32,
) {
    let since = clock::monotonic();
    let (before, _) = state.flood.look(source.address, rules, || since);
    if before.is_some() {
        return;
    }
    let block = Block {
        prefix: rules.source_of(source.address),
        class,
        since,
        until: since.saturating_add(u64::from(seconds) * 1000),
        seen: 1,
        times: 1,
        reason: Reason::Spraying,
        ways: source.learnt.into(),
    };
    match state.flood.block(&block, rules, since) {
        Ok(over) => {
            let class = state.settings.classes.name(block.class);
            let why = format!("spraying, class {class}");
            blocks::started(state, rules, (&block, block.since), over.as_ref(), &why);
        }
        Err(_) => blocks::no_room(),
    }
}
