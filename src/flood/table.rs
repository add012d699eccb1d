//! The table itself: judging, blocking, listing.

use std::io;

use super::blocked::Blocked;
use super::entry::{Block, Ended, RequestJudgement, SourceEntry};
use super::settings::Rules;
use crate::address::{Address, Prefix};
use crate::limiter::{
    ClassId, Insertion, Lines, LockedEntry, NoRoom, PrefixKey, Reason, TableUsage, Term,
};
use crate::shm::BitSet;
use crate::source::{Learnt, Source};

#[cfg(not(shuttle))]
const _: () = assert!(size_of::<crate::shm::ShortMutex<SourceEntry>>() == 64);

/// All sources, in shared memory. Any process may call anything.
pub struct FloodTable {
    lines: Lines<SourceEntry>,
    seed: [u64; 2],
    blocked: Blocked,
    /// Lines in use, each changed under its lock. To lock a line is to write to it: one
    /// that was never used would take memory from then on.
    taken: BitSet,
}

/// How a request was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FloodOutcome {
    /// The source is never counted.
    Exempt,
    /// Within the limit, and counted.
    Under,
    /// Above the limit of a class that is not blocked.
    Throttled {
        /// The first such request for a while.
        begins: bool,
    },
    /// Above the limit, by requests that anybody may have forged.
    Unproven {
        /// As above.
        begins: bool,
    },
    /// This request started the block.
    Started {
        until: u64,
        /// How many blocks in a row it is.
        times: u8,
    },
    Blocked {
        until: u64,
    },
    /// Within the limit, and counted; but the unknown sources of the class have spent its
    /// budget.
    OverBudget {
        /// As above.
        begins: bool,
        /// For so long that nobody needs an answer.
        silent: bool,
    },
    /// A feed lists the source: not counted.
    Listed,
    /// No room: not counted.
    Untracked,
}

/// An outcome and what came with it; small, since it is passed with each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FloodCheck {
    pub outcome: FloodOutcome,
    /// None: exempt.
    pub class: Option<ClassId>,
    /// Requests in the window, this one included, if they were counted.
    pub requests: u32,
    /// Another source that counted was forgotten for this one.
    pub evicted: bool,
}

/// What is known of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its class when it was last judged; None: exempt.
    pub class: Option<ClassId>,
    /// Requests in the window.
    pub requests: u32,
}

impl FloodTable {
    /// Maps a table for at least `capacity` sources. `seed` keys its hash.
    pub fn new(capacity: usize, seed: [u64; 2]) -> io::Result<Self> {
        let lines = Lines::new(capacity)?;
        let (blocked, taken) = (Blocked::new(lines.len())?, BitSet::new(lines.len())?);
        Ok(FloodTable { blocked, taken, lines, seed })
    }

    /// The entry of a prefix, locked, and the number of its line.
    fn find(&self, prefix: Prefix) -> Option<(usize, LockedEntry<SourceEntry>)> {
        self.lines.find(&PrefixKey::from(prefix).hashed(self.seed))
    }

    /// Judges and counts one request.
    ///
    /// `generation` names the tables and settings by which `resolve` decides the class of
    /// the source, None if it is exempt. `resolve` runs without any lock, when the table
    /// does not know the class. `clock` is read under the lock, so that time never runs
    /// backwards from one request to the next; its zero may be anywhere. `ended` is set if
    /// something ends with this request.
    pub fn check(
        &self,
        source: impl Into<Source>,
        rules: &Rules,
        generation: u32,
        clock: impl Fn() -> u64,
        resolve: impl FnOnce() -> Option<ClassId>,
        ended: &mut Option<Ended>,
    ) -> FloodCheck {
        self.check_if(source, rules, generation, clock, resolve, || true, ended)
    }

