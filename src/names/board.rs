//! What there is to say of each name beside its addresses, in shared memory: one process
//! writes, operators read.

use std::hash::Hasher;
use std::io;

use bytemuck::{Pod, Zeroable};
use siphasher::sip::SipHasher13;

use super::Book;
use crate::shm::{Area, SharedMutex};

/// What there is to say of a name. Times are ms of the monotonic clock, 0 for none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub struct Line {
    /// Hash of the name; 0 for no name.
    hash: u64,
    /// When it was last answered.
    pub answered: u64,
    /// Since when it is not.
    pub silent_since: u64,
    /// Until when its last answer is good, if that lasts.
    pub good_until: u64,
}

/// A line for each name that there is room for.
pub struct Board {
    lines: &'static [SharedMutex<Line>],
}

impl Board {
    /// Maps them.
    pub fn new(room: usize) -> io::Result<Self> {
        Ok(Board { lines: Area::share_slice(room)? })
    }

    /// Replaces all lines; one process only.
    pub fn write(&self, book: &Book) {
        let mut names = book.names();
        for slot in self.lines {
            let line = names.next().map_or(Line::default(), |name| {
                let [answered, silent_since, good_until] =
                    book.times(name).map(Option::unwrap_or_default);
                Line { hash: hash(name), answered, silent_since, good_until }
            });
            *slot.lock() = line;
        }
    }

    /// The line of a name, if there is one.
    pub fn of(&self, name: &[u8]) -> Option<Line> {
        let wanted = hash(name);
        self.lines.iter().map(|slot| *slot.lock()).find(|line| line.hash == wanted)
    }

    /// Names that there is room for.
    pub fn room(&self) -> usize {
        self.lines.len()
    }

    /// Names that are not answered.
    pub fn silent(&self) -> usize {
        self.lines.iter().filter(|slot| slot.lock().silent_since != 0).count()
    }
}

fn hash(name: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(name);
    hasher.finish().max(1)
}
