//! What `roadwarrior_acquire` and `cc_limit` would say to a new call.

use super::super::limits::{in_force, no_kind, tell_limits};
use super::super::totals::{Totals, keys_of_call};
use super::words::{alike, tell_verdict};
use crate::address::Address;
use crate::clock;
use crate::cluster::Key;
use crate::host::contract::rpc::Node;
use crate::host::state::State;
use crate::host::state::sources::judge_source;
use crate::ledger::{Bound, Direction, Exceeded, Limit, Outcome, Scope, ScopeKind, Wanted};
use crate::policy::{self, BadScopes, CallFlags, CallScopes, Numbers, Roadwarrior};
use crate::printable::Printable;
use crate::snapshot::{CompanyView, View};
use crate::verdict::Verdict;

/// Scopes of a call that the script does not name: its brand, then its company.
const OWN: usize = 2;

/// The verdict on a user's call, and what the user may and does.
pub struct ForetoldUser<'a> {
    /// What the script would be told.
    pub verdict: Verdict,
    view: &'a View<'a>,
    aor: &'a [u8],
    company: &'a [u8],
    calls: u32,
    limit: u32,
}

impl<'a> ForetoldUser<'a> {
    /// Of an AoR of a company at an address.
    pub fn new(
        state: &State,
        view: &'a View<'a>,
        aor: &'a [u8],
        company: &'a [u8],
        ip: Address,
        emergency: bool,
        totals: &Totals,
    ) -> Self {
        let mut calls = state.ledger.live(ScopeKind::ROADWARRIOR, aor);
        let source = judge_source(view.company(company).as_ref(), company, ip, false).verdict;
        let verdict = match policy::roadwarrior(view, aor, company, source, true) {
            Roadwarrior::Decided(verdict) => verdict,
            Roadwarrior::Slot { limit } => {
                let wanted = policy::roadwarrior_scopes(aor, company, limit);
                let mut taken = state.ledger.foretell(&wanted, false, clock::monotonic());
                totals.judge(state, &wanted, false, &mut taken);
                // Those on other nodes, if they refuse it.
                calls = calls.max(taken.exceeded.map_or(0, |exceeded| exceeded.calls));
                policy::roadwarrior_verdict(&taken, false)
            }
        };
        let passes = emergency && verdict.code() < 0;
        let verdict = if passes { Verdict::RoadwarriorEmergency } else { verdict };
        let limit = view.user(aor).map_or(0, |user| user.external_calls);
        ForetoldUser { verdict, view, aor, company, calls, limit }
    }

    /// Its fields, and whether it is asked.
    pub fn tell(&self, node: &Node<'_>, asked: bool) {
        node.text(c"aor", Printable::full(self.aor));
        node.int(c"asked", i64::from(asked));
        tell_verdict(node, self.verdict);
        node.int(c"user_calls", self.calls);
        node.int(c"user_limit", self.limit);
    }

    /// The rule; nothing is counted unless it is asked.
    pub fn words(&self, asked: bool) -> String {
        let aor = Printable::full(self.aor);
        let Some(user) = self.view.user(self.aor) else {
            let lower = self.aor.trim_ascii().to_ascii_lowercase();
            let listed = self.view.user(&lower).map(|_| lower.as_slice());
            return format!("\"{aor}\" is not listed{}", alike(self.aor, listed.into_iter()));
        };
        if user.company.id() != self.company {
            let other = Printable::full(user.company.id());
            return format!("\"{aor}\" is listed for company \"{other}\"");
        }
        let (calls, limit) = (self.calls, self.limit);
        match self.verdict {
            Verdict::RoadwarriorCounted if asked => format!(
                "it would be counted: \"{aor}\" has {calls} of {limit} calls from elsewhere"
            ),
            Verdict::RoadwarriorEmergency => {
                format!(
                    "an emergency passes: \"{aor}\" has {calls} of {limit} calls from elsewhere"
                )
            }
            _ => format!("\"{aor}\" has {calls} of {limit} calls from elsewhere"),
        }
    }
}

/// What a new call asks for, besides its company.
pub struct AskedCall<'a> {
    /// Its flags.
    pub flags: CallFlags,
    /// Its scopes, as the script names them.
    pub scopes: &'a [u8],
}

/// The keys of all scopes that a call of a user of a company would count in.
pub fn keys(
    state: &State,
    view: &View<'_>,
    company: &[u8],
    aor: Option<&[u8]>,
    asked: &AskedCall<'_>,
) -> Vec<Key> {
    let AskedCall { flags, scopes } = *asked;
    let mut keys = Vec::new();
    if let Some((aor, user)) = aor.and_then(|aor| Some((aor, view.user(aor)?))) {
        let wanted = policy::roadwarrior_scopes(aor, company, user.external_calls);
        keys.extend(keys_of_call(state, &wanted, false));
    }
    if let Some(company) = view.company(company) {
        let mut all = CallScopes::new(view, &company, flags.direction());
        // What is wrong with them is told later.
        if all.add_named(view, flags.direction(), scopes).is_ok() {
            keys.extend(keys_of_call(state, all.wanted(), flags.emergency));
        }
    }
    keys
}

