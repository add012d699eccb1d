//! `cc_limit` and `roadwarrior_acquire`, and what becomes of their calls.

use std::time::{SystemTime, UNIX_EPOCH};

use super::abi::{
    SW_DIALOG_ENDED, SW_DIALOG_GONE, SW_DIALOG_RESUMED, sw_call, sw_dialog, sw_dialog_event,
    sw_restored, sw_text,
};
use super::call::{Numbers, answer_with};
use super::complaint::misused;
use super::dialogs;
use super::entry::{Entry, guard};
use super::log;
use super::process::with_snapshot;
use super::state::{self, State};
use super::statistics::{self, Own};
use crate::ledger::{Call, DialogId, Direction, Outcome, Taken, Wanted};
use crate::policy::{self, CallFlags, Roadwarrior};
use crate::printable::Printable;
use crate::verdict::{CC_LIMIT, Function, ROADWARRIOR_ACQUIRE, Verdict};

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// A verdict and the live calls and limits behind it.
type Decision = (Verdict, Numbers);

const ERROR: Decision = (Verdict::InternalError, Numbers::NONE);

/// `roadwarrior_acquire(aor, company [, flags])`.
pub unsafe extern "C" fn roadwarrior_acquire(
    call: *const sw_call,
    aor: sw_text,
    company: sw_text,
    flags: sw_text,
) -> i32 {
    guard(Entry::RoadwarriorAcquire, Verdict::InternalError.code(), || {
        // SAFETY: the shim passes a call and texts that outlive this one.
        let (call, aor, company, flags) =
            unsafe { (call.as_ref(), aor.bytes(), company.bytes(), flags.bytes()) };
        let Some(call) = call else { return Verdict::InternalError.code() };
        let flags = read_flags(&ROADWARRIOR_ACQUIRE, flags);
        let decision = decide_roadwarrior(call, aor, company, flags);
        finish(&ROADWARRIOR_ACQUIRE, call, decision)
    })
}

/// `cc_limit(company [, flags])`.
pub unsafe extern "C" fn cc_limit(call: *const sw_call, company: sw_text, flags: sw_text) -> i32 {
    // SAFETY: the shim passes a call and texts that outlive this one.
    let (call, company, flags) = unsafe { (call.as_ref(), company.bytes(), flags.bytes()) };
    // An emergency call is allowed even after a panic.
    let failed = match flags.contains(&b'e') {
        true => Verdict::CallEmergency,
        false => Verdict::InternalError,
    };
    guard(Entry::CcLimit, failed.code(), || {
        let Some(call) = call else { return failed.code() };
        let flags = read_flags(&CC_LIMIT, flags);
        let (mut verdict, numbers) = decide_cc_limit(call, company, flags);
        if flags.emergency && verdict.code() < 0 {
            // Not counted: no company, no dialog or no room. Allowed all the same.
            statistics::count_own(Own::EmergencyUncounted);
            verdict = Verdict::CallEmergency;
        }
        finish(&CC_LIMIT, call, (verdict, numbers))
    })
}

fn finish(function: &'static Function, call: &sw_call, (verdict, numbers): Decision) -> i32 {
    statistics::count_verdict(function, verdict);
    answer_with(&call.msg, function.name, verdict, numbers)
}

fn read_flags(function: &Function, text: &[u8]) -> CallFlags {
    let (flags, unknown) = CallFlags::parse(text);
    if let Some(letter) = unknown {
        misused(
            function.name,
            format_args!("flag \"{}\" is none of e, i, o", Printable::short(&[letter])),
        );
    }
    flags
}

fn decide_roadwarrior(call: &sw_call, aor: &[u8], company: &[u8], flags: CallFlags) -> Decision {
    let Some(source) = call.msg.source.to_address() else { return ERROR };
    let initial = call.initial_invite != 0;
    let rule = with_snapshot(|view, _| policy::roadwarrior(view, aor, company, source, initial));
    match rule {
        None => ERROR,
        Some(Roadwarrior::Decided(verdict)) => {
            if verdict == Verdict::InternalError {
                let (aor, company) = (Printable::short(aor), Printable::short(company));
                misused(
                    ROADWARRIOR_ACQUIRE.name,
                    format_args!("the AoR is \"{aor}\", the company \"{company}\""),
                );
            }
            (verdict, Numbers::NONE)
        }
        Some(Roadwarrior::Slot { limit }) => {
            let wanted = [policy::user_scope(aor, limit)];
            let Some(taken) = take(&ROADWARRIOR_ACQUIRE, call, &wanted, flags, false) else {
                return ERROR;
            };
            if taken.outcome == Outcome::Counted {
                dialogs::remember(call, c"sipwarden_user", aor);
            }
            (policy::roadwarrior_verdict(taken.outcome), Numbers::new(&wanted, &taken))
        }
    }
}

