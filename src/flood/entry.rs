//! One source in 60 bytes: it counts requests, or it is blocked.

use bytemuck::{Pod, Zeroable};

use super::settings::{ClassRule, ClassValues};
use crate::address::Prefix;
use crate::limiter::{ClassId, HashedKey, Reason, TableEntry, Tally, Term, units};
use crate::shm::atomic::keep_order;
use crate::source::{Learnt, Ways};

/// A throttled class is logged again after this many ms without a refusal.
const CALM: u32 = 10_000;

/// Requests are refused without a block.
const THROTTLED: u8 = Tally::FIRST_MARK;
/// A firewall drops the packets before they come here.
const OFFLOADED: u8 = Tally::SECOND_MARK;

const _: () = assert!(size_of::<SourceEntry>() == 60);

#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub(super) struct SourceEntry {
    /// Counts requests. Its own byte is the number of blocks in a row; its spare space, of
    /// a blocked source, the [`Blocking`].
    pub tally: Tally,
    /// When the last block has ended, or when throttling ends, in units since the clock's
    /// zero.
    ended: u32,
    /// Snapshot by which the class was decided.
    pub generation: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Blocking {
    term: Term,
    /// The bits of its [`Ways`].
    ways: u32,
    /// The number of its [`Reason`].
    reason: u32,
    padding: [u32; 2],
}

/// A block. Times are ms of the table's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    pub prefix: Prefix,
    /// Class by which it was judged; None: exempt.
    pub class: Option<ClassId>,
    pub since: u64,
    pub until: u64,
    /// Requests refused so far, the one that started it too.
    pub seen: u32,
    /// How many blocks in a row this is.
    pub times: u8,
    pub reason: Reason,
    /// How its requests have come.
    pub ways: Ways,
}

/// What has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Block(Block),
    Throttling(Prefix, Option<ClassId>),
}

/// What a request is to an entry that is not blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestJudgement {
    /// Within the limit: so many are in the window.
    Under(u32),
    Throttled {
        begins: bool,
    },
    /// A block starts; with it throttling ends, if there was any.
    Starts {
        throttled: bool,
    },
}

impl TableEntry for SourceEntry {
    type Key<'a> = HashedKey;
    type Values = ClassValues;
    type Ended = Option<Ended>;

    #[inline]
    fn hash(key: &HashedKey) -> u64 {
        key.hash
    }

    #[inline]
    fn has_key(&self, key: &HashedKey) -> bool {
        self.tally.key() == key.key
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn ended(&self) -> Option<Ended> {
        self.throttling()
    }
}

impl SourceEntry {
    pub fn new(key: &HashedKey, class: Option<ClassId>, generation: u32) -> Self {
        SourceEntry { tally: Tally::new(key.key, class), generation, ..SourceEntry::default() }
    }

    /// Whether it has a block or throttling, which the sweep ends.
    pub fn is_marked(&self) -> bool {
        self.tally.has_term() || self.tally.has(THROTTLED)
    }

    #[inline]
    fn blocking_mut(&mut self) -> &mut Blocking {
        bytemuck::cast_mut(self.tally.spare_mut())
    }

    #[inline]
    fn blocking(&self) -> &Blocking {
        bytemuck::cast_ref(self.tally.spare())
    }

    #[inline]
    pub fn is_blocked_at(&mut self, now: u64) -> bool {
        self.tally.has_term() && self.blocking_mut().term.runs(now)
    }

    /// Counts a request of a source that is not blocked. `may_block` is asked above the
    /// limit.
    #[inline]
    pub fn judge(
        &mut self,
        rule: &ClassRule,
        now: u64,
        may_block: impl FnOnce() -> bool,
    ) -> RequestJudgement {
        let requests = self.tally.count(&rule.counting, now);
        if requests < rule.limit {
            self.tally.add_one();
            return RequestJudgement::Under(requests + 1);
        }
        let throttled = self.tally.has(THROTTLED);
        if rule.block > 0 && may_block() {
            self.start(rule, now);
            return RequestJudgement::Starts { throttled };
        }
        self.tally.set(THROTTLED, true);
        self.ended = units(now.saturating_add(CALM.max(rule.window).into()));
        RequestJudgement::Throttled { begins: !throttled }
    }

    fn start(&mut self, rule: &ClassRule, now: u64) {
        let lately = units(now) < self.ended.saturating_add(rule.block_max.saturating_mul(10));
        let before = if self.ended > 0 && lately { self.tally.own } else { 0 };
        let term = Term::new(now, now.saturating_add(rule.block_ms(before)), 1);
        self.block(Reason::Flood, term, before.saturating_add(1), Ways::NONE);
    }

    /// Whoever dies in the midst leaves a source that counts anew, or a block that is over.
    pub fn block(&mut self, reason: Reason, term: Term, times: u8, ways: Ways) {
        self.tally.own = times;
        *self.blocking_mut() = Blocking::zeroed();
        keep_order();
        self.tally.begin_term(reason == Reason::Manual);
        let blocking = self.blocking_mut();
        (blocking.ways, blocking.reason) = (ways.bits(), reason as u32);
        keep_order();
        blocking.term = term;
    }

    /// Counts a refused request of a blocked source.
    pub fn refuse(&mut self, learnt: Learnt) {
        self.blocking_mut().term.count();
        self.note(learnt);
    }

    /// Notes how a request of a blocked source has come.
    pub fn note(&mut self, learnt: Learnt) {
        self.blocking_mut().ways |= Ways::from(learnt).bits();
    }

    /// None if it is not blocked.
    pub fn as_block(&self) -> Option<Block> {
        if !self.tally.has_term() {
            return None;
        }
        let Blocking { term, ways, reason, .. } = self.blocking();
        Some(Block {
            prefix: self.tally.source()?,
            class: self.tally.class(),
            since: term.since(),
            until: term.until(),
            seen: term.seen(),
            times: self.tally.own,
            reason: Reason::from_number(*reason).unwrap_or(Reason::Flood),
            ways: Ways::from_bits(*ways),
        })
    }

    /// The source counts anew; how often it was blocked stays known. Whoever dies in the midst
    /// leaves a block that is over.
    pub fn clear(&mut self) {
        if self.tally.has_term() {
            self.ended = self.blocking().term.end();
            self.blocking_mut().term = Term::NONE;
            keep_order();
        }
        self.tally.clear();
    }

    /// Notes of a block whether a firewall drops its packets.
    pub fn set_offloaded(&mut self, offloaded: bool) {
        self.tally.set(OFFLOADED, offloaded && self.tally.has_term());
    }

    pub fn is_offloaded(&self) -> bool {
        self.tally.has(OFFLOADED)
    }

    /// End of the block, in ms.
    #[inline]
    pub fn until(&self) -> u64 {
        self.blocking().term.until()
    }

    /// What ends with a throttled entry.
    pub fn throttling(&self) -> Option<Ended> {
        if !self.tally.has(THROTTLED) {
            return None;
        }
        Some(Ended::Throttling(self.tally.source()?, self.tally.class()))
    }

    /// Whether a time of throttling is over.
    pub fn is_calm(&self, now: u64) -> bool {
        self.tally.has(THROTTLED) && units(now) >= self.ended
    }

    pub fn set_calm(&mut self) {
        self.tally.set(THROTTLED, false);
        self.ended = 0;
    }
}
