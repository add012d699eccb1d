//! Dialogs through the host.

use std::ffi::CStr;

use super::abi::{
    self, SW_DIALOG_LOADED, SW_DIALOG_LOOKUP, SW_DIALOG_PERSISTS, sw_call, sw_dialog,
};
use crate::ledger::DialogId;

impl From<sw_dialog> for DialogId {
    fn from(dialog: sw_dialog) -> Self {
        DialogId::new(dialog.entry, dialog.id)
    }
}

impl From<DialogId> for sw_dialog {
    fn from(dialog: DialogId) -> Self {
        sw_dialog { entry: (dialog.0 >> 32) as u32, id: dialog.0 as u32 }
    }
}

fn supports(bit: u32) -> bool {
    abi::host().and_then(|h| h.dialog_support).is_some_and(|support| {
        // SAFETY: reads a number set in mod_init.
        unsafe { support() as u32 & bit != 0 }
    })
}

/// Whether the dialog module is loaded.
pub fn loaded() -> bool {
    supports(SW_DIALOG_LOADED)
}

/// Whether dialogs outlive a restart.
pub fn persist() -> bool {
    supports(SW_DIALOG_PERSISTS)
}

/// Whether [`exists`] can tell.
pub fn can_look_up() -> bool {
    supports(SW_DIALOG_LOOKUP)
}

/// The dialog of a message; made if it is an initial INVITE.
pub fn of(call: &sw_call) -> Option<DialogId> {
    let of = abi::host()?.dialog_of?;
    let mut dialog = sw_dialog { entry: 0, id: 0 };
    // SAFETY: the call is the one that the shim is in; no lock is held.
    let found = unsafe { of(call, &raw mut dialog) };
    (found == 1).then(|| dialog.into())
}

/// Why a message has no dialog, for the operator.
pub fn why_none(call: &sw_call) -> &'static str {
    match (loaded(), call.initial_invite != 0) {
        (false, _) => "there is no dialog module: loadmodule \"dialog.so\" is missing",
        (true, true) => "no dialog can be made: is tm.so loaded before dialog.so?",
        (true, false) => {
            "the message is no initial INVITE and belongs to no dialog: call it for INVITEs only, \
             and after loose_route() within a dialog"
        }
    }
}

/// Keeps a text with the dialog of a message where dialogs outlive a restart.
pub fn remember(call: &sw_call, name: &CStr, value: &[u8]) {
    if !persist() {
        return;
    }
    let kept = abi::host().and_then(|h| h.dialog_remember).is_some_and(|remember| {
        // SAFETY: as in `of`; name and value outlive the call.
        unsafe { remember(call, name.as_ptr(), value.into()) == 1 }
    });
    if !kept {
        super::log::error(format_args!(
            "{} cannot be kept with the dialog: after a restart its call is not counted",
            name.to_string_lossy()
        ));
    }
}

/// Whether there is a dialog with this name; None if that cannot be told.
pub fn exists(dialog: DialogId) -> Option<bool> {
    let exists = abi::host()?.dialog_exists?;
    // SAFETY: no lock is held.
    match unsafe { exists(dialog.into()) } {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}
