//! The table itself: judging, blocking, listing.

use std::io;

use super::blocked::Blocked;
use super::bucket::{Added, Bucket, ENTRIES};
use super::entry::{Block, Entry, Judgement, Reason};
use super::key::Key;
use super::rules::{ClassId, Rules};
use crate::address::{Address, Prefix};
use crate::shm::atomic::{AtomicU32, Ordering::Relaxed};
use crate::shm::{Area, SharedMutex};

/// All sources, in shared memory. Any process may call anything; no call takes
/// more than one lock at a time.
pub struct FloodTable {
    buckets: &'static [SharedMutex<Bucket>],
    blocked: Blocked,
    /// Entries in use.
    used: &'static AtomicU32,
    seed: [u64; 2],
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
    Started(Block),
    /// The source is blocked.
    Blocked(Block),
    /// No room: not counted.
    Untracked,
}

/// An outcome and what came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// How it was judged.
    pub outcome: Outcome,
    /// Class of the source, unless it is exempt.
    pub class: Option<ClassId>,
    /// Requests in the window, this one included, if they were counted.
    pub requests: u32,
    /// A block of the same source that had run out.
    pub ended: Option<Ended>,
    /// Another source that counted was forgotten for this one.
    pub evicted: bool,
}

/// Something that has ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A block.
    Block(Block),
    /// Throttling of a source.
    Throttling(Prefix, ClassId),
}

/// What is known of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its class when it was last judged.
    pub class: ClassId,
    /// Requests in the window.
    pub requests: u32,
    /// Above the limit of a class that is not blocked, just now.
    pub throttled: bool,
}

/// All entries of a bucket are blocked.
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

/// Bucket and tag of a key.
struct Place {
    bucket: usize,
    tag: u16,
}

