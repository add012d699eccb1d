//! One source in 60 bytes: it counts requests, or it is blocked.

use bytemuck::{Pod, Zeroable};

use super::settings::{ClassRule, Rules};
use crate::address::Prefix;
use crate::limiter::{ClassId, Key, Occupant, Placed, State, Term, Window, Worth, units};
use crate::source::{Learnt, Ways};

/// A throttled class is logged again after this many ms without a refusal.
const CALM: u32 = 10_000;

/// Set in [`Entry::state`]: requests are refused without a block.
const THROTTLED: u8 = State::FIRST_MARK;
/// Its packets are dropped before they come here.
const OFFLOADED: u8 = State::SECOND_MARK;

const _: () = assert!(Key::KINDS <= u8::MAX as usize && size_of::<Entry>() == 60);

/// An entry; all zero is free. The caller holds its lock.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
pub(super) struct Entry {
    words: [u32; 4],
    kind: u8,
    state: State,
    /// Blocks in a row.
    times: u8,
    /// Marks the window that was counted in last.
    window_id: u8,
    /// Requests; of a blocked source its [`Blocking`] in the place of the slices.
    window: Window,
    /// When the last block has ended, or when throttling ends, in units since the clock's
    /// zero.
    ended: u32,
    /// Snapshot by which the class was decided.
    generation: u32,
}

/// What is known of a blocked source.
#[repr(C)]
#[derive(Clone, Copy, Pod, Zeroable)]
struct Blocking {
    term: Term,
    /// The bits of its [`Ways`].
    ways: u32,
    padding: [u32; 3],
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
    Throttled {
        begins: bool,
    },
    /// A block starts; with it throttling ends, if there was any.
    Starts {
        throttled: bool,
    },
}

impl Occupant for Entry {
    type Key<'a> = Placed;
    type Rules = Rules;
    type Over = Option<Ended>;

    #[inline]
    fn place(key: &Placed) -> u64 {
        key.place
    }

    #[inline]
    fn is(&self, key: &Placed) -> bool {
        self.key() == key.key
    }

    fn is_free(&self) -> bool {
        self.kind == 0
    }

    /// A block is kept.
    fn worth(&self, rules: &Rules, now: u64) -> Option<Worth> {
        let counting = &rules.class(self.class()).counting;
        (!self.is_blocked()).then(|| counting.worth(&self.window, self.window_id, now))
    }

    fn over(&self) -> Option<Ended> {
        self.throttling()
    }
}

impl Entry {
    pub fn new(key: &Placed, class: Option<ClassId>, generation: u32) -> Self {
        let (words, kind) = key.key.parts();
        Entry { words, kind, state: State::new(class), generation, ..Entry::default() }
    }

    #[inline]
    pub fn key(&self) -> Key {
        Key::from_parts(self.words, self.kind)
    }

    /// The class; None: exempt.
    #[inline]
    pub fn class(&self) -> Option<ClassId> {
        self.state.class()
    }

    pub fn set_class(&mut self, class: Option<ClassId>, generation: u32) {
        self.state.set_class(class);
        self.generation = generation;
    }

    /// An exempt source has sent something: keeps it from being forgotten soon.
    pub fn touch(&mut self, rule: &ClassRule, now: u64) {
        rule.counting.touch(&mut self.window, now);
    }

    pub fn generation(&self) -> u32 {
        self.generation
    }

    #[inline]
    pub fn is_blocked(&self) -> bool {
        self.state.has_term()
    }

    #[inline]
    pub fn is_manual(&self) -> bool {
        self.state.is_manual()
    }

    /// Whether something of it will end by itself.
    pub fn is_marked(&self) -> bool {
        self.is_blocked() || self.state.has(THROTTLED)
    }

    #[inline]
    fn blocking_mut(&mut self) -> &mut Blocking {
        bytemuck::cast_mut(self.window.spare())
    }

    #[inline]
    fn blocking(&self) -> &Blocking {
        bytemuck::cast_ref(self.window.spared())
    }

    /// Whether it is blocked at `now`.
    #[inline]
    pub fn holds(&mut self, now: u64) -> bool {
        self.is_blocked() && self.blocking_mut().term.holds(now)
    }

    /// Counts a request of a source whose block does not hold.
    #[inline]
    pub fn judge(&mut self, rule: &ClassRule, now: u64) -> Judgement {
        let requests = self.requests(rule, now);
        if requests < rule.limit {
            self.window.add_one();
            return Judgement::Under(requests + 1);
        }
        let throttled = self.state.has(THROTTLED);
        if rule.block > 0 {
            self.start(rule, now);
            return Judgement::Starts { throttled };
        }
        self.state.set(THROTTLED, true);
        self.ended = units(now.saturating_add(CALM.max(rule.window).into()));
        Judgement::Throttled { begins: !throttled }
    }

    /// Requests in the window that ends now; moves the window on.
    #[inline]
    pub fn requests(&mut self, rule: &ClassRule, now: u64) -> u32 {
        if self.is_blocked() {
            return 0;
        }
        rule.counting.count(&mut self.window, &mut self.window_id, now)
    }

    fn start(&mut self, rule: &ClassRule, now: u64) {
        let lately = units(now) < self.ended.saturating_add(rule.block_max.saturating_mul(10));
        let before = if self.ended > 0 && lately { self.times } else { 0 };
        let term = Term::new(now, now.saturating_add(rule.block_ms(before)), 1);
        self.block(Reason::Flood, term, before.saturating_add(1), Ways::NONE);
    }

    /// Blocks it for a term.
    pub fn block(&mut self, reason: Reason, term: Term, times: u8, ways: Ways) {
        self.state.begin(reason == Reason::Manual);
        self.times = times;
        *self.blocking_mut() = Blocking { term, ways: ways.bits(), padding: [0; 3] };
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

    /// The block, if it is blocked.
    pub fn as_block(&self) -> Option<Block> {
        if !self.is_blocked() {
            return None;
        }
        let Blocking { term, ways, .. } = self.blocking();
        Some(Block {
            prefix: self.key().prefix()?,
            class: self.class(),
            since: term.since(),
            until: term.until(),
            seen: term.seen(),
            times: self.times,
            reason: if self.is_manual() { Reason::Manual } else { Reason::Flood },
            ways: Ways::from_bits(*ways),
        })
    }

    /// The source counts anew; how often it was blocked stays known.
    pub fn clear(&mut self) {
        if self.is_blocked() {
            self.ended = self.blocking().term.end();
        }
        self.state.end();
        self.window.clear();
    }

    /// Notes of a block whether its packets are dropped by a firewall.
    pub fn set_offloaded(&mut self, offloaded: bool) {
        self.state.set(OFFLOADED, offloaded && self.is_blocked());
    }

    pub fn is_offloaded(&self) -> bool {
        self.state.has(OFFLOADED)
    }

    /// End of the block, in ms.
    #[inline]
    pub fn until(&self) -> u64 {
        self.blocking().term.until()
    }

    /// Blocks in a row.
    pub fn times(&self) -> u8 {
        self.times
    }

    /// What ends when a throttled entry is no more.
    pub fn throttling(&self) -> Option<Ended> {
        if !self.state.has(THROTTLED) {
            return None;
        }
        Some(Ended::Throttling(self.key().prefix()?, self.class()))
    }

    /// Whether a time of throttling is over.
    pub fn is_calm(&self, now: u64) -> bool {
        self.state.has(THROTTLED) && units(now) >= self.ended
    }

    pub fn set_calm(&mut self) {
        self.state.set(THROTTLED, false);
        self.ended = 0;
    }
}
