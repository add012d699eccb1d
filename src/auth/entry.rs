//! One AoR from one source in 252 bytes: it counts failures, or it is banned.

use bytemuck::{Pod, Zeroable};

use super::login::{LONGEST_AOR, Login};
use super::settings::{ClassRule, Rules};
use crate::address::Prefix;
use crate::limiter::{ClassId, Key, Occupant, State, Term, UNITS_PER_SECOND, Window, Worth, units};

/// Credentials that an entry remembers.
const MARKS: usize = 6;

/// In place of a length: the AoR is longer than what is kept of it.
const CUT: u8 = u8::MAX;

const _: () = assert!(LONGEST_AOR < CUT as usize);
const _: () = assert!(Key::KINDS <= u8::MAX as usize && size_of::<Entry>() == 252);

/// Wrong credentials that were counted.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
struct Mark {
    fingerprint: [u32; 2],
    /// When they were, in units; 0 for no mark.
    at: u32,
}

/// An entry; all zero is free. The caller holds its lock.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub(super) struct Entry {
    source: [u32; 4],
    kind: u8,
    state: State,
    /// Marks the window that was counted in last.
    window_id: u8,
    aor_len: u8,
    aor_hash: [u32; 4],
    /// The ban.
    term: Term,
    failures: Window,
    marks: [Mark; MARKS],
    aor: [u8; LONGEST_AOR],
}

impl Default for Entry {
    /// A free one.
    fn default() -> Self {
        Entry::FREE
    }
}

/// Why somebody is banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Too many failures.
    Failures,
    /// An operator said so.
    Manual,
}

impl Reason {
    /// As listings print it.
    pub const fn name(self) -> &'static str {
        match self {
            Reason::Failures => "failures",
            Reason::Manual => "manual",
        }
    }

    /// The reverse of [`Reason::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Reason::Failures, Reason::Manual].into_iter().find(|reason| reason.name() == name)
    }
}

/// An AoR as an entry keeps it: its first bytes, and what tells it from others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Aor {
    bytes: [u8; LONGEST_AOR],
    len: u8,
    /// Keyed hash of all of its bytes.
    pub hash: [u32; 4],
}

impl Aor {
    /// The first [`LONGEST_AOR`] bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or(&self.bytes)
    }

    /// Whether there are more.
    pub fn is_cut(&self) -> bool {
        self.len == CUT
    }

    /// That of somebody who is known by the hash of an AoR.
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
    /// Who.
    pub aor: Aor,
    /// From where.
    pub source: Prefix,
    /// Class by which it was judged; None: exempt.
    pub class: Option<ClassId>,
    /// Start.
    pub since: u64,
    /// End.
    pub until: u64,
    /// Requests refused so far, the one that started it too.
    pub seen: u32,
    /// Why.
    pub reason: Reason,
}

impl Ban {
    /// Whether it holds for a source of this class: an exempt one is banned by an
    /// operator only.
    pub fn applies_to(&self, class: Option<ClassId>) -> bool {
        class.is_some() || self.reason == Reason::Manual
    }
}

/// What a failure is to an entry that is not banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judgement {
    /// These credentials were counted lately.
    Same,
    /// Counted, so many are in the window.
    Counted(u32),
    /// The one that starts a ban.
    Starts,
}

impl Occupant for Entry {
    type Key<'a> = Login<'a>;
    type Rules = Rules;
    type Over = ();

    fn place(login: &Login<'_>) -> u64 {
        login.place
    }

    fn is(&self, login: &Login<'_>) -> bool {
        self.aor_hash == login.aor_hash && (self.source, self.kind) == login.source.parts()
    }

    fn is_free(&self) -> bool {
        self.kind == 0
    }

    /// A ban is kept.
    fn worth(&self, rules: &Rules, now: u64) -> Option<Worth> {
        let counting = &rules.class(self.class()).counting;
        (!self.is_banned()).then(|| counting.worth(&self.failures, self.window_id, now))
    }

    fn over(&self) {}
}

impl Entry {
    pub const FREE: Self = Entry {
        source: [0; 4],
        kind: 0,
        state: State::NONE,
        window_id: 0,
        aor_len: 0,
        aor_hash: [0; 4],
        term: Term::NONE,
        failures: Window::NONE,
        marks: [Mark { fingerprint: [0; 2], at: 0 }; MARKS],
        aor: [0; LONGEST_AOR],
    };

    pub fn new(login: &Login<'_>, class: Option<ClassId>) -> Self {
        let (source, kind) = login.source.parts();
        let Aor { bytes, len, hash } = Aor::new(login.aor, false, login.aor_hash);
        let state = State::new(class);
        Entry { source, kind, state, aor_len: len, aor_hash: hash, aor: bytes, ..Entry::FREE }
    }

