//! The table: counting and judging.

use std::io;

use super::entry::{Counts, Failure, SprayEntry};
use crate::address::Prefix;
use crate::auth::{ClassValues, Rules};
use crate::limiter::{ClassId, Insertion, Lines, LockedEntry, PrefixKey, TableUsage};
use crate::shm::BitSet;

#[cfg(not(shuttle))]
const _: () = assert!(size_of::<crate::shm::ShortMutex<SprayEntry>>() == 256);

/// All sources that have failed, in shared memory. Any process may call anything.
pub struct SprayTable {
    lines: Lines<SprayEntry>,
    seed: [u64; 2],
    /// Lines in use, each changed under its lock.
    taken: BitSet,
}

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    Aors,
    Unknown,
    Passwords,
}

impl Measure {
    pub const ALL: [Measure; 3] = [Measure::Aors, Measure::Unknown, Measure::Passwords];

    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Measure::Aors => "different users",
            Measure::Unknown => "unknown users",
            Measure::Passwords => "failures",
        }
    }

    /// The limit (0: none) and its window in seconds.
    pub const fn rule(self, values: &ClassValues) -> (u32, u32) {
        match self {
            Measure::Aors => (values.aors, values.aors_window),
            Measure::Unknown => (values.unknown, values.unknown_window),
            Measure::Passwords => (values.passwords, values.passwords_window),
        }
    }

    pub const fn of(self, counts: &Counts) -> u32 {
        match self {
            Measure::Aors => counts.aors,
            Measure::Unknown => counts.unknown,
            Measure::Passwords => counts.failures,
        }
    }
}

/// A limit that a source has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    pub measure: Measure,
    pub count: u32,
    pub limit: u32,
    /// In seconds.
    pub window: u32,
}

/// How a failure was judged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SprayCheck {
    pub counts: Counts,
    /// The source counts anew from here.
    pub passed: Option<Passed>,
}

impl SprayTable {
    /// Maps a table for at least `capacity` sources. `seed` keys its hash.
    pub fn new(capacity: usize, seed: [u64; 2]) -> io::Result<Self> {
        let lines = Lines::new(capacity)?;
        Ok(SprayTable { taken: BitSet::new(lines.len())?, lines, seed })
    }

    /// A source has failed for an AoR, known by its keyed hash. Nothing is counted for an
    /// exempt source, or where no limit is set. `clock` is read under the lock.
    pub fn failed(
        &self,
        source: Prefix,
        (failure, aor): (Failure, u32),
        class: Option<ClassId>,
        rules: &Rules,
        clock: impl Fn() -> u64,
    ) -> SprayCheck {
        let rule = rules.class(class);
        let is_limited = Measure::ALL.iter().any(|measure| measure.rule(&rule).0 > 0);
        if class.is_none() || !is_limited {
            return SprayCheck::default();
        }
        let key = PrefixKey::from(source).hashed(self.seed);
        let new = || SprayEntry::new(&key, class);
        // No entry is ever kept from eviction, so there is room.
        let Ok((line, mut entry, how)) = self.lines.find_or_add(&key, new, rules, &clock) else {
            return SprayCheck::default();
        };
        self.taken.set(line, true);
        let now = clock();
        if how == Insertion::Existing {
            entry.set_class(class);
        }
        entry.fail(failure, aor, &rule, now);
        entry.tally.touch(&rule.counting, now);
        let counts = entry.counts(&rule, now);
        let passed = passed(&rule, &counts);
        if passed.is_some() {
            entry.clear();
        }
        SprayCheck { counts, passed }
    }

    /// What a source of a class has failed at, without any effect.
    pub fn look(&self, source: Prefix, class: Option<ClassId>, rules: &Rules, now: u64) -> Counts {
        let key = PrefixKey::from(source).hashed(self.seed);
        let entry = self.lines.find(&key).map(|(_, entry)| *entry);
        let entry = entry.filter(|entry| class.is_some() && entry.tally.class() == class);
        entry.map_or(Counts::default(), |entry| entry.counts(&rules.class(class), now))
    }

    /// Forgets the sources in a prefix, or all.
    pub fn forget(&self, prefix: Option<Prefix>) {
        let is_meant = |of: Prefix| prefix.is_none_or(|prefix| prefix.contains(of));
        let look = |line, entry: &mut LockedEntry<SprayEntry>| {
            if entry.tally.source().is_some_and(is_meant) {
                self.lines.free(entry);
                self.taken.set(line, false);
            }
            None::<()>
        };
        self.lines.visit(self.taken.iter(), look, |()| {});
    }

    /// All sources with failures in their windows; `source` runs without any lock.
    pub fn sources(
        &self,
        rules: &Rules,
        now: u64,
        mut source: impl FnMut(Prefix, Option<ClassId>, Counts),
    ) {
        let look = |_, entry: &mut LockedEntry<SprayEntry>| Some(**entry);
        self.lines.visit(self.taken.iter(), look, |entry| {
            let class = entry.tally.class();
            let counts = entry.counts(&rules.class(class), now);
            if counts != Counts::default() {
                if let Some(prefix) = entry.tally.source() {
                    source(prefix, class, counts);
                }
            }
        });
    }

    pub fn usage(&self) -> TableUsage {
        TableUsage {
            capacity: self.lines.len(),
            used: self.lines.used(),
            blocked: 0,
            bytes: self.lines.bytes() + self.taken.bytes(),
        }
    }
}

/// The first limit that these counts pass.
fn passed(values: &ClassValues, counts: &Counts) -> Option<Passed> {
    Measure::ALL.into_iter().find_map(|measure| {
        let (limit, window) = measure.rule(values);
        let count = measure.of(counts);
        (limit > 0 && count > limit).then_some(Passed { measure, count, limit, window })
    })
}
