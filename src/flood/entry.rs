//! One source in 60 bytes: it counts requests, or it is blocked.

use bytemuck::{Pod, Zeroable};

use super::rules::ClassRule;
use crate::address::Prefix;
use crate::limiter::{ClassId, Key, MAX_CLASSES, Window, Worth};
use crate::source::{Learnt, Ways};

/// Ms in a unit of block times; 2^32 of them are 13 years.
const UNIT: u64 = 100;
/// A throttled class is logged again after this many units without a refusal.
const CALM: u32 = 100;

/// Set in [`Entry::state`] above the class.
const BLOCKED: u8 = 1 << 4;
const MANUAL: u8 = 1 << 5;
const THROTTLED: u8 = 1 << 6;
/// Its packets are dropped before they come here.
const OFFLOADED: u8 = 1 << 7;
const CLASS: u8 = 0x0f;
/// In place of a class: the source is exempt.
const EXEMPT: u8 = 0x0f;

const _: () = assert!(MAX_CLASSES <= EXEMPT as usize);
const _: () = assert!(Key::KINDS <= u8::MAX as usize && size_of::<Entry>() == 60);

/// An entry; all zero is free. The caller holds its lock.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub(super) struct Entry {
    words: [u32; 4],
    kind: u8,
    /// Class and flags.
    state: u8,
    /// Blocks in a row.
    times: u8,
    /// Marks the window that was counted in last.
    window_id: u8,
    /// Requests; of a blocked source in the place of its slices: start in units,
    /// requests since, and their [`Ways`].
    window: Window,
    /// When the block ends or has ended, in units since the clock's zero.
    until: u32,
    /// Snapshot by which the class was decided.
    generation: u32,
}

/// Why a source is blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It sent more than its limit.
    Flood,
    /// An operator said so.
    Manual,
}

impl Reason {
    /// As listings print it.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::Flood => "flood",
            Reason::Manual => "manual",
        }
    }

    /// The reverse of [`Reason::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Reason::Flood, Reason::Manual].into_iter().find(|reason| reason.name() == name)
    }
}

/// A block. Times are ms of the table's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// What is blocked.
    pub prefix: Prefix,
    /// Class by which it was judged; None: exempt.
    pub class: Option<ClassId>,
    /// Start.
    pub since: u64,
    /// End.
    pub until: u64,
    /// Requests refused so far, the one that started it too.
    pub seen: u32,
    /// How many blocks in a row this is.
    pub times: u8,
    /// Why.
    pub reason: Reason,
    /// How its requests have come.
    pub ways: Ways,
}

impl Block {
    /// Whether it holds for a source of this class: an exempt one is blocked by
    /// an operator only.
    pub fn applies_to(&self, class: Option<ClassId>) -> bool {
        class.is_some() || self.reason == Reason::Manual
    }
}

/// Something that has ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A block.
    Block(Block),
    /// Throttling of a source.
    Throttling(Prefix, Option<ClassId>),
}

/// What an entry makes of a request of a source that is not blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    Under(u32),
    Throttled { begins: bool },
    Starts,
}

impl Entry {
    pub fn new(key: &Key, class: Option<ClassId>, generation: u32) -> Self {
        let (words, kind) = key.parts();
        Entry { words, kind, state: state_of(class), generation, ..Entry::default() }
    }

    pub fn is_free(&self) -> bool {
        self.kind == 0
    }

    pub fn is(&self, key: &Key) -> bool {
        self.key() == *key
    }

    pub fn key(&self) -> Key {
        Key::from_parts(self.words, self.kind)
    }

    /// The class; None: exempt.
    pub fn class(&self) -> Option<ClassId> {
        match self.state & CLASS {
            EXEMPT => None,
            class => Some(ClassId(class)),
        }
    }

    pub fn set_class(&mut self, class: Option<ClassId>, generation: u32) {
        self.state = self.state & !CLASS | state_of(class);
        self.generation = generation;
    }

    /// An exempt source has sent something: keeps it from being forgotten soon.
    pub fn touch(&mut self, rule: &ClassRule, now: u64) {
        rule.counting.touch(&mut self.window, now);
    }

    pub fn generation(&self) -> u32 {
        self.generation
    }

    pub fn is_blocked(&self) -> bool {
        self.state & BLOCKED != 0
    }

    pub fn is_manual(&self) -> bool {
        self.state & MANUAL != 0
    }

    /// Whether something of it will end by itself.
    pub fn is_marked(&self) -> bool {
        self.state & (BLOCKED | THROTTLED) != 0
    }

    /// Whether it is blocked at `now`. A block never lasts longer because the
    /// clock has stepped back.
    pub fn holds(&mut self, now: u64) -> bool {
        if !self.is_blocked() {
            return false;
        }
        let now = units(now);
        let [since, ..] = self.window.spare();
        if now < *since {
            self.until = now.saturating_add(self.until.saturating_sub(*since));
            *since = now;
        }
        now < self.until
    }

