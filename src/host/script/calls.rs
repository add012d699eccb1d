//! `cc_limit` and `roadwarrior_acquire`, and what becomes of their calls.

use super::answer::{About, answer};
use super::judged::judged;
use crate::clock;
use crate::events::{Expiry, Subject};
use crate::host::contract::counters::{self, Own};
use crate::host::contract::dialogs::DialogRef;
use crate::host::contract::log;
use crate::host::contract::message::CallRequest;
use crate::host::contract::module::{DialogEvent, Restored};
use crate::host::report::complaint::{ComplaintKind, complain, misused, unknown_flag};
use crate::host::report::events::{self, subject};
use crate::host::state::rules::monitors;
use crate::host::state::{self, State, with_snapshot};
use crate::ledger::{Call, DialogId, Direction, Enforcement, Outcome, Taken, Wanted};
use crate::policy::{self, CallFlags, Numbers, Roadwarrior};
use crate::printable::Printable;
use crate::source::Source;
use crate::unset::is_unset;
use crate::verdict::{CC_LIMIT, Function, ROADWARRIOR_ACQUIRE, Verdict};

/// A verdict and the live calls and limits behind it.
type Decision = (Verdict, Numbers);

const ERROR: Decision = (Verdict::InternalError, Numbers::NONE);

/// `roadwarrior_acquire(aor, company [, flags [, ip]])`.
pub fn roadwarrior_acquire(
    call: CallRequest<'_>,
    aor: &[u8],
    company: &[u8],
    flags: &[u8],
) -> Verdict {
    let flags = read_flags(&ROADWARRIOR_ACQUIRE, flags);
    let monitored = is_filter_monitored(company);
    let source = judged(call.message(), &ROADWARRIOR_ACQUIRE);
    let (mut verdict, numbers) = match source {
        Ok(source) => decide_roadwarrior(call, source, (aor, company), flags, monitored),
        Err(none) => (none.refusal(), Numbers::NONE),
    };
    if flags.emergency && verdict.code() < 0 {
        verdict = Verdict::RoadwarriorEmergency;
    }
    let asked = Asked { source: source.ok(), aor, company, monitored };
    finish(&ROADWARRIOR_ACQUIRE, call, &asked, (verdict, numbers))
}

/// `cc_limit(company [, flags])`.
pub fn cc_limit(call: CallRequest<'_>, company: &[u8], flags: &[u8]) -> Verdict {
    let flags = read_flags(&CC_LIMIT, flags);
    let monitored = monitors();
    let (mut verdict, numbers) = decide_cc_limit(call, company, flags, monitored);
    if flags.emergency && verdict.code() < 0 {
        // Not counted: no company, no dialog or no room. Allowed all the same.
        counters::count_own(Own::EmergencyUncounted);
        let reason = verdict.reason();
        complain(
            ComplaintKind::Emergency,
            format_args!("an emergency call is allowed but not counted: {reason}"),
        );
        verdict = Verdict::CallEmergency;
    }
    let asked = Asked { source: call.message().sender(), aor: &[], company, monitored };
    finish(&CC_LIMIT, call, &asked, (verdict, numbers))
}

/// Whom a function was asked about, and whether refusals are only watched.
struct Asked<'a> {
    source: Option<Source>,
    aor: &'a [u8],
    company: &'a [u8],
    monitored: bool,
}

fn finish(
    function: &'static Function,
    call: CallRequest<'_>,
    asked: &Asked<'_>,
    (verdict, numbers): Decision,
) -> Verdict {
    counters::count_verdict(function, verdict);
    let (told, watched) = policy::watch(verdict, asked.monitored);
    if verdict.code() < 0 {
        report_refusal(function, call, asked, verdict, &numbers);
    }
    if watched {
        counters::count_verdict(function, told);
    }
    answer(call.message(), function.name, (told, verdict), asked.source, About::Calls(numbers))
}

#[cold]
fn report_refusal(
    function: &'static Function,
    call: CallRequest<'_>,
    asked: &Asked<'_>,
    verdict: Verdict,
    numbers: &Numbers,
) {
    with_snapshot(|view, _| {
        let &Asked { source, aor, company, monitored } = asked;
        let subject = Subject { company, aor, ..subject(source) };
        let known = view.company(company);
        let known = known.as_ref();
        events::refused(known, call.message(), function, verdict, monitored, &subject, numbers);
    });
}

