//! Calls of dialogs that come back after a restart: they count again in all their scopes.

use crate::clock::Moment;
use crate::host::contract::log;
use crate::host::contract::module::Restored;
use crate::host::state::{self, State, with_snapshot};
use crate::ledger::{Call, Enforcement, Outcome};
use crate::policy::{self, CallFlags, CallScopes};
use crate::printable::Printable;
use crate::snapshot::View;

/// Stands between the parts of a record.
const BETWEEN: u8 = b',';
/// Stands behind a record.
const BEHIND: u8 = b' ';

/// What one `cc_limit` has counted, for [`dialog_restored`]: company, flags and scopes.
pub fn record(company: &[u8], flags: CallFlags, scopes: &[u8]) -> Vec<u8> {
    let mut record = Vec::with_capacity(company.len() + scopes.len() + 8);
    encode(company, &mut record);
    record.push(BETWEEN);
    record.extend(flags.letters());
    record.push(BETWEEN);
    encode(scopes, &mut record);
    record.push(BEHIND);
    record
}

/// The record of a call that became an emergency later than it was counted.
pub fn emergency() -> Vec<u8> {
    let flags = CallFlags { emergency: true, ..CallFlags::default() };
    record(b"", flags, b"")
}

/// Writes as `%` and two digits what a database may refuse, or take for something else.
fn encode(text: &[u8], out: &mut Vec<u8>) {
    let digit = |half: u8| b"0123456789abcdef".get(usize::from(half)).copied().unwrap_or(b'0');
    for &byte in text {
        if byte.is_ascii_alphanumeric() || b"._-@:=;".contains(&byte) {
            out.push(byte);
        } else {
            out.extend([b'%', digit(byte >> 4), digit(byte & 15)]);
        }
    }
}

fn decode(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let code = after.get(..2).filter(|_| byte == b'%');
        let code = code.and_then(|code| std::str::from_utf8(code).ok());
        let decoded = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        out.push(decoded.unwrap_or(byte));
        rest = if decoded.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    out
}

/// The records in a text: company, flags, scopes.
fn records(text: &[u8]) -> impl Iterator<Item = (Vec<u8>, CallFlags, Vec<u8>)> {
    text.split(|byte| *byte == BEHIND).filter_map(|record| {
        let mut parts = record.split(|byte| *byte == BETWEEN);
        let (company, flags, scopes) = (parts.next()?, parts.next()?, parts.next()?);
        Some((decode(company), CallFlags::parse(flags).0, decode(scopes)))
    })
}

/// Counts the call of a dialog that comes back after a restart, unconditionally.
pub fn dialog_restored(restored: &Restored<'_>) {
    let Some(state) = state::get() else { return };
    let began = Moment::now().seconds_of(restored.started);
    let call = |flags: CallFlags| Call {
        dialog: restored.dialog,
        call_id: restored.call_id,
        direction: flags.direction(),
        invite: 0,
        emergency: flags.emergency,
        // Those that were not answered do not come back.
        rings: false,
        came: 0,
        began,
    };
    let (flags, _) = CallFlags::parse(restored.flags);
    if !restored.user.is_empty() {
        count_user(state, &call(flags), restored.user);
    }
    if !restored.company.is_empty() {
        count_company(state, &call(flags), restored.company, b"");
    }
    for (company, flags, scopes) in records(restored.more) {
        if company.is_empty() {
            state.ledger.note_emergency(restored.dialog);
        } else {
            count_company(state, &call(flags), &company, &scopes);
        }
    }
}

fn count_user(state: &State, call: &Call<'_>, user: &[u8]) {
    let company = with_snapshot(|view, _| Some(view.user(user)?.company.id().to_vec()));
    let company = company.flatten();
    let scopes = policy::roadwarrior_scopes(user, company.as_deref().unwrap_or_default(), 0);
    let known = if company.is_some() { &scopes[..] } else { &scopes[..1] };
    state.ledger.take(call, known, Enforcement::Off);
}

fn count_company(state: &State, call: &Call<'_>, id: &[u8], scopes: &[u8]) {
    let (shown, call_id) = (Printable::short(id), Printable::short(call.call_id));
    let count = |view: &View<'_>| {
        let mut all = match view.company(id) {
            Some(company) => CallScopes::new(view, &company, call.direction),
            None => {
                log::warning(format_args!(
                    "company \"{shown}\" is gone: its restored call {call_id} counts for no brand"
                ));
                CallScopes::of_gone(view, id, call.direction)
            }
        };
        // They counted before, so nothing is wrong with them.
        _ = all.add_named(view, call.direction, scopes);
        state.ledger.take(call, all.wanted(), Enforcement::Off).outcome
    };
    let counted = with_snapshot(|view, _| count(view));
    if !matches!(counted, Some(Outcome::Counted | Outcome::Held)) {
        log::error(format_args!(
            "max_calls is too small: the restored call {call_id} is not counted"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_whatever_bytes_it_has() {
        let (flags, _) = CallFlags::parse(b"eo");
        let odd: Vec<u8> = (0..=255).collect();
        let first = record(b"c,1 %", flags, b"carrier=x;did=+34|#");
        assert_eq!(first, b"c%2c1%20%25,eo,carrier=x;did=%2b34%7c%23 ");
        let kept = [first, record(&odd, CallFlags::default(), b"")].concat();
        let read: Vec<_> = records(&kept).collect();
        let first = (b"c,1 %".to_vec(), flags, b"carrier=x;did=+34|#".to_vec());
        assert_eq!(read, [first, (odd, CallFlags::default(), vec![])]);
        assert_eq!((records(b"").count(), decode(b"%4")), (0, b"%4".to_vec()));
    }
}
