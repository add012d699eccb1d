//! The rules of both limiters as this process knows them.

use super::{State, get, with_snapshot};
use crate::address::{Address, Prefix};
use crate::auth;
use crate::clock;
use crate::flood::{Rules, RulesCopy};
use crate::limiter::ClassId;
use crate::policy;
use crate::proven::{Proof, Proofs};
use crate::snapshot::SourceKind;

thread_local! {
    /// This process's copies.
    static FLOOD: RulesCopy = const { RulesCopy::new() };
    static AUTH: auth::RulesCopy = const { auth::RulesCopy::new() };
}

/// Runs `f` on the current rules of flood control.
pub fn with_rules<R>(state: &State, f: impl FnOnce(&Rules) -> R) -> R {
    FLOOD.with(|copy| copy.with(&state.flood_rules, f))
}

/// Runs `f` on the current rules of brute force protection.
pub fn with_auth_rules<R>(state: &State, f: impl FnOnce(&auth::Rules) -> R) -> R {
    AUTH.with(|copy| copy.with(&state.auth_rules, f))
}

/// Whether all functions only report.
pub fn monitors() -> bool {
    get().is_some_and(|state| with_rules(state, |rules| rules.common.monitor_all != 0))
}

/// Whether brute force protection only reports.
pub fn is_monitored(state: &State, rules: &auth::Rules) -> bool {
    rules.monitor != 0 || with_rules(state, |flood| flood.common.monitor_all != 0)
}

/// The source that an address belongs to.
pub fn source_of(state: &State, address: Address) -> Prefix {
    with_rules(state, |rules| rules.source_of(address))
}

/// Whether a source has proven that it receives what is sent to it.
#[inline]
pub fn is_proven(state: &State, rules: &Rules, source: Address) -> bool {
    let keep = rules.common.proven_keep;
    keep > 0 && state.proven.is_proven(rules.source_of(source), keep, clock::monotonic())
}

/// How a source has proven itself; empty without a proof.
pub fn proofs_of(state: &State, rules: &Rules, source: Address) -> Proofs {
    let (prefix, keep) = (rules.source_of(source), rules.common.proven_keep);
    let proven = state.proven.look(prefix, keep, clock::monotonic());
    proven.map_or(Proofs::default(), |proven| proven.proofs)
}

/// A source has proven itself.
pub fn prove(state: &State, source: Address, proof: Proof) {
    with_rules(state, |rules| {
        let (prefix, keep) = (rules.source_of(source), rules.common.proven_keep);
        if state.proven.prove(prefix, proof, keep, clock::monotonic()) {
            state.flood.reclassify(prefix);
            state.streams.reclassify(prefix);
        }
    });
}

/// The class of a source for flood control by the current snapshot, and whether nobody has
/// listed it.
pub fn flood_class(state: &State, rules: &Rules, source: Address) -> (Option<ClassId>, bool) {
    let listed =
        with_snapshot(|view, _| policy::source_class(view, source, rules.company_sources()));
    match listed {
        Some((class, SourceKind::Trusted(_) | SourceKind::Company)) => (class, false),
        _ if proofs_of(state, rules, source).spare_budget() => (Some(rules.proven_class()), true),
        _ => (Some(ClassId::DEFAULT), true),
    }
}

/// The class of a source by the current snapshot; `default` without one.
pub fn class_of(source: Address, company_sources: Option<ClassId>) -> Option<ClassId> {
    with_snapshot(|view, _| policy::source_class(view, source, company_sources).0)
        .unwrap_or(Some(ClassId::DEFAULT))
}