    /// As [`FloodTable::check`]. `may_block` is asked under the lock whether a request above
    /// the limit may start a block; else the source is throttled.
    #[allow(clippy::too_many_arguments)]
    #[inline(always)]
    pub fn check_if(
        &self,
        source: impl Into<Source>,
        rules: &Rules,
        generation: u32,
        clock: impl Fn() -> u64,
        resolve: impl FnOnce() -> Option<ClassId>,
        may_block: impl FnOnce() -> bool,
        ended: &mut Option<Ended>,
    ) -> FloodCheck {
        let Source { address: source, learnt } = source.into();
        let key = PrefixKey::from(rules.source_of(source));
        let mut resolved = None;
        let mut resolve = Some(resolve);
        let mut class = || *resolved.get_or_insert_with(|| resolve.take().and_then(|r| r()));
        if let Some(block) = self.covering(source, key.kind(), &clock) {
            let class = if block.reason == Reason::Manual { block.class } else { class() };
            if block.reason.applies_to(class) {
                return self.refuse_within(&block, class, learnt);
            }
        }
        let key = key.hashed(self.seed);
        if let Some((line, mut entry)) = self.lines.find(&key) {
            let now = clock();
            let is_known = entry.generation == generation;
            if is_known || entry.tally.is_manual() && entry.is_blocked_at(now) {
                return self.judge((line, &mut entry), rules, now, learnt, may_block, ended);
            }
        }
        let class = class();
        let new = || SourceEntry::new(&key, class, generation);
        let Ok((line, mut entry, how)) = self.lines.find_or_add(&key, new, rules, &clock) else {
            // An exempt source passes as one, with or without room.
            let outcome = match class {
                None => FloodOutcome::Exempt,
                Some(_) => FloodOutcome::Untracked,
            };
            return FloodCheck::new(outcome, class);
        };
        let evicted;
        (*ended, evicted) = self.take(line, how);
        self.set_class(line, &mut entry, class, generation, rules, ended);
        let mut checked = self.judge((line, &mut entry), rules, clock(), learnt, may_block, ended);
        checked.evicted = evicted;
        checked
    }

    /// Marks a locked line as in use: what ended with the entry that was evicted from it,
    /// and whether that still counted.
    fn take(&self, line: usize, how: Insertion<Option<Ended>>) -> (Option<Ended>, bool) {
        // Also that of an existing entry: the process that added it may have died before.
        self.taken.set(line, true);
        match how {
            Insertion::Existing | Insertion::Added => (None, false),
            Insertion::Replaced { ended, counted } => {
                self.blocked.mark(line, false);
                (ended, counted)
            }
        }
    }

    /// Gives a locked entry the class that was just decided. With another class nothing of
    /// the old one stays but a block that an operator has set.
    fn set_class(
        &self,
        line: usize,
        entry: &mut SourceEntry,
        class: Option<ClassId>,
        generation: u32,
        rules: &Rules,
        ended: &mut Option<Ended>,
    ) {
        // A proof, or its end, ends no block.
        let own = entry.tally.class();
        let stays = entry.tally.has_term() && rules.are_unlisted(class, own);
        if class != own && !entry.tally.is_manual() && !stays {
            *ended = self.end(entry).or(entry.throttling()).or(ended.take());
            entry.clear();
            self.blocked.mark(line, false);
        }
        entry.tally.set_class(class);
        entry.generation = generation;
    }

    /// Ends the block of a locked entry, if there is one.
    fn end(&self, entry: &mut SourceEntry) -> Option<Ended> {
        let block = entry.as_block()?;
        entry.clear();
        self.blocked.ended(entry.tally.key().kind());
        Some(Ended::Block(block))
    }

    /// A request of a locked entry whose class is known.
    #[inline(always)]
    fn judge(
        &self,
        (line, entry): (usize, &mut SourceEntry),
        rules: &Rules,
        now: u64,
        learnt: Learnt,
        may_block: impl FnOnce() -> bool,
        ended: &mut Option<Ended>,
    ) -> FloodCheck {
        let class = entry.tally.class();
        let rule = rules.class(class);
        let mut checked = FloodCheck::new(FloodOutcome::Exempt, class);
        if entry.tally.has_term() {
            // A class that has stopped blocking frees its sources.
            if entry.is_blocked_at(now) && (rule.block > 0 || entry.tally.is_manual()) {
                entry.refuse(learnt);
                // The process that began it may have died before.
                self.blocked.mark(line, true);
                checked.outcome = FloodOutcome::Blocked { until: entry.until() };
                return checked;
            }
            *ended = self.end(entry);
            self.blocked.mark(line, false);
        }
        if class.is_none() {
            // Keeps it from being evicted soon.
            entry.tally.touch(&rule.counting, now);
            return checked;
        }
        checked.requests = rule.limit.saturating_add(1);
        checked.outcome = match entry.judge(&rule, now, may_block) {
            RequestJudgement::Under(requests) => {
                checked.requests = requests;
                checked.outcome = FloodOutcome::Under;
                return checked;
            }
            RequestJudgement::Throttled { begins } => {
                if begins {
                    self.blocked.mark(line, true);
                }
                match rule.block {
                    0 => FloodOutcome::Throttled { begins },
                    _ => FloodOutcome::Unproven { begins },
                }
            }
            RequestJudgement::Starts { throttled } => {
                if throttled {
                    *ended = entry.tally.source().map(|of| Ended::Throttling(of, class));
                }
                entry.note(learnt);
                self.blocked.mark(line, true);
                self.blocked.started(entry.tally.key().kind());
                FloodOutcome::Started { until: entry.until(), times: entry.tally.own }
            }
        };
        checked
    }

