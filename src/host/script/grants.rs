//! `grant`.

use super::answer::{About, answer};
use super::judged::{NoSource, judged};
use crate::clock;
use crate::digits::parse_digits;
use crate::grants::{Grant, GrantedBy};
use crate::host::contract::counters;
use crate::host::contract::message::Message;
use crate::host::report::complaint::{ComplaintKind, complain, misused};
use crate::host::report::grants::give;
use crate::host::settings::at;
use crate::host::state::rules::source_of;
use crate::host::state::{self, State, with_snapshot};
use crate::policy;
use crate::printable::Printable;
use crate::source::Source;
use crate::unset::is_unset;
use crate::verdict::{GRANT, Verdict};

/// `grant(company, seconds [, ip])`.
pub fn grant(msg: Message<'_>, company: &[u8], seconds: &[u8]) -> Verdict {
    let source = judged(msg, &GRANT);
    let verdict = match (source, state::get()) {
        (Ok(source), Some(state)) => decide(state, company, seconds, source),
        (Err(NoSource::Bad), _) => Verdict::BadAddress,
        _ => Verdict::InternalError,
    };
    counters::count_verdict(&GRANT, verdict);
    answer(msg, GRANT.name, (verdict, verdict), source.ok(), About::Nothing)
}

fn decide(state: &State, company: &[u8], seconds: &[u8], source: Source) -> Verdict {
    let Some(seconds) = parse_digits::<u32>(seconds).filter(|seconds| *seconds > 0) else {
        let shown = Printable::short(seconds);
        misused(GRANT.name, format_args!("\"{shown}\" is not a number of seconds"));
        return Verdict::InternalError;
    };
    if is_unset(company) {
        let shown = Printable::short(company);
        misused(GRANT.name, format_args!("the company is \"{shown}\""));
        return Verdict::InternalError;
    }
    let judged = with_snapshot(|view, _| {
        let known = view.company(company);
        policy::check_source(known.as_ref(), company, source.address).verdict
    });
    match judged {
        None => return Verdict::InternalError,
        Some(Verdict::DeniedSource | Verdict::DeniedNoRanges) => {}
        Some(verdict) if verdict.code() < 0 => return verdict,
        Some(_) => return Verdict::GrantNeedless,
    }
    let (source, seconds) = (source_of(state, source.address), bounded(state, seconds));
    let grant = Grant::new(company, source, GrantedBy::Script, clock::monotonic(), seconds);
    match give(state, &grant) {
        Ok(_) => Verdict::GrantGiven,
        Err(_) => {
            complain(
                ComplaintKind::Grants,
                format_args!(
                    "grant refused a source: all {} grants are in use (parameter grants; said once \
                     a minute)",
                    state.grants.usage().capacity
                ),
            );
            Verdict::GrantsFull
        }
    }
}

/// At most `grant_longest`; complained of.
fn bounded(state: &State, seconds: u32) -> u32 {
    let longest = u32::try_from(state.values.int(at::GRANT_LONGEST)).unwrap_or(0);
    if seconds > longest {
        complain(
            ComplaintKind::LongGrant,
            format_args!(
                "grant gives {longest} s in place of {seconds} s: parameter grant_longest (said once \
                 a minute)"
            ),
        );
    }
    seconds.min(longest)
}
