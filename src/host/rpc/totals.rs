//! Calls of all nodes, beside those of this one.

use std::collections::HashMap;

use crate::cluster::Key;
use crate::host::cluster::reader;
use crate::host::state::{State, with_snapshot};
use crate::ledger::{Direction, Exceeded, Needed, Outcome, ScopeKind, Taken, Wanted};
use crate::snapshot::View;

/// A scope in one direction.
pub type Of<'a> = (ScopeKind, &'a [u8], Direction);

/// Slots of all nodes, as the server says.
#[derive(Default)]
pub struct Totals(HashMap<Key, u32>);

impl Totals {
    /// Of the scopes with these keys. Nobody waits for the server while it reads the tables:
    /// a reload would wait too. Empty if limits are this node's own, or the server does not
    /// answer.
    pub fn ask(state: &State, keys: impl FnOnce(&View<'_>) -> Vec<Key>) -> Self {
        match state.desk {
            Some(_) => Self::of_keys(state, with_snapshot(|v, _| keys(v)).unwrap_or_default()),
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

    /// Refuses a call that this node alone would admit, where all nodes have too many.
    pub fn judge(&self, state: &State, wanted: &[Wanted<'_>], emergency: bool, taken: &mut Taken) {
        if !self.0.is_empty() && taken.outcome == Outcome::Counted {
            self.refuse(wanted, &state.ledger.would_ask(wanted, emergency), taken);
        }
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

/// The keys of scopes.
pub fn keys_of<'a>(state: &State, scopes: impl Iterator<Item = Of<'a>>) -> Vec<Key> {
    scopes.map(|(kind, id, of)| state.ledger.shared_key(kind, id, of)).collect()
}

/// The keys of a new call's scopes, in all directions and parts.
pub fn keys_of_call(state: &State, wanted: &[Wanted<'_>], emergency: bool) -> Vec<Key> {
    let each = wanted.iter().map(|want| want.scope);
    let shown = each.flat_map(|scope| Direction::ALL.map(|of| (scope.kind, scope.id, of)));
    let mut keys = keys_of(state, shown);
    keys.extend(state.ledger.would_ask(wanted, emergency).iter().map(|asked| asked.key));
    keys
}
