//! Scopes and their limits in answers.

use std::cmp::Reverse;

use crate::clock;
use crate::host::contract::rpc::Node;
use crate::host::state::State;
use crate::ledger::{Calls, Direction, LeaseInfo, LeaseScope, Limit, ScopeKind};
use crate::printable::Printable;
use crate::snapshot::View;

/// Live calls of a scope in one direction against their limit.
pub struct ScopeUsage<'a> {
    word: &'a [u8],
    id: Vec<u8>,
    direction: Direction,
    calls: u32,
    limit: u32,
}

impl ScopeUsage<'_> {
    fn percent(&self) -> u64 {
        (u64::from(self.calls) * 100).checked_div(self.limit.into()).unwrap_or(0)
    }

    /// Its fields.
    pub fn tell(&self, node: &Node<'_>) {
        node.text(c"kind", Printable::full(self.word));
        node.text(c"id", Printable::full(&self.id));
        node.text(c"direction", Printable::full(self.direction.name()));
        node.int(c"calls", self.calls);
        node.int(c"max_calls", self.limit);
        node.int(c"percent", self.percent());
    }
}

/// Scopes with calls besides companies and brands, those nearest to a limit first.
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

/// The limits of a scope in limit_table, with its calls.
pub fn tell_limits(list: &Node<'_>, state: &State, view: &View<'_>, kind: ScopeKind, id: &[u8]) {
    let calls = state.ledger.calls(kind, id);
    for (direction, limit) in Direction::ALL.into_iter().zip(view.limits(kind, id)) {
        if *limit != Limit::NONE {
            tell_limit(&list.item_structure(), state, (view, kind, id), (direction, limit, calls));
        }
    }
}

fn tell_limit(
    node: &Node<'_>,
    state: &State,
    (view, kind, id): (&View<'_>, ScopeKind, &[u8]),
    (direction, limit, calls): (Direction, &Limit, Calls),
) {
    node.text(c"kind", Printable::full(view.word_of(kind)));
    node.text(c"id", Printable::full(id));
    node.text(c"direction", Printable::full(direction.name()));
    node.int(c"calls", calls.of(direction));
    node.int(c"max_calls", limit.calls);
    let new = match limit.rate.calls() {
        0 => 0,
        _ => state.ledger.new_calls(kind, id, direction, &limit.rate, clock::monotonic()),
    };
    node.int(c"new_calls", new);
    node.int(c"max_new", limit.rate.calls());
    node.int(c"window_seconds", limit.rate.window());
    node.int(c"reserved", limit.reserved);
    node.int(c"longest", limit.longest);
    node.int(c"near_percent", limit.near);
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
