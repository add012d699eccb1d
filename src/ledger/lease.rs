//! Lease records: one call in 112 bytes.

use super::scope::ScopeKind;
use super::{Call, DialogId};
use crate::shm::Record;
use crate::shm::atomic::Ordering::Relaxed;

/// Words of a lease record:
///
/// ```text
/// 0      next in the chain (low half; the pool's while the record is free) |
///        start, seconds since 1970 << 32
/// 1      dialog
/// 2      flags | length of the Call-ID << 8 | generation << 32
/// 3      brand's scope + 1 | company's scope + 1 << 32
/// 4      user's scope + 1 | the INVITE's name << 32
/// 5      hash of the whole Call-ID
/// 6..14  the Call-ID, cut after 64 bytes, for listings
/// ```
///
/// With its share of the hash table a call stays below two cache lines.
pub(super) const WORDS: usize = 14;
const CALL_ID: usize = 6;
const CALL_ID_BYTES: usize = 64;

/// Counted in its scopes; otherwise it only remembers them.
const LIVE: u64 = 1;
const EMERGENCY: u64 = 1 << 1;
const INBOUND: u64 = 1 << 2;
const OUTBOUND: u64 = 1 << 3;
/// The last reconciliation found no dialog for it.
const SUSPECT: u64 = 1 << 4;
/// The record is a lease, not free.
const USED: u64 = 1 << 5;
/// The company is only shown: the call does not count for it.
const SHOWN: u64 = 1 << 6;
const LENGTH_SHIFT: u32 = 8;
const UPPER: u64 = !0xffff_ffff;

/// Where a call goes, from the company's view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The script did not say.
    Unknown,
    /// To the company.
    Inbound,
    /// From the company.
    Outbound,
}

impl Direction {
    /// As listings print it.
    pub fn name(self) -> &'static str {
        match self {
            Direction::Unknown => "unknown",
            Direction::Inbound => "in",
            Direction::Outbound => "out",
        }
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

/// A lease as listings show it.
#[derive(Clone, Debug)]
pub struct LeaseInfo {
    /// Its name.
    pub lease: LeaseRef,
    /// Its dialog.
    pub dialog: DialogId,
    /// The Call-ID; `...` stands behind one that is cut.
    pub call_id: Vec<u8>,
    /// Hash of the whole Call-ID.
    pub call_id_hash: u64,
    /// Hashes of the scopes, as [`super::Ledger::scope_hash`] gives them.
    pub scope_hashes: [Option<u128>; ScopeKind::COUNT],
    /// Ids of the scopes, cut after 32 bytes, in the order of [`ScopeKind::ALL`].
    pub scopes: [Option<Vec<u8>>; ScopeKind::COUNT],
    /// Where the call goes.
    pub direction: Direction,
    /// Counted without regard to limits.
    pub emergency: bool,
    /// Whether it counts for its company; else that is only whose call it is.
    pub counts_for_company: bool,
    /// Whether it is counted; a released lease waits for its dialog to go.
    pub live: bool,
    /// Seconds since 1970.
    pub started: u64,
}

/// Typed access to a record; the caller holds the lock of the dialog's bucket.
#[derive(Clone, Copy)]
pub(super) struct Lease<'a>(pub &'a Record<WORDS>);

