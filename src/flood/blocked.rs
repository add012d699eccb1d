//! Which lines are blocked, and which prefix lengths have blocks.

use std::io;

use crate::address::{Address, Prefix};
use crate::limiter::PrefixKey;
use crate::shm::atomic::{AtomicU32, AtomicU64, Ordering::*};
use crate::shm::{Area, BitSet, bits};

/// Words of a set of key kinds.
const KIND_WORDS: usize = PrefixKey::KINDS.div_ceil(64);

// `Blocked::others` relies on it.
const _: () = assert!(PrefixKey::FIRST_V6 == 64);

/// Shared by all processes; lock-free.
pub(super) struct Blocked {
    /// Lines that are blocked or throttled, each changed under its lock.
    lines: BitSet,
    /// Blocks of each kind of key.
    kinds: &'static [AtomicU32],
    /// Bit k: there may be blocks of kind k.
    kind_set: &'static [AtomicU64; KIND_WORDS],
    changes: &'static AtomicU64,
}

impl Blocked {
    pub fn new(lines: usize) -> io::Result<Self> {
        let kind_set = Area::share_slice(KIND_WORDS)?.first_chunk();
        Ok(Blocked {
            lines: BitSet::new(lines)?,
            kinds: Area::share_slice(PrefixKey::KINDS)?,
            kind_set: kind_set.ok_or(io::ErrorKind::OutOfMemory)?,
            changes: Area::share_atomic()?,
        })
    }

    /// Marks a line, which is locked.
    pub fn mark(&self, line: usize, marked: bool) {
        self.lines.set(line, marked);
    }

    pub fn marked(&self) -> impl Iterator<Item = usize> {
        self.lines.iter()
    }

    /// A block of a line that is marked already: who sees the change finds it.
    pub fn started(&self, kind: usize) {
        if let (Some(count), Some(word)) = (self.kinds.get(kind), self.kind_set.get(kind / 64)) {
            count.fetch_add(1, SeqCst);
            word.fetch_or(1 << (kind % 64), SeqCst);
        }
        self.changes.fetch_add(1, SeqCst);
    }

    pub fn ended(&self, kind: usize) {
        if let Some(count) = self.kinds.get(kind) {
            count.fetch_sub(1, SeqCst);
        }
        self.changes.fetch_add(1, SeqCst);
    }

    /// Takes kinds without blocks out of the set; several processes may do so at once.
    pub fn tidy(&self) {
        for (n, word) in self.kind_set.iter().enumerate() {
            for bit in bits(word.load(Relaxed)) {
                let empty =
                    || self.kinds.get(n * 64 + bit).is_none_or(|count| count.load(SeqCst) == 0);
                if empty() {
                    word.fetch_and(!(1 << bit), SeqCst);
                    // A block that began in between has set the bit too early.
                    if !empty() {
                        word.fetch_or(1 << bit, SeqCst);
                    }
                }
            }
        }
    }

    /// True only if the family of an address has no block of another kind than `own`.
    #[inline(always)]
    pub fn is_none_other(&self, source: Address, own: usize) -> bool {
        let [v4, v6 @ ..] = self.kind_set;
        match source {
            Address::V4(_) => without(own, 0, v4) == 0,
            Address::V6(_) => v6.iter().zip(1..).all(|(word, n)| without(own, n * 64, word) == 0),
        }
    }

    /// Lengths of the prefixes that may be blocked in the family of an address,
    /// other than that of kind `own`.
    pub fn lengths(&self, source: Address, own: usize) -> impl Iterator<Item = u8> {
        let zero = match source {
            Address::V4(_) => Prefix::V4(0, 0),
            Address::V6(_) => Prefix::V6(0, 0),
        };
        let first = PrefixKey::from(zero).kind();
        let others = self.others(source, own);
        let kinds = others.flat_map(|(base, kinds)| bits(kinds).map(move |bit| base + bit));
        kinds.filter_map(move |kind| kind.checked_sub(first)).map(|len| len as u8)
    }

    /// Words of the set that are of the family of an address, without kind `own`,
    /// each with the kind that its first bit stands for.
    fn others(&self, source: Address, own: usize) -> impl Iterator<Item = (usize, u64)> {
        let [v4, v6 @ ..] = self.kind_set;
        let (base, words) = match source {
            Address::V4(_) => (0, std::slice::from_ref(v4)),
            Address::V6(_) => (PrefixKey::FIRST_V6, v6.as_slice()),
        };
        words.iter().enumerate().map(move |(n, word)| {
            let base = base + n * 64;
            (base, without(own, base, word))
        })
    }

    /// Blocks of all kinds.
    pub fn count(&self) -> u32 {
        self.kinds.iter().map(|count| count.load(Relaxed)).sum()
    }

    pub fn changes(&self) -> u64 {
        self.changes.load(Relaxed)
    }

    pub fn bytes(&self) -> usize {
        self.lines.bytes() + size_of_val(self.kinds) + size_of_val(self.kind_set)
    }
}

/// A word of the set without kind `own`; its first bit stands for kind `base`.
#[inline(always)]
fn without(own: usize, base: usize, word: &AtomicU64) -> u64 {
    let bit = own.checked_sub(base).and_then(|bit| 1u64.checked_shl(bit as u32));
    word.load(Relaxed) & !bit.unwrap_or(0)
}
