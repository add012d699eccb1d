//! `sipwarden.denied`, `sipwarden.top` and `sipwarden.suggest`.

use std::collections::{BTreeMap, BTreeSet};

use super::arguments::{no_snapshot, tell_if_unknown, unknown};
use super::limits::{tell_load, tell_usage};
use super::page::Page;
use super::totals::{Totals, keys_of};
use super::{budgets, feeds, spraying};
use crate::address::Prefix;
use crate::clock;
use crate::events::{Event, EventKind};
use crate::host::contract::rpc::{Call, Fault, Node};
use crate::host::state::rules::with_rules;
use crate::host::state::usage::{self, Load, ScopeUsage, Usage, brands, companies, scopes};
use crate::host::state::{State, with_snapshot};
use crate::ledger::Direction;
use crate::limiter::ClassId;
use crate::memory;
use crate::printable::Printable;
use crate::snapshot::View;
use crate::source::Learnt;
use crate::verdict::Verdict;

/// Refusals on a page: hosts bound the structures of one reply.
const PAGE: usize = 20;
/// Rows of each list that `top` gives without an argument, and at most.
const ROWS: u32 = 10;
const MOST_ROWS: u32 = 50;
/// Most bytes for a source while all are sorted.
const SOURCE_BYTES: usize = 320;
/// Sources within one network from which on the network is suggested.
const CROWD: usize = 4;

/// The last refusals, and blocks and bans that began, of all or of a company: [company
/// [page]].
pub fn denied(call: &Call, state: &State) -> Result<(), Fault> {
    let company = call.argument("company")?.filter(|text| !text.is_empty());
    let page = Page::read(call, PAGE)?;
    call.no_more()?;
    let all = |wanted: &dyn Fn(&Event) -> bool| {
        [&state.recent, &state.starts].map(|list| list.list(wanted)).concat()
    };
    let mut found = match &company {
        None => all(&|_| true),
        Some(company) => with_snapshot(|view, _| all(&|event| concerns(view, company, event)))
            .ok_or_else(no_snapshot)?,
    };
    found.sort_by_key(|event| std::cmp::Reverse(event.time));
    page.check(found.len())?;
    let reply = call.reply();
    reply.int(c"total", found.len() as u64);
    page.tell(&reply, found.len());
    if let Some(company) = &company {
        tell_if_unknown(&reply, company);
    }
    let list = reply.array(c"denied");
    for event in page.of(found.iter()) {
        describe(&list.item_structure(), state, event);
    }
    Ok(())
}

/// Whether an event is about a company: what names none may be of a source in its ranges,
/// or of a user of it.
fn concerns(view: &View<'_>, company: &[u8], event: &Event) -> bool {
    if !event.company().is_empty() {
        return event.company() == company;
    }
    let overlaps = |range: Prefix| {
        event.source().is_some_and(|source| range.contains(source) || source.contains(range))
    };
    let user = view.user(event.aor());
    user.is_some_and(|user| user.company.id() == company)
        || view.company(company).is_some_and(|company| company.ranges().any(overlaps))
}

fn describe(node: &Node<'_>, state: &State, event: &Event) {
    let class = event.class().map_or("", |class| state.settings.classes.name(class));
    let is_start = matches!(event.kind(), Some(EventKind::BlockStarted | EventKind::BanStarted));
    node.time((c"time", c"date"), event.time / 1000);
    node.time((c"first_time", c"first_date"), event.since / 1000);
    node.int(c"count", event.count);
    node.text(c"function", event.function());
    node.text(c"reason", event.reason());
    node.int(c"code", event.code().unwrap_or(0));
    node.text(c"source", event.source().map(|source| source.name()).unwrap_or_default());
    node.text(c"learnt", event.learnt().map_or("", Learnt::name));
    node.text(c"company", Printable::full(event.company()));
    node.text(c"brand", Printable::full(event.brand()));
    node.text(c"aor", Printable::full(event.aor()));
    node.text(c"from", Printable::full(event.from()));
    node.text(c"call_id", Printable::full(event.call_id()));
    node.text(c"class", class);
    // Of a block they are requests.
    node.int(c"calls", if is_start { 0 } else { event.calls });
    node.int(c"limit", event.limit);
    let (kind, id) = event.limited().unwrap_or_default();
    node.text(c"limit_kind", Printable::full(kind));
    node.text(c"limit_id", Printable::full(id));
    let direction = event.direction().map_or(&b""[..], Direction::name);
    node.text(c"limit_direction", Printable::full(direction));
    node.time((c"until", c"until_date"), event.until / 1000);
    node.int(c"monitored", i64::from(event.is_monitored()));
}

