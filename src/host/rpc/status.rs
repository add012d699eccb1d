//! `sipwarden.reload`, `sipwarden.problems`, `sipwarden.stats`, `sipwarden.version`.

use std::ffi::{CStr, CString};
use std::time::Duration;

use super::feeds::tell_all as tell_feeds;
use super::page::Page;
use super::settings::settle;
use crate::clock;
use crate::host::contract::abi;
use crate::host::contract::rpc::{Call, Fault, Node};
use crate::host::reload::problems::last as last_problems;
use crate::host::reload::{feeds, tables};
use crate::host::state::{State, gauges, with_snapshot};
use crate::snapshot::Counts;
use crate::tables::Table;

/// Names of the row counts, in the order of `Table::ALL`.
const ROWS: [&CStr; Table::ALL.len()] =
    [c"brands", c"companies", c"ranges", c"countries", c"users", c"trusted", c"limits", c"tools"];

/// Warnings in the answer of a reload; `sipwarden.problems` has more.
const SHOWN_WARNINGS: usize = 10;
/// Lines on a page of `sipwarden.problems`.
const PAGE: usize = 20;

fn add_rows(reply: &Node<'_>, counts: &Counts) {
    let rows = reply.structure(c"rows");
    for (name, count) in ROWS.iter().zip(counts.rows) {
        rows.int(name, count);
    }
    reply.int(c"contained_ranges", counts.contained_ranges);
}

fn add_milliseconds(node: &Node<'_>, name: &CStr, duration: Duration) {
    node.int(name, duration.as_millis() as u64);
}

/// Reads the tables and publishes them.
pub fn reload(call: &Call, state: &State) -> Result<(), Fault> {
    call.no_more()?;
    reload_here(call, state).map(drop)
}

/// The same; the reply, to which more may be added.
pub fn reload_here<'a>(call: &'a Call, state: &State) -> Result<Node<'a>, Fault> {
    settle()?;
    // Whatever becomes of the tables, or of a feed.
    feeds::load(state);
    let done = tables::reload(state).map_err(|why| Fault::cut(why, &abi::command("problems")))?;
    let reply = call.reply();
    reply.int(c"generation", done.generation);
    add_rows(&reply, &done.counts);
    reply.int(c"bytes", done.bytes as u64);
    if let Some(countries) = &done.countries {
        reply.text(c"geoip", countries);
    }
    let ms = reply.structure(c"milliseconds");
    add_milliseconds(&ms, c"fetch", done.fetch);
    add_milliseconds(&ms, c"compile", done.compile);
    add_milliseconds(&ms, c"publish", done.publish);
    reply.int(c"skipped_rows", done.skipped.count());
    reply.int(c"warning_count", done.warnings.count());
    let shown = reply.array(c"warnings");
    let all = done.skipped.kept().iter().chain(done.warnings.kept());
    for problem in all.take(SHOWN_WARNINGS) {
        shown.item(problem);
    }
    tell_feeds(&reply, state);
    Ok(reply)
}

/// What the last reload found wrong: page (from 1).
pub fn problems(call: &Call, state: &State) -> Result<(), Fault> {
    let page = Page::read(call, PAGE)?;
    call.no_more()?;
    let lines = last_problems(state);
    let reply = call.reply();
    reply.int(c"lines", lines.len() as u64);
    page.tell(&reply, lines.len());
    let list = reply.array(c"problems");
    for line in page.of(lines.iter()) {
        list.item(line);
    }
    Ok(())
}

/// Sizes, use and counters.
pub fn stats(call: &Call, state: &State) -> Result<(), Fault> {
    call.no_more()?;
    let reply = call.reply();
    let loaded = with_snapshot(|view, pinned| {
        reply.int(c"generation", pinned.generation());
        reply.time((c"loaded_at", c"loaded_date"), view.compiled_at());
        reply.int(c"age_seconds", clock::age(view.compiled_at()));
        reply.int(c"snapshot_bytes", view.bytes() as u64);
        add_rows(&reply, &view.counts());
        reply.int(c"country_networks", view.country_networks());
        reply.time((c"countries_built_at", c"countries_built_date"), view.countries_built_at());
    });
    if loaded.is_none() {
        reply.int(c"generation", 0);
    }
    reply.int(c"tables_from_file", u64::from(state.fallback.is_on()));
    reply.text(c"tables_problem", state.fallback.reason());
    reply.int(c"snapshot_room", state.store.room() as u64);
    reply.int(c"snapshot_memory_used", state.store.resident() as u64);
    let memory = state.ledger.memory();
    reply.int(c"calls", memory.leases);
    reply.int(c"calls_room", memory.capacity as u64);
    reply.int(c"call_scopes", memory.scopes);
    reply.int(c"call_scopes_idle", memory.idle_scopes);
    reply.int(c"calls_memory", memory.bytes as u64);
    let sources = state.flood.usage();
    reply.int(c"sources", sources.used);
    reply.int(c"sources_room", sources.capacity as u64);
    reply.int(c"sources_memory", sources.bytes as u64);
    reply.int(c"blocks", sources.blocked);
    let auth = state.auth.usage();
    reply.int(c"auth_known", auth.used);
    reply.int(c"auth_room", auth.capacity as u64);
    reply.int(c"auth_memory", auth.bytes as u64);
    reply.int(c"bans", auth.blocked);
    let grants = state.grants.usage();
    reply.int(c"grants", grants.used);
    reply.int(c"grants_room", grants.capacity as u64);
    reply.int(c"grants_memory", grants.bytes as u64);
    if let Some(feeds) = &state.feeds {
        reply.int(c"feeds_room", feeds.store.room() as u64);
        reply.int(c"feeds_memory_used", feeds.store.resident() as u64);
    }
    let firewall = reply.structure(c"firewall");
    firewall.text(c"state", state.firewall.mode().name());
    firewall.int(c"elements", state.firewall.elements());
    firewall.int(c"left_out", state.firewall.left_out());
    firewall.text(c"problem", state.firewall.problem());
    let counters = reply.structure(c"counters");
    for (name, value) in gauges::values() {
        counters.int(name, value);
    }
    Ok(())
}

/// Versions of the module and of the host it was built for, and how.
pub fn version(call: &Call, _: &State) -> Result<(), Fault> {
    call.no_more()?;
    let reply = call.reply();
    reply.text(c"sipwarden", env!("CARGO_PKG_VERSION"));
    reply.text(c"revision", env!("SIPWARDEN_REVISION"));
    let host = CString::new(abi::host_name().to_ascii_lowercase()).unwrap_or_default();
    reply.text(&host, abi::host_version());
    reply.text(c"flags", abi::host_flags());
    Ok(())
}
