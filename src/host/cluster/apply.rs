//! Blocks, bans and grants of other nodes, judged by this one's tables and rules.

use super::kind::Kind;
use crate::address::Prefix;
use crate::clock::{Moment, seconds_left};
use crate::grants::Grant;
use crate::host::contract::counters::{self, Own};
use crate::host::contract::log;
use crate::host::process::blocklist::{parse_ban, parse_block, parse_grant, unescaped};
use crate::host::report::lines::log_of_source;
use crate::host::report::{bans, blocks, events, grants};
use crate::host::settings::at;
use crate::host::state::State;
use crate::host::state::rules::{class_of, flood_class, is_proven, with_auth_rules, with_rules};
use crate::limiter::{Reason, Term};
use crate::notices::Span;

/// What another node says has begun: start and end as the table has them now. None: it has it
/// not. `until`: the end of the one that it had.
pub fn begin(
    state: &State,
    now: Moment,
    kind: Kind,
    line: &str,
    until: Option<u64>,
) -> Option<Span> {
    let line = line.as_bytes();
    match kind {
        Kind::Block => block(state, now, line, until),
        Kind::Ban => ban(state, now, line, until),
        Kind::Grant => grant(state, now, line),
    }
}

/// As a table of blocks or bans keeps them.
fn kept(since: u64, until: u64) -> Span {
    let term = Term::new(since, until, 0);
    (term.since(), term.until())
}

fn block(state: &State, now: Moment, line: &[u8], until: Option<u64>) -> Option<Span> {
    let mut block = parse_block(&state.settings, now, line)?;
    block.seen = 0;
    let manual = block.reason == Reason::Manual;
    let is_longer = until.is_none_or(|until| until < block.until);
    if block.until <= now.monotonic || !(manual || is_longer) {
        return None;
    }
    with_rules(state, |rules| {
        // One that has begun here since the last look.
        let (own, _) = state.flood.look(block.prefix.first(), rules, || now.monotonic);
        let own = own.filter(|own| own.prefix == block.prefix);
        if own.is_some_and(|own| {
            !manual && (own.reason == Reason::Manual || own.until >= block.until)
        }) {
            return None;
        }
        let (class, _) = flood_class(state, rules, block.prefix.first());
        if !manual && (class.is_none() || rules.class(class).block == 0) {
            return None;
        }
        // It is proven here only: what it was blocked for there may have been forged.
        if block.reason == Reason::Flood && is_proven(state, rules, block.prefix.first()) {
            return None;
        }
        block.class = class;
        let over = state.flood.block(&block, rules, now.monotonic).ok()?;
        let why = format!("another proxy has blocked it ({})", block.reason.name());
        blocks::started(state, rules, (&block, now.monotonic), over.as_ref(), &why);
        Some(kept(block.since, block.until))
    })
}

fn ban(state: &State, now: Moment, line: &[u8], until: Option<u64>) -> Option<Span> {
    let mut ban = parse_ban(state, now, line)?;
    ban.seen = 0;
    let manual = ban.reason == Reason::Manual;
    let is_longer = until.is_none_or(|until| until < ban.until);
    if ban.until <= now.monotonic || !(manual || is_longer) {
        return None;
    }
    with_auth_rules(state, |rules| {
        let class = class_of(ban.source.first(), rules.company_sources());
        if !manual && class.is_none() {
            return None;
        }
        ban.class = class;
        let before = state.auth.ban(&ban, rules, now.monotonic).ok()?;
        if let Some(before) = &before {
            bans::report_end(state, before);
        }
        counters::count_own(Own::AuthBansStarted);
        events::ban_started(state, &ban, None);
        log_of_source(format_args!(
            "ban of {} from {} starts: another proxy has banned it ({}); {} s",
            bans::shown(&ban),
            ban.source.name(),
            ban.reason.name(),
            seconds_left(ban.until, now.monotonic),
        ));
        Some(kept(ban.since, ban.until))
    })
}

fn grant(state: &State, now: Moment, line: &[u8]) -> Option<Span> {
    let grant = parse_grant(now, line)?;
    let longest = u64::try_from(state.values.int(at::GRANT_LONGEST)).unwrap_or(0) * 1000;
    let until = grant.until.min(now.monotonic.saturating_add(longest));
    if until <= now.monotonic || grants::too_broad(state, grant.source).is_some() {
        return None;
    }
    let since = grant.since;
    let given = grants::give(state, &Grant { until, used: 0, ..grant });
    if given.is_err() {
        log::error(format_args!("a grant of another proxy is not kept: all of them are in use"));
    }
    given.ok().map(|_| (since, until))
}

/// What another node says is lifted. Whether its name says what that is.
pub fn lift(state: &State, name: &str) -> bool {
    let Some((kind, rest)) = Kind::of(name) else { return false };
    let (source, text) = rest.split_once(' ').unwrap_or((rest, ""));
    let (Ok(source), Some(text)) = (Prefix::parse(source, None), unescaped(text)) else {
        return false;
    };
    match kind {
        Kind::Block => drop(blocks::lift(state, Some(source))),
        Kind::Ban => {
            let hash = state.auth.aor_hash(&text);
            state.auth.forget(Some(hash), Some(source), |ban| bans::report_lift(state, &ban));
        }
        Kind::Grant => state.grants.revoke(&text, Some(source), |grant| {
            grants::report_revoked(state, &grant);
        }),
    }
    true
}
