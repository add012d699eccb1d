//! Calls of all nodes, beside those of this one.

use std::collections::HashMap;

use crate::cluster::Key;
use crate::host::cluster::reader;
use crate::host::state::State;
use crate::ledger::{Direction, Exceeded, Needed, Outcome, ScopeKind, Taken, Wanted};

/// A scope in one direction.
pub type Of<'a> = (ScopeKind, &'a [u8], Direction);

/// Slots of all nodes, as the server says.
#[derive(Default)]
pub struct Totals(HashMap<Key, u32>);

impl Totals {
    /// Of these scopes. Empty if limits are this node's own, or the server does not answer.
    pub fn ask<'a>(state: &State, scopes: impl Iterator<Item = Of<'a>>) -> Self {
        let key = |(kind, id, of): Of<'a>| state.ledger.shared_key(kind, id, of);
        match state.desk {
            Some(_) => Self::of_keys(state, scopes.map(key).collect()),
            None => Totals::default(),
        }
    }

    fn of_keys(state: &State, mut keys: Vec<Key>) -> Self {
        let Some(settings) = state.settings.cluster.as_ref().filter(|_| !keys.is_empty()) else {
            return Totals::default();
        };
        keys.sort_unstable();
        keys.dedup();
        let told = reader::ask(state, settings, |link| link.claims(&keys)).unwrap_or_default();
        let sum = |claims: Vec<(String, u32)>| claims.iter().map(|(_, slots)| slots).sum();
        Totals(keys.into_iter().zip(told.into_iter().map(sum)).collect())
    }

    /// Calls on all nodes, of which `here` are this one's. None: not known, or not limited.
    pub fn of(&self, state: &State, (kind, id, of): Of<'_>, limit: u32, here: u32) -> Option<u32> {
        let key = || state.ledger.shared_key(kind, id, of);
        if limit == 0 || self.0.is_empty() {
            return None;
        }
        self.0.get(&key()).map(|slots| here.max(*slots))
    }

    /// Of a new call's scopes in all directions. A call that this node alone would admit is
    /// refused where all nodes have too many.
    pub fn judge(state: &State, wanted: &[Wanted<'_>], emergency: bool, taken: &mut Taken) -> Self {
        if state.desk.is_none() {
            return Totals::default();
        }
        let asked = state.ledger.would_ask(wanted, emergency);
        let shown = wanted.iter().flat_map(|want| {
            let key = |of| state.ledger.shared_key(want.scope.kind, want.scope.id, of);
            Direction::ALL.map(key)
        });
        let totals = Self::of_keys(state, shown.chain(asked.iter().map(|of| of.key)).collect());
        if taken.outcome == Outcome::Counted {
            totals.refuse(wanted, &asked, taken);
        }
        totals
    }

    fn refuse(&self, wanted: &[Wanted<'_>], asked: &[Needed], taken: &mut Taken) {
        let total = |key| self.0.get(&key).copied().unwrap_or(0);
        if let Some(full) = asked.iter().find(|asked| total(asked.key) >= asked.limit) {
            let Some(want) = wanted.get(full.at) else { return };
            taken.outcome = Outcome::Refused;
            taken.exceeded = Some(Exceeded {
                at: full.at,
                kind: want.scope.kind,
                direction: full.direction,
                bound: full.bound,
                calls: total(full.key),
                limit: full.limit,
            });
        }
    }
}

/// Calls in words, of which some may be on other nodes.
pub fn calls_of(calls: u32, limit: u32, all: Option<u32>) -> String {
    match (limit, all) {
        (0, _) => format!("{calls} calls, without a limit"),
        (_, Some(all)) => format!("{all} of {limit} calls, here {calls}"),
        (_, None) => format!("{calls} of {limit} calls"),
    }
}
