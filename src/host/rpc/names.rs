//! What host names mean: `sipwarden.names`, and lines in other answers.

use std::collections::BTreeMap;

use super::arguments::no_snapshot;
use super::page::Page;
use crate::address::Address;
use crate::clock::{self, Moment};
use crate::host::contract::rpc::{Call, Fault, Node};
use crate::host::report::names::words;
use crate::host::state::{State, with_snapshot};
use crate::names::Line;
use crate::printable::Printable;
use crate::snapshot::{CompanyView, NamedView};

/// Names on a page.
const PAGE: usize = 20;
/// Lines in the answer of a company, and addresses in a line: hosts bound a structure.
const LINES: usize = 8;
const ADDRESSES: usize = 4;

/// All names, what they mean, and whose they are: [page].
pub fn names(call: &Call, state: &State) -> Result<(), Fault> {
    let page = Page::read(call, PAGE)?;
    call.no_more()?;
    let now = Moment::now();
    with_snapshot(|view, _| {
        let mut names: BTreeMap<&[u8], Vec<NamedView<'_>>> = BTreeMap::new();
        for row in view.named_rows() {
            names.entry(row.name()).or_default().push(row);
        }
        page.check(names.len())?;
        let reply = call.reply();
        reply.int(c"total", names.len() as u64);
        reply.int(c"room", state.names.room() as u64);
        page.tell(&reply, names.len());
        let list = reply.array(c"names");
        for (name, rows) in page.of(names.iter()) {
            let node = list.item_structure();
            node.text(c"name", Printable::full(name));
            node.text(c"of", whose(rows));
            let addresses = rows.first().map(|row| row.addresses().collect::<Vec<_>>());
            node.text(c"means", words(&addresses.unwrap_or_default()));
            let line = state.names.of(name).unwrap_or_default();
            tell_time(&node, now, line.answered, (c"answered", c"answered_date"));
            tell_time(&node, now, line.silent_since, (c"silent_since", c"silent_since_date"));
            tell_time(&node, now, line.good_until, (c"good_until", c"good_until_date"));
        }
        Ok(())
    })
    .ok_or_else(no_snapshot)?
}

fn whose(rows: &[NamedView<'_>]) -> String {
    let first = rows.first().and_then(NamedView::company);
    let first = first.map_or("trusted sources".to_owned(), |company| {
        format!("company {}", Printable::full(company.id()))
    });
    match rows.len() {
        0 | 1 => first,
        all => format!("{first} and {} more", all - 1),
    }
}

fn tell_time(
    node: &Node<'_>,
    now: Moment,
    time: u64,
    names: (&'static std::ffi::CStr, &'static std::ffi::CStr),
) {
    if time != 0 {
        node.time(names, now.date(time) / 1000);
    }
}

/// Adds the names of a company to an answer, a line for each.
pub(super) fn tell_of_company(reply: &Node<'_>, state: &State, company: &CompanyView<'_>) {
    let now = Moment::now();
    reply.int(c"name_count", company.named_rows().count() as u64);
    let list = reply.array(c"names");
    for row in company.named_rows().take(LINES) {
        list.item(line(state, now, &row));
    }
}

/// What a name means, and how old that is.
fn line(state: &State, now: Moment, row: &NamedView<'_>) -> String {
    let Line { answered, silent_since, good_until, .. } =
        state.names.of(row.name()).unwrap_or_default();
    let date = |time: u64| clock::date(now.date(time) / 1000);
    let said = match (silent_since, good_until) {
        (0, _) if answered == 0 => "not resolved yet".to_owned(),
        (0, _) => format!("resolved at {}", date(answered)),
        (since, 0) => format!("no answer since {}", date(since)),
        (since, until) => format!("no answer since {}, good until {}", date(since), date(until)),
    };
    format!("{} ({said})", means(row))
}

/// What a name means.
fn means(row: &NamedView<'_>) -> String {
    let addresses: Vec<Address> = row.addresses().take(ADDRESSES).collect();
    let more = match row.addresses().count() {
        all if all > ADDRESSES => format!(" and {} more", all - ADDRESSES),
        _ => String::new(),
    };
    format!("{} means {}{more}", Printable::full(row.name()), words(&addresses))
}

/// What the names of a company mean, for a sentence; empty without names.
pub(super) fn clause(company: &CompanyView<'_>) -> String {
    let shown: Vec<String> = company.named_rows().take(3).map(|row| means(&row)).collect();
    let more = match company.named_rows().count() {
        all if all > shown.len() => format!(" and {} more names", all - shown.len()),
        _ => String::new(),
    };
    if shown.is_empty() { more } else { format!(", {}{more}", shown.join(", ")) }
}
