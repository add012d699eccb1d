//! What RPC methods say of proofs.

use crate::address::{Address, Prefix};
use crate::clock::{self, Moment};
use crate::flood::Rules;
use crate::host::contract::rpc::Node;
use crate::host::state::State;
use crate::host::state::rules::with_rules;
use crate::proven::Proven;

/// How and since when a source is proven.
pub fn of(state: &State, rules: &Rules, source: Address) -> Option<Proven> {
    let keep = rules.common.proven_keep;
    state.proven.look(rules.source_of(source), keep, clock::monotonic())
}

/// Its fields.
pub fn tell(reply: &Node<'_>, state: &State, source: Address) {
    let proven = with_rules(state, |rules| of(state, rules, source));
    reply.int(c"proven", u64::from(proven.is_some()));
    let Some(proven) = proven else { return };
    let now = Moment::now();
    reply.text(c"proofs", proven.proofs.names());
    reply.time((c"proven_since", c"proven_since_date"), now.date(proven.since) / 1000);
    reply.time((c"proven_last", c"proven_last_date"), now.date(proven.last) / 1000);
}

/// The same in words.
pub fn words(source: Prefix, proven: Option<Proven>, now: Moment) -> String {
    let source = source.name();
    match proven {
        None => format!("proof: {source} has not proven that it receives what is sent to it"),
        Some(proven) => format!(
            "proof: {source} is proven since {} ({})",
            clock::date(now.date(proven.since) / 1000),
            proven.proofs.names()
        ),
    }
}
