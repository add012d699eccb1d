//! Lines about single sources and AoRs. How many of them flood, fail or calm down at a time is up to
//! strangers: a process logs so many lines of that in a minute, and no more.

use std::cell::Cell;
use std::fmt::Arguments;
use std::time::{Duration, Instant};

use crate::host::contract::abi::command;
use crate::host::contract::log;

const PERIOD: Duration = Duration::from_secs(60);
/// More than a busy platform needs, and fewer than hurt a log.
const MOST: u32 = 1000;

thread_local! {
    /// When the minute began, and the lines in it.
    static MINUTE: Cell<Option<(Instant, u32)>> = const { Cell::new(None) };
}

/// Logs what has become of a source or an AoR, unless there is too much of that.
pub fn log_of_source(what: Arguments<'_>) {
    let (since, before) = MINUTE
        .get()
        .filter(|(since, _)| since.elapsed() < PERIOD)
        .unwrap_or_else(|| (Instant::now(), 0));
    MINUTE.set(Some((since, before.saturating_add(1))));
    if before < MOST {
        log::warning(what);
    } else if before == MOST {
        log::warning(format_args!(
            "blocks, bans and throttling are not logged for the rest of a minute: this process has \
             logged {MOST} of them in it; {} and {} list them (said once a minute)",
            command("blocks"),
            command("bans")
        ));
    }
}