/// The verdict on a call of a company, and its live calls and limits.
pub struct ForetoldCall<'a> {
    /// What the script would be told.
    pub verdict: Verdict,
    brand_calls: u32,
    brand_limit: u32,
    calls: u32,
    limit: u32,
    /// Calls of all nodes, where limits are shared.
    totals: &'a Totals,
    everywhere: Option<u32>,
    brand_everywhere: Option<u32>,
    limited: Option<Limited<'a>>,
    /// Those that were named, then brand and company.
    scopes: Vec<Scope<'a>>,
    /// What is counted for whom, and what else there is to say.
    usage: String,
}

/// The limit that refuses a call.
struct Limited<'a> {
    word: &'a [u8],
    id: &'a [u8],
    exceeded: Exceeded,
    limit: Limit,
}

impl<'a> ForetoldCall<'a> {
    /// Of a company.
    ///
    /// # Errors
    /// What is wrong with the scopes.
    pub fn new(
        state: &State,
        view: &View<'a>,
        company: &CompanyView<'a>,
        asked: &AskedCall<'a>,
        totals: &'a Totals,
    ) -> Result<Self, BadScopes<'a>> {
        let AskedCall { flags, scopes } = *asked;
        let mut all = CallScopes::new(view, company, flags.direction());
        all.add_named(view, flags.direction(), scopes)?;
        let (wanted, now) = (all.wanted(), clock::monotonic());
        let mut taken = state.ledger.foretell(wanted, flags.emergency, now);
        totals.judge(state, wanted, flags.emergency, &mut taken);
        let verdict = policy::call_verdict(&taken, flags.emergency, false);
        let numbers = Numbers::new(wanted, &taken);
        let limited = taken.exceeded.filter(|_| taken.outcome == Outcome::Refused);
        let limited = limited.and_then(|exceeded| {
            let want = wanted.get(exceeded.at)?;
            let limit = want.limits().find(|(direction, _)| *direction == exceeded.direction);
            let (word, id) = (view.word_of(exceeded.kind), want.scope.id);
            Some(Limited { word, id, exceeded, limit: *limit?.1 })
        });
        let of = |kind: ScopeKind| numbers.scopes.get(kind.number()).copied().flatten();
        let (brand_calls, brand_limit) = of(ScopeKind::BRAND).unwrap_or_default();
        let (calls, limit) = of(ScopeKind::COMPANY).unwrap_or_default();
        let (brand, _) = company.brand();
        let of_all =
            |kind, id, limit, here| totals.of(state, (kind, id, Direction::Any), limit, here);
        let brand_everywhere = of_all(ScopeKind::BRAND, brand, brand_limit, brand_calls);
        let everywhere = of_all(ScopeKind::COMPANY, company.id(), limit, calls);
        let scopes = wanted.iter().map(|want| want.scope);
        Ok(ForetoldCall {
            verdict,
            brand_calls,
            brand_limit,
            calls,
            limit,
            totals,
            everywhere,
            brand_everywhere,
            limited,
            scopes: scopes.clone().skip(OWN).chain(scopes.take(OWN)).collect(),
            usage: usage(state, view, &all, totals),
        })
    }

    /// Its fields, and whether it is asked.
    pub fn tell(&self, node: &Node<'_>, asked: bool, state: &State, view: &View<'_>) {
        node.int(c"asked", i64::from(asked));
        tell_verdict(node, self.verdict);
        node.int(c"brand_calls", self.brand_calls);
        if let Some(all) = self.brand_everywhere {
            node.int(c"brand_calls_everywhere", all);
        }
        node.int(c"brand_limit", self.brand_limit);
        node.int(c"company_calls", self.calls);
        if let Some(all) = self.everywhere {
            node.int(c"company_calls_everywhere", all);
        }
        node.int(c"company_limit", self.limit);
        if let Some(limited) = &self.limited {
            node.text(c"limit_kind", Printable::full(limited.word));
            node.text(c"limit_id", Printable::full(limited.id));
            node.text(c"limit_direction", Printable::full(limited.exceeded.direction.name()));
            node.int(c"limit_calls", limited.exceeded.calls);
            node.int(c"limit", limited.exceeded.limit);
        }
        let list = node.array(c"scopes");
        for &Scope { kind, id } in &self.scopes {
            let scope = ((kind, id), in_force(view, kind, id));
            tell_limits(&list, state, view, scope, self.totals);
        }
    }

    /// The rule; nothing is counted unless it is asked.
    pub fn words(&self, asked: bool) -> String {
        let counted = match self.verdict {
            Verdict::CallCounted if asked => "a new call would be counted: ",
            Verdict::CallEmergency => {
                "an emergency passes above every limit without reserved slots: "
            }
            _ => "",
        };
        let limited = self.limited.as_ref().map_or_else(String::new, Limited::words);
        format!("{counted}{limited}{}", self.usage)
    }
}

