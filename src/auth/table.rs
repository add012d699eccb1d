//! The table itself: counting, banning, listing.

use std::io;

use super::entry::{Ban, Entry, Judgement, Reason};
use super::login::{Login, Secret};
use super::settings::Rules;
use super::tags::Tags;
use crate::address::Prefix;
use crate::limiter::{ClassId, Lines, Locked, Place, Term};
use crate::shm::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use crate::shm::{Area, BitSet};

#[cfg(not(shuttle))]
const _: () = assert!(size_of::<crate::shm::ShortMutex<Entry>>() == 256);

/// All logins, in shared memory. Any process may call anything.
pub struct AuthTable {
    lines: Lines<Entry>,
    tags: Tags,
    secret: Secret,
    /// Lines that are banned; changed under their locks.
    banned: BitSet,
    bans: &'static AtomicU32,
    changes: &'static AtomicU64,
}

/// How somebody was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Not banned.
    Clear,
    /// The source is never counted.
    Exempt,
    /// A failure, counted.
    Counted,
    /// The same wrong credentials as lately: not counted.
    Same,
    /// This failure started the ban.
    Started,
    /// Banned.
    Banned,
    /// No room: not counted.
    Untracked,
}

/// An outcome and what came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// How it was judged.
    pub outcome: Outcome,
    /// Failures in the window.
    pub failures: u32,
    /// End of the ban, 0 without one.
    pub until: u64,
    /// Another entry that counted was forgotten for this one.
    pub evicted: bool,
}

/// Bans that turned with a call; to be told once no lock is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turns {
    /// One has ended.
    pub ended: Option<Ban>,
    /// One has begun.
    pub started: Option<Ban>,
}

/// Wherever the entry could lie, another one is banned.
#[derive(Debug, PartialEq, Eq)]
pub struct NoRoom;

/// Sizes and use.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Pairs of AoR and source that fit.
    pub capacity: usize,
    /// Those that are known.
    pub used: u32,
    /// Bans that hold.
    pub bans: u32,
    /// Bytes of address space; only what was used takes memory.
    pub bytes: usize,
}

