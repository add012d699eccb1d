//! Complaints about a script, at most one a minute and process.

use std::cell::Cell;
use std::fmt::Arguments;
use std::time::{Duration, Instant};

use super::log;

const PERIOD: Duration = Duration::from_secs(60);

thread_local! {
    static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// Says that a script passes what a function cannot use.
pub fn misused(function: &str, what: Arguments<'_>) {
    if LAST.get().is_none_or(|at| at.elapsed() >= PERIOD) {
        LAST.set(Some(Instant::now()));
        log::warning(format_args!(
            "{function} refused a request while it read its arguments: {what}; is a variable of \
             the script unset?"
        ));
    }
}
