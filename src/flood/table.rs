//! The table itself: judging, blocking, listing.

use std::io;

use super::blocked::Blocked;
use super::entry::{Block, Ended, Entry, Judgement, Reason};
use super::settings::Rules;
use crate::address::{Address, Prefix};
use crate::limiter::{ClassId, Key, Lines, Locked, Place, Term};
use crate::shm::BitSet;
use crate::source::{Learnt, Source};

#[cfg(not(shuttle))]
const _: () = assert!(size_of::<crate::shm::ShortMutex<Entry>>() == 64);

/// All sources, in shared memory. Any process may call anything.
pub struct FloodTable {
    lines: Lines<Entry>,
    seed: [u64; 2],
    blocked: Blocked,
    /// Lines in use, each changed under its lock. To lock a line is to write to it, so
    /// that one that was never used would take memory from then on.
    taken: BitSet,
}

/// How a request was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The source is never counted.
    Exempt,
    /// Within the limit, and counted.
    Under,
    /// Above the limit of a class that is not blocked.
    Throttled {
        /// The first such request for a while.
        begins: bool,
    },
    /// This request started the block.
    Started {
        /// Its end.
        until: u64,
        /// How many blocks in a row it is.
        times: u8,
    },
    /// The source is blocked.
    Blocked {
        /// Until then.
        until: u64,
    },
    /// No room: not counted.
    Untracked,
}

/// An outcome and what came with it; small, since it is passed with each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// How it was judged.
    pub outcome: Outcome,
    /// Class of the source, unless it is exempt.
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

/// Wherever the source could lie, another one is blocked.
#[derive(Debug, PartialEq, Eq)]
pub struct NoRoom;

/// Sizes and use.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Sources that fit.
    pub capacity: usize,
    /// Sources that are known.
    pub used: u32,
    /// Blocks that hold.
    pub blocked: u32,
    /// Bytes of address space; only what was used takes memory.
    pub bytes: usize,
}

