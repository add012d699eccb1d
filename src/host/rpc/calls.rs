//! `sipwarden.calls`, `sipwarden.release` and `sipwarden.reconcile`.

use super::arguments::tell_if_unknown;
use super::limits::{named, tell_scopes};
use super::page::Page;
use crate::clock;
use crate::host::contract::abi::host_name;
use crate::host::contract::rpc::{Call, Fault};
use crate::host::contract::{dialogs, log};
use crate::host::process::reaper;
use crate::host::state::{State, with_snapshot};
use crate::ledger::{Direction, LeaseInfo, ScopeKind};
use crate::printable::Printable;

/// Calls on a page: hosts bound the structures of one reply.
const PAGE: usize = 20;

/// Calls that count now, newest records last: [company, or kind=id [page]].
pub fn calls(call: &Call, state: &State) -> Result<(), Fault> {
    let company = call.argument("company")?.filter(|text| !text.is_empty());
    let page = Page::read(call, PAGE)?;
    call.no_more()?;
    let hash = company.as_ref().map(|text| hash_of(state, text));
    let wanted = |info: &LeaseInfo| hash.is_none_or(|hash| info.names(hash));
    let all = (0..state.ledger.positions())
        .filter_map(|position| state.ledger.at(position))
        .filter(|info| info.live && wanted(info));
    let mut total = 0;
    let mut shown = Vec::new();
    for info in all {
        if page.has(total) {
            shown.push(info);
        }
        total += 1;
    }
    page.check(total)?;
    let reply = call.reply();
    reply.int(c"total", total as u64);
    page.tell(&reply, total);
    if let Some(company) = company.as_ref().filter(|text| !text.contains(&b'=')) {
        tell_if_unknown(&reply, company);
    }
    let list = reply.array(c"calls");
    let now = clock::whole_seconds(clock::monotonic());
    let positive = |seconds: i64| u64::try_from(seconds).unwrap_or(0);
    for info in shown {
        let entry = list.item_structure();
        let shown = |kind: ScopeKind| Printable::full(&info.ids(kind)).to_string();
        entry.text(c"call_id", Printable::full(&info.call_id));
        entry.text(c"company", shown(ScopeKind::COMPANY));
        entry.int(c"counts_for_company", i64::from(info.counts_for_company()));
        entry.text(c"brand", shown(ScopeKind::BRAND));
        entry.text(c"user", shown(ScopeKind::ROADWARRIOR));
        entry.text(c"dialog", format!("{}:{}", info.dialog.0 >> 32, info.dialog.0 as u32));
        let direction = match info.direction {
            Direction::Any => "unknown",
            Direction::In => "in",
            Direction::Out => "out",
        };
        entry.text(c"direction", direction);
        entry.int(c"ringing", i64::from(info.ringing));
        entry.int(c"emergency", i64::from(info.emergency));
        entry.int(c"age_seconds", positive(now.saturating_sub(info.started)));
        entry.int(c"seconds_left", info.ends.map_or(0, |ends| positive(ends.saturating_sub(now))));
        let scopes = entry.array(c"scopes");
        with_snapshot(|view, _| tell_scopes(&scopes, view, &info));
    }
    Ok(())
}

/// By what the calls of a company, or of a scope as `kind=id`, are found.
fn hash_of(state: &State, text: &[u8]) -> u128 {
    let scope = with_snapshot(|view, _| match view.company(text) {
        Some(_) => None,
        None => named(view, text),
    });
    let (kind, id) = scope.flatten().unwrap_or((ScopeKind::COMPANY, text));
    state.ledger.scope_hash(kind, id)
}

/// Takes a call out of all counts; the operator's last resort.
pub fn release(call: &Call, state: &State) -> Result<(), Fault> {
    let call_id = call.required("call-id")?;
    call.no_more()?;
    let hash = state.ledger.hash(&call_id);
    let mut released = 0;
    for position in 0..state.ledger.positions() {
        let Some(info) = state.ledger.at(position) else { continue };
        if info.call_id_hash == hash && state.ledger.release(info.dialog) {
            released += 1;
        }
    }
    let shown = Printable::full(&call_id);
    if released == 0 {
        return Err(Fault::unknown(format!("no live call {}", Printable::short(&call_id))));
    }
    let calls = if released == 1 { "the call" } else { "all calls of Call-ID" };
    log::warning(format_args!("an operator took {calls} {shown} out of the counts: {released}"));
    call.reply().int(c"released", released);
    Ok(())
}

/// Compares leases with dialogs; frees only when told so: [free].
pub fn reconcile(call: &Call, state: &State) -> Result<(), Fault> {
    let free = match call.argument("free")?.as_deref() {
        None => false,
        Some(b"free") => true,
        Some(other) => {
            let other = Printable::short(other);
            return Err(Fault::argument(format!("\"{other}\" is not free")));
        }
    };
    call.no_more()?;
    if !dialogs::can_look_up() {
        return Err(Fault::internal(format!(
            "dialogs cannot be looked up in this {}",
            host_name()
        )));
    }
    let found = match free {
        true => reaper::reconcile(state, true),
        false => reaper::compare(state),
    };
    let reply = call.reply();
    reply.int(c"leases", found.leases);
    reply.int(c"without_dialog", found.missing);
    reply.int(c"freed", found.freed);
    let list = reply.array(c"call_ids");
    found.named.iter().for_each(|call_id| list.item(call_id));
    Ok(())
}