impl AuthTable {
    /// Maps a table for at least `capacity` pairs. `seed` keys its hashes.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn new(capacity: usize, seed: [u64; 2]) -> io::Result<Self> {
        let lines = Lines::new(capacity)?;
        Ok(AuthTable {
            tags: Tags::new(lines.len())?,
            banned: BitSet::new(lines.len())?,
            secret: Secret(seed),
            bans: Area::share_slice(1)?.first().ok_or(io::ErrorKind::OutOfMemory)?,
            changes: Area::share_slice(1)?.first().ok_or(io::ErrorKind::OutOfMemory)?,
            lines,
        })
    }

    /// What keys the hashes.
    pub fn seed(&self) -> [u64; 2] {
        self.secret.0
    }

    /// The pair of an AoR and a source.
    pub fn login<'a>(&self, aor: &'a [u8], source: Prefix) -> Login<'a> {
        self.secret.login(aor, source)
    }

    /// What tells an AoR from others.
    pub fn aor_hash(&self, aor: &[u8]) -> [u32; 4] {
        self.secret.aor_hash(aor)
    }

    /// What tells credentials from others.
    pub fn fingerprint<'a>(&self, parts: impl Iterator<Item = &'a [u8]>) -> [u32; 2] {
        self.secret.fingerprint(parts)
    }

    /// The entry, locked, and the number of its line.
    #[inline(always)]
    fn find(&self, login: &Login<'_>) -> Option<(usize, Locked<Entry>)> {
        let tag = Tags::of(login.place);
        match self.tags.any_has(self.lines.bucket(login), tag) {
            true => self.find_tagged(login, tag),
            false => None,
        }
    }

    #[cold]
    fn find_tagged(&self, login: &Login<'_>, tag: u32) -> Option<(usize, Locked<Entry>)> {
        let places = self.lines.places(login).filter(|line| self.tags.has(*line, tag));
        self.lines.find_among(places, login)
    }

    /// As [`AuthTable::find`]; adds what is not there. None if there is no room.
    fn find_or_add(
        &self,
        login: &Login<'_>,
        new: impl FnOnce() -> Entry,
        rules: &Rules,
        clock: impl Fn() -> u64,
    ) -> Option<(usize, Locked<Entry>, Place<()>)> {
        if let Some((line, entry)) = self.find(login) {
            return Some((line, entry, Place::Known));
        }
        let (line, entry, place) = self.lines.find_or_add(login, new, rules, clock)?;
        // Also of one that is there: its adder may have died before this.
        self.tags.set(line, Tags::of(login.place));
        Some((line, entry, place))
    }

    fn free(&self, line: usize, entry: &mut Locked<Entry>) {
        self.lines.free(entry);
        self.tags.clear(line);
    }

    /// Whether somebody is banned; one whose class is exempt is only by an operator.
    /// `clock` is read under the lock.
    pub fn check(
        &self,
        login: &Login<'_>,
        class: Option<ClassId>,
        rules: &Rules,
        clock: impl Fn() -> u64,
        turns: &mut Turns,
    ) -> Checked {
        let Some((line, mut entry)) = self.find(login) else { return passed(class) };
        self.settle(line, &mut entry, class, rules, clock(), turns)
    }

    /// Somebody has failed to authenticate, with these credentials.
    pub fn failed(
        &self,
        login: &Login<'_>,
        fingerprint: Option<[u32; 2]>,
        class: Option<ClassId>,
        rules: &Rules,
        clock: impl Fn() -> u64,
        turns: &mut Turns,
    ) -> Checked {
        if class.is_none() {
            return self.check(login, class, rules, clock, turns);
        }
        let new = || Entry::new(login, class);
        let Some((line, mut entry, place)) = self.find_or_add(login, new, rules, &clock) else {
            return Checked { outcome: Outcome::Untracked, ..passed(class) };
        };
        let now = clock();
        let mut checked = self.settle(line, &mut entry, class, rules, now, turns);
        checked.evicted = matches!(place, Place::Instead { fresh: true, .. });
        if checked.outcome != Outcome::Clear {
            return checked;
        }
        let rule = rules.class(class);
        match entry.fail(fingerprint, rules, rule, now) {
            Judgement::Same => checked.outcome = Outcome::Same,
            Judgement::Counted(failures) => {
                (checked.outcome, checked.failures) = (Outcome::Counted, failures);
            }
            Judgement::Starts => {
                self.started(line);
                (checked.outcome, checked.failures) = (Outcome::Started, rule.limit);
                checked.until = entry.until();
                turns.started = entry.as_ban();
            }
        }
        checked
    }

    /// Somebody has authenticated: failures are forgotten, unless there is a ban.
    pub fn succeeded(
        &self,
        login: &Login<'_>,
        class: Option<ClassId>,
        rules: &Rules,
        clock: impl Fn() -> u64,
        turns: &mut Turns,
    ) -> Checked {
        let Some((line, mut entry)) = self.find(login) else { return passed(class) };
        let checked = self.settle(line, &mut entry, class, rules, clock(), turns);
        if checked.outcome == Outcome::Banned {
            return checked;
        }
        self.free(line, &mut entry);
        passed(class)
    }

    fn started(&self, line: usize) {
        self.banned.set(line, true);
        self.bans.fetch_add(1, Relaxed);
        self.changes.fetch_add(1, Relaxed);
    }

    fn ended(&self, line: usize) {
        self.banned.set(line, false);
        self.bans.fetch_sub(1, Relaxed);
        self.changes.fetch_add(1, Relaxed);
    }

    /// How a locked entry stands at `now`, for a source of `class`: a ban whose time is
    /// over ends, and one whose class was another, unless an operator has set it.
    fn settle(
        &self,
        line: usize,
        entry: &mut Entry,
        class: Option<ClassId>,
        rules: &Rules,
        now: u64,
        turns: &mut Turns,
    ) -> Checked {
        let mut checked = passed(class);
        if entry.is_banned() {
            let stays = entry.is_manual() || entry.class() == class;
            if entry.holds(now) && stays {
                entry.refuse();
                checked.outcome = Outcome::Banned;
                checked.until = entry.until();
                return checked;
            }
            turns.ended = entry.as_ban();
            self.ended(line);
            match stays {
                true => entry.restart(rules.class(class)),
                false => entry.acquit(),
            }
        }
        entry.set_class(class);
        if class.is_some() {
            checked.failures = entry.count(rules.class(class), now);
        }
        checked
    }

    /// Bans somebody, whatever is known of it; an earlier ban of it is replaced, and
    /// returned.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn ban(&self, ban: &Ban, rules: &Rules, now: u64) -> Result<Option<Ban>, NoRoom> {
        let login = self.secret.known(ban.aor.bytes(), ban.aor.hash, ban.source);
        let new = || Entry::of_ban(ban, &login);
        let (line, mut entry, _) = self.find_or_add(&login, new, rules, || now).ok_or(NoRoom)?;
        let before = entry.as_ban();
        if before.is_some() {
            self.ended(line);
        }
        entry.set_class(ban.class);
        entry.ban(ban.reason, Term::new(ban.since, ban.until, ban.seen));
        self.started(line);
        Ok(before)
    }

    /// Forgets all that is known of an AoR, or of all, from the sources within a
    /// prefix, or from all; `ended` is told of the bans that ends, without any lock.
    pub fn forget(
        &self,
        aor_hash: Option<[u32; 4]>,
        sources: Option<Prefix>,
        mut ended: impl FnMut(&Ban),
    ) {
        for line in self.tags.taken() {
            let Some(mut entry) = self.lines.lock(line) else { continue };
            let within = |of: Prefix| sources.is_none_or(|sources| sources.contains(of));
            let is_meant = aor_hash.is_none_or(|hash| entry.aor_hash() == hash);
            if !is_meant || !entry.source().is_some_and(within) {
                continue;
            }
            let over = entry.as_ban();
            if over.is_some() {
                self.ended(line);
            }
            self.free(line, &mut entry);
            drop(entry);
            over.iter().for_each(&mut ended);
        }
    }

    /// Ends bans that have run out; `ended` is told of them without any lock. `clock`
    /// is read under each lock.
    pub fn sweep(&self, rules: &Rules, clock: impl Fn() -> u64, mut ended: impl FnMut(&Ban)) {
        for line in self.banned.iter() {
            let Some(mut entry) = self.lines.lock(line) else { continue };
            if !entry.is_banned() || entry.holds(clock()) {
                continue;
            }
            let over = entry.as_ban();
            self.ended(line);
            let class = entry.class();
            entry.restart(rules.class(class));
            drop(entry);
            over.iter().for_each(&mut ended);
        }
    }

    /// Ends bans of which `is_over` says why, but none that an operator has set: failures
    /// count anew. Both closures run without any lock.
    pub fn revise<R>(&self, is_over: impl Fn(&Ban) -> Option<R>, mut ended: impl FnMut(&Ban, R)) {
        for line in self.banned.iter() {
            let ban = self.lines.lock(line).and_then(|entry| entry.as_ban());
            let failures = ban.filter(|ban| ban.reason == Reason::Failures);
            let Some((ban, why)) = failures.and_then(|b| Some((b, is_over(&b)?))) else { continue };
            let login = self.secret.known(ban.aor.bytes(), ban.aor.hash, ban.source);
            let Some((line, mut entry)) = self.find(&login) else { continue };
            // Another one may have begun meanwhile.
            let same = |now: &Ban| now.since == ban.since && now.reason == ban.reason;
            let Some(ban) = entry.as_ban().filter(same) else { continue };
            self.ended(line);
            entry.acquit();
            drop(entry);
            ended(&ban, why);
        }
    }

    /// All bans that hold, in no order; `ban` is told without any lock.
    pub fn bans(&self, clock: impl Fn() -> u64, mut ban: impl FnMut(&Ban)) {
        for line in self.banned.iter() {
            let Some(mut entry) = self.lines.lock(line) else { continue };
            let found = if entry.holds(clock()) { entry.as_ban() } else { None };
            drop(entry);
            found.iter().for_each(&mut ban);
        }
    }

    /// The ban of somebody, and its failures in the window, without any effect.
    pub fn look(
        &self,
        login: &Login<'_>,
        class: Option<ClassId>,
        rules: &Rules,
        clock: impl Fn() -> u64,
    ) -> (Option<Ban>, u32) {
        let Some((mut copy, now)) = self.find(login).map(|(_, entry)| (*entry, clock())) else {
            return (None, 0);
        };
        if copy.holds(now) {
            let ban =
                copy.as_ban().filter(|ban| ban.reason == Reason::Manual || ban.class == class);
            return (ban, 0);
        }
        let rule = rules.class(class);
        if copy.is_banned() {
            copy.restart(rule);
        }
        copy.set_class(class);
        (None, if class.is_some() { copy.count(rule, now) } else { 0 })
    }

    /// How often bans have begun or ended: for those who keep a copy.
    pub fn changes(&self) -> u64 {
        self.changes.load(Relaxed)
    }

    /// Sizes and use.
    pub fn memory(&self) -> Memory {
        Memory {
            capacity: self.lines.len(),
            used: self.lines.used(),
            bans: self.bans.load(Relaxed),
            bytes: self.lines.bytes() + self.tags.bytes() + self.banned.bytes(),
        }
    }
}

/// The outcome for somebody who is not known.
fn passed(class: Option<ClassId>) -> Checked {
    let outcome = if class.is_none() { Outcome::Exempt } else { Outcome::Clear };
    Checked { outcome, failures: 0, until: 0, evicted: false }
}
