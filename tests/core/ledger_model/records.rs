//! Which records of scopes are in use, and so for which attempts there is no room.
//!
//! All of it is exact: a record is in use while a lease refers to its scope, live or not,
//! counted or only shown, and from then on until a sweep finds that the windows of its rates are
//! over. An attempt that lacks records sweeps itself, at the time at which its call came. It looks
//! at 64 records, which are all that these ledgers ever use; in larger ones it depends on their
//! places which of them it frees.

use std::collections::BTreeSet;

use sipwarden::ledger::{Rate, ScopeKind};

use super::{Model, Name};

/// Calls and scopes that fit into a ledger, and what there is: dialogs, kinds, ids of each kind.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    pub calls: usize,
    pub scopes: usize,
    pub dialogs: u64,
    pub kinds: usize,
    pub ids: u8,
}

impl Room {
    /// Records for scopes that the script names: five for each call are left for the others.
    fn for_script(&self) -> usize {
        self.scopes.saturating_sub(5 * self.calls)
    }
}

/// What an attempt lacks.
#[derive(Clone, Copy)]
pub enum Lack {
    /// A record for a scope that the script names.
    OfScript,
    /// Any record.
    OfAll,
}

/// How often there was no room.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// For a call.
    pub full: u32,
    /// For a scope that the script names.
    pub script: u32,
    /// For any scope.
    pub all: u32,
    /// For a scope, until a sweep freed some.
    pub swept: u32,
}

impl Seen {
    pub fn and(self, other: Self) -> Self {
        Seen {
            full: self.full + other.full,
            script: self.script + other.script,
            all: self.all + other.all,
            swept: self.swept + other.swept,
        }
    }

    pub fn lacks(&mut self, lack: Lack) {
        match lack {
            Lack::OfScript => self.script += 1,
            Lack::OfAll => self.all += 1,
        }
    }
}

impl Model {
    /// Scopes that leases refer to.
    pub fn referred(&self) -> BTreeSet<Name> {
        let scopes = self.leases.values().flat_map(|lease| &lease.scopes);
        scopes.map(|(name, _)| *name).collect()
    }

    /// Scopes that only rates remember.
    pub fn idle(&self) -> BTreeSet<Name> {
        let referred = self.referred();
        self.remembered.keys().copied().filter(|name| !referred.contains(name)).collect()
    }

    /// A call that came at `came` was counted by a rate.
    pub fn remember(&mut self, name: Name, came: u64, rate: &Rate) {
        let until = self.remembered.entry(name).or_default();
        *until = (came / 1000 + u64::from(rate.window()) + 1).max(*until);
    }

    /// What an attempt lacks that adds to these scopes.
    pub fn lack_for(&self, scopes: &[Name]) -> Option<Lack> {
        let mut records = self.referred();
        records.extend(self.idle());
        records.extend(scopes);
        let of_script = records.iter().filter(|(kind, _)| *kind >= ScopeKind::USER);
        if of_script.count() > self.room.for_script() {
            return Some(Lack::OfScript);
        }
        (records.len() > self.room.scopes).then_some(Lack::OfAll)
    }

    /// Frees all records that only rates keep whose windows are over at `now`, in ms. How many.
    pub fn sweep(&mut self, now: u64) -> u32 {
        let mut over = self.idle();
        over.retain(|name| self.remembered[name] <= now / 1000);
        self.remembered.retain(|name, _| !over.contains(name));
        self.windows.retain(|(name, _), _| !over.contains(name));
        over.len() as u32
    }
}