fn decide_cc_limit(call: &sw_call, company_id: &[u8], flags: CallFlags) -> Decision {
    if company_id.is_empty() || company_id == b"<null>" {
        misused(CC_LIMIT.name, format_args!("the company is \"{}\"", Printable::short(company_id)));
        return ERROR;
    }
    let decision = with_snapshot(|view, _| {
        let Some(company) = view.company(company_id) else {
            return (Verdict::UnknownCompany, Numbers::NONE, false);
        };
        let wanted = policy::call_scopes(&company);
        let Some(taken) = take(&CC_LIMIT, call, &wanted, flags, flags.emergency) else {
            return (ERROR.0, ERROR.1, false);
        };
        let verdict = policy::call_verdict(taken.outcome, flags.emergency);
        (verdict, Numbers::new(&wanted, &taken), taken.outcome == Outcome::Counted)
    });
    let Some((verdict, numbers, counted)) = decision else { return ERROR };
    if counted {
        count_direction(flags);
        dialogs::remember(call, c"sipwarden_company", company_id);
        if flags != CallFlags::default() {
            dialogs::remember(call, c"sipwarden_flags", &flag_letters(flags));
        }
    }
    (verdict, numbers)
}

fn count_direction(flags: CallFlags) {
    match direction(flags) {
        Direction::Inbound => statistics::count_own(Own::CallsInbound),
        Direction::Outbound => statistics::count_own(Own::CallsOutbound),
        Direction::Unknown => {}
    }
}

fn flag_letters(flags: CallFlags) -> Vec<u8> {
    [(flags.emergency, b'e'), (flags.inbound, b'i'), (flags.outbound, b'o')]
        .into_iter()
        .filter_map(|(on, letter)| on.then_some(letter))
        .collect()
}

fn direction(flags: CallFlags) -> Direction {
    match (flags.inbound, flags.outbound) {
        (true, _) => Direction::Inbound,
        (_, true) => Direction::Outbound,
        _ => Direction::Unknown,
    }
}

/// Counts the call of a message; None without a dialog, which is complained of.
fn take(
    function: &Function,
    call: &sw_call,
    wanted: &[Wanted<'_>],
    flags: CallFlags,
    force: bool,
) -> Option<Taken> {
    let state = state::get()?;
    let Some(dialog) = dialogs::of(call) else {
        misused(function.name, format_args!("{}", dialogs::why_none(call)));
        return None;
    };
    // SAFETY: the Call-ID lies in the message, which outlives the call.
    let call_id = unsafe { call.call_id.bytes() };
    let call = Call {
        dialog,
        call_id,
        direction: direction(flags),
        emergency: flags.emergency,
        now: now(),
    };
    Some(state.ledger.take(&call, wanted, force))
}

/// A dialog ended, turned out to live, or is gone.
pub unsafe extern "C" fn dialog_event(event: sw_dialog_event, dialog: sw_dialog) {
    guard(Entry::DialogEvent, (), || {
        let Some(state) = state::get() else { return };
        let dialog = DialogId::from(dialog);
        #[allow(non_upper_case_globals)]
        match event {
            SW_DIALOG_ENDED => {
                state.ledger.release(dialog);
            }
            SW_DIALOG_RESUMED if state.ledger.resume(dialog) => {
                statistics::count_own(Own::CallsResumed);
            }
            SW_DIALOG_GONE => {
                state.ledger.forget(dialog);
            }
            _ => {}
        }
    });
}

/// Counts the call of a dialog that comes back after a restart, unconditionally.
pub unsafe extern "C" fn dialog_restored(restored: *const sw_restored) {
    guard(Entry::DialogRestored, (), || {
        // SAFETY: the shim passes a structure whose texts outlive the call.
        let Some(restored) = (unsafe { restored.as_ref() }) else { return };
        // SAFETY: as above.
        let (call_id, company, user, flags) = unsafe {
            (
                restored.call_id.bytes(),
                restored.company.bytes(),
                restored.user.bytes(),
                restored.flags.bytes(),
            )
        };
        let Some(state) = state::get() else { return };
        let (flags, _) = CallFlags::parse(flags);
        let call = Call {
            dialog: restored.dialog.into(),
            call_id,
            direction: direction(flags),
            emergency: flags.emergency,
            now: restored.started,
        };
        restore(state, &call, company, user);
    });
}

fn restore(state: &State, call: &Call<'_>, company_id: &[u8], user: &[u8]) {
    if !user.is_empty() {
        state.ledger.take(call, &[policy::user_scope(user, 0)], true);
    }
    if company_id.is_empty() {
        return;
    }
    let counted = with_snapshot(|view, _| {
        view.company(company_id)
            .map(|company| state.ledger.take(call, &policy::call_scopes(&company), true))
    });
    match counted.flatten().map(|taken| taken.outcome) {
        Some(Outcome::Counted | Outcome::Held) => {}
        Some(_) => log::error(format_args!(
            "max_calls is too small: the restored call {} is not counted",
            Printable::short(call.call_id)
        )),
        None => log::warning(format_args!(
            "company \"{}\" is gone: its restored call {} is not counted",
            Printable::short(company_id),
            Printable::short(call.call_id)
        )),
    }
}
