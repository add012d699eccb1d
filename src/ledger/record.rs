//! How the record of a scope is laid out.

use super::scope::Direction;

/// Words of a scope record:
///
/// ```text
/// 0       next in the chain (low half) | kind << 32 | length of the id << 40
/// 1..3    key: keyed SipHash-1-3, 128 bits, of kind and id
/// 3..6    live calls (low half) | emergencies among them << 32: in any direction, in, out
/// 6       leases that refer to it (low half) | until when its rates remember, in s << 32
/// 7       lengths of the rates' windows in s: 3 of 21 bits
/// 8..12   the id, cut after 32 bytes, for listings
/// 12..24  rates, in any direction, in, out: newest slice (32 bits), 14 slices (16 bits)
/// ```
///
/// Three cache lines. Counting touches the first; rates that are not used, no other.
pub(super) const WORDS: usize = 24;
pub(super) const COUNTS: usize = 3;
pub(super) const REFS: usize = 6;
pub(super) const WINDOWS: usize = 7;
pub(super) const NAME: usize = 8;
pub(super) const NAME_BYTES: usize = 32;
pub(super) const RATES: usize = 12;
/// Words of a rate in one direction.
pub(super) const RATE_WORDS: usize = 4;

const _: () = assert!(COUNTS + Direction::ALL.len() == REFS && REFS + 1 == WINDOWS);
const _: () = assert!(WINDOWS + 1 == NAME && NAME + NAME_BYTES / 8 == RATES);
const _: () = assert!(RATES + Direction::ALL.len() * RATE_WORDS == WORDS);
#[cfg(not(shuttle))]
const _: () = assert!(size_of::<crate::shm::Record<WORDS>>() % 64 == 0);

pub(super) fn halves(word: u64) -> (u32, u32) {
    (word as u32, (word >> 32) as u32)
}

pub(super) fn word_of(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}
