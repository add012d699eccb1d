//! One AoR from one source in 252 bytes: it counts failures, or it is banned.

use bytemuck::{Pod, Zeroable};

use super::login::{LONGEST_AOR, Login};
use super::settings::{ClassRule, ClassValues};
use crate::address::Prefix;
use crate::limiter::{ClassId, Reason, TableEntry, Tally, Term, UNITS_PER_SECOND, units};
use crate::shm::atomic::keep_order;

/// Wrong credentials that an entry remembers.
const REMEMBERED: usize = 6;

/// In place of a length: the AoR is longer than what is kept of it.
const CUT: u8 = u8::MAX;

const _: () = assert!(LONGEST_AOR < CUT as usize && size_of::<LoginEntry>() == 252);

/// Wrong credentials that were counted.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
struct CountedCredentials {
    fingerprint: [u32; 2],
    /// When, in units; 0: none.
    at: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct LoginEntry {
    pub aor_hash: [u32; 4],
    /// The ban.
    term: Term,
    /// Counts failures. Its own byte is the length of the AoR.
    pub tally: Tally,
    counted: [CountedCredentials; REMEMBERED],
    aor: [u8; LONGEST_AOR],
}

impl Default for LoginEntry {
    fn default() -> Self {
        LoginEntry::zeroed()
    }
}

/// An AoR as an entry keeps it: its first bytes, and a hash of all of them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Aor {
    bytes: [u8; LONGEST_AOR],
    len: u8,
    /// Keyed.
    pub hash: [u32; 4],
}

impl Aor {
    /// The first [`LONGEST_AOR`] bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or(&self.bytes)
    }

    /// Whether the AoR is longer than [`Aor::bytes`].
    pub fn is_cut(&self) -> bool {
        self.len == CUT
    }

    /// `shown` are the first bytes; `cut` says that there are more.
    pub fn new(shown: &[u8], cut: bool, hash: [u32; 4]) -> Self {
        let mut bytes = [0; LONGEST_AOR];
        bytes.iter_mut().zip(shown).for_each(|(to, from)| *to = *from);
        let cut = cut || shown.len() > LONGEST_AOR;
        Aor { bytes, len: if cut { CUT } else { shown.len() as u8 }, hash }
    }
}

impl std::fmt::Debug for Aor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.bytes().escape_ascii().to_string())
    }
}

/// A ban. Times are ms of the table's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ban {
    pub aor: Aor,
    pub source: Prefix,
    /// Class by which it was judged; None: exempt.
    pub class: Option<ClassId>,
    pub since: u64,
    pub until: u64,
    /// Requests refused so far, the one that started it too.
    pub seen: u32,
    pub reason: Reason,
}

/// What a failure is to an entry that is not banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureJudgement {
    /// These credentials were counted lately.
    Repeat,
    /// Counted: so many are in the window.
    Counted(u32),
    /// A ban starts.
    Starts,
}

impl TableEntry for LoginEntry {
    type Key<'a> = Login<'a>;
    type Values = ClassValues;
    type Ended = ();

    fn hash(login: &Login<'_>) -> u64 {
        login.hash
    }

    fn has_key(&self, login: &Login<'_>) -> bool {
        self.aor_hash == login.aor_hash && self.tally.key() == login.source
    }

    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn ended(&self) {}
}

impl LoginEntry {
    pub fn new(login: &Login<'_>, class: Option<ClassId>) -> Self {
        let Aor { bytes, len, hash } = Aor::new(login.aor, false, login.aor_hash);
        let mut tally = Tally::new(login.source, class);
        tally.own = len;
        LoginEntry { aor_hash: hash, tally, aor: bytes, ..LoginEntry::default() }
    }

    /// The entry of a ban that is about to be set.
    pub fn of_ban(ban: &Ban, login: &Login<'_>) -> Self {
        let mut entry = LoginEntry::new(login, ban.class);
        entry.tally.own = ban.aor.len;
        entry
    }

    /// With another class nothing of the old one stays.
    pub fn set_class(&mut self, class: Option<ClassId>) {
        if self.tally.class() != class {
            self.tally.clear();
            self.tally.set_class(class);
        }
    }

    pub fn is_banned_at(&mut self, now: u64) -> bool {
        self.tally.has_term() && self.term.runs(now)
    }

    /// Counts a failure of an AoR that is not banned. The same credentials count once in
    /// `same` seconds.
    pub fn fail(
        &mut self,
        fingerprint: Option<[u32; 2]>,
        same: u32,
        rule: &ClassRule,
        now: u64,
    ) -> FailureJudgement {
        if fingerprint.is_some_and(|fingerprint| self.is_repeat(fingerprint, same, now)) {
            return FailureJudgement::Repeat;
        }
        let failures = self.tally.count(&rule.counting, now).saturating_add(1);
        if failures >= rule.limit {
            let until = now.saturating_add(u64::from(rule.block) * 1000);
            self.ban(Reason::Failures, Term::new(now, until, 1));
            return FailureJudgement::Starts;
        }
        self.tally.add_one();
        FailureJudgement::Counted(failures)
    }

    /// Whether these credentials were counted within `same` seconds; if not, notes that they
    /// are now. The oldest ones are forgotten for them, and would count again.
    fn is_repeat(&mut self, fingerprint: [u32; 2], same: u32, now: u64) -> bool {
        let (now, period) = (units(now).max(1), same.saturating_mul(UNITS_PER_SECOND));
        let known = self
            .counted
            .iter_mut()
            .find(|counted| counted.at > 0 && counted.fingerprint == fingerprint);
        if let Some(counted) = known {
            let is_fresh = now.checked_sub(counted.at).is_some_and(|age| age <= period) && same > 0;
            if !is_fresh {
                counted.at = now;
            }
            return is_fresh;
        }
        // Times that are to come are from before the clock was set back.
        let oldest = self
            .counted
            .iter_mut()
            .min_by_key(|counted| if counted.at > now { 0 } else { counted.at });
        if let Some(oldest) = oldest {
            *oldest = CountedCredentials { fingerprint, at: now };
        }
        false
    }

    /// Whoever dies in the midst leaves a ban that is over, or none.
    pub fn ban(&mut self, reason: Reason, term: Term) {
        self.term = Term::NONE;
        keep_order();
        self.tally.begin_term(reason == Reason::Manual);
        keep_order();
        self.term = term;
    }

    /// Counts a refused request.
    pub fn refuse(&mut self) {
        self.term.count();
    }

    /// None if it is not banned.
    pub fn as_ban(&self) -> Option<Ban> {
        if !self.tally.has_term() {
            return None;
        }
        Some(Ban {
            aor: Aor { bytes: self.aor, len: self.tally.own, hash: self.aor_hash },
            source: self.tally.source()?,
            class: self.tally.class(),
            since: self.term.since(),
            until: self.term.until(),
            seen: self.term.seen(),
            reason: if self.tally.is_manual() { Reason::Manual } else { Reason::Failures },
        })
    }

    /// End of the ban, in ms.
    pub fn until(&self) -> u64 {
        self.term.until()
    }

    /// The ban is over: the count begins as if `rule.restart` failures had come when it
    /// ended.
    pub fn restart(&mut self, rule: &ClassRule) {
        self.tally.restart(&rule.counting, self.term.until(), rule.restart);
    }
}