/// Companies and brands by use of their limits, sources by rate: [n].
pub fn top(call: &Call, state: &State) -> Result<(), Fault> {
    let rows = call.number("n", 1..=MOST_ROWS)?.unwrap_or(ROWS) as usize;
    call.no_more()?;
    let sources = [state.flood.usage(), state.streams.usage(), state.spraying.usage()];
    let sources: usize = sources.iter().map(|table| table.used as usize).sum();
    let room = usage::room(state) + SOURCE_BYTES * sources;
    memory::ask_for(room).map_err(Fault::internal)?;
    let totals = Totals::ask(state, |view| {
        let (companies, brands, scopes) = busiest(state, view, rows);
        let usages = companies.iter().chain(&brands).map(Usage::of);
        keys_of(state, usages.chain(scopes.iter().map(ScopeUsage::of)))
    });
    let reply = call.reply();
    with_snapshot(|view, _| {
        let (companies, brands, scopes) = busiest(state, view, rows);
        let all = |of, load: &Load| totals.of(state, of, load.limit.calls, load.calls);
        let list = reply.array(c"companies");
        for usage in &companies {
            let node = list.item_structure();
            node.text(c"company", Printable::full(usage.company));
            add_usage(&node, usage, all(usage.of(), &usage.load));
        }
        let list = reply.array(c"brands");
        for usage in &brands {
            add_usage(&list.item_structure(), usage, all(usage.of(), &usage.load));
        }
        let list = reply.array(c"scopes");
        for usage in &scopes {
            tell_usage(&list.item_structure(), usage, all(usage.of(), &usage.load));
        }
    });
    let list = reply.array(c"sources");
    for (requests, prefix, class) in busy_sources(state, rows) {
        let node = list.item_structure();
        node.text(c"source", prefix.name());
        node.text(c"class", state.settings.classes.name(class));
        node.int(c"requests", requests);
        with_rules(state, |rules| {
            node.int(c"limit", rules.class(class).limit);
            node.int(c"window_ms", rules.class(class).window);
        });
    }
    budgets::tell(&reply, state);
    spraying::tell_all(&reply, state, rows);
    feeds::tell_all(&reply, state);
    Ok(())
}

/// So many companies, brands and scopes that are nearest to their limits.
fn busiest<'a>(
    state: &State,
    view: &View<'a>,
    rows: usize,
) -> (Vec<Usage<'a>>, Vec<Usage<'a>>, Vec<ScopeUsage<'a>>) {
    let (mut companies, mut brands) = (companies(state, view), brands(state, view));
    let mut scopes = scopes(state, view);
    companies.truncate(rows);
    brands.truncate(rows);
    scopes.truncate(rows);
    (companies, brands, scopes)
}

fn add_usage(node: &Node<'_>, usage: &Usage<'_>, all: Option<u32>) {
    node.text(c"brand", Printable::full(usage.brand));
    tell_load(node, &usage.load, all);
}

fn busy_sources(state: &State, rows: usize) -> Vec<(u32, Prefix, Option<ClassId>)> {
    let mut busy = Vec::new();
    with_rules(state, |rules| {
        let mut add = |prefix, class, requests| busy.push((requests, prefix, class));
        state.flood.sources(rules, clock::monotonic, &mut add);
        state.streams.sources(rules, clock::monotonic, &mut add);
    });
    busy.sort_by_key(|(requests, ..)| std::cmp::Reverse(*requests));
    busy.truncate(rows);
    busy
}

/// Whether a request was refused since no range of the company has its source. A call
/// that is refused as a duplicate, or for a limit, may come from within one.
fn lacks_range(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::DeniedSource | Verdict::DeniedNoRanges | Verdict::RoadwarriorNone)
}

/// The ranges that the sources refused last would need: company.
pub fn suggest(call: &Call, state: &State) -> Result<(), Fault> {
    let company = call.required("company")?;
    call.no_more()?;
    let unknown = with_snapshot(|view, _| unknown(view, &company)).ok_or_else(no_snapshot)?;
    if let Some(unknown) = unknown {
        return Err(Fault::unknown(unknown));
    }
    let lacks_range = |event: &Event| event.verdict().is_some_and(lacks_range);
    let denied = state.recent.list(|event| event.company() == company && lacks_range(event));
    let attackers = state.starts.list(|event| event.source().is_some());
    let mut left_out = BTreeSet::new();
    let mut networks: BTreeMap<String, (Prefix, Vec<(Prefix, u32)>)> = BTreeMap::new();
    for event in &denied {
        let Some(source) = event.source() else { continue };
        // Who floods or guesses passwords is not proposed for a grant.
        let attacks = |event: &Event| event.source().is_some_and(|from| from.contains(source));
        if attackers.iter().any(attacks) {
            left_out.insert(source.to_string());
            continue;
        }
        let network = match source {
            Prefix::V4(..) => source.first().prefix_of(24),
            Prefix::V6(..) => source.first().prefix_of(64),
        };
        let entry = networks.entry(network.to_string()).or_insert((network, Vec::new()));
        match entry.1.iter_mut().find(|(known, _)| *known == source) {
            Some((_, count)) => *count = count.saturating_add(event.count),
            None => entry.1.push((source, event.count)),
        }
    }
    let reply = call.reply();
    reply.text(c"company", Printable::full(&company));
    reply.int(c"left_out", left_out.len() as u64);
    let list = reply.array(c"ranges");
    for (network, sources) in networks.values() {
        let requests =
            |list: &[(Prefix, u32)]| list.iter().map(|(_, n)| u64::from(*n)).sum::<u64>();
        if sources.len() >= CROWD {
            add_range(&list, *network, sources.len(), requests(sources));
        } else {
            for (source, count) in sources {
                add_range(&list, *source, 1, u64::from(*count));
            }
        }
    }
    Ok(())
}

fn add_range(list: &Node<'_>, range: Prefix, sources: usize, refused: u64) {
    let node = list.item_structure();
    node.text(c"range", range);
    node.int(c"sources", sources as u64);
    node.int(c"refused", refused);
}
