//! `sipwarden.check`: the whole decision on a request that nobody has sent.

use super::blocks::address;
use super::company::{filter, no_snapshot};
use super::reply::{Call, Fault, Node};
use super::{bans, blocks};
use crate::address::{Address, Prefix};
use crate::countries::CountryCode;
use crate::host::clock;
use crate::host::functions::monitors;
use crate::host::process::with_snapshot;
use crate::host::state::State;
use crate::ledger::ScopeKind;
use crate::policy::{self, Roadwarrior};
use crate::printable::Printable;
use crate::snapshot::{CompanyView, View};
use crate::verdict::Verdict;

/// The verdicts and the rules behind them, as fields and in words: company ip [aor].
/// Nothing is counted.
pub fn check(call: &Call, state: &State) -> Result<(), Fault> {
    let company = call.required("company")?;
    let source = address(call, "ip")?;
    let aor = call.argument("aor")?;
    call.no_more()?;
    with_snapshot(|view, pinned| {
        let reply = call.reply();
        let mut steps = Vec::new();
        reply.int(c"generation", pinned.generation());
        let age = clock::age(view.compiled_at());
        steps.push(format!("tables: generation {}, loaded {age} s ago", pinned.generation()));
        reply.text(c"company", Printable::full(&company));
        reply.text(c"ip", source);
        steps.push(explain_source(&reply, view, &company, source));
        if let Some(aor) = &aor {
            steps.push(explain_roadwarrior(&reply, state, view, aor, &company, source));
        }
        if let Some(company) = view.company(&company) {
            steps.push(explain_limits(&reply, state, &company));
        }
        let flood = blocks::explain(&reply.structure(c"flood"), state, source);
        steps.push(format!("flood_check: {flood}"));
        if let Some(aor) = &aor {
            let auth = bans::explain(&reply.structure(c"auth"), state, aor, source);
            steps.push(format!("auth_check: {auth}"));
        }
        let everywhere = monitors();
        if policy::is_filter_monitored(view, &company, everywhere) {
            let whose = if everywhere { "everywhere" } else { "for this company's filter" };
            steps.push(format!("monitor mode is on {whose}: refusals are only reported"));
        }
        let list = reply.array(c"steps");
        steps.iter().for_each(|step| list.item(step));
    })
    .ok_or_else(no_snapshot)
}

/// `check_company_ip`.
fn explain_source(reply: &Node<'_>, view: &View<'_>, company: &[u8], source: Address) -> String {
    let decision = policy::check_company_ip(view, company, source);
    let verdict = decision.verdict;
    reply.int(c"code", verdict.code());
    reply.text(c"reason", verdict.reason());
    reply.text(c"meaning", verdict.entry().meaning);
    let range = decision.range.map_or("none".to_owned(), |range| range.to_string());
    reply.text(c"range", &range);
    let known = view.company(company);
    let nearest = known.and_then(|company| nearest(&company, source));
    if decision.range.is_none()
        && let Some(nearest) = nearest
    {
        reply.text(c"nearest_range", nearest);
    }
    let country = view.country_of(source).map(CountryCode::name);
    if view.country_networks() > 0 {
        reply.text(c"country", country.unwrap_or("unknown"));
    }
    let shown = Printable::full(company);
    let why = match (known, decision.range, nearest) {
        (None, ..) => format!("there is no company \"{shown}\""),
        (Some(company), Some(range), _) => {
            format!("filter {}, {source} is in {range}", filter(&company))
        }
        (Some(company), None, _) if !company.ip_filter() => "the filter is off".into(),
        (Some(company), ..) if decision.country.is_some() => format!(
            "filter {}, {source} is in none of {} ranges, but in {}, which is allowed",
            filter(&company),
            company.range_count(),
            country.unwrap_or_default()
        ),
        (Some(company), None, Some(nearest)) => format!(
            "filter {}, {source} is in none of {} ranges, the nearest is {nearest}",
            filter(&company),
            company.range_count()
        ),
        (Some(company), None, None) => {
            format!("filter {}, no range of this address family is listed", filter(&company))
        }
    };
    let elsewhere = match known {
        Some(company) if verdict.code() < 0 && !company.countries().is_empty() => {
            format!(
                ", its country ({}) is none of the {} allowed",
                country.unwrap_or("unknown"),
                company.countries().len()
            )
        }
        _ => String::new(),
    };
    format!("check_company_ip: {} ({}), {why}{elsewhere}", verdict.reason(), verdict.code())
}

/// The range of a company that lies nearest to an address outside of all.
fn nearest(company: &CompanyView<'_>, source: Address) -> Option<Prefix> {
    let distances = company.ranges().filter_map(|range| Some((range.distance(source)?, range)));
    distances.min_by_key(|(distance, _)| *distance).map(|(_, range)| range)
}

/// What `roadwarrior_acquire` would say to an initial INVITE now.
fn explain_roadwarrior(
    reply: &Node<'_>,
    state: &State,
    view: &View<'_>,
    aor: &[u8],
    company: &[u8],
    source: Address,
) -> String {
    let used = state.ledger.live(ScopeKind::User, aor);
    let verdict = match policy::roadwarrior(view, aor, company, source, true) {
        Roadwarrior::Decided(verdict) => verdict,
        Roadwarrior::Slot { limit } if used >= limit => Verdict::RoadwarriorLimit,
        Roadwarrior::Slot { .. } => Verdict::RoadwarriorCounted,
    };
    let user = view.user(aor);
    let limit = user.map_or(0, |user| user.external_calls);
    let node = reply.structure(c"roadwarrior");
    node.text(c"aor", Printable::full(aor));
    node.int(c"code", verdict.code());
    node.text(c"reason", verdict.reason());
    node.int(c"user_calls", used);
    node.int(c"user_limit", limit);
    let shown = Printable::full(aor);
    let why = match user {
        None => format!("\"{shown}\" is not listed"),
        Some(user) if user.company.id() != company => {
            format!("\"{shown}\" is listed for company \"{}\"", Printable::full(user.company.id()))
        }
        Some(_) => format!("\"{shown}\" has {used} of {limit} calls from elsewhere up"),
    };
    format!("roadwarrior_acquire: {} ({}), {why}", verdict.reason(), verdict.code())
}

/// What `cc_limit` would say to a new call now.
fn explain_limits(reply: &Node<'_>, state: &State, company: &CompanyView<'_>) -> String {
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
    let of = |limit: u32| if limit > 0 { limit.to_string() } else { "any number of".into() };
    format!(
        "cc_limit: {} ({}), brand \"{}\" has {brand_calls} of {} calls up, the company {calls} of {}",
        verdict.reason(),
        verdict.code(),
        Printable::full(brand),
        of(brand_limit),
        of(limit)
    )
}
