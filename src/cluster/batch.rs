//! What a node has to tell and to ask, made into one request.

use std::collections::{BTreeMap, BTreeSet};

use super::asks::{Answer, Ask};
use super::books::Books;
use super::counts::Change;
use super::key::Key;
use super::message::{Claim, Group};
use super::mirror::Mirror;

/// Claims in one request, and calls: a server that serves others in between is never busy
/// for long.
pub(super) const MOST: usize = 50;

/// A batch that is on its way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Batch {
    pub lowers: Vec<Claim>,
    pub forces: Vec<Claim>,
    /// With the call that each is for.
    pub takes: Vec<(u64, Group)>,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.lowers.is_empty() && self.forces.is_empty() && self.takes.is_empty()
    }

    /// All keys that it names.
    pub fn keys(&self) -> impl Iterator<Item = Key> {
        let taken = self.takes.iter().flat_map(|(_, group)| &group.lacks);
        self.lowers.iter().chain(&self.forces).chain(taken).map(|claim| claim.key)
    }

    /// Settles scopes that need it. Those for which there is no room remain in `due`.
    pub fn settle(&mut self, due: &mut BTreeSet<Key>, mirror: &Mirror, books: &mut impl Books) {
        while self.lowers.len() + self.forces.len() < MOST {
            let Some(key) = due.pop_first() else { break };
            match books.with(key, |counts| counts.settle(mirror.claimed(key))) {
                Change::Lower(slots) => self.lowers.push(Claim { key, slots }),
                Change::Force(slots) => self.forces.push(Claim { key, slots }),
                Change::Keep => {}
            }
        }
    }

    /// Tells again what the server should know already.
    pub fn assert(&mut self, again: &mut Vec<Key>, books: &mut impl Books) {
        while self.lowers.len() + self.forces.len() < MOST {
            let Some(key) = again.pop() else { break };
            let slots = books.with(key, |counts| counts.granted.max(counts.calls));
            if slots > 0 && !self.keys().any(|other| other == key) {
                self.forces.push(Claim { key, slots });
            }
        }
    }

    /// Asks for what lacks. Of the calls that lack a scope known to be full, one asks; the
    /// others get its answer. Calls that lack nothing are told so at once.
    pub fn take(
        &mut self,
        asks: &[Ask],
        full: &BTreeSet<Key>,
        books: &mut impl Books,
    ) -> Vec<(u64, Answer)> {
        let mut answers = Vec::new();
        let mut coming: BTreeMap<Key, u32> = BTreeMap::new();
        let mut asked: BTreeSet<Key> = BTreeSet::new();
        for ask in asks {
            if self.takes.len() >= MOST {
                break;
            }
            let mut group = Group::default();
            for want in &ask.wants {
                let before = coming.get(&want.key).copied().unwrap_or(0);
                if books.with(want.key, |counts| counts.lacks(before)) {
                    group.lacks.push(Claim { key: want.key, slots: want.limit });
                }
            }
            if group.lacks.is_empty() {
                answers.push((ask.id, Answer::Look));
                continue;
            }
            let mut known_full = group.lacks.iter().filter(|claim| full.contains(&claim.key));
            if known_full.clone().any(|claim| asked.contains(&claim.key)) {
                continue;
            }
            if let Some(claim) = known_full.next() {
                asked.insert(claim.key);
            }
            for claim in &group.lacks {
                *coming.entry(claim.key).or_default() += 1;
            }
            self.takes.push((ask.id, group));
        }
        answers
    }
}
