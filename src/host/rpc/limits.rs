//! `sipwarden.limits`, and scopes and their limits in other answers.

use super::arguments::no_snapshot;
use super::page::Page;
use super::totals::{Totals, keys_of};
use crate::clock;
use crate::host::contract::abi::command;
use crate::host::contract::rpc::{Call, Fault, Node};
use crate::host::settings::at;
use crate::host::state::usage::{Load, ScopeUsage};
use crate::host::state::{State, with_snapshot};
use crate::ledger::{Direction, LeaseInfo, LeaseScope, Limit, ScopeKind};
use crate::memory;
use crate::policy;
use crate::printable::Printable;
use crate::snapshot::{ScopeLimits, View};
use crate::tables::Table;

/// Limits on a page: hosts bound the structures of one reply.
const PAGE: usize = 20;
/// Most bytes for a row while all are listed.
const ROW_BYTES: usize = 256;
/// Stands for all ids that are not listed.
const ALL_IDS: &[u8] = b"*";
/// What to say without a table of limits.
const NO_TABLE: &str = "limit_table is not set: only max_calls of companies and brands limit calls";

/// A limit, and the calls that it is for.
type Row<'a> = (ScopeKind, Option<&'a [u8]>, Direction, Limit);

/// The rows of limit_table, or the limits of one id: [kind [id [page]]].
pub fn limits(call: &Call, state: &State) -> Result<(), Fault> {
    let word = call.argument("kind")?.filter(|text| !text.is_empty());
    let id = call.argument("id")?.filter(|text| !text.is_empty());
    let page = Page::read(call, PAGE)?;
    call.no_more()?;
    if word.is_none() && id.is_some() {
        let limits = command("limits");
        return Err(Fault::argument(format!("an id has a kind: {limits} carrier north")));
    }
    let asked = (word.as_deref(), id.as_deref());
    let count = with_snapshot(|view, _| view.counts().rows_of(Table::Limit)).unwrap_or(0);
    memory::ask_for(ROW_BYTES * count as usize).map_err(Fault::internal)?;
    let totals = Totals::ask(state, |view| {
        let rows = rows(state, view, asked).unwrap_or_default();
        let named = page.of(rows.iter()).filter_map(|(kind, id, of, _)| Some((*kind, (*id)?, *of)));
        keys_of(state, named)
    });
    with_snapshot(|view, _| {
        let rows = rows(state, view, asked)?;
        page.check(rows.len())?;
        let reply = call.reply();
        reply.int(c"total", rows.len() as u64);
        page.tell(&reply, rows.len());
        if rows.is_empty() && !has_table(state) {
            reply.text(c"hint", NO_TABLE);
        }
        let list = reply.array(c"limits");
        for row in page.of(rows.iter()) {
            tell_limit(&list.item_structure(), state, view, row, &totals);
        }
        Ok(())
    })
    .ok_or_else(no_snapshot)?
}

/// The rows of a kind, or those in force for an id.
fn rows<'a>(
    state: &State,
    view: &View<'a>,
    (word, id): (Option<&[u8]>, Option<&'a [u8]>),
) -> Result<Vec<Row<'a>>, Fault> {
    let kind = word.map(|word| kind_of(state, view, word)).transpose()?;
    Ok(match (kind, id) {
        (Some(kind), Some(id)) if id != ALL_IDS => {
            let each = Direction::ALL.into_iter().zip(in_force(view, kind, id));
            let each = each.filter(|(_, limit)| limit.is_on());
            each.map(|(direction, limit)| (kind, Some(id), direction, limit)).collect()
        }
        (kind, id) => {
            let rows = view.limit_rows().map(|(kind, id, of, limit)| (kind, id, of, *limit));
            let wanted = rows.filter(|(of, row, ..)| {
                kind.is_none_or(|kind| kind == *of) && (id.is_none() || row.is_none())
            });
            wanted.collect()
        }
    })
}

/// The kind of a word that limits may be for.
fn kind_of(state: &State, view: &View<'_>, word: &[u8]) -> Result<ScopeKind, Fault> {
    view.kind(word).ok_or_else(|| {
        let mut known: Vec<_> = view.limit_rows().map(|(kind, ..)| kind).collect();
        known.sort_unstable_by_key(|kind| kind.number());
        known.dedup();
        let known = known.into_iter().map(|kind| Printable::short(view.word_of(kind)).to_string());
        let known = known.collect::<Vec<_>>().join(", ");
        let there_are = if known.is_empty() { "" } else { "; there are " };
        Fault::unknown(format!("{}{there_are}{known}", no_kind(state, word)))
    })
}

/// Why a word is no kind.
pub fn no_kind(state: &State, word: &[u8]) -> String {
    match has_table(state) {
        true => format!("limit_table has no row of kind \"{}\"", Printable::short(word)),
        false => NO_TABLE.into(),
    }
}

