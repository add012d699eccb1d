//! What `roadwarrior_acquire` and `cc_limit` would say to a new call.

use super::super::limits::tell_limits;
use super::words::{alike, tell_verdict};
use crate::address::Address;
use crate::clock;
use crate::host::contract::rpc::Node;
use crate::host::state::State;
use crate::ledger::{Bound, Direction, Exceeded, Scope, ScopeKind};
use crate::policy::{self, BadScopes, CallScopes, Numbers, Roadwarrior};
use crate::printable::Printable;
use crate::snapshot::{CompanyView, View};
use crate::verdict::Verdict;

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
    ) -> Self {
        let calls = state.ledger.live(ScopeKind::ROADWARRIOR, aor);
        let verdict = match policy::roadwarrior(view, aor, company, ip, true) {
            Roadwarrior::Decided(verdict) => verdict,
            Roadwarrior::Slot { limit } => {
                let wanted = policy::roadwarrior_scopes(aor, company, limit);
                let taken = state.ledger.foretell(&wanted, clock::monotonic());
                policy::roadwarrior_verdict(&taken, false)
            }
        };
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
            _ => format!("\"{aor}\" has {calls} of {limit} calls from elsewhere"),
        }
    }
}

/// The verdict on a call of a company, and its live calls and limits.
pub struct ForetoldCall<'a> {
    /// What the script would be told.
    pub verdict: Verdict,
    brand: &'a [u8],
    brand_calls: u32,
    brand_limit: u32,
    calls: u32,
    limit: u32,
    limited: Option<Limited<'a>>,
    /// Those that were named beside company and brand.
    named: Vec<Scope<'a>>,
    /// A kind that no limit is for.
    unknown: Option<&'a [u8]>,
}

/// The limit that refuses a call.
struct Limited<'a> {
    word: &'a [u8],
    id: &'a [u8],
    exceeded: Exceeded,
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
        (direction, scopes): (Direction, &'a [u8]),
    ) -> Result<Self, BadScopes<'a>> {
        let scopes = CallScopes::new(view, company, direction, scopes)?;
        let wanted = scopes.wanted();
        let taken = state.ledger.foretell(wanted, clock::monotonic());
        let verdict = policy::call_verdict(&taken, false, false);
        let numbers = Numbers::new(wanted, &taken);
        let of_scope = |exceeded: Exceeded| {
            let id = wanted.get(exceeded.at).map_or(&b""[..], |want| want.scope.id);
            Limited { word: view.word_of(exceeded.kind), id, exceeded }
        };
        let limited = taken.exceeded.map(of_scope);
        let unknown = scopes.unknown;
        let of = |kind: ScopeKind| numbers.scopes.get(kind.number()).copied().flatten();
        let (brand_calls, brand_limit) = of(ScopeKind::BRAND).unwrap_or_default();
        let (calls, limit) = of(ScopeKind::COMPANY).unwrap_or_default();
        let (brand, _) = company.brand();
        Ok(ForetoldCall {
            verdict,
            brand,
            brand_calls,
            brand_limit,
            calls,
            limit,
            limited,
            named: wanted.iter().skip(2).map(|want| want.scope).collect(),
            unknown,
        })
    }

    /// Its fields, and whether it is asked.
    pub fn tell(&self, node: &Node<'_>, asked: bool, state: &State, view: &View<'_>) {
        node.int(c"asked", i64::from(asked));
        tell_verdict(node, self.verdict);
        node.int(c"brand_calls", self.brand_calls);
        node.int(c"brand_limit", self.brand_limit);
        node.int(c"company_calls", self.calls);
        node.int(c"company_limit", self.limit);
        if let Some(limited) = &self.limited {
            node.text(c"limit_kind", Printable::full(limited.word));
            node.text(c"limit_id", Printable::full(limited.id));
            node.int(c"limit_calls", limited.exceeded.calls);
            node.int(c"limit", limited.exceeded.limit);
        }
        let list = node.array(c"scopes");
        for scope in &self.named {
            tell_limits(&list, state, view, scope.kind, scope.id);
        }
    }

    /// The rule; nothing is counted unless it is asked.
    pub fn words(&self, asked: bool) -> String {
        let of = |calls: u32, limit: u32| match limit {
            0 => format!("{calls} calls, without a limit"),
            _ => format!("{calls} of {limit} calls"),
        };
        let counted = match self.verdict {
            Verdict::CallCounted if asked => "a new call would be counted: ",
            _ => "",
        };
        let limited = self.limited.as_ref().map_or_else(String::new, |limited| {
            let (word, id) = (Printable::full(limited.word), Printable::full(limited.id));
            let (calls, limit) = (limited.exceeded.calls, limited.exceeded.limit);
            let what = if limited.exceeded.bound == Bound::Rate { "new calls" } else { "calls" };
            format!("{word} \"{id}\" has {calls} of {limit} {what}: ")
        });
        let unknown = self.unknown.map_or_else(String::new, |word| {
            format!("; limit_table has no row of kind \"{}\"", Printable::full(word))
        });
        format!(
            "{counted}{limited}the company has {}, brand \"{}\" has {}{unknown}",
            of(self.calls, self.limit),
            Printable::full(self.brand),
            of(self.brand_calls, self.brand_limit)
        )
    }
}