/// Whether refusals for a company's sources are only watched.
fn is_filter_monitored(company: &[u8]) -> bool {
    let everywhere = monitors();
    with_snapshot(|view, _| policy::is_filter_monitored(view.company(company).as_ref(), everywhere))
        .unwrap_or(everywhere)
}

/// What limits do to a call: nothing to one that is spared.
fn enforcement(spared: bool, monitored: bool) -> Enforcement {
    match (spared, monitored) {
        (true, _) => Enforcement::Off,
        (_, true) => Enforcement::Monitor,
        _ => Enforcement::Full,
    }
}

fn read_flags(function: &Function, text: &[u8]) -> CallFlags {
    let (flags, unknown) = CallFlags::parse(text);
    if let Some(letter) = unknown {
        unknown_flag(function.name, letter, CallFlags::KNOWN);
    }
    flags
}

fn decide_roadwarrior(
    call: CallRequest<'_>,
    Source { address: source, .. }: Source,
    (aor, company): (&[u8], &[u8]),
    flags: CallFlags,
    monitored: bool,
) -> Decision {
    let initial = call.is_initial_invite();
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
            let Some(dialog) = hold(&ROADWARRIOR_ACQUIRE, call) else { return ERROR };
            let wanted = policy::roadwarrior_scopes(aor, company, limit);
            let enforcement = enforcement(flags.emergency, monitored);
            let taken = take(call, &dialog, &wanted, flags, enforcement);
            if taken.outcome == Outcome::Counted {
                dialog.remember(c"sipwarden_user", aor);
            }
            let watched = monitored && !flags.emergency;
            (policy::roadwarrior_verdict(&taken, watched), Numbers::new(&wanted, &taken))
        }
    }
}

fn decide_cc_limit(
    call: CallRequest<'_>,
    company_id: &[u8],
    flags: CallFlags,
    monitored: bool,
) -> Decision {
    if is_unset(company_id) {
        misused(CC_LIMIT.name, format_args!("the company is \"{}\"", Printable::short(company_id)));
        return ERROR;
    }
    let known = with_snapshot(|view, _| view.company(company_id).is_some());
    match known {
        None => return ERROR,
        Some(false) => return (Verdict::UnknownCompany, Numbers::NONE),
        Some(true) => {}
    }
    let within = call.is_within_dialog();
    if call.is_misplaced() {
        no_dialog(&CC_LIMIT, MISPLACED);
        return ERROR;
    }
    let dialog = match DialogRef::of(call) {
        Ok(dialog) => dialog,
        // A call that began before this Kamailio did, or elsewhere.
        Err(_) if within => return (Verdict::CallUntracked, Numbers::NONE),
        Err(why) => {
            no_dialog(&CC_LIMIT, why);
            return ERROR;
        }
    };
    let decision = with_snapshot(|view, _| {
        let company = view.company(company_id)?;
        let wanted = policy::call_scopes(&company, direction(flags));
        // A call that is up is counted, not judged.
        let spared = flags.emergency || within;
        let enforcement = match within {
            true => Enforcement::Within,
            false => enforcement(flags.emergency, monitored),
        };
        let taken = take(call, &dialog, &wanted, flags, enforcement);
        let numbers = Numbers::new(&wanted, &taken);
        let verdict = policy::call_verdict(&taken, flags.emergency, monitored && !spared);
        if taken.outcome == Outcome::Counted {
            events::counted(company_id, company.brand().0, &numbers);
        }
        Some((verdict, numbers, taken))
    });
    let Some((verdict, numbers, taken)) = decision.flatten() else { return ERROR };
    if taken.outcome == Outcome::Counted {
        count_direction(flags);
        // The dialog keeps one company: after a restart the call counts for the first.
        if !taken.second_company {
            dialog.remember(c"sipwarden_company", company_id);
            if flags != CallFlags::default() {
                dialog.remember(c"sipwarden_flags", &flag_letters(flags));
            }
        }
    }
    (verdict, numbers)
}

fn count_direction(flags: CallFlags) {
    match direction(flags) {
        Direction::In => counters::count_own(Own::CallsInbound),
        Direction::Out => counters::count_own(Own::CallsOutbound),
        Direction::Any => {}
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
        (true, _) => Direction::In,
        (_, true) => Direction::Out,
        _ => Direction::Any,
    }
}

/// Why a call is not counted in the wrong kind of route.
const MISPLACED: &str = "it is asked in a branch, reply, onsend or event route; ask in \
                         request_route or failure_route";