impl Limited<'_> {
    fn words(&self) -> String {
        let (word, id) = (Printable::full(self.word), Printable::full(self.id));
        let Exceeded { direction, bound, calls, limit, .. } = self.exceeded;
        let of =
            format!("{word} \"{id}\" has {calls} of {limit} {}", kind_of_calls(direction, bound));
        match bound {
            Bound::Rate => format!("{of} within {} s: ", self.limit.rate.window()),
            Bound::Unreserved => {
                format!("{of}, {} more are reserved for emergencies: ", self.limit.reserved)
            }
            Bound::Ringing => format!("{of}: "),
            Bound::Calls if self.limit.reserved > 0 => {
                format!("{of}, with those reserved for emergencies: ")
            }
            Bound::Calls => format!("{of}: "),
        }
    }
}

fn kind_of_calls(direction: Direction, bound: Bound) -> &'static str {
    match (direction, bound) {
        (Direction::Any, Bound::Rate) => "new calls",
        (Direction::Any, Bound::Ringing) => "ringing calls",
        (Direction::Any, _) => "calls",
        (Direction::In, Bound::Rate) => "new inbound calls",
        (Direction::In, Bound::Ringing) => "ringing inbound calls",
        (Direction::In, _) => "inbound calls",
        (Direction::Out, Bound::Rate) => "new outbound calls",
        (Direction::Out, Bound::Ringing) => "ringing outbound calls",
        (Direction::Out, _) => "outbound calls",
    }
}

/// The calls of all scopes against the limits that are asked, and what else there is to say.
fn usage(state: &State, view: &View<'_>, all: &CallScopes<'_>, totals: &Totals) -> String {
    let (now, wanted) = (clock::monotonic(), all.wanted());
    let has = |want: &Wanted<'_>| parts(state, want, now, totals).join(", ");
    let own = wanted.iter().take(OWN).rev().map(|want| match want.scope {
        Scope { kind: ScopeKind::COMPANY, .. } => format!("the company has {}", has(want)),
        _ => format!("{} has {}", name(view, want), has(want)),
    });
    let named = wanted.iter().skip(OWN);
    let named = named.map(|want| format!("; {} has {}", name(view, want), has(want)));
    let mut usage = own.collect::<Vec<_>>().join(", ");
    usage.extend(named.chain(wanted.iter().filter_map(|want| not_asked(view, want))));
    if let Some(word) = all.unknown {
        usage += &format!("; {}", no_kind(state, word));
    }
    usage
}

/// Kind and id of a scope.
fn name(view: &View<'_>, want: &Wanted<'_>) -> String {
    let Scope { kind, id } = want.scope;
    format!("{} \"{}\"", Printable::full(view.word_of(kind)), Printable::full(id))
}

/// The calls of a scope against each of its limits that are asked.
fn parts(state: &State, want: &Wanted<'_>, now: u64, totals: &Totals) -> Vec<String> {
    let Scope { kind, id } = want.scope;
    let calls = state.ledger.calls(kind, id);
    let mut parts = Vec::new();
    for (direction, limit) in want.limits() {
        let here = calls.of(direction);
        let mut what = kind_of_calls(direction, Bound::Calls).to_owned();
        if limit.longest > 0 {
            what += &format!(" of at most {} s", limit.longest);
        }
        match totals.of(state, (kind, id, direction), limit.calls, here) {
            Some(all) => parts.push(format!("{all} of {} {what}, here {here}", limit.calls)),
            None if limit.calls > 0 => parts.push(format!("{here} of {} {what}", limit.calls)),
            None if limit.longest > 0 => parts.push(format!("{here} {what}")),
            None => {}
        }
        if limit.ringing > 0 {
            let what = kind_of_calls(direction, Bound::Ringing);
            let here = state.ledger.ringing(kind, id, direction);
            parts.push(format!("{here} of {} {what}", limit.ringing));
        }
        if limit.rate.calls() > 0 {
            let what = kind_of_calls(direction, Bound::Rate);
            let new = state.ledger.new_calls(kind, id, direction, &limit.rate, now);
            let (most, window) = (limit.rate.calls(), limit.rate.window());
            parts.push(format!("{new} of {most} {what} within {window} s"));
        }
    }
    if parts.is_empty() {
        parts.push(format!("{} calls, without a limit", calls.any));
    }
    parts
}

/// Says that a call without a direction is not judged by the limits of one.
fn not_asked(view: &View<'_>, want: &Wanted<'_>) -> Option<String> {
    let Scope { kind, id } = want.scope;
    let [_, inbound, outbound] = view.limits(kind, id);
    let skips = want.direction == Direction::Any && (inbound.is_on() || outbound.is_on());
    skips.then(|| {
        let name = name(view, want);
        format!("; the limits of {name} for one direction are not asked without flag i or o")
    })
}