/// Whether there is a table of limits.
fn has_table(state: &State) -> bool {
    !state.values.text(at::FIRST_TABLE + Table::Limit.index()).is_empty()
}

/// What holds for an id, by directions; for all calls of a company or brand together with
/// its own table.
pub fn in_force(view: &View<'_>, kind: ScopeKind, id: &[u8]) -> ScopeLimits {
    let [any, inbound, outbound] = *view.limits(kind, id);
    let max_calls = match kind {
        ScopeKind::COMPANY => view.company(id).map(|company| company.max_calls()),
        ScopeKind::BRAND => view.brands().find(|(brand, _)| *brand == id).map(|(_, calls)| calls),
        _ => None,
    };
    let any = max_calls.map_or(any, |max_calls| policy::limit_of(view, kind, id, max_calls));
    [any, inbound, outbound]
}

/// Tells the calls of a scope against its limit; `all`: those of all nodes.
pub fn tell_usage(node: &Node<'_>, usage: &ScopeUsage<'_>, all: Option<u32>) {
    node.text(c"kind", Printable::full(usage.word));
    node.text(c"id", Printable::full(&usage.id));
    node.text(c"direction", Printable::full(usage.direction.name()));
    tell_load(node, &usage.load, all);
}

/// Tells live calls against a limit; `all`: those of all nodes, by which it is judged then.
pub fn tell_load(node: &Node<'_>, load: &Load, all: Option<u32>) {
    node.int(c"calls", load.calls);
    if let Some(all) = all {
        node.int(c"calls_everywhere", all);
    }
    let load = &Load { calls: all.unwrap_or(load.calls), limit: load.limit };
    node.int(c"max_calls", load.limit.calls);
    node.int(c"percent", load.percent());
    node.int(c"near_percent", load.limit.near_percent());
    node.int(c"near", i64::from(load.is_near()));
}

/// Of these limits of a scope those that limit_table says something of, with its calls.
pub fn tell_limits(
    list: &Node<'_>,
    state: &State,
    view: &View<'_>,
    ((kind, id), limits): ((ScopeKind, &[u8]), ScopeLimits),
    totals: &Totals,
) {
    let rows = view.limits(kind, id).iter().zip(limits);
    for (direction, (row, limit)) in Direction::ALL.into_iter().zip(rows) {
        if *row != Limit::NONE {
            let row = (kind, Some(id), direction, limit);
            tell_limit(&list.item_structure(), state, view, &row, totals);
        }
    }
}

/// Tells a limit; its calls too, unless it stands for many ids.
fn tell_limit(node: &Node<'_>, state: &State, view: &View<'_>, row: &Row<'_>, totals: &Totals) {
    let (kind, id, direction, limit) = *row;
    node.text(c"kind", Printable::full(view.word_of(kind)));
    node.text(c"id", Printable::full(id.unwrap_or(ALL_IDS)));
    node.text(c"direction", Printable::full(direction.name()));
    match id {
        Some(id) => {
            let calls = state.ledger.calls(kind, id).of(direction);
            let all = totals.of(state, (kind, id, direction), limit.calls, calls);
            tell_load(node, &Load { calls, limit }, all);
            let new = match limit.rate.calls() {
                0 => 0,
                _ => state.ledger.new_calls(kind, id, direction, &limit.rate, clock::monotonic()),
            };
            node.int(c"new_calls", new);
            let ringing = match limit.ringing {
                0 => 0,
                _ => state.ledger.ringing(kind, id, direction),
            };
            node.int(c"ringing", ringing);
        }
        None => {
            node.int(c"max_calls", limit.calls);
            node.int(c"near_percent", limit.near_percent());
        }
    }
    node.int(c"max_new", limit.rate.calls());
    node.int(c"window_seconds", limit.rate.window());
    node.int(c"reserved", limit.reserved);
    node.int(c"longest", limit.longest);
    node.int(c"max_ringing", u32::from(limit.ringing));
}

/// The scopes that a call counts against, as texts.
pub fn tell_scopes(list: &Node<'_>, view: &View<'_>, call: &LeaseInfo) {
    for LeaseScope { kind, id, inbound, outbound, .. } in
        call.scopes.iter().filter(|scope| scope.counts)
    {
        let direction = match (inbound, outbound) {
            (true, true) => " (in, out)",
            (true, false) => " (in)",
            (false, true) => " (out)",
            (false, false) => "",
        };
        let (word, id) = (Printable::full(view.word_of(*kind)), Printable::full(id));
        list.item(format_args!("{word}={id}{direction}"));
    }
}

/// The scope that a text `kind=id` names, if the kind is known.
pub fn named<'a>(view: &View<'_>, text: &'a [u8]) -> Option<(ScopeKind, &'a [u8])> {
    let at = text.iter().position(|byte| *byte == b'=')?;
    let (word, id) = text.split_at_checked(at)?;
    Some((view.kind(word)?, id.get(1..)?))
}
