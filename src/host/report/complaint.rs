//! Complaints about a script or its traffic: each kind at most once a minute and process, so
//! that one kind does not hide another.

use std::cell::Cell;
use std::fmt::Arguments;
use std::time::{Duration, Instant};

use crate::host::contract::counters::{self, Own};
use crate::host::contract::log;
use crate::printable::Printable;

const PERIOD: Duration = Duration::from_secs(60);
const KINDS: usize = 15;

#[derive(Clone, Copy)]
pub enum ComplaintKind {
    /// An argument that a function cannot use.
    Argument,
    /// An unknown flag.
    Flag,
    /// A message without a dialog.
    NoDialog,
    /// No room for another call.
    Full,
    /// An emergency call that is not counted.
    Emergency,
    /// No room for another source.
    Sources,
    /// A failure without an AoR.
    Login,
    /// No room for another AoR.
    Logins,
    /// A text that is not an address.
    Address,
    /// A message without a sender.
    NoSource,
    /// A lock that another process keeps.
    Lock,
    /// No room for another scope.
    Scopes,
    /// No room for another grant.
    Grants,
    /// A grant that is asked to be longer than it may be.
    LongGrant,
    /// A listed source that is served all the same.
    Listed,
}

const _: () = assert!(ComplaintKind::Listed as usize + 1 == KINDS);

thread_local! {
    static LAST: [Cell<Option<Instant>>; KINDS] = const { [const { Cell::new(None) }; KINDS] };
}

/// Logs `what`, unless a complaint of this kind was logged within a minute.
pub fn complain(kind: ComplaintKind, what: Arguments<'_>) {
    let due = LAST.with(|last| {
        let Some(last) = last.get(kind as usize) else { return false };
        let due = last.get().is_none_or(|at| at.elapsed() >= PERIOD);
        if due {
            last.set(Some(Instant::now()));
        }
        due
    });
    if due {
        log::warning(what);
    }
}

/// A request was refused because the script passes what a function cannot use.
pub fn misused(function: &str, what: Arguments<'_>) {
    complain(
        ComplaintKind::Argument,
        format_args!(
            "{function} refused a request: {what}; is a variable of the script unset? (said once \
             a minute)"
        ),
    );
}

/// Logs an unknown flag.
pub fn unknown_flag(function: &str, letter: u8, known: &str) {
    let what = no_such_flag(function, letter, known);
    complain(ComplaintKind::Flag, format_args!("{what}; this one is ignored (said once a minute)"));
}

/// What is wrong with a flag, and the known ones.
pub fn no_such_flag(function: &str, letter: u8, known: &str) -> String {
    let letter = [letter];
    let letter = Printable::short(&letter);
    format!("{function} has no flag \"{letter}\"; its flags are {known}")
}

/// This process has waited for a second for a lock of a live process.
pub fn long_wait(owner: u32) {
    counters::count_own(Own::LockWaits);
    complain(
        ComplaintKind::Lock,
        format_args!(
            "process {owner} has not given a lock back for 1 s; is it stopped, or the machine \
             overloaded? (said once a minute)"
        ),
    );
}
