//! The table itself: counting, banning, listing.

use std::io;

use super::entry::{Ban, FailureJudgement, LoginEntry};
use super::login::{Login, Secret};
use super::settings::Rules;
use super::tags::Tags;
use crate::address::Prefix;
use crate::limiter::{ClassId, Insertion, Lines, LockedEntry, NoRoom, Reason, TableUsage, Term};
use crate::shm::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use crate::shm::{Area, BitSet};

#[cfg(not(shuttle))]
const _: () = assert!(size_of::<crate::shm::ShortMutex<LoginEntry>>() == 256);

/// All logins, in shared memory. Any process may call anything.
pub struct AuthTable {
    lines: Lines<LoginEntry>,
    tags: Tags,
    secret: Secret,
    /// Lines that are banned, each changed under its lock.
    banned: BitSet,
    bans: &'static AtomicU32,
    changes: &'static AtomicU64,
}

/// How an AoR from a source was judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthOutcome {
    /// Not banned.
    Clear,
    /// The source is never counted.
    Exempt,
    /// A failure, counted.
    Counted,
    /// The same wrong credentials as lately: not counted.
    Repeat,
    /// This failure started the ban.
    Started,
    Banned,
    /// No room: not counted.
    Untracked,
}

/// An outcome and what came with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuthCheck {
    pub outcome: AuthOutcome,
    pub failures: u32,
    /// End of the ban, 0 without one.
    pub until: u64,
    /// Another entry that counted was forgotten for this one.
    pub evicted: bool,
}

/// The bans that a call has ended or begun, to be reported without any lock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BanChanges {
    pub ended: Option<Ban>,
    pub started: Option<Ban>,
}

impl AuthTable {
    /// Maps a table for at least `capacity` pairs of AoR and source. `seed` keys its hashes.
    pub fn new(capacity: usize, seed: [u64; 2]) -> io::Result<Self> {
        let lines = Lines::new(capacity)?;
        Ok(AuthTable {
            tags: Tags::new(lines.len())?,
            banned: BitSet::new(lines.len())?,
            secret: Secret(seed),
            bans: Area::share_atomic()?,
            changes: Area::share_atomic()?,
            lines,
        })
    }

    pub fn seed(&self) -> [u64; 2] {
        self.secret.0
    }

