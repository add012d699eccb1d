//! Where entries lie, each with its lock, and how they are found.
//!
//! Eight lines make a bucket; an entry lies in its home line or, where that was
//! taken, in the next free one. Beside the lines lies a tag for each: whoever is not
//! known, and that is nearly everybody who authenticates well, costs one look at
//! eight tags, which share half a cache line, and no lock.
//!
//! Who adds an entry takes all eight locks of the bucket, in ascending order, and
//! looks once more: so nobody stands twice. An entry may be removed under its own
//! lock alone. Who looks while an entry is being added may miss it, as if it had
//! looked before.

use std::io;

use super::entry::Entry;
use super::login::Login;
use super::rules::Rules;
use crate::shm::atomic::{AtomicU32, Ordering::*};
use crate::shm::{Area, ShortGuard, ShortMutex};

/// Lines of a bucket.
const WAYS: usize = 8;

/// All lines, in shared memory.
pub(super) struct Lines {
    lines: &'static [ShortMutex<Entry>],
    /// Of each line: 0 if it is free, else some bits of the hash. Changed under the
    /// line's lock.
    tags: &'static [AtomicU32],
}

/// An entry whose lock is held.
pub(super) type Locked = ShortGuard<'static, Entry>;

/// How a new entry found its place.
pub(super) enum Place {
    /// It was there already.
    Known,
    /// The place was free.
    Free,
    /// Another one went, whose failures still counted or did not.
    Instead { fresh: bool },
}

#[cfg(not(shuttle))]
const _: () = assert!(size_of::<ShortMutex<Entry>>() == 256);

impl Lines {
    /// Maps at least `capacity` lines.
    pub fn new(capacity: usize) -> io::Result<Self> {
        let count = capacity.max(WAYS).next_power_of_two();
        Ok(Lines { lines: Area::share_slice(count)?, tags: Area::share_slice(count)? })
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Bytes of address space.
    pub fn bytes(&self) -> usize {
        size_of_val(self.lines) + size_of_val(self.tags)
    }

    /// The lines where an entry can lie, home first.
    fn places(&self, login: &Login<'_>) -> impl Iterator<Item = usize> + use<> {
        let place = login.place as usize & (self.lines.len() - 1);
        let (first, home) = (place & !(WAYS - 1), place & (WAYS - 1));
        (0..WAYS).map(move |n| first + ((home + n) & (WAYS - 1)))
    }

    fn has_tag(&self, number: usize, tag: u32) -> bool {
        self.tags.get(number).is_some_and(|own| own.load(Acquire) == tag)
    }

    fn set_tag(&self, number: usize, tag: u32) {
        if let Some(own) = self.tags.get(number) {
            own.store(tag, Release);
        }
    }

    /// Locks a line.
    pub fn lock(&self, number: usize) -> Option<Locked> {
        self.lines.get(number).map(|line| line.lock())
    }

    /// Lines that are not free.
    pub fn taken(&self) -> impl Iterator<Item = usize> {
        (0..self.lines.len()).filter(|number| !self.has_tag(*number, 0))
    }

    /// The entry, locked, and the number of its line.
    pub fn find(&self, login: &Login<'_>) -> Option<(usize, Locked)> {
        let tag = tag_of(login);
        for number in self.places(login).filter(|number| self.has_tag(*number, tag)) {
            let entry = self.lock(number)?;
            if entry.is(login) {
                return Some((number, entry));
            }
        }
        None
    }

    /// As [`Lines::find`]; `new` is added if it is not there, in a free line or instead
    /// of the least useful entry that is not banned. None if all are banned. `clock`
    /// is read under the locks.
    pub fn find_or_add(
        &self,
        login: &Login<'_>,
        new: impl FnOnce() -> Entry,
        rules: &Rules,
        clock: impl Fn() -> u64,
    ) -> Option<(usize, Locked, Place)> {
        if let Some((number, entry)) = self.find(login) {
            return Some((number, entry, Place::Known));
        }
        let mut order = [0; WAYS];
        order.iter_mut().zip(self.places(login)).for_each(|(slot, number)| *slot = number);
        let first = order.iter().min().copied()?;
        let mut guards: [Option<Locked>; WAYS] = std::array::from_fn(|n| self.lock(first + n));
        let entry = |number: usize| guards.get(number - first)?.as_deref();
        let found = order.into_iter().find(|n| entry(*n).is_some_and(|entry| entry.is(login)));
        let free = || order.into_iter().find(|n| entry(*n).is_some_and(Entry::is_free));
        let (number, place) = match found.map(|n| (n, Place::Known)) {
            Some(known) => known,
            None => match free() {
                Some(number) => (number, Place::Free),
                None => {
                    let now = clock();
                    let worth = |n: usize| {
                        let entry = entry(n).filter(|entry| !entry.is_banned())?;
                        Some((entry.worth(rules.class(entry.class()), now), n))
                    };
                    let ((failures, _), number) = order.into_iter().filter_map(worth).min()?;
                    (number, Place::Instead { fresh: failures > 0 })
                }
            },
        };
        let mut entry = guards.get_mut(number - first)?.take()?;
        drop(guards);
        if !matches!(place, Place::Known) {
            *entry = new();
        }
        // Also of one that is there: whoever added it may have died before this.
        self.set_tag(number, tag_of(login));
        Some((number, entry, place))
    }

    /// Frees a line that is locked.
    pub fn free(&self, number: usize, entry: &mut Entry) {
        *entry = Entry::FREE;
        self.set_tag(number, 0);
    }
}

/// Bits that the place does not use, none of them zero altogether.
fn tag_of(login: &Login<'_>) -> u32 {
    ((login.place >> 32) as u32).max(1)
}
