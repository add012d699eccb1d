//! Script functions. Each returns the code of its verdict, never 0.

use std::cell::Cell;
use std::fmt::Arguments;
use std::time::{Duration, Instant};

use super::abi::{sw_message, sw_text};
use super::call::answer;
use super::entry::{Entry, guard};
use super::process::with_snapshot;
use super::{log, statistics};
use crate::address::Address;
use crate::policy;
use crate::printable::Printable;
use crate::verdict::Verdict;

/// Between two complaints about a script's arguments.
const COMPLAINT_PERIOD: Duration = Duration::from_secs(60);

thread_local! {
    static LAST_COMPLAINT: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// `check_company_ip(company)` where `ip` is NULL, else with that address.
pub unsafe extern "C" fn check_company_ip(
    msg: *const sw_message,
    company: sw_text,
    ip: *const sw_text,
) -> i32 {
    guard(Entry::CheckCompanyIp, Verdict::InternalError.code(), || {
        // SAFETY: the shim passes a message that outlives the call.
        let Some(msg) = (unsafe { msg.as_ref() }) else {
            return Verdict::InternalError.code();
        };
        // SAFETY: the texts outlive the call.
        let (company, ip) = unsafe { (company.bytes(), ip.as_ref().map(|t| t.bytes())) };
        let verdict = decide(msg, company, ip);
        statistics::count_check(verdict);
        answer(msg, "check_company_ip", verdict)
    })
}

fn decide(msg: &sw_message, company: &[u8], ip: Option<&[u8]>) -> Verdict {
    let source = match ip {
        Some(text) => Address::parse(text),
        None => msg.source.to_address(),
    };
    let Some(source) = source else {
        misused(format_args!("\"{}\" is no IP address", Printable::short(ip.unwrap_or_default())));
        return Verdict::InternalError;
    };
    let verdict = with_snapshot(|view, _| policy::check_company_ip(view, company, source).verdict);
    if verdict == Some(Verdict::InternalError) {
        misused(format_args!("the company is \"{}\"", Printable::short(company)));
    }
    verdict.unwrap_or(Verdict::InternalError)
}

/// Says, at most once a minute and process, that a script passes nonsense.
fn misused(what: Arguments<'_>) {
    if LAST_COMPLAINT.get().is_none_or(|at| at.elapsed() >= COMPLAINT_PERIOD) {
        LAST_COMPLAINT.set(Some(Instant::now()));
        log::warning(format_args!(
            "check_company_ip refused a request while it read its arguments: {what}; \
             is a variable of the script unset?"
        ));
    }
}