    /// The key of an AoR from a source.
    pub fn login<'a>(&self, aor: &'a [u8], source: Prefix) -> Login<'a> {
        self.secret.login(aor, source)
    }

    pub fn aor_hash(&self, aor: &[u8]) -> [u32; 4] {
        self.secret.aor_hash(aor)
    }

    /// Of credentials.
    pub fn fingerprint<'a>(&self, parts: impl Iterator<Item = &'a [u8]>) -> [u32; 2] {
        self.secret.fingerprint(parts)
    }

    /// The entry, locked, and the number of its line.
    #[inline(always)]
    fn find(&self, login: &Login<'_>) -> Option<(usize, LockedEntry<LoginEntry>)> {
        let tag = Tags::of(login.hash);
        match self.tags.any_has(self.lines.bucket(login), tag) {
            true => self.find_tagged(login, tag),
            false => None,
        }
    }

    #[cold]
    fn find_tagged(&self, login: &Login<'_>, tag: u32) -> Option<(usize, LockedEntry<LoginEntry>)> {
        let numbers = self.lines.candidates(login).filter(|line| self.tags.has(*line, tag));
        self.lines.find_among(numbers, login)
    }

    /// As [`AuthTable::find`]; adds an entry that is not there.
    #[allow(clippy::type_complexity)]
    fn find_or_add(
        &self,
        login: &Login<'_>,
        new: impl FnOnce() -> LoginEntry,
        rules: &Rules,
        clock: impl Fn() -> u64,
    ) -> Result<(usize, LockedEntry<LoginEntry>, Insertion<()>), NoRoom> {
        if let Some((line, entry)) = self.find(login) {
            return Ok((line, entry, Insertion::Existing));
        }
        let (line, entry, how) = self.lines.find_or_add(login, new, rules, clock)?;
        // Also that of an existing entry: the process that added it may have died before.
        self.tags.set(line, Tags::of(login.hash));
        Ok((line, entry, how))
    }

    fn free(&self, line: usize, entry: &mut LockedEntry<LoginEntry>) {
        self.lines.free(entry);
        self.tags.clear(line);
    }

    /// Whether an AoR is banned; from an exempt source only by an operator. `clock` is read
    /// under the lock.
    pub fn check(
        &self,
        login: &Login<'_>,
        class: Option<ClassId>,
        rules: &Rules,
        clock: impl Fn() -> u64,
        changes: &mut BanChanges,
    ) -> AuthCheck {
        let Some((line, mut entry)) = self.find(login) else { return passed(class) };
        self.judge(line, &mut entry, class, rules, clock(), changes)
    }

    /// An AoR has failed to authenticate, with these credentials.
    pub fn failed(
        &self,
        login: &Login<'_>,
        fingerprint: Option<[u32; 2]>,
        class: Option<ClassId>,
        rules: &Rules,
        clock: impl Fn() -> u64,
        changes: &mut BanChanges,
    ) -> AuthCheck {
        if class.is_none() {
            return self.check(login, class, rules, clock, changes);
        }
        let new = || LoginEntry::new(login, class);
        let Ok((line, mut entry, how)) = self.find_or_add(login, new, rules, &clock) else {
            return AuthCheck { outcome: AuthOutcome::Untracked, ..passed(class) };
        };
        let now = clock();
        let mut checked = self.judge(line, &mut entry, class, rules, now, changes);
        checked.evicted = matches!(how, Insertion::Replaced { counted: true, .. });
        if checked.outcome != AuthOutcome::Clear {
            return checked;
        }
        let rule = rules.class(class);
        match entry.fail(fingerprint, rules.common.same, &rule, now) {
            FailureJudgement::Repeat => checked.outcome = AuthOutcome::Repeat,
            FailureJudgement::Counted(failures) => {
                (checked.outcome, checked.failures) = (AuthOutcome::Counted, failures);
            }
            FailureJudgement::Starts => {
                self.started(line);
                (checked.outcome, checked.failures) = (AuthOutcome::Started, rule.limit);
                checked.until = entry.until();
                changes.started = entry.as_ban();
            }
        }
        checked
    }

    /// An AoR has authenticated: its failures are forgotten, unless it is banned.
    pub fn succeeded(
        &self,
        login: &Login<'_>,
        class: Option<ClassId>,
        rules: &Rules,
        clock: impl Fn() -> u64,
        changes: &mut BanChanges,
    ) -> AuthCheck {
        let Some((line, mut entry)) = self.find(login) else { return passed(class) };
        let checked = self.judge(line, &mut entry, class, rules, clock(), changes);
        if checked.outcome == AuthOutcome::Banned {
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

    /// Judges a locked entry at `now`, for a source of `class`. A ban that has run out ends,
    /// as does one of another class, unless an operator has set it.
    fn judge(
        &self,
        line: usize,
        entry: &mut LoginEntry,
        class: Option<ClassId>,
        rules: &Rules,
        now: u64,
        changes: &mut BanChanges,
    ) -> AuthCheck {
        let mut checked = passed(class);
        if entry.tally.has_term() {
            let stays = entry.tally.is_manual() || entry.tally.class() == class;
            if entry.is_banned_at(now) && stays {
                entry.refuse();
                // The process that began it may have died before.
                self.banned.set(line, true);
                checked.outcome = AuthOutcome::Banned;
                checked.until = entry.until();
                return checked;
            }
            changes.ended = entry.as_ban();
            self.ended(line);
            match stays {
                true => entry.restart(&rules.class(class)),
                false => entry.tally.clear(),
            }
        }
        entry.set_class(class);
        if class.is_some() {
            checked.failures = entry.tally.count(&rules.class(class).counting, now);
        }
        checked
    }

    /// Bans an AoR from a source, whatever is known of them; the earlier ban, which this one
    /// replaces.
    pub fn ban(&self, ban: &Ban, rules: &Rules, now: u64) -> Result<Option<Ban>, NoRoom> {
        let login = self.secret.known(ban.aor.bytes(), ban.aor.hash, ban.source);
        let new = || LoginEntry::of_ban(ban, &login);
        let (line, mut entry, _) = self.find_or_add(&login, new, rules, || now)?;
        let before = entry.as_ban();
        if before.is_some() {
            self.ended(line);
        }
        entry.set_class(ban.class);
        entry.ban(ban.reason, Term::new(ban.since, ban.until, ban.seen));
        self.started(line);
        Ok(before)
    }

    /// Forgets all that is known of an AoR, or of all, from the sources within a prefix, or
    /// from all. `ended` runs without any lock, on the bans that end.
    pub fn forget(
        &self,
        aor_hash: Option<[u32; 4]>,
        sources: Option<Prefix>,
        ended: impl FnMut(Ban),
    ) {
        let within = |of: Prefix| sources.is_none_or(|sources| sources.contains(of));
        let look = |line, entry: &mut LockedEntry<LoginEntry>| {
            let is_meant = aor_hash.is_none_or(|hash| entry.aor_hash == hash);
            if !is_meant || !entry.tally.source().is_some_and(within) {
                return None;
            }
            let over = entry.as_ban();
            if over.is_some() {
                self.ended(line);
            }
            self.free(line, entry);
            over
        };
        self.lines.visit(self.tags.taken(), look, ended);
    }

    /// Ends bans that have run out. `clock` is read under each lock, `ended` runs without
    /// any.
    pub fn sweep(&self, rules: &Rules, clock: impl Fn() -> u64, ended: impl FnMut(Ban)) {
        let look = |line, entry: &mut LockedEntry<LoginEntry>| {
            if entry.is_banned_at(clock()) {
                return None;
            }
            let over = entry.as_ban()?;
            self.ended(line);
            entry.restart(&rules.class(over.class));
            Some(over)
        };
        self.lines.visit(self.banned.iter(), look, ended);
    }

    /// Ends the bans for which `is_over` returns why, but none that an operator has set:
    /// failures count anew. Both closures run without any lock.
    pub fn revise<R>(&self, is_over: impl Fn(&Ban) -> Option<R>, mut ended: impl FnMut(&Ban, R)) {
        let look = |line, entry: &mut LockedEntry<LoginEntry>| {
            Some((line, entry.as_ban().filter(|ban| ban.reason != Reason::Manual)?))
        };
        self.lines.visit(self.banned.iter(), look, |(line, ban)| {
            let Some(why) = is_over(&ban) else { return };
            let Some(mut entry) = self.lines.lock(line) else { return };
            // Another one may have begun in between.
            let begin = |ban: &Ban| (ban.aor, ban.source, ban.since, ban.reason);
            let Some(ban) = entry.as_ban().filter(|now| begin(now) == begin(&ban)) else { return };
            self.ended(line);
            entry.tally.clear();
            drop(entry);
            ended(&ban, why);
        });
    }

    /// All bans, in no order; `ban` runs without any lock.
    pub fn bans(&self, clock: impl Fn() -> u64, ban: impl FnMut(Ban)) {
        let look = |_, entry: &mut LockedEntry<LoginEntry>| {
            if entry.is_banned_at(clock()) { entry.as_ban() } else { None }
        };
        self.lines.visit(self.banned.iter(), look, ban);
    }

    /// The ban of an AoR from a source, and its failures in the window, without any effect.
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
        if copy.is_banned_at(now) {
            let ban =
                copy.as_ban().filter(|ban| ban.reason == Reason::Manual || ban.class == class);
            return (ban, 0);
        }
        let rule = rules.class(class);
        if copy.tally.has_term() {
            copy.restart(&rule);
        }
        copy.set_class(class);
        (None, if class.is_some() { copy.tally.count(&rule.counting, now) } else { 0 })
    }

    /// Raised when a ban begins or ends.
    pub fn changes(&self) -> u64 {
        self.changes.load(Relaxed)
    }

    pub fn usage(&self) -> TableUsage {
        TableUsage {
            capacity: self.lines.len(),
            used: self.lines.used(),
            blocked: self.bans.load(Relaxed),
            bytes: self.lines.bytes() + self.tags.bytes() + self.banned.bytes(),
        }
    }
}

/// The outcome for an AoR without an entry.
fn passed(class: Option<ClassId>) -> AuthCheck {
    let outcome = if class.is_none() { AuthOutcome::Exempt } else { AuthOutcome::Clear };
    AuthCheck { outcome, failures: 0, until: 0, evicted: false }
}
