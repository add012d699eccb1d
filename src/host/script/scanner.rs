//! `scanner_check`.

use super::answer::{About, answer};
use crate::host::contract::counters;
use crate::host::contract::message::Message;
use crate::host::report::events::{self, subject};
use crate::host::state::rules::monitors;
use crate::host::state::with_snapshot;
use crate::policy::{self, Numbers};
use crate::verdict::{SCANNER_CHECK, Verdict};

/// `scanner_check()`.
pub fn scanner_check(msg: Message<'_>) -> Verdict {
    let verdict = match with_snapshot(|view, _| view.tools().any_matches(|| msg.claims())) {
        Some(true) => Verdict::Scanner,
        _ => Verdict::NoScanner,
    };
    let (told, watched) = policy::watch(verdict, monitors());
    counters::count_verdict(&SCANNER_CHECK, verdict);
    if verdict == Verdict::Scanner {
        let (subject, none) = (subject(msg.sender()), Numbers::NONE);
        events::refused(None, msg, &SCANNER_CHECK, verdict, watched, &subject, &none);
    }
    if watched {
        counters::count_verdict(&SCANNER_CHECK, told);
    }
    answer(msg, SCANNER_CHECK.name, (told, verdict), msg.sender(), About::Nothing)
}
