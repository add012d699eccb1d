//! `sipwarden.check` and `sipwarden.company`.

use std::fmt::Display;

use super::blocks;
use super::reply::{Call, Fault, Node};
use crate::address::Address;
use crate::host::process::with_snapshot;
use crate::host::state::State;
use crate::ledger::ScopeKind;
use crate::policy::{self, Roadwarrior};
use crate::printable::Printable;
use crate::snapshot::{CompanyView, View};
use crate::verdict::Verdict;

/// Ranges on one page: ctl replies are bounded to 8 KB per structure.
const PAGE: usize = 50;

fn no_snapshot() -> Fault {
    Fault::internal("no snapshot is loaded")
}

fn filter(company: &CompanyView<'_>) -> &'static str {
    match (company.ip_filter(), company.monitor()) {
        (false, _) => "off",
        (true, false) => "on",
        (true, true) => "monitor",
    }
}

/// The verdicts and the rules behind them: company ip [aor].
pub fn check(call: &Call, state: &State) -> Result<(), Fault> {
    let company = call.required("company")?;
    let ip = call.required("ip")?;
    let source = Address::parse(&ip).ok_or_else(|| {
        Fault::argument(format!("ip \"{}\" is no IP address", Printable::short(&ip)))
    })?;
    let aor = call.argument();
    with_snapshot(|view, pinned| {
        let decision = policy::check_company_ip(view, &company, source);
        let reply = call.reply();
        reply.int(c"generation", pinned.generation());
        reply.text(c"company", Printable::full(&company));
        reply.text(c"ip", source);
        reply.int(c"code", decision.verdict.code());
        reply.text(c"reason", decision.verdict.reason());
        reply.text(c"meaning", decision.verdict.entry().meaning);
        let range: Option<&dyn Display> = decision.range.as_ref().map(|r| r as &dyn Display);
        reply.text(c"range", range.unwrap_or(&"none"));
        if let Some(aor) = &aor {
            explain_roadwarrior(&reply, state, view, aor, &company, source);
        }
        if let Some(company) = view.company(&company) {
            explain_limits(&reply, state, &company);
        }
        blocks::explain(&reply.structure(c"flood"), state, source);
    })
    .ok_or_else(no_snapshot)
}

/// What `roadwarrior_acquire` would say to an initial INVITE now.
fn explain_roadwarrior(
    reply: &Node<'_>,
    state: &State,
    view: &View<'_>,
    aor: &[u8],
    company: &[u8],
    source: Address,
) {
    let used = state.ledger.live(ScopeKind::User, aor);
    let verdict = match policy::roadwarrior(view, aor, company, source, true) {
        Roadwarrior::Decided(verdict) => verdict,
        Roadwarrior::Slot { limit } if used >= limit => Verdict::RoadwarriorLimit,
        Roadwarrior::Slot { .. } => Verdict::RoadwarriorCounted,
    };
    let node = reply.structure(c"roadwarrior");
    node.text(c"aor", Printable::full(aor));
    node.int(c"code", verdict.code());
    node.text(c"reason", verdict.reason());
    node.int(c"user_calls", used);
    node.int(c"user_limit", view.user(aor).map_or(0, |user| user.external_calls));
}

/// What `cc_limit` would say to a new call now.
fn explain_limits(reply: &Node<'_>, state: &State, company: &CompanyView<'_>) {
    let (brand, brand_limit) = company.brand();
    let limit = company.max_calls();
    let brand_calls = state.ledger.live(ScopeKind::Brand, brand);
    let calls = state.ledger.live(ScopeKind::Company, company.id());
    let full = |calls: u32, limit: u32| limit > 0 && calls >= limit;
    let verdict = match (full(brand_calls, brand_limit), full(calls, limit)) {
        (true, _) => Verdict::BrandLimit,
        (_, true) => Verdict::CompanyLimit,
        _ => Verdict::CallCounted,
    };
    let node = reply.structure(c"cc_limit");
    node.int(c"code", verdict.code());
    node.text(c"reason", verdict.reason());
    node.int(c"brand_calls", brand_calls);
    node.int(c"brand_limit", brand_limit);
    node.int(c"company_calls", calls);
    node.int(c"company_limit", limit);
}

/// Settings and one page of the ranges of a company: id, page (from 1).
pub fn company(call: &Call, state: &State) -> Result<(), Fault> {
    let id = call.required("company")?;
    let page = page(call)?;
    with_snapshot(|view, pinned| {
        let company = view.company(&id).ok_or_else(|| {
            Fault::unknown(format!("company \"{}\" is not known", Printable::short(&id)))
        })?;
        let pages = company.range_count().div_ceil(PAGE).max(1);
        if page > pages {
            return Err(Fault::argument(format!("page {page}: the last one is {pages}")));
        }
        let (brand, brand_limit) = company.brand();
        let reply = call.reply();
        reply.int(c"generation", pinned.generation());
        reply.text(c"company", Printable::full(company.id()));
        reply.text(c"brand", Printable::full(brand));
        reply.text(c"ip_filter", filter(&company));
        reply.int(c"calls", state.ledger.live(ScopeKind::Company, company.id()));
        reply.int(c"max_calls", company.max_calls());
        reply.int(c"brand_calls", state.ledger.live(ScopeKind::Brand, brand));
        reply.int(c"brand_max_calls", brand_limit);
        reply.text(c"countries", countries(company.countries()));
        reply.int(c"range_count", company.range_count() as u64);
        reply.int(c"page", page as u64);
        reply.int(c"pages", pages as u64);
        let ranges = reply.array(c"ranges");
        for range in company.ranges().skip((page - 1) * PAGE).take(PAGE) {
            ranges.item(range);
        }
        Ok(())
    })
    .ok_or_else(no_snapshot)?
}

/// The page asked for, from 1; the first one without an argument.
pub fn page(call: &Call) -> Result<usize, Fault> {
    let Some(text) = call.argument() else { return Ok(1) };
    std::str::from_utf8(&text)
        .ok()
        .and_then(|t| t.parse().ok())
        .filter(|page| (1..=1_000_000).contains(page))
        .ok_or_else(|| {
            Fault::argument(format!("page \"{}\" is no number from 1", Printable::short(&text)))
        })
}

fn countries(codes: &[[u8; 2]]) -> String {
    let codes: Vec<_> = codes.iter().map(|code| String::from_utf8_lossy(code)).collect();
    codes.join(" ")
}
