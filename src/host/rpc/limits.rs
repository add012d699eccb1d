//! Scopes and their limits in answers.

use crate::clock;
use crate::host::contract::rpc::Node;
use crate::host::state::State;
use crate::host::state::usage::ScopeUsage;
use crate::ledger::{Calls, Direction, LeaseInfo, LeaseScope, Limit, ScopeKind};
use crate::printable::Printable;
use crate::snapshot::View;

/// Tells the calls of a scope against its limit.
pub fn tell_usage(node: &Node<'_>, usage: &ScopeUsage<'_>) {
    node.text(c"kind", Printable::full(usage.word));
    node.text(c"id", Printable::full(&usage.id));
    node.text(c"direction", Printable::full(usage.direction.name()));
    node.int(c"calls", usage.calls);
    node.int(c"max_calls", usage.limit);
    node.int(c"percent", usage.percent());
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