    /// A block of an address by a prefix of another length than `own`; that of an operator,
    /// if there are several.
    #[inline(always)]
    fn covering(&self, source: Address, own: usize, clock: impl Fn() -> u64) -> Option<Block> {
        if self.blocked.is_none_other(source, own) {
            return None;
        }
        self.search_covering(source, own, clock)
    }

    #[inline(never)]
    fn search_covering(
        &self,
        source: Address,
        own: usize,
        clock: impl Fn() -> u64,
    ) -> Option<Block> {
        let lengths = self.blocked.lengths(source, own);
        lengths
            .filter_map(|len| self.block_of(source.prefix_of(len), &clock))
            .max_by_key(|block| block.reason == Reason::Manual)
    }

    fn block_of(&self, prefix: Prefix, clock: impl Fn() -> u64) -> Option<Block> {
        let (_, mut entry) = self.find(prefix)?;
        if entry.is_blocked_at(clock()) { entry.as_block() } else { None }
    }

    /// Counts a request from within a blocked range.
    fn refuse_within(&self, block: &Block, class: Option<ClassId>, learnt: Learnt) -> FloodCheck {
        let found = self.find(block.prefix).filter(|(_, entry)| entry.tally.has_term());
        if let Some((_, mut entry)) = found {
            entry.refuse(learnt);
        }
        FloodCheck::new(FloodOutcome::Blocked { until: block.until }, class)
    }

    /// Blocks a prefix, whatever it has sent; what ends with that: an earlier block of it,
    /// or throttling.
    pub fn block(&self, block: &Block, rules: &Rules, now: u64) -> Result<Option<Ended>, NoRoom> {
        let key = PrefixKey::from(block.prefix).hashed(self.seed);
        let new = || SourceEntry::new(&key, block.class, 0);
        let (line, mut entry, how) = self.lines.find_or_add(&key, new, rules, || now)?;
        let (evicted, _) = self.take(line, how);
        let ended = evicted.or(entry.throttling()).or_else(|| self.end(&mut entry));
        let term = Term::new(block.since, block.until, block.seen);
        entry.block(block.reason, term, block.times, block.ways);
        self.blocked.mark(line, true);
        self.blocked.started(key.key.kind());
        Ok(ended)
    }

    /// Counts a refused request of a source that is blocked, or else begins this block. Without
    /// room it does nothing.
    pub fn refuse(&self, block: &Block, rules: &Rules, learnt: Learnt) {
        if let Some((_, mut entry)) = self.find(block.prefix) {
            if entry.is_blocked_at(block.since) {
                return entry.refuse(learnt);
            }
        }
        let _ = self.block(block, rules, block.since);
    }

    /// A source has proven itself, so its class is decided anew. A block stays as it is.
    pub fn reclassify(&self, source: Prefix) {
        if let Some((_, mut entry)) = self.find(source) {
            if !entry.tally.has_term() {
                entry.generation = 0;
            }
        }
    }

    /// Ends the block of a source; how often it was blocked stays known.
    pub fn lift(&self, source: Prefix) {
        if let Some((line, mut entry)) = self.find(source) {
            self.end(&mut entry);
            self.blocked.mark(line, false);
        }
    }

    /// Forgets all that is known of the sources in a prefix, or of all, and lifts their
    /// blocks. `ended` runs without any lock.
    pub fn forget(&self, prefix: Option<Prefix>, ended: impl FnMut(Ended)) {
        let is_meant = |of: Prefix| prefix.is_none_or(|prefix| prefix.contains(of));
        let look = |line, entry: &mut LockedEntry<SourceEntry>| {
            if !entry.tally.source().is_some_and(is_meant) {
                return None;
            }
            let over = self.end(entry).or(entry.throttling());
            self.lines.free(entry);
            self.blocked.mark(line, false);
            self.taken.set(line, false);
            over
        };
        self.lines.visit(self.taken.iter(), look, ended);
    }

