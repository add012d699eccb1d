//! Dialogs through the host.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use super::abi::{
    self, SW_DIALOG_LOADED, SW_DIALOG_LOOKUP, SW_DIALOG_PERSISTS, sw_dialog, sw_host,
};
use super::message::CallRequest;
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
        // SAFETY: reads a number set at the start.
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

/// A dialog that stays as long as this lives, so that what is counted for it
/// leaves with it.
pub struct DialogRef {
    host: &'static sw_host,
    handle: *mut c_void,
    /// Its name.
    pub id: DialogId,
}

impl DialogRef {
    /// The dialog of a message; made if it is an initial INVITE.
    ///
    /// # Errors
    /// Why there is none, for the operator.
    pub fn of(call: CallRequest<'_>) -> Result<Self, &'static str> {
        let host = abi::host().ok_or("no host")?;
        let hold = host.dialog_hold.ok_or("no dialogs")?;
        let mut dialog = sw_dialog { entry: 0, id: 0 };
        let mut why: *const c_char = ptr::null();
        // SAFETY: the call is the one that the shim is in; no lock is held.
        let handle = unsafe { hold(call.raw(), &raw mut dialog, &raw mut why) };
        if handle.is_null() {
            // SAFETY: a string literal of the shim.
            let why = (!why.is_null()).then(|| unsafe { CStr::from_ptr(why) });
            return Err(why.and_then(|w| w.to_str().ok()).unwrap_or("there is no dialog"));
        }
        Ok(DialogRef { host, handle, id: dialog.into() })
    }

    /// Whether its call was answered.
    #[inline]
    pub fn is_answered(&self) -> bool {
        // SAFETY: the handle is held; its state is read.
        self.host.dialog_answered.is_some_and(|answered| unsafe { answered(self.handle) } != 0)
    }

    /// Keeps a text with the dialog where dialogs outlive a restart.
    pub fn remember(&self, name: &CStr, value: &[u8]) {
        if !persist() {
            return;
        }
        let kept = self.host.dialog_remember.is_some_and(|remember| {
            // SAFETY: the handle is held; name and value outlive the call.
            unsafe { remember(self.handle, name.as_ptr(), value.into()) == 1 }
        });
        if !kept {
            not_kept(&name.to_string_lossy());
        }
    }

    /// Keeps a text behind those that were kept so before.
    pub fn append(&self, value: &[u8]) {
        if !persist() {
            return;
        }
        let kept = self.host.dialog_append.is_some_and(|append| {
            // SAFETY: the handle is held; the value outlives the call.
            unsafe { append(self.handle, value.into()) == 1 }
        });
        if !kept {
            not_kept("sipwarden_more");
        }
    }
}

fn not_kept(name: &str) {
    super::log::error(format_args!(
        "{name} cannot be kept with the dialog: after a restart its call is not counted there"
    ));
}

impl Drop for DialogRef {
    fn drop(&mut self) {
        if let Some(unhold) = self.host.dialog_unhold {
            // SAFETY: the handle came from hold and is given back once.
            unsafe { unhold(self.handle) };
        }
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

/// What became of an attempt to end a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Both ends were sent a BYE, and the call counts no more.
    Sent,
    /// Not both of them could be sent one. While its dialog lives, the call does.
    Failed,
    /// It was not answered, or is over.
    Nothing,
}

/// Sends a BYE to both ends of a call that was answered.
pub fn end(dialog: DialogId) -> Ending {
    let Some(end) = abi::host().and_then(|host| host.dialog_end) else { return Ending::Nothing };
    // SAFETY: no lock is held.
    match unsafe { end(dialog.into()) } {
        0 => Ending::Nothing,
        1 => Ending::Sent,
        _ => Ending::Failed,
    }
}