impl Lease<'_> {
    /// Fills a record just taken.
    pub fn begin(self, call: &Call<'_>, call_id_hash: u64) {
        let record = self.0;
        record[1].store(call.dialog.0, Relaxed);
        let direction = match call.direction {
            Direction::Unknown => 0,
            Direction::Inbound => INBOUND,
            Direction::Outbound => OUTBOUND,
        };
        let emergency = if call.emergency { EMERGENCY } else { 0 };
        let generation = record[2].load(Relaxed) & UPPER;
        let length = (call.call_id.len().min(CALL_ID_BYTES + 1) as u64) << LENGTH_SHIFT;
        record[2].store(generation | length | direction | emergency | USED, Relaxed);
        record[3].store(0, Relaxed);
        record[4].store(u64::from(call.invite) << 32, Relaxed);
        let started = u32::try_from(call.now).unwrap_or(u32::MAX);
        record[0].store(u64::from(started) << 32, Relaxed);
        record[5].store(call_id_hash, Relaxed);
        let mut shown = [0u8; CALL_ID_BYTES];
        shown.iter_mut().zip(call.call_id).for_each(|(to, from)| *to = *from);
        let (words, _) = shown.as_chunks::<8>();
        for (to, from) in record.iter().skip(CALL_ID).zip(words) {
            to.store(u64::from_ne_bytes(*from), Relaxed);
        }
    }

    /// Adds what another function says of the same call.
    pub fn note(self, call: &Call<'_>) {
        if self.direction() == Direction::Unknown {
            self.set_flag(INBOUND, call.direction == Direction::Inbound);
            self.set_flag(OUTBOUND, call.direction == Direction::Outbound);
        }
        if call.emergency {
            self.set_flag(EMERGENCY, true);
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
        self.0[0].store(started | next.map_or(0, |p| u64::from(p) + 1), Relaxed);
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

    pub fn direction(self) -> Direction {
        match (self.flag(INBOUND), self.flag(OUTBOUND)) {
            (true, _) => Direction::Inbound,
            (_, true) => Direction::Outbound,
            _ => Direction::Unknown,
        }
    }

    fn flag(self, flag: u64) -> bool {
        self.0[2].load(Relaxed) & flag != 0
    }

    fn set_flag(self, flag: u64, on: bool) {
        let flags = self.0[2].load(Relaxed);
        self.0[2].store(if on { flags | flag } else { flags & !flag }, Relaxed);
    }

    /// Position of the scope of a kind that the call counts against.
    pub fn scope(self, kind: ScopeKind) -> Option<u32> {
        let shown = kind == ScopeKind::Company && self.flag(SHOWN);
        self.named(kind).filter(|_| !shown)
    }

    /// Position of a company that is only shown.
    pub fn shown_company(self) -> Option<u32> {
        self.named(ScopeKind::Company).filter(|_| self.flag(SHOWN))
    }

    /// Position of the scope of a kind, whether the call counts against it or not.
    pub fn named(self, kind: ScopeKind) -> Option<u32> {
        let word = |at: usize| self.0.get(at).map_or(0, |w| w.load(Relaxed));
        let plus_one = match kind {
            ScopeKind::Brand => word(3) as u32,
            ScopeKind::Company => (word(3) >> 32) as u32,
            ScopeKind::User => word(4) as u32,
        };
        plus_one.checked_sub(1)
    }

    /// `counts`: whether the call counts against it.
    pub fn set_scope(self, kind: ScopeKind, position: u32, counts: bool) {
        if kind == ScopeKind::Company {
            self.set_flag(SHOWN, !counts);
        }
        let plus_one = u64::from(position) + 1;
        let (word, shift) = match kind {
            ScopeKind::Brand => (&self.0[3], 0),
            ScopeKind::Company => (&self.0[3], 32),
            ScopeKind::User => (&self.0[4], 0),
        };
        let kept = word.load(Relaxed) & !(0xffff_ffff << shift);
        word.store(kept | plus_one << shift, Relaxed);
    }

    pub fn clear_scopes(self) {
        self.0[3].store(0, Relaxed);
        let invite = self.0[4].load(Relaxed) & UPPER;
        self.0[4].store(invite, Relaxed);
    }

    pub fn started(self) -> u64 {
        self.0[0].load(Relaxed) >> 32
    }

    /// Whether an initial INVITE is another one than that of the lease.
    pub fn is_other_invite(self, invite: u32) -> bool {
        let own = (self.0[4].load(Relaxed) >> 32) as u32;
        own != 0 && invite != 0 && own != invite
    }

    pub fn call_id_hash(self) -> u64 {
        self.0[5].load(Relaxed)
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
