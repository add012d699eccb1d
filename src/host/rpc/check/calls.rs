//! What `roadwarrior_acquire` and `cc_limit` would say to a new call.

use super::words::{alike, tell_verdict};
use crate::address::Address;
use crate::clock;
use crate::host::contract::rpc::Node;
use crate::host::state::State;
use crate::ledger::{Direction, ScopeKind};
use crate::policy::{self, Numbers, Roadwarrior};
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
}

impl<'a> ForetoldCall<'a> {
    /// Of a company.
    pub fn new(state: &State, company: &CompanyView<'a>) -> Self {
        let wanted = policy::call_scopes(company, Direction::Any);
        let taken = state.ledger.foretell(&wanted, clock::monotonic());
        let verdict = policy::call_verdict(&taken, false, false);
        let numbers = Numbers::new(&wanted, &taken);
        let of = |kind: ScopeKind| numbers.scopes.get(kind.number()).copied().flatten();
        let (brand_calls, brand_limit) = of(ScopeKind::BRAND).unwrap_or_default();
        let (calls, limit) = of(ScopeKind::COMPANY).unwrap_or_default();
        let (brand, _) = company.brand();
        ForetoldCall { verdict, brand, brand_calls, brand_limit, calls, limit }
    }

    /// Its fields, and whether it is asked.
    pub fn tell(&self, node: &Node<'_>, asked: bool) {
        node.int(c"asked", i64::from(asked));
        tell_verdict(node, self.verdict);
        node.int(c"brand_calls", self.brand_calls);
        node.int(c"brand_limit", self.brand_limit);
        node.int(c"company_calls", self.calls);
        node.int(c"company_limit", self.limit);
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
        format!(
            "{counted}the company has {}, brand \"{}\" has {}",
            of(self.calls, self.limit),
            Printable::full(self.brand),
            of(self.brand_calls, self.brand_limit)
        )
    }
}
