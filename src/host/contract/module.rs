//! What the module does for the host: safe types only.
#![forbid(unsafe_code)]

use std::ffi::CStr;

use super::fault::Fault;
use super::message::{Attempt, CallRequest, Message};
use super::method::Method;
use super::rpc::Call;
use super::values::Value;
use crate::ledger::DialogId;
use crate::verdict::Verdict;

/// What a parameter takes.
pub enum ParamKind {
    /// A number: its default and both bounds.
    Int(i32, i32, i32),
    /// A text, and its default.
    Text(&'static CStr),
    /// A text, or a number of seconds; its default.
    Duration(&'static CStr),
    /// A text that may be given several times.
    List,
}

/// A module parameter.
pub struct ParamEntry {
    /// Its name.
    pub name: &'static CStr,
    /// What it takes.
    pub kind: ParamKind,
    /// Whether it can be changed at run time.
    pub runtime: bool,
    /// One sentence.
    pub meaning: &'static CStr,
}

/// What became of a dialog.
pub enum DialogEvent {
    /// The call is over, as far as the dialog knows.
    Ended,
    /// It turned out to live.
    Resumed,
    /// The call was answered.
    Answered,
    /// The dialog is destroyed.
    Gone,
}

/// What a dialog that comes back after a restart remembers.
pub struct Restored<'a> {
    /// The dialog.
    pub dialog: DialogId,
    /// Its Call-ID.
    pub call_id: &'a [u8],
    /// Empty: not counted by `cc_limit`.
    pub company: &'a [u8],
    /// Empty: not counted by `roadwarrior_acquire`.
    pub user: &'a [u8],
    /// Flags of that function.
    pub flags: &'a [u8],
    /// What [`super::dialogs::DialogRef::append`] has kept.
    pub more: &'a [u8],
    /// Seconds since 1970.
    pub started: u64,
}

/// What the module does when C calls. A panic in any of these is caught.
pub trait Module {
    /// Parameter number `index`.
    fn param(index: usize) -> Option<ParamEntry>;
    /// RPC method number `index`.
    fn rpc_method(index: usize) -> Option<&'static Method>;
    /// Name of statistic number `index`, and whether it is asked for its value.
    fn statistic(index: usize) -> Option<(&'static CStr, bool)>;
    /// The value of such a statistic.
    fn gauge(index: usize) -> u64;
    /// Position of an attribute of `$swd`.
    fn variable_index(name: &[u8]) -> Option<usize>;
    /// Name of attribute number `index`.
    fn variable_name(index: usize) -> Option<&'static str>;
    /// Name of event number `index`.
    fn event_name(index: usize) -> Option<&'static str>;
    /// Gives the value of attribute number `index` to `tell`, if there is one.
    fn variable(message: Message<'_>, index: usize, tell: impl FnOnce(Value<'_>));
    /// A configured value; what is wrong with it is logged. `text` is None for a number.
    fn set_param(index: usize, text: Option<&[u8]>, number: i32) -> bool;
    /// Whether a value may be set at run time; what is wrong with it is logged.
    fn check_setting(index: usize, text: Option<&[u8]>, number: i32) -> bool;
    /// Sets a value that was checked.
    fn apply_setting(index: usize, text: Option<&[u8]>, number: i32);
    /// Whether a function has these flags; what is wrong is logged.
    fn check_flags(function: &[u8], flags: &[u8]) -> bool;
    /// Whether scopes can be as the script writes them; logs what is wrong.
    fn check_scopes(scopes: &[u8]) -> bool;
    /// Starts, before the host forks; what is wrong is logged.
    fn init() -> bool;
    /// The host stops: all other processes have ended.
    fn destroy();
    /// Whether the tables are those of a file.
    fn can_load() -> bool;
    /// Tries to load the database's, if it is time.
    fn load();
    /// Whether limits are shared with other nodes.
    fn can_serve() -> bool;
    /// Called all the time in the process that asks the other nodes; it waits for their server.
    fn serve();
    /// Whether host names may stand in the place of addresses.
    fn can_resolve() -> bool;
    /// Called all the time in the process that asks the resolver.
    fn resolve();
    /// `check_company_ip(company [, ip])`.
    fn check_company_ip(message: Message<'_>, company: &[u8]) -> Verdict;
    /// `check_country(list [, ip])`.
    fn check_country(message: Message<'_>, list: &[u8]) -> Verdict;
    /// `flood_check([flags [, ip]])`.
    fn flood_check(message: Message<'_>, flags: &[u8]) -> Verdict;
    /// `auth_check(aor [, ip])`.
    fn auth_check(message: Message<'_>, aor: &[u8]) -> Verdict;
    /// `auth_failed(aor [, credentials [, ip [, code]]])`; None: those of the request itself.
    fn auth_failed(attempt: Attempt<'_>, aor: &[u8], credentials: Option<&[u8]>) -> Verdict;
    /// `auth_ok(aor [, ip])`.
    fn auth_ok(message: Message<'_>, aor: &[u8]) -> Verdict;
    /// `scanner_check()`.
    fn scanner_check(message: Message<'_>) -> Verdict;
    /// `grant(company, seconds [, ip])`.
    fn grant(message: Message<'_>, company: &[u8], seconds: &[u8]) -> Verdict;
    /// `roadwarrior_acquire(aor, company [, flags [, ip]])`.
    fn roadwarrior_acquire(
        call: CallRequest<'_>,
        aor: &[u8],
        company: &[u8],
        flags: &[u8],
    ) -> Verdict;
    /// `cc_limit(company [, flags [, scopes]])`.
    fn cc_limit(call: CallRequest<'_>, company: &[u8], flags: &[u8], scopes: &[u8]) -> Verdict;
    /// A request of a dialog that counts has come.
    fn dialog_request(message: Message<'_>);
    /// What became of a dialog, which may be locked.
    fn dialog_event(event: DialogEvent, dialog: DialogId);
    /// A dialog ended although neither end hung up: why (`sw_expiry`), and whether both
    /// were sent a BYE.
    fn dialog_expired(dialog: DialogId, why: usize, said_bye: bool);
    /// Whether the call of a dialog counts.
    fn dialog_counts(dialog: DialogId) -> bool;
    /// A dialog has come back after a restart.
    fn dialog_restored(restored: &Restored<'_>);
    /// Called all the time in the process that waits for nothing; each of its jobs has a guard.
    fn tick();
    /// Called all the time in the process that runs scripts and talks to databases; each of
    /// its jobs has a guard. Whether there is more to do at once.
    fn record() -> bool;
    /// Answers RPC method number `index`.
    ///
    /// # Errors
    /// The fault with which the call ends.
    fn rpc(index: usize, call: &Call) -> Result<(), Fault>;
}
