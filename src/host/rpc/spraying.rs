//! What RPC methods say of spraying.

use std::cmp::Reverse;

use crate::address::Address;
use crate::auth::ClassValues;
use crate::clock;
use crate::host::contract::rpc::Node;
use crate::host::state::State;
use crate::host::state::rules::{class_of, source_of, with_auth_rules};
use crate::spraying::{Counts, Measure};

/// What a source has failed at, and its limits.
fn of(state: &State, address: Address) -> (Counts, ClassValues) {
    with_auth_rules(state, |rules| {
        let class = class_of(address, rules.company_sources());
        let source = source_of(state, address);
        let counts = state.spraying.look(source, class, rules, clock::monotonic());
        (counts, *rules.class(class))
    })
}

/// Its fields.
pub fn tell(reply: &Node<'_>, state: &State, source: Address) {
    let (counts, values) = of(state, source);
    let node = reply.structure(c"spraying");
    node.int(c"aors", counts.aors);
    node.int(c"aors_limit", values.aors);
    node.int(c"unknown", counts.unknown);
    node.int(c"unknown_limit", values.unknown);
    node.int(c"failures", counts.failures);
    node.int(c"failures_limit", values.passwords);
}

/// Sources that have failed for most AoRs.
pub fn tell_all(reply: &Node<'_>, state: &State, rows: usize) {
    let mut all = Vec::new();
    with_auth_rules(state, |rules| {
        state.spraying.sources(rules, clock::monotonic(), |source, class, counts| {
            all.push((counts, source, class));
        });
    });
    all.sort_by_key(|(counts, ..)| Reverse((counts.aors, counts.failures)));
    let list = reply.array(c"spraying");
    for (counts, source, class) in all.into_iter().take(rows) {
        let node = list.item_structure();
        node.text(c"source", source.name());
        node.text(c"class", state.settings.classes.name(class));
        node.int(c"aors", counts.aors);
        node.int(c"unknown", counts.unknown);
        node.int(c"failures", counts.failures);
    }
}

/// The same in words.
pub fn words(state: &State, source: Address) -> String {
    let (counts, values) = of(state, source);
    let parts = Measure::ALL.map(|measure| {
        let (limit, window) = measure.rule(&values);
        let (count, name) = (measure.of(&counts), measure.name());
        match limit {
            0 => format!("{count} {name}"),
            limit => format!("{count} of {limit} {name} in {window} s"),
        }
    });
    format!("spraying from {}: {}", source_of(state, source).name(), parts.join(", "))
}