impl FloodTable {
    /// Maps a table for at least `capacity` sources. `seed` keys its hash.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new(capacity: usize, seed: [u64; 2]) -> io::Result<Self> {
        let lines = Lines::new(capacity)?;
        let (blocked, taken) = (Blocked::new(lines.len())?, BitSet::new(lines.len())?);
        Ok(FloodTable { blocked, taken, lines, seed })
    }

    /// The entry of a prefix, locked, and the number of its line.
    fn find(&self, prefix: Prefix) -> Option<(usize, Locked<Entry>)> {
        self.lines.find(&Key::from(prefix).placed(self.seed))
    }

    /// Judges and counts one request.
    ///
    /// `generation` names the tables and settings by which `resolve` tells the class
    /// of the source, None if it is exempt; it is asked, without any lock, when the
    /// table does not know. `clock` is read under the lock, so that time never runs
    /// backwards from one request to the next. Its zero may be anywhere. `ended` is
    /// set if something is over with this request.
    pub fn check(
        &self,
        source: impl Into<Source>,
        rules: &Rules,
        generation: u32,
        clock: impl Fn() -> u64,
        resolve: impl FnOnce() -> Option<ClassId>,
        ended: &mut Option<Ended>,
    ) -> Checked {
        let Source { address: source, learnt } = source.into();
        let key = Key::from(rules.source_of(source));
        let mut resolved = None;
        let mut resolve = Some(resolve);
        let mut class = || *resolved.get_or_insert_with(|| resolve.take().and_then(|r| r()));
        if let Some(block) = self.covering(source, key.kind(), &clock) {
            let class = if block.reason == Reason::Manual { block.class } else { class() };
            if block.applies_to(class) {
                return self.refuse(&block, class, learnt);
            }
        }
        let key = key.placed(self.seed);
        if let Some((line, mut entry)) = self.lines.find(&key) {
            let now = clock();
            if entry.generation() == generation || entry.is_manual() && entry.holds(now) {
                return self.judge((line, &mut entry), rules, now, learnt, ended);
            }
        }
        let class = class();
        let new = || Entry::new(&key, class, generation);
        let Some((line, mut entry, place)) = self.lines.find_or_add(&key, new, rules, &clock)
        else {
            // No room: an exempt source passes as one.
            let outcome = if class.is_none() { Outcome::Exempt } else { Outcome::Untracked };
            return Checked::new(outcome, class);
        };
        let evicted;
        (*ended, evicted) = self.take(line, place);
        self.set_class(line, &mut entry, class, generation, ended);
        let mut checked = self.judge((line, &mut entry), rules, clock(), learnt, ended);
        checked.evicted = evicted;
        checked
    }

    /// A locked line was taken: what is over with the entry that was there, and whether
    /// that still counted.
    fn take(&self, line: usize, place: Place<Option<Ended>>) -> (Option<Ended>, bool) {
        // Also of a known one: a process may have died before it came to this.
        self.taken.set(line, true);
        match place {
            Place::Known | Place::Free => (None, false),
            Place::Instead { over, fresh } => {
                self.blocked.mark(line, false);
                (over, fresh)
            }
        }
    }

    /// The class of a locked entry as it was just decided. With another class
    /// nothing of the old one stays but a block that an operator has set.
    fn set_class(
        &self,
        line: usize,
        entry: &mut Entry,
        class: Option<ClassId>,
        generation: u32,
        ended: &mut Option<Ended>,
    ) {
        if class != entry.class() && !entry.is_manual() {
            match entry.as_block() {
                Some(block) => {
                    self.end(entry);
                    *ended = Some(Ended::Block(block));
                }
                None => *ended = entry.throttling().or(ended.take()),
            }
            entry.clear();
            self.blocked.mark(line, false);
        }
        entry.set_class(class, generation);
    }

    fn end(&self, entry: &mut Entry) {
        entry.clear();
        self.blocked.ended(entry.key().kind());
    }

    /// A request of a locked entry whose class is known.
    #[inline(always)]
    fn judge(
        &self,
        (line, entry): (usize, &mut Entry),
        rules: &Rules,
        now: u64,
        learnt: Learnt,
        ended: &mut Option<Ended>,
    ) -> Checked {
        let class = entry.class();
        let rule = rules.class(class);
        let mut checked = Checked::new(Outcome::Exempt, class);
        if entry.is_blocked() {
            // A class that blocks nobody any more frees those it has blocked.
            if entry.holds(now) && (rule.block > 0 || entry.is_manual()) {
                entry.refuse(learnt);
                checked.outcome = Outcome::Blocked { until: entry.until() };
                return checked;
            }
            *ended = entry.as_block().map(Ended::Block);
            self.end(entry);
            self.blocked.mark(line, false);
        }
        if class.is_none() {
            entry.touch(rule, now);
            return checked;
        }
        checked.requests = rule.limit.saturating_add(1);
        checked.outcome = match entry.judge(rule, now) {
            Judgement::Under(requests) => {
                checked.requests = requests;
                checked.outcome = Outcome::Under;
                return checked;
            }
            Judgement::Throttled { begins: false } => Outcome::Throttled { begins: false },
            Judgement::Throttled { begins } => {
                self.blocked.mark(line, true);
                Outcome::Throttled { begins }
            }
            Judgement::Starts { throttled } => {
                if throttled {
                    *ended = entry.key().prefix().map(|of| Ended::Throttling(of, class));
                }
                entry.note(learnt);
                self.blocked.started(entry.key().kind());
                self.blocked.mark(line, true);
                Outcome::Started { until: entry.until(), times: entry.times() }
            }
        };
        checked
    }

    /// A block of another length than `own` that holds for an address; that of an
    /// operator, if there are several.
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
        if entry.holds(clock()) { entry.as_block() } else { None }
    }

    /// Counts a request of somebody within a blocked range.
    fn refuse(&self, block: &Block, class: Option<ClassId>, learnt: Learnt) -> Checked {
        if let Some((_, mut entry)) = self.find(block.prefix)
            && entry.is_blocked()
        {
            entry.refuse(learnt);
        }
        Checked::new(Outcome::Blocked { until: block.until }, class)
    }

    /// Blocks a prefix, whatever it has sent. What is over with that is returned: an
    /// earlier block of it, or throttling.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn block(&self, block: &Block, rules: &Rules, now: u64) -> Result<Option<Ended>, NoRoom> {
        let key = Key::from(block.prefix).placed(self.seed);
        let new = || Entry::new(&key, block.class, 0);
        let (line, mut entry, place) =
            self.lines.find_or_add(&key, new, rules, || now).ok_or(NoRoom)?;
        let (evicted, _) = self.take(line, place);
        let over = evicted.or(entry.throttling()).or(entry.as_block().map(Ended::Block));
        if entry.is_blocked() {
            self.end(&mut entry);
        }
        self.blocked.started(key.key.kind());
        let term = Term::new(block.since, block.until, block.seen);
        entry.block(block.reason, term, block.times, block.ways);
        self.blocked.mark(line, true);
        Ok(over)
    }

    /// Forgets all that is known of the sources in a prefix, or of all, and lifts
    /// their blocks; `ended` is told what that ends, without any lock.
    pub fn forget(&self, prefix: Option<Prefix>, mut ended: impl FnMut(&Ended)) {
        for line in self.taken.iter() {
            let Some(mut entry) = self.lines.lock(line) else { continue };
            let within = |of: Prefix| prefix.is_none_or(|prefix| prefix.contains(of));
            if !entry.key().prefix().is_some_and(within) {
                continue;
            }
            let over = entry.as_block().map(Ended::Block).or(entry.throttling());
            if entry.is_blocked() {
                self.end(&mut entry);
            }
            self.lines.free(&mut entry);
            self.blocked.mark(line, false);
            self.taken.set(line, false);
            drop(entry);
            over.iter().for_each(&mut ended);
        }
    }

    /// Ends what has run out; `ended` is told of it without any lock. `clock` is
    /// read under each lock.
    pub fn sweep(&self, clock: impl Fn() -> u64, mut ended: impl FnMut(&Ended)) {
        self.blocked.tidy();
        for line in self.blocked.marked() {
            let Some(mut entry) = self.lines.lock(line) else { continue };
            let now = clock();
            let mut over = None;
            if entry.is_blocked() && !entry.holds(now) {
                over = entry.as_block().map(Ended::Block);
                self.end(&mut entry);
            } else if entry.is_calm(now) {
                over = entry.throttling();
                entry.set_calm();
            }
            self.blocked.mark(line, entry.is_marked());
            drop(entry);
            over.iter().for_each(&mut ended);
        }
    }

    /// Ends blocks of which `is_over` says why, but none that an operator has set; both
    /// closures run without any lock.
    pub fn revise<R>(
        &self,
        is_over: impl Fn(&Block) -> Option<R>,
        mut ended: impl FnMut(&Block, R),
    ) {
        for line in self.blocked.marked() {
            let block = self.lines.lock(line).and_then(|entry| entry.as_block());
            let flood = block.filter(|block| block.reason == Reason::Flood);
            let Some((block, why)) = flood.and_then(|b| Some((b, is_over(&b)?))) else { continue };
            let Some((line, mut entry)) = self.find(block.prefix) else {
                continue;
            };
            // Another one may have begun meanwhile.
            let same = |now: &Block| now.since == block.since && now.reason == block.reason;
            let Some(block) = entry.as_block().filter(same) else { continue };
            self.end(&mut entry);
            self.blocked.mark(line, false);
            drop(entry);
            ended(&block, why);
        }
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

    /// All blocks that hold, in no order; `block` is told without any lock.
    pub fn blocks(&self, clock: impl Fn() -> u64, mut block: impl FnMut(&Block)) {
        for line in self.blocked.marked() {
            let Some(mut entry) = self.lines.lock(line) else { continue };
            let found = if entry.holds(clock()) { entry.as_block() } else { None };
            drop(entry);
            found.iter().for_each(&mut block);
        }
    }

    /// The block that holds for an address, and what is known of its source,
    /// without any effect.
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
            block = if copy.holds(now) { copy.as_block() } else { None };
            let requests = copy.requests(rules.class(copy.class()), now);
            seen = Some(Seen { class: copy.class(), requests });
        }
        (block.or_else(|| self.covering(source, Key::from(prefix).kind(), &clock)), seen)
    }

    /// All sources that have requests in their window; `source` is told prefix,
    /// class and requests, without any lock.
    pub fn sources(
        &self,
        rules: &Rules,
        clock: impl Fn() -> u64,
        mut source: impl FnMut(Prefix, Option<ClassId>, u32),
    ) {
        for line in self.taken.iter() {
            let Some(entry) = self.lines.lock(line) else { continue };
            let (mut copy, now) = (*entry, clock());
            drop(entry);
            let class = copy.class();
            let requests = copy.requests(rules.class(class), now);
            if requests > 0
                && let Some(prefix) = copy.key().prefix()
            {
                source(prefix, class, requests);
            }
        }
    }

    /// How often blocks have begun, ended or changed: for those who keep a copy.
    pub fn changes(&self) -> u64 {
        self.blocked.changes()
    }

    /// Sizes and use.
    pub fn memory(&self) -> Memory {
        Memory {
            capacity: self.lines.len(),
            used: self.lines.used(),
            blocked: self.blocked.count(),
            bytes: self.lines.bytes() + self.blocked.bytes() + self.taken.bytes(),
        }
    }
}

impl Checked {
    fn new(outcome: Outcome, class: Option<ClassId>) -> Self {
        Checked { outcome, class, requests: 0, evicted: false }
    }
}