    /// Ends what has run out. `clock` is read under each lock, `ended` runs without any.
    pub fn sweep(&self, clock: impl Fn() -> u64, ended: impl FnMut(Ended)) {
        self.blocked.tidy();
        let look = |line, entry: &mut LockedEntry<SourceEntry>| {
            let now = clock();
            let mut over = None;
            if entry.tally.has_term() && !entry.is_blocked_at(now) {
                over = self.end(entry);
            } else if entry.is_calm(now) {
                over = entry.throttling();
                entry.set_calm();
            }
            self.blocked.mark(line, entry.is_marked());
            over
        };
        self.lines.visit(self.blocked.marked(), look, ended);
    }

    /// Ends the blocks for which `is_over` returns why, but none that an operator has set.
    /// Both closures run without any lock.
    pub fn revise<R>(
        &self,
        is_over: impl Fn(&Block) -> Option<R>,
        mut ended: impl FnMut(&Block, R),
    ) {
        let look = |line, entry: &mut LockedEntry<SourceEntry>| {
            let block = entry.as_block().filter(|block| block.reason != Reason::Manual)?;
            Some((line, block))
        };
        self.lines.visit(self.blocked.marked(), look, |(line, block)| {
            let Some(why) = is_over(&block) else { return };
            let Some(mut entry) = self.lines.lock(line) else { return };
            // Another one may have begun in between.
            let begin = |block: &Block| (block.prefix, block.since, block.reason);
            if entry.as_block().is_none_or(|now| begin(&now) != begin(&block)) {
                return;
            }
            let over = self.end(&mut entry);
            self.blocked.mark(line, false);
            drop(entry);
            if let Some(Ended::Block(block)) = over {
                ended(&block, why);
            }
        });
    }

    /// Notes of a block whether a firewall drops its packets; gone with the block.
    pub fn set_offloaded(&self, prefix: Prefix, offloaded: bool) {
        if let Some((_, mut entry)) = self.find(prefix) {
            entry.set_offloaded(offloaded);
        }
    }

    /// Whether a firewall drops the packets of a block.
    pub fn is_offloaded(&self, prefix: Prefix) -> bool {
        self.find(prefix).is_some_and(|(_, entry)| entry.is_offloaded())
    }

    /// All blocks, in no order; `block` runs without any lock.
    pub fn blocks(&self, clock: impl Fn() -> u64, block: impl FnMut(Block)) {
        let look = |_, entry: &mut LockedEntry<SourceEntry>| {
            if entry.is_blocked_at(clock()) { entry.as_block() } else { None }
        };
        self.lines.visit(self.blocked.marked(), look, block);
    }

    /// The block of an address, and what is known of its source, without any effect.
    pub fn look(
        &self,
        source: Address,
        rules: &Rules,
        clock: impl Fn() -> u64,
    ) -> (Option<Block>, Option<Seen>) {
        let prefix = rules.source_of(source);
        let own = self.find(prefix).map(|(_, entry)| (*entry, clock()));
        let (mut block, mut seen) = (None, None);
        if let Some((mut copy, now)) = own {
            block = if copy.is_blocked_at(now) { copy.as_block() } else { None };
            let class = copy.tally.class();
            let requests = copy.tally.count(&rules.class(class).counting, now);
            seen = Some(Seen { class, requests });
        }
        (block.or_else(|| self.covering(source, PrefixKey::from(prefix).kind(), &clock)), seen)
    }

    /// All sources that have requests in their window: prefix, class, requests. `source`
    /// runs without any lock.
    pub fn sources(
        &self,
        rules: &Rules,
        clock: impl Fn() -> u64,
        mut source: impl FnMut(Prefix, Option<ClassId>, u32),
    ) {
        let look = |_, entry: &mut LockedEntry<SourceEntry>| Some((entry.tally, clock()));
        self.lines.visit(self.taken.iter(), look, |(mut copy, now)| {
            let class = copy.class();
            let requests = copy.count(&rules.class(class).counting, now);
            if let Some(prefix) = copy.source().filter(|_| requests > 0) {
                source(prefix, class, requests);
            }
        });
    }

    /// Raised when a block begins or ends.
    pub fn changes(&self) -> u64 {
        self.blocked.changes()
    }

    pub fn usage(&self) -> TableUsage {
        TableUsage {
            capacity: self.lines.len(),
            used: self.lines.used(),
            blocked: self.blocked.count(),
            bytes: self.lines.bytes() + self.blocked.bytes() + self.taken.bytes(),
        }
    }
}

impl FloodCheck {
    fn new(outcome: FloodOutcome, class: Option<ClassId>) -> Self {
        FloodCheck { outcome, class, requests: 0, evicted: false }
    }
}