    /// Counts a request of a source whose block does not hold.
    #[inline]
    pub fn judge(&mut self, rule: &ClassRule, now: u64) -> Judgement {
        let requests = self.requests(rule, now);
        if requests < rule.limit {
            self.window.add_one();
            return Judgement::Under(requests + 1);
        }
        if rule.block > 0 {
            self.start(rule, now);
            return Judgement::Starts;
        }
        let begins = self.state & THROTTLED == 0;
        self.state |= THROTTLED;
        self.until = units(now).saturating_add(CALM.max(rule.window.div_ceil(UNIT as u32)));
        Judgement::Throttled { begins }
    }

    /// Requests in the window that ends now; moves the window on.
    #[inline]
    pub fn requests(&mut self, rule: &ClassRule, now: u64) -> u32 {
        if self.is_blocked() {
            return 0;
        }
        rule.counting.count(&mut self.window, &mut self.window_id, now)
    }

    /// How useful it is to keep; blocked ones are not to be asked.
    pub fn worth(&self, rule: &ClassRule, now: u64) -> Worth {
        rule.counting.worth(&self.window, self.window_id, now)
    }

    fn start(&mut self, rule: &ClassRule, now: u64) {
        let lately = units(now) < self.until.saturating_add(rule.block_max.saturating_mul(10));
        let before = if self.until > 0 && lately { self.times } else { 0 };
        let until = now + rule.block_ms(before);
        self.block(Reason::Flood, (now, until), 1, before.saturating_add(1), Ways::NONE);
    }

    /// Blocks it from `since` to `until`, in ms.
    pub fn block(
        &mut self,
        reason: Reason,
        (since, until): (u64, u64),
        seen: u32,
        times: u8,
        came: Ways,
    ) {
        self.state &= CLASS;
        self.state |= BLOCKED | if reason == Reason::Manual { MANUAL } else { 0 };
        self.times = times;
        self.until = u32::try_from(until.div_ceil(UNIT)).unwrap_or(u32::MAX);
        self.window.clear();
        let [start, count, ways, ..] = self.window.spare();
        (*start, *count, *ways) = (units(since), seen, came.bits());
    }

    /// Counts a refused request of a blocked source.
    pub fn refuse(&mut self, learnt: Learnt) {
        let [_, seen, ..] = self.window.spare();
        *seen = seen.saturating_add(1);
        self.note(learnt);
    }

    /// Notes how a request of a blocked source has come.
    pub fn note(&mut self, learnt: Learnt) {
        let [_, _, ways, ..] = self.window.spare();
        *ways |= Ways::from(learnt).bits();
    }

    /// The block, if it is blocked.
    pub fn as_block(&self) -> Option<Block> {
        let [since, seen, ways, ..] = *self.window.spared();
        self.is_blocked().then(|| {
            Some(Block {
                prefix: self.key().prefix()?,
                class: self.class(),
                since: u64::from(since) * UNIT,
                until: self.until(),
                seen,
                times: self.times,
                reason: if self.is_manual() { Reason::Manual } else { Reason::Flood },
                ways: Ways::from_bits(ways),
            })
        })?
    }

    /// The source counts anew; how often it was blocked stays known.
    pub fn clear(&mut self) {
        self.state &= CLASS;
        self.window.clear();
    }

    /// Notes of a block whether its packets are dropped by a firewall.
    pub fn set_offloaded(&mut self, offloaded: bool) {
        self.state &= !OFFLOADED;
        if offloaded && self.is_blocked() {
            self.state |= OFFLOADED;
        }
    }

    pub fn is_offloaded(&self) -> bool {
        self.state & OFFLOADED != 0
    }

    /// End of the block, in ms.
    pub fn until(&self) -> u64 {
        u64::from(self.until) * UNIT
    }

    /// Blocks in a row.
    pub fn times(&self) -> u8 {
        self.times
    }

    /// What ends when a throttled entry is no more.
    pub fn throttling(&self) -> Option<Ended> {
        if self.state & THROTTLED == 0 {
            return None;
        }
        Some(Ended::Throttling(self.key().prefix()?, self.class()))
    }

    /// Whether a time of throttling is over.
    pub fn is_calm(&self, now: u64) -> bool {
        self.state & THROTTLED != 0 && (units(now) >= self.until)
    }

    pub fn set_calm(&mut self) {
        self.state &= !THROTTLED;
        self.until = 0;
    }
}

fn state_of(class: Option<ClassId>) -> u8 {
    class.map_or(EXEMPT, |ClassId(class)| class & CLASS)
}

fn units(ms: u64) -> u32 {
    u32::try_from(ms / UNIT).unwrap_or(u32::MAX)
}