    /// The entry of a ban that is about to be set.
    pub fn of_ban(ban: &Ban, login: &Login<'_>) -> Self {
        Entry { aor_len: ban.aor.len, ..Entry::new(login, ban.class) }
    }

    pub fn source(&self) -> Option<Prefix> {
        Key::from_parts(self.source, self.kind).prefix()
    }

    pub fn aor_hash(&self) -> [u32; 4] {
        self.aor_hash
    }

    /// The class; None: exempt.
    pub fn class(&self) -> Option<ClassId> {
        self.state.class()
    }

    /// With another class nothing of the old one stays but a ban.
    pub fn set_class(&mut self, class: Option<ClassId>) {
        if self.class() != class {
            self.failures.clear();
            self.state.set_class(class);
        }
    }

    pub fn is_banned(&self) -> bool {
        self.state.has_term()
    }

    pub fn is_manual(&self) -> bool {
        self.state.is_manual()
    }

    /// Whether it is banned at `now`.
    pub fn holds(&mut self, now: u64) -> bool {
        self.is_banned() && self.term.holds(now)
    }

    /// Counts a failure of somebody who is not banned.
    pub fn fail(
        &mut self,
        fingerprint: Option<[u32; 2]>,
        rules: &Rules,
        rule: &ClassRule,
        now: u64,
    ) -> Judgement {
        if fingerprint
            .is_some_and(|fingerprint| self.is_repeat(fingerprint, rules.common.same, now))
        {
            return Judgement::Same;
        }
        let failures = self.count(rule, now).saturating_add(1);
        if failures >= rule.limit {
            let until = now.saturating_add(u64::from(rule.block) * 1000);
            self.ban(Reason::Failures, Term::new(now, until, 1));
            return Judgement::Starts;
        }
        self.failures.add_one();
        Judgement::Counted(failures)
    }

    /// Whether these credentials were counted within `same` seconds; else they are
    /// from now on. What is forgotten for them counts again, never less.
    fn is_repeat(&mut self, fingerprint: [u32; 2], same: u32, now: u64) -> bool {
        let (now, period) = (units(now).max(1), same.saturating_mul(UNITS_PER_SECOND));
        let known =
            self.marks.iter_mut().find(|mark| mark.at > 0 && mark.fingerprint == fingerprint);
        if let Some(mark) = known {
            let is_fresh = now.checked_sub(mark.at).is_some_and(|age| age <= period) && same > 0;
            if !is_fresh {
                mark.at = now;
            }
            return is_fresh;
        }
        // Marks of a time that is to come are of a clock that was set back.
        let oldest =
            self.marks.iter_mut().min_by_key(|mark| if mark.at > now { 0 } else { mark.at });
        if let Some(mark) = oldest {
            *mark = Mark { fingerprint, at: now };
        }
        false
    }

    /// Failures in the window that ends now; moves the window on.
    pub fn count(&mut self, rule: &ClassRule, now: u64) -> u32 {
        if self.is_banned() {
            return 0;
        }
        rule.counting.count(&mut self.failures, &mut self.window_id, now)
    }

    /// Bans it for a term.
    pub fn ban(&mut self, reason: Reason, term: Term) {
        self.state.begin(reason == Reason::Manual);
        self.term = term;
        self.failures.clear();
    }

    /// Counts a refused request of a banned one.
    pub fn refuse(&mut self) {
        self.term.count();
    }

    /// The ban, if it is banned.
    pub fn as_ban(&self) -> Option<Ban> {
        if !self.is_banned() {
            return None;
        }
        Some(Ban {
            aor: Aor { bytes: self.aor, len: self.aor_len, hash: self.aor_hash },
            source: self.source()?,
            class: self.class(),
            since: self.term.since(),
            until: self.term.until(),
            seen: self.term.seen(),
            reason: if self.is_manual() { Reason::Manual } else { Reason::Failures },
        })
    }

    /// End of the ban, in ms.
    pub fn until(&self) -> u64 {
        self.term.until()
    }

    /// The ban is over: the count begins at [`ClassRule::restart`], as if so many
    /// failures had come when it ended.
    pub fn restart(&mut self, rule: &ClassRule) {
        self.state.end();
        let ended = self.until();
        rule.counting.restart(&mut self.failures, &mut self.window_id, ended, rule.restart);
    }

    /// The ban was no good: the count begins anew.
    pub fn acquit(&mut self) {
        self.state.end();
        self.failures.clear();
    }
}
