//! `sipwarden.grants`, `sipwarden.allow`, `sipwarden.disallow`.

use super::arguments::{no_snapshot, prefix_of, tell_if_unknown, unknown};
use super::blocks::block_of;
use super::page::Page;
use crate::clock::{self, Moment};
use crate::desk::{Lift, Lifted};
use crate::grants::{Grant, GrantedBy, MAX_NOTE};
use crate::host::contract::abi::command;
use crate::host::contract::rpc::{Call, Fault, Node};
use crate::host::report::grants::{give, report_revoked, too_broad};
use crate::host::settings::at;
use crate::host::state::{State, with_snapshot};
use crate::policy;
use crate::printable::Printable;
use crate::verdict::Verdict;

/// Grants on a page: hosts bound the structures of one reply.
const PAGE: usize = 20;
/// Seconds of a grant unless the operator says them.
const DEFAULT_GRANT: u32 = 7200;

/// All grants, those that end first first: [page [company]].
pub fn grants(call: &Call, state: &State) -> Result<(), Fault> {
    let page = Page::read(call, PAGE)?;
    let company = call.argument("company")?.filter(|text| !text.is_empty());
    call.no_more()?;
    let now = Moment::now();
    let all = sorted(state, company.as_deref(), now);
    page.check(all.len())?;
    let reply = call.reply();
    reply.int(c"total", all.len() as u64);
    reply.int(c"room", state.grants.usage().capacity as u64);
    page.tell(&reply, all.len());
    let list = reply.array(c"grants");
    for grant in page.of(all.iter()) {
        describe(&list.item_structure(), now, grant);
    }
    Ok(())
}

fn sorted(state: &State, company: Option<&[u8]>, now: Moment) -> Vec<Grant> {
    let mut all = state.grants.all(company, now.monotonic);
    all.sort_by(|a, b| (a.until, &a.company).cmp(&(b.until, &b.company)));
    all
}

fn describe(node: &Node<'_>, now: Moment, grant: &Grant) {
    node.text(c"company", Printable::full(&grant.company));
    node.text(c"source", grant.source.name());
    node.time((c"since", c"since_date"), now.date(grant.since) / 1000);
    node.time((c"until", c"until_date"), now.date(grant.until) / 1000);
    node.int(c"seconds_left", clock::seconds_left(grant.until, now.monotonic));
    node.text(c"by", grant.by.name());
    node.text(c"note", Printable::full(&grant.note));
    node.int(c"allowed", grant.used);
}

/// Adds the grants of a company to an answer, a line for each.
pub(super) fn tell_of_company(reply: &Node<'_>, state: &State, company: &[u8]) {
    let now = Moment::now();
    let all = sorted(state, Some(company), now);
    reply.int(c"grant_count", all.len() as u64);
    let list = reply.array(c"grants");
    for grant in all.iter().take(PAGE) {
        list.item(words(now, grant));
    }
}

/// A grant in one line.
pub(super) fn words(now: Moment, grant: &Grant) -> String {
    let until = clock::date(now.date(grant.until) / 1000);
    let note = match grant.note.as_slice() {
        [] => String::new(),
        note => format!(" ({})", Printable::full(note)),
    };
    format!("{} until {until}, by the {}{note}", grant.source.name(), grant.by.name())
}

/// Allows a source for a company, for a time: company address|prefix [seconds [note]].
pub fn allow(call: &Call, state: &State) -> Result<(), Fault> {
    let company = call.required("company")?;
    let text = call.required("address")?;
    let longest = u32::try_from(state.values.int(at::GRANT_LONGEST)).unwrap_or(1);
    let seconds = call.number("seconds", 1..=longest)?.unwrap_or(DEFAULT_GRANT.min(longest));
    let mut note = call.argument("note")?.unwrap_or_default();
    call.no_more()?;
    let source = prefix_of(&text, state)?;
    if let Some(wrong) = too_broad(state, source) {
        return Err(Fault::argument(wrong));
    }
    let tables = with_snapshot(|view, _| match view.company(&company) {
        Some(known) => Ok(policy::check_source(Some(&known), &company, source.first()).verdict),
        None => Err(Fault::unknown(unknown(view, &company).unwrap_or_default())),
    })
    .ok_or_else(no_snapshot)??;
    let is_cut = note.len() > MAX_NOTE;
    note.truncate(MAX_NOTE);
    let now = Moment::now();
    let by = GrantedBy::Operator;
    let grant = Grant { note, ..Grant::new(&company, source, by, now.monotonic, seconds) };
    give(state, &grant).map_err(|_| {
        let room = state.grants.usage().capacity;
        Fault::internal(format!("no room: all {room} grants are in use (parameter grants)"))
    })?;
    let reply = call.reply();
    describe(&reply, now, &grant);
    let warnings = reply.array(c"warnings");
    match tables {
        Verdict::FilterOff => warnings.item(
            "the company's filter is off: it needs no grant, but for a source that a feed lists",
        ),
        verdict if verdict.code() > 0 => warnings.item(format_args!(
            "the tables allow {} already ({})",
            source.first(),
            verdict.reason()
        )),
        _ => {}
    }
    if let Some(block) = block_of(state, source.first()) {
        let (blocked, unblock) = (block.prefix.name(), command("unblock"));
        warnings.item(format_args!("{blocked} is blocked: {unblock} {blocked} lifts that"));
    }
    if is_cut {
        warnings.item(format_args!("the note is cut after {MAX_NOTE} bytes"));
    }
    Ok(())
}

/// Ends grants of a company: company [address|prefix].
pub fn disallow(call: &Call, state: &State) -> Result<(), Fault> {
    let company = call.required("company")?;
    let within = match call.argument("address")?.filter(|text| !text.is_empty()) {
        Some(text) => Some(prefix_of(&text, state)?),
        None => None,
    };
    call.no_more()?;
    let mut ended = 0;
    state.grants.revoke(&company, within, |grant| {
        ended += 1;
        report_revoked(state, &grant);
    });
    let of = Some(company.clone());
    state.tell_lift(&Lift { what: Lifted::Grants, within, of });
    let reply = call.reply();
    reply.text(c"company", Printable::full(&company));
    reply.int(c"ended", ended);
    if ended == 0 {
        tell_if_unknown(&reply, &company);
    }
    Ok(())
}