impl FloodTable {
    /// Maps a table for at least `capacity` sources. `seed` keys its hash.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new(capacity: usize, seed: [u64; 2]) -> io::Result<Self> {
        let count = capacity.div_ceil(ENTRIES).next_power_of_two();
        let used = Area::share_slice(1)?.first().ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(FloodTable {
            buckets: Area::share_slice(count)?,
            blocked: Blocked::new(count)?,
            used,
            seed,
        })
    }

    fn place(&self, key: &Key) -> Place {
        let hash = key.hash(self.seed);
        let bucket = hash as usize & (self.buckets.len() - 1);
        // 0 means free.
        Place { bucket, tag: ((hash >> 48) as u16).max(1) }
    }

    /// Judges and counts one request.
    ///
    /// `generation` names the snapshot by which `resolve` tells the class of the
    /// source, None if it is exempt; it is asked, without any lock, when the table
    /// does not know. `clock` is read under the lock, so that time never runs
    /// backwards from one request to the next. Its zero may be anywhere.
    pub fn check(
        &self,
        source: Address,
        rules: &Rules,
        generation: u32,
        clock: impl Fn() -> u64,
        resolve: impl FnOnce() -> Option<ClassId>,
    ) -> Checked {
        let key = Key::from(source.prefix(rules.ipv6_prefix as u8));
        let wider = self.covering(source, key.kind(), &clock);
        if let Some(block) = wider.filter(|block| block.reason == Reason::Manual) {
            self.refuse(block.prefix);
            return Checked::new(Outcome::Blocked(block), Some(block.class));
        }
        let place = self.place(&key);
        let mut known = false;
        if let Some(lock) = self.buckets.get(place.bucket) {
            let mut bucket = lock.lock();
            let now = clock();
            if let Some(at) = bucket.find(place.tag, &key) {
                known = true;
                let entry = bucket.entry(at).copied().unwrap_or_default();
                let manual = entry.is_manual() && entry.is_blocked();
                if wider.is_none() && (entry.generation() == generation || manual) {
                    return self.judge(&mut bucket, place.bucket, at, rules, now);
                }
            }
        }
        match (resolve(), wider) {
            (None, _) => self.exempt(&key, known, clock()),
            (Some(class), Some(block)) => {
                self.refuse(block.prefix);
                Checked::new(Outcome::Blocked(block), Some(class))
            }
            (Some(class), None) => self.count(&key, class, rules, generation, clock),
        }
    }

    /// A source whose class was just decided.
    fn count(
        &self,
        key: &Key,
        class: ClassId,
        rules: &Rules,
        generation: u32,
        clock: impl Fn() -> u64,
    ) -> Checked {
        let place = self.place(key);
        let untracked = Checked::new(Outcome::Untracked, Some(class));
        let Some(lock) = self.buckets.get(place.bucket) else { return untracked };
        let mut bucket = lock.lock();
        let now = clock();
        if let Some(at) = bucket.find(place.tag, key) {
            if let Some(entry) = bucket.entry(at) {
                entry.set_class(class, generation);
            }
            return self.judge(&mut bucket, place.bucket, at, rules, now);
        }
        let entry = Entry::new(key, class, generation);
        let (at, evicted) = match bucket.add(place.tag, entry, rules, now) {
            Some(Added::Free(at)) => {
                self.used.fetch_add(1, Relaxed);
                (at, false)
            }
            Some(Added::Instead { place, fresh }) => (place, fresh),
            None => return untracked,
        };
        let checked = self.judge(&mut bucket, place.bucket, at, rules, now);
        Checked { evicted, ..checked }
    }

    /// An exempt source; what an earlier class left of it goes, but for a block
    /// that an operator has set.
    fn exempt(&self, key: &Key, known: bool, now: u64) -> Checked {
        let mut checked = Checked::new(Outcome::Exempt, None);
        if !known {
            return checked;
        }
        let place = self.place(key);
        let Some(lock) = self.buckets.get(place.bucket) else { return checked };
        let mut bucket = lock.lock();
        let Some(at) = bucket.find(place.tag, key) else { return checked };
        let Some(entry) = bucket.entry(at) else { return checked };
        if entry.is_manual() && entry.holds(now) {
            entry.refuse();
            if let Some(block) = entry.as_block() {
                return Checked::new(Outcome::Blocked(block), Some(block.class));
            }
        }
        checked.ended = self.remove(&mut bucket, at).map(Ended::Block);
        checked
    }

    /// The entry at a place whose class is known; its bucket is locked.
    fn judge(
        &self,
        bucket: &mut Bucket,
        number: usize,
        at: usize,
        rules: &Rules,
        now: u64,
    ) -> Checked {
        let Some(entry) = bucket.entry(at) else { return Checked::new(Outcome::Untracked, None) };
        let class = entry.class();
        let mut checked = Checked::new(Outcome::Untracked, Some(class));
        if let Some(block) = entry.as_block() {
            if entry.holds(now) {
                entry.refuse();
                checked.outcome = Outcome::Blocked(block);
                return checked;
            }
            entry.end_block();
            self.blocked.ended(entry.key().kind());
            checked.ended = Some(Ended::Block(block));
        }
        let rule = rules.class(class);
        checked.requests = rule.limit.saturating_add(1);
        checked.outcome = match entry.judge(rule, now) {
            Judgement::Under(requests) => {
                checked.requests = requests;
                if checked.ended.is_some() {
                    bucket.note(at);
                }
                checked.outcome = Outcome::Under;
                return checked;
            }
            Judgement::Throttled { begins } => Outcome::Throttled { begins },
            Judgement::Starts => match entry.as_block() {
                Some(block) => {
                    self.blocked.started(entry.key().kind());
                    Outcome::Started(block)
                }
                None => Outcome::Untracked,
            },
        };
        bucket.note(at);
        self.blocked.mark(number);
        checked
    }

    /// A block of another length than `own` that holds for an address.
    fn covering(&self, source: Address, own: usize, clock: impl Fn() -> u64) -> Option<Block> {
        self.blocked
            .lengths(source)
            .filter_map(|len| {
                let key = Key::from(source.prefix_of(len));
                if key.kind() == own { None } else { self.block_of(&key, clock()) }
            })
            .next()
    }

    fn block_of(&self, key: &Key, now: u64) -> Option<Block> {
        self.with_entry(key, |entry| if entry.holds(now) { entry.as_block() } else { None })?
    }

    fn refuse(&self, prefix: Prefix) {
        self.with_entry(&Key::from(prefix), |entry| {
            if entry.is_blocked() {
                entry.refuse();
            }
        });
    }

    fn with_entry<R>(&self, key: &Key, f: impl FnOnce(&mut Entry) -> R) -> Option<R> {
        let place = self.place(key);
        let mut bucket = self.buckets.get(place.bucket)?.lock();
        let at = bucket.find(place.tag, key)?;
        Some(f(bucket.entry(at)?))
    }

    /// Removes an entry; its block, if it was blocked. The bucket is locked.
    fn remove(&self, bucket: &mut Bucket, at: usize) -> Option<Block> {
        let entry = bucket.entry(at).copied()?;
        bucket.remove(at);
        self.used.fetch_sub(1, Relaxed);
        if entry.is_blocked() {
            self.blocked.ended(entry.key().kind());
        }
        entry.as_block()
    }

    /// Blocks a prefix, whatever it has sent; an earlier block of it is replaced.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn block(&self, block: &Block, rules: &Rules, now: u64) -> Result<(), NoRoom> {
        let key = Key::from(block.prefix);
        let place = self.place(&key);
        let mut bucket = self.buckets.get(place.bucket).ok_or(NoRoom)?.lock();
        let at = match bucket.find(place.tag, &key) {
            Some(at) => at,
            None => match bucket.add(place.tag, Entry::new(&key, block.class, 0), rules, now) {
                Some(Added::Free(at)) => {
                    self.used.fetch_add(1, Relaxed);
                    at
                }
                Some(Added::Instead { place, .. }) => place,
                None => return Err(NoRoom),
            },
        };
        let entry = bucket.entry(at).ok_or(NoRoom)?;
        if !entry.is_blocked() {
            self.blocked.started(key.kind());
        }
        entry.block(block.reason, block.since, block.until, block.seen, block.times);
        bucket.note(at);
        self.blocked.mark(place.bucket);
        Ok(())
    }

    /// Forgets all that is known of the sources in a prefix, or of all, and lifts
    /// their blocks; `lifted` is told of each block, without any lock.
    pub fn forget(&self, prefix: Option<Prefix>, mut lifted: impl FnMut(&Block)) {
        for lock in self.buckets {
            let mut blocks = [None; ENTRIES];
            let mut bucket = lock.lock();
            for (at, slot) in bucket.places(false).zip(&mut blocks) {
                let of = bucket.entry(at).and_then(|entry| entry.key().prefix());
                let within = |of: Prefix| prefix.is_none_or(|prefix| prefix.contains(of));
                if of.is_some_and(within) {
                    *slot = self.remove(&mut bucket, at);
                }
            }
            drop(bucket);
            blocks.iter().flatten().for_each(&mut lifted);
        }
    }

    /// Ends what has run out; `ended` is told of it without any lock.
    pub fn sweep(&self, now: u64, mut ended: impl FnMut(&Ended)) {
        self.blocked.tidy();
        for number in self.blocked.marked() {
            let Some(lock) = self.buckets.get(number) else { continue };
            let mut over = [None; ENTRIES];
            let mut bucket = lock.lock();
            let mut marks = false;
            for (at, slot) in bucket.places(true).zip(&mut over) {
                let Some(entry) = bucket.entry(at) else { continue };
                if let Some(block) = entry.as_block().filter(|_| !entry.holds(now)) {
                    entry.end_block();
                    self.blocked.ended(entry.key().kind());
                    *slot = Some(Ended::Block(block));
                } else if entry.is_calm(now) {
                    entry.set_calm();
                    let throttling = |prefix| Ended::Throttling(prefix, entry.class());
                    *slot = entry.key().prefix().map(throttling);
                }
                marks |= bucket.note(at);
            }
            if !marks {
                self.blocked.unmark(number);
            }
            drop(bucket);
            over.iter().flatten().for_each(&mut ended);
        }
    }

    /// All blocks that hold, in no order; `block` is told without any lock.
    pub fn blocks(&self, now: u64, mut block: impl FnMut(&Block)) {
        for number in self.blocked.marked() {
            let Some(lock) = self.buckets.get(number) else { continue };
            let mut found = [None; ENTRIES];
            let mut bucket = lock.lock();
            for (at, slot) in bucket.places(true).zip(&mut found) {
                let entry = bucket.entry(at);
                *slot = entry.and_then(|e| if e.holds(now) { e.as_block() } else { None });
            }
            drop(bucket);
            found.iter().flatten().for_each(&mut block);
        }
    }

    /// The block that holds for an address, and what is known of its source,
    /// without any effect.
    pub fn look(&self, source: Address, rules: &Rules, now: u64) -> (Option<Block>, Option<Seen>) {
        let key = Key::from(source.prefix(rules.ipv6_prefix as u8));
        let own = self.with_entry(&key, |entry| *entry);
        let block = self.covering(source, key.kind(), || now);
        let block = block.or_else(|| self.block_of(&key, now));
        let seen = own.map(|mut copy| Seen {
            class: copy.class(),
            requests: copy.requests(rules.class(copy.class()), now),
            throttled: copy.is_throttled() && !copy.is_calm(now),
        });
        (block, seen)
    }

    /// How often blocks have begun, ended or changed: for those who keep a copy.
    pub fn changes(&self) -> u64 {
        self.blocked.changes()
    }

    /// Sizes and use.
    pub fn memory(&self) -> Memory {
        Memory {
            capacity: self.buckets.len() * ENTRIES,
            used: self.used.load(Relaxed),
            blocked: self.blocked.count(),
            bytes: size_of_val(self.buckets) + self.blocked.bytes(),
        }
    }
}

impl Checked {
    fn new(outcome: Outcome, class: Option<ClassId>) -> Self {
        Checked { outcome, class, requests: 0, ended: None, evicted: false }
    }
}
