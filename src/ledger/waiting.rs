//! A call that waits for slots that other nodes leave to this one.

use super::DialogId;
use super::limit::{Bound, Exceeded, Wanted};
use super::scope::{Direction, Few, SCOPES};
use super::shares::place_of;
use crate::cluster::{self, Part, Want};

/// Places of all scopes of a call: of each one in any direction and in its own, two parts.
pub(super) const WAITED: usize = SCOPES * 4;

/// A call that lacks slots of scopes that are shared: from its first attempt on until
/// [`Ledger::stop_waiting`].
pub struct Waiting {
    /// The node may use what was granted to it.
    pub(super) trusted: bool,
    /// Of the call, as soon as it waits.
    pub(super) dialog: DialogId,
    pub(super) places: Few<Waited, WAITED>,
}

#[derive(Clone, Copy, Default)]
pub(super) struct Waited {
    pub key: cluster::Key,
    pub limit: u32,
    /// The record; this worker refers to it.
    pub position: u32,
    /// Place in what was wanted.
    pub at: u8,
}

impl Waiting {
    /// A call that may use slots that were granted, or wait for some, if the node is trusted.
    pub fn new(trusted: bool) -> Self {
        Waiting { trusted, dialog: DialogId(0), places: Few::new() }
    }

    /// What it needs.
    pub fn wants(&self) -> impl Iterator<Item = Want> {
        self.places.iter().map(|of| Want { key: of.key, limit: of.limit })
    }

    /// What a full scope refuses: `wanted` as in the attempt, and the calls of all nodes.
    pub fn exceeded(
        &self,
        wanted: &[Wanted<'_>],
        key: cluster::Key,
        total: u32,
    ) -> Option<Exceeded> {
        let of = self.places.iter().find(|of| of.key == key)?;
        let direction = *Direction::ALL.get(key.place() / Part::BOTH.len())?;
        let is_all = place_of(direction, Part::All) == key.place();
        Some(Exceeded {
            at: of.at.into(),
            kind: wanted.get(usize::from(of.at))?.scope.kind,
            direction,
            bound: if is_all { Bound::Calls } else { Bound::Unreserved },
            calls: total,
            limit: of.limit,
        })
    }
}
