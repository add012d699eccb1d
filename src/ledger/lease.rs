//! Lease records: one call in 152 bytes.

use super::scope::{Direction, SCOPES};
use super::{Call, DialogId};
use crate::shm::atomic::{Ordering::Relaxed, keep_order};
use crate::shm::{Record, words_of};

/// Words of a lease record:
///
/// ```text
/// 0       next in the chain (low half; the pool's while the record is free) |
///         start, s of a clock that never steps back, signed << 32
/// 1       dialog
/// 2       flags | length of the Call-ID << 8 | generation << 32
/// 3       hash of the whole Call-ID
/// 4       the INVITE's name (low half) | when it must end, as its start, 0 for never << 32
/// 5..11   slots of 32 bits, one for each scope: position of its record + 1 (28 bits), the
///         directions in which the call counts there; those that are used come first
/// 11..19  the Call-ID, cut after 64 bytes, for listings
/// ```
pub(super) const WORDS: usize = 19;
const SLOTS: usize = 5;
const CALL_ID: usize = 11;
const CALL_ID_BYTES: usize = 64;

const _: () = assert!(SLOTS + SCOPES.div_ceil(2) == CALL_ID);
const _: () = assert!(CALL_ID + CALL_ID_BYTES / 8 == WORDS);
#[cfg(not(shuttle))]
const _: () = assert!(size_of::<Record<WORDS>>() <= 160);

/// Counted in its scopes; otherwise it only remembers them.
const LIVE: u64 = 1;
const EMERGENCY: u64 = 1 << 1;
const INBOUND: u64 = 1 << 2;
const OUTBOUND: u64 = 1 << 3;
/// The last reconciliation found no dialog for it.
const SUSPECT: u64 = 1 << 4;
/// The record is a lease, not free.
const USED: u64 = 1 << 5;
/// It had to end, and a BYE to both ends could not be sent.
const STUCK: u64 = 1 << 6;
/// It was not answered yet. Kept while the call does not count, so that one that comes back
/// counts as what it is.
const RINGING: u64 = 1 << 7;
const LENGTH_SHIFT: u32 = 8;
const UPPER: u64 = !0xffff_ffff;

/// Bits of a slot below the directions.
const SLOT_BITS: u32 = 28;
const SLOT_POSITION: u32 = (1 << SLOT_BITS) - 1;

/// Records of scopes that slots can name.
pub(super) const MOST_SCOPES: usize = SLOT_POSITION as usize;

/// A scope of a lease, and how the call counts there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Slot {
    /// Position of the scope's record.
    pub position: u32,
    /// Where it counts; in none if the scope is only shown.
    pub counts: Directions,
}

impl Slot {
    fn read(bits: u32) -> Option<Self> {
        let position = (bits & SLOT_POSITION).checked_sub(1)?;
        Some(Slot { position, counts: Directions(bits >> SLOT_BITS) })
    }

    fn bits(self) -> u32 {
        (self.position + 1) & SLOT_POSITION | self.counts.0 << SLOT_BITS
    }

    /// It counts; otherwise the scope is only shown.
    pub fn is_counted(self) -> bool {
        self.counts.has(Direction::Any)
    }
}

/// A set of directions in which a call counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Directions(u32);

impl Directions {
    /// All calls, and those of this direction.
    pub fn of(direction: Direction) -> Self {
        Directions(1 << Direction::Any as u32 | 1 << direction as u32)
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn has(self, direction: Direction) -> bool {
        self.0 & 1 << direction as u32 != 0
    }

    pub fn and(self, others: Self) -> Self {
        Directions(self.0 | others.0)
    }

    pub fn without(self, others: Self) -> Self {
        Directions(self.0 & !others.0)
    }
}

/// Names a lease for good: a record that is used again has another generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseRef {
    /// Position of the record.
    pub position: u32,
    /// How often the record was given back before.
    pub generation: u32,
}

