//! One source in 252 bytes: what it has failed at.

use bytemuck::{Pod, Zeroable};

use super::distinct::Distinct;
use super::halves::Count;
use crate::auth::ClassValues;
use crate::limiter::{ClassId, EvictionRank, HashedKey, Rules, TableEntry, Tally};

const _: () = assert!(size_of::<SprayEntry>() == 252);

/// What a source has failed at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The password was wrong.
    Password,
    /// There is no such user.
    UnknownUser,
}

/// What came in the windows. The numbers of different AoRs are estimates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Different AoRs that failed, for whatever reason.
    pub aors: u32,
    /// Different AoRs that do not exist.
    pub unknown: u32,
    /// Failures, for whatever reason.
    pub failures: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub(super) struct SprayEntry {
    /// Source and class; its window only tells when a failure came last.
    pub tally: Tally,
    failures: Count,
    aors: Distinct,
    unknown: Distinct,
    padding: u32,
}

impl TableEntry for SprayEntry {
    type Key<'a> = HashedKey;
    type Values = ClassValues;
    type Ended = ();

    fn hash(key: &HashedKey) -> u64 {
        key.hash
    }

    fn has_key(&self, key: &HashedKey) -> bool {
        self.tally.key() == key.key
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn ended(&self) {}

    /// The source with the fewest AoRs goes first, then that which was quiet longest.
    fn eviction_rank(&self, rules: &Rules<ClassValues>, now: u64) -> Option<EvictionRank> {
        let rule = rules.class(self.tally.class());
        let (_, lately) = self.tally.eviction_rank(&rule.counting, now)?;
        Some((self.counts(&rule, now).aors, lately))
    }
}

impl SprayEntry {
    pub fn new(key: &HashedKey, class: Option<ClassId>) -> Self {
        SprayEntry { tally: Tally::new(key.key, class), ..SprayEntry::default() }
    }

    /// With another class nothing of the old one stays.
    pub fn set_class(&mut self, class: Option<ClassId>) {
        if self.tally.class() != class {
            *self = SprayEntry { tally: self.tally, ..SprayEntry::default() };
            self.tally.set_class(class);
        }
    }

    /// Counts a failure of an AoR, known by its hash.
    pub fn fail(&mut self, failure: Failure, aor: u32, values: &ClassValues, now: u64) {
        self.failures.add(values.passwords_window, now);
        self.aors.add(aor, values.aors_window, now);
        if failure == Failure::UnknownUser {
            self.unknown.add(aor, values.unknown_window, now);
        }
    }

    pub fn counts(&self, values: &ClassValues, now: u64) -> Counts {
        let mut copy = *self;
        Counts {
            aors: copy.aors.estimate(values.aors_window, now),
            unknown: copy.unknown.estimate(values.unknown_window, now),
            failures: copy.failures.count(values.passwords_window, now),
        }
    }

    /// Counts anew.
    pub fn clear(&mut self) {
        *self = SprayEntry { tally: self.tally, ..SprayEntry::default() };
    }
}
