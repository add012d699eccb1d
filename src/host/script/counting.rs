//! Counting the call of a message.

use super::shared::{self, Later};
use crate::clock;
use crate::host::contract::dialogs::DialogRef;
use crate::host::contract::message::CallRequest;
use crate::host::report::complaint::{ComplaintKind, complain};
use crate::host::state::{self, State};
use crate::ledger::{Call, Enforcement, Outcome, Taken, Wanted};
use crate::policy::CallFlags;
use crate::verdict::Function;

/// Why a call is not counted in the wrong kind of route.
pub(super) const MISPLACED: &str = "it is asked in a branch, reply, onsend or event route; ask in \
                         request_route or failure_route";

/// The dialog of a message; None is complained of.
pub(super) fn hold(function: &Function, call: CallRequest<'_>) -> Option<DialogRef> {
    if call.is_misplaced() {
        no_dialog(function, MISPLACED);
        return None;
    }
    dialog_of(call).map_err(|why| no_dialog(function, why)).ok()
}

/// The dialog of a message whose call is about to be counted; why there is none.
pub(super) fn dialog_of(call: CallRequest<'_>) -> Result<DialogRef, &'static str> {
    let dialog = DialogRef::of(call)?;
    if let Some(state) = state::get() {
        state.ledger.expect(dialog.id);
    }
    Ok(dialog)
}

pub(super) fn no_dialog(function: &Function, why: &str) {
    complain(
        ComplaintKind::NoDialog,
        format_args!("{} cannot count a call: {why} (said once a minute)", function.name),
    );
}

/// Counts the call of a message. The caller must hold the dialog: if it were destroyed in
/// between, the call would be counted for ever.
pub(super) fn take(
    call: CallRequest<'_>,
    dialog: &DialogRef,
    wanted: &[Wanted<'_>],
    flags: CallFlags,
    enforcement: Enforcement,
) -> Taken {
    let mut taken = Taken::nothing(Outcome::Full);
    match begin(&mut taken, call, dialog, wanted, flags, enforcement) {
        Ok(()) => taken,
        Err(later) => wait_for(call, dialog, flags, *later).0,
    }
}

/// The same for a call that need not wait; what was seen is put into what is nothing yet.
///
/// # Errors
/// It has to: [`wait_for`].
pub(super) fn begin(
    taken: &mut Taken,
    call: CallRequest<'_>,
    dialog: &DialogRef,
    wanted: &[Wanted<'_>],
    flags: CallFlags,
    enforcement: Enforcement,
) -> Result<(), Box<Later>> {
    let Some(state) = state::get() else { return Ok(()) };
    let call = named(state, call, dialog, flags);
    match &state.desk {
        None => state.ledger.take_into(taken, &call, wanted, enforcement),
        Some(desk) => *taken = shared::begin(state, desk, &call, wanted, enforcement)?,
    }
    note_answer(state, dialog, taken);
    complain_of_room(state, taken);
    Ok(())
}

#[cold]
pub(super) fn wait_for(
    call: CallRequest<'_>,
    dialog: &DialogRef,
    flags: CallFlags,
    later: Later,
) -> (Taken, Later) {
    let state = state::get();
    let Some((state, desk)) = state.and_then(|state| Some((state, state.desk.as_ref()?))) else {
        return (Taken::nothing(Outcome::Down), later);
    };
    let (taken, later) = later.finish(state, desk, &named(state, call, dialog, flags));
    note_answer(state, dialog, &taken);
    complain_of_room(state, &taken);
    (taken, later)
}

/// A call that was counted as one that rings may have been answered just before: the dialog's
/// state was changed then, and who told of it has found no lease. If the state changes after
/// this look, who tells of it finds the lease.
#[inline(always)]
fn note_answer(state: &State, dialog: &DialogRef, taken: &Taken) {
    if taken.added != 0 && dialog.is_answered() {
        state.ledger.answer(dialog.id);
    }
}

/// A call as the ledger knows it.
#[inline(always)]
fn named<'a>(
    state: &State,
    call: CallRequest<'a>,
    dialog: &DialogRef,
    flags: CallFlags,
) -> Call<'a> {
    let [cseq, branch] = call.transaction();
    let is_initial = call.is_initial_invite();
    let invite = match is_initial {
        false => 0,
        true => state.ledger.hash((cseq, branch)) as u32 | 1,
    };
    let came = clock::monotonic();
    Call {
        dialog: dialog.id,
        call_id: call.call_id(),
        direction: flags.direction(),
        invite,
        emergency: flags.emergency,
        rings: is_initial || !dialog.is_answered(),
        came,
        began: clock::whole_seconds(came),
    }
}

#[inline(always)]
fn complain_of_room(state: &State, taken: &Taken) {
    if matches!(taken.outcome, Outcome::Full | Outcome::ScopesFull) {
        no_room(state, taken.outcome);
    }
}

#[cold]
fn no_room(state: &State, outcome: Outcome) {
    let room = state.ledger.memory();
    match outcome {
        Outcome::ScopesFull => complain(
            ComplaintKind::Scopes,
            format_args!(
                "calls are refused: there is no room for another id of a scope, beside {} with \
                 calls and {} that rates remember; raise max_calls (said once a minute)",
                room.scopes, room.idle_scopes
            ),
        ),
        _ => complain(
            ComplaintKind::Full,
            format_args!(
                "calls are refused: all {} records of max_calls are in use (said once a minute)",
                state.ledger.memory().capacity
            ),
        ),
    }
}