/// A position in a chain; 0 is its end.
fn link(next: Option<u32>) -> u64 {
    next.map_or(0, |position| u64::from(position) + 1)
}

/// A time in s as half a word: 68 years on either side of the clock's start.
fn seconds(time: i64) -> u64 {
    let bound = |time: i64| time.clamp(i32::MIN.into(), i32::MAX.into());
    u64::from(bound(time) as i32 as u32)
}

/// The time in the upper half of a word.
fn upper(word: u64) -> i64 {
    i64::from((word >> 32) as u32 as i32)
}

/// Typed access to a record; the caller holds the lock of the dialog's bucket.
#[derive(Clone, Copy)]
pub(super) struct Lease<'a>(pub &'a Record<WORDS>);

impl Lease<'_> {
    /// Fills a record whose place in the chain is before `next`. Its chain is whole at
    /// each step.
    pub fn begin(self, call: &Call<'_>, call_id_hash: u64, next: Option<u32>) {
        let record = self.0;
        record[1].store(call.dialog.0, Relaxed);
        let direction = match call.direction {
            Direction::Any => 0,
            Direction::In => INBOUND,
            Direction::Out => OUTBOUND,
        };
        let emergency = if call.emergency { EMERGENCY } else { 0 };
        let rings = if call.rings { RINGING } else { 0 };
        let generation = record[2].load(Relaxed) & UPPER;
        let length = (call.call_id.len().min(CALL_ID_BYTES + 1) as u64) << LENGTH_SHIFT;
        record[2].store(generation | length | direction | emergency | rings | USED, Relaxed);
        record[3].store(call_id_hash, Relaxed);
        record[4].store(u64::from(call.invite), Relaxed);
        record[0].store(seconds(call.began) << 32 | link(next), Relaxed);
        self.clear_slots();
        let shown: [u64; CALL_ID_BYTES / 8] = words_of(call.call_id);
        record.iter().skip(CALL_ID).zip(shown).for_each(|(to, word)| to.store(word, Relaxed));
    }

    /// Adds the direction that another function says of the same call.
    pub fn note_direction(self, direction: Direction) {
        if self.direction() == Direction::Any {
            self.set_flag(INBOUND, direction == Direction::In);
            self.set_flag(OUTBOUND, direction == Direction::Out);
        }
    }

    /// Makes the record free; who still names the lease no longer finds it.
    pub fn end(self) {
        let generation = u64::from(self.generation().wrapping_add(1)) << 32;
        self.0[2].store(generation, Relaxed);
    }

    pub fn is_used(self) -> bool {
        self.flag(USED)
    }

    pub fn next(self) -> Option<u32> {
        (self.0[0].load(Relaxed) as u32).checked_sub(1)
    }

    pub fn set_next(self, next: Option<u32>) {
        let started = self.0[0].load(Relaxed) & UPPER;
        self.0[0].store(started | link(next), Relaxed);
    }

    pub fn dialog(self) -> DialogId {
        DialogId(self.0[1].load(Relaxed))
    }

    pub fn generation(self) -> u32 {
        (self.0[2].load(Relaxed) >> 32) as u32
    }

    pub fn is_live(self) -> bool {
        self.flag(LIVE)
    }

    pub fn set_live(self, live: bool) {
        self.set_flag(LIVE, live);
    }

    pub fn is_suspect(self) -> bool {
        self.flag(SUSPECT)
    }

    pub fn set_suspect(self, suspect: bool) {
        self.set_flag(SUSPECT, suspect);
    }

    pub fn is_emergency(self) -> bool {
        self.flag(EMERGENCY)
    }

    /// Counted among the emergencies of all its scopes, and never ended.
    pub fn set_emergency(self) {
        self.set_flag(EMERGENCY, true);
    }

    /// Counted among the ringing calls of all its scopes, if it counts.
    pub fn is_ringing(self) -> bool {
        self.flag(RINGING)
    }

    pub fn set_answered(self) {
        self.set_flag(RINGING, false);
    }

    pub fn direction(self) -> Direction {
        match (self.flag(INBOUND), self.flag(OUTBOUND)) {
            (true, _) => Direction::In,
            (_, true) => Direction::Out,
            _ => Direction::Any,
        }
    }

    fn flag(self, flag: u64) -> bool {
        self.0[2].load(Relaxed) & flag != 0
    }

    fn set_flag(self, flag: u64, on: bool) {
        let flags = self.0[2].load(Relaxed);
        self.0[2].store(if on { flags | flag } else { flags & !flag }, Relaxed);
    }

    /// The scopes, with the number of their slots.
    pub fn slots(self) -> impl Iterator<Item = (usize, Slot)> {
        (0..SCOPES).map_while(move |number| Some((number, self.slot(number)?)))
    }

    /// A slot that is used.
    pub fn slot(self, number: usize) -> Option<Slot> {
        let word = self.0.get(SLOTS + number / 2).filter(|_| number < SCOPES)?;
        Slot::read((word.load(Relaxed) >> (32 * (number as u32 % 2))) as u32)
    }

    /// Fills a slot: the one after the last, or one that is used.
    pub fn set_slot(self, number: usize, slot: Slot) {
        let Some(word) = self.0.get(SLOTS + number / 2).filter(|_| number < SCOPES) else { return };
        let shift = 32 * (number as u32 % 2);
        let kept = word.load(Relaxed) & !(0xffff_ffff << shift);
        keep_order();
        word.store(kept | u64::from(slot.bits()) << shift, Relaxed);
    }

    pub fn clear_slots(self) {
        keep_order();
        let words = self.0.iter().skip(SLOTS).take(CALL_ID - SLOTS);
        words.for_each(|word| word.store(0, Relaxed));
        keep_order();
    }

    /// When the call must end, as [`Lease::started`]; None: whenever it likes.
    pub fn ends(self) -> Option<i64> {
        Some(upper(self.0[4].load(Relaxed))).filter(|end| *end != 0)
    }

    /// The call may last at most so many seconds; 0 is off.
    pub fn shorten(self, longest: u32) {
        if longest == 0 {
            return;
        }
        let end = self.started().saturating_add(longest.into());
        if self.ends().is_none_or(|before| end < before) {
            self.set_ends(Some(end));
        }
    }

    pub fn set_ends(self, end: Option<i64>) {
        let invite = self.0[4].load(Relaxed) & !UPPER;
        // The one end that would read as none is a second later.
        let end = end.map_or(0, |end| seconds(if end == 0 { 1 } else { end }));
        self.0[4].store(invite | end << 32, Relaxed);
    }

    /// In s of [`Call::began`]'s clock.
    pub fn started(self) -> i64 {
        upper(self.0[0].load(Relaxed))
    }

    /// Whether its end was tried, and could not be brought about.
    pub fn is_stuck(self) -> bool {
        self.flag(STUCK)
    }

    pub fn set_stuck(self) {
        self.set_flag(STUCK, true);
    }

    /// Whether an initial INVITE is another one than that of the lease.
    pub fn is_other_invite(self, invite: u32) -> bool {
        let own = self.0[4].load(Relaxed) as u32;
        own != 0 && invite != 0 && own != invite
    }

    pub fn call_id_hash(self) -> u64 {
        self.0[3].load(Relaxed)
    }

    pub fn call_id(self) -> Vec<u8> {
        let length = (self.0[2].load(Relaxed) >> LENGTH_SHIFT & 0xff) as usize;
        let words = self.0.iter().skip(CALL_ID);
        let mut text: Vec<u8> = words.flat_map(|w| w.load(Relaxed).to_ne_bytes()).collect();
        if length > CALL_ID_BYTES {
            text.extend_from_slice(b"...");
        } else {
            text.truncate(length);
        }
        text
    }
}