/// The dialog of a message; None is complained of.
fn hold(function: &Function, call: CallRequest<'_>) -> Option<DialogRef> {
    if call.is_misplaced() {
        no_dialog(function, MISPLACED);
        return None;
    }
    DialogRef::of(call).map_err(|why| no_dialog(function, why)).ok()
}

fn no_dialog(function: &Function, why: &str) {
    complain(
        ComplaintKind::NoDialog,
        format_args!("{} cannot count a call: {why} (said once a minute)", function.name),
    );
}

/// Counts the call of a message. The caller must hold the dialog: if it were destroyed in
/// between, the call would be counted for ever.
fn take(
    call: CallRequest<'_>,
    dialog: &DialogRef,
    wanted: &[Wanted<'_>],
    flags: CallFlags,
    enforcement: Enforcement,
) -> Taken {
    let Some(state) = state::get() else { return Taken::nothing(Outcome::Full) };
    let [cseq, branch] = call.transaction();
    let invite = match call.is_initial_invite() {
        false => 0,
        true => state.ledger.hash(&[cseq, b" ", branch].concat()) as u32 | 1,
    };
    let taken = state.ledger.take(
        &Call {
            dialog: dialog.id,
            call_id: call.call_id(),
            direction: direction(flags),
            invite,
            emergency: flags.emergency,
            now: clock::seconds(),
            came: 0,
        },
        wanted,
        enforcement,
    );
    match taken.outcome {
        Outcome::Full => complain(
            ComplaintKind::Full,
            format_args!(
                "calls are refused: all {} records of max_calls are in use (said once a minute)",
                state.ledger.memory().capacity
            ),
        ),
        Outcome::ScopesFull => complain(
            ComplaintKind::Full,
            format_args!(
                "calls are refused: all records of brands, companies and users with calls are in \
                 use; max_calls gives their number (said once a minute)"
            ),
        ),
        _ => {}
    }
    taken
}

/// A dialog ended, turned out to live, or is gone.
pub fn dialog_event(event: DialogEvent, dialog: DialogId) {
    let Some(state) = state::get() else { return };
    match event {
        DialogEvent::Ended => {
            state.ledger.release(dialog);
        }
        DialogEvent::Resumed => {
            if state.ledger.resume(dialog) {
                counters::count_own(Own::CallsResumed);
            }
        }
        DialogEvent::Gone => {
            state.ledger.forget(dialog);
        }
    }
}

/// A dialog ended although neither end hung up; `said_bye`: both were sent a BYE.
pub fn dialog_expired(dialog: DialogId, why: usize, said_bye: bool) {
    let Some(state) = state::get() else { return };
    let Some(ended) = state.ledger.expire(dialog) else { return };
    counters::count_own(Own::CallsExpired);
    let why = Expiry::ALL.get(why).copied().unwrap_or(Expiry::Lifetime);
    events::call_expired(state, &ended, why, said_bye);
}

/// Whether the call of a dialog counts.
pub fn dialog_counts(dialog: DialogId) -> bool {
    state::get().is_some_and(|state| state.ledger.is_live(dialog))
}

/// Counts the call of a dialog that comes back after a restart, unconditionally.
pub fn dialog_restored(restored: &Restored<'_>) {
    let Some(state) = state::get() else { return };
    let (flags, _) = CallFlags::parse(restored.flags);
    let call = Call {
        dialog: restored.dialog,
        call_id: restored.call_id,
        direction: direction(flags),
        invite: 0,
        emergency: flags.emergency,
        now: restored.started,
        came: 0,
    };
    restore(state, &call, restored.company, restored.user);
}

fn restore(state: &State, call: &Call<'_>, company_id: &[u8], user: &[u8]) {
    if !user.is_empty() {
        let company = with_snapshot(|view, _| Some(view.user(user)?.company.id().to_vec()));
        let company = company.flatten();
        let scopes = policy::roadwarrior_scopes(user, company.as_deref().unwrap_or_default(), 0);
        let known = if company.is_some() { &scopes[..] } else { &scopes[..1] };
        state.ledger.take(call, known, Enforcement::Off);
    }
    if company_id.is_empty() {
        return;
    }
    let counted = with_snapshot(|view, _| {
        view.company(company_id).map(|company| {
            let scopes = policy::call_scopes(&company, call.direction);
            state.ledger.take(call, &scopes, Enforcement::Off)
        })
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
