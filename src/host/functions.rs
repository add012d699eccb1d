//! Script functions. Each returns the code of its verdict, never 0.

use super::abi::{sw_message, sw_text};
use super::call::{About, Numbers, answer_judged};
use super::complaint::misused;
use super::entry::{Entry, guard};
use super::events;
use super::flood::with_rules;
use super::process::with_snapshot;
use super::state;
use super::statistics;
use crate::address::Address;
use crate::events::Subject;
use crate::policy;
use crate::printable::Printable;
use crate::verdict::{CHECK_COMPANY_IP, Verdict};

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
        let (verdict, monitored) = decide(msg, company, ip);
        statistics::count_verdict(&CHECK_COMPANY_IP, verdict);
        let (told, watched) = policy::watch(verdict, monitored);
        if watched {
            statistics::count_verdict(&CHECK_COMPANY_IP, told);
        }
        answer_judged(msg, CHECK_COMPANY_IP.name, (told, verdict), About::Nothing)
    })
}

/// The verdict, and whether refusals are only watched.
fn decide(msg: &sw_message, company: &[u8], ip: Option<&[u8]>) -> (Verdict, bool) {
    let source = match ip {
        Some(text) => Address::parse(text),
        None => msg.source.to_address(),
    };
    let Some(source) = source else {
        misused(
            CHECK_COMPANY_IP.name,
            format_args!("\"{}\" is no IP address", Printable::short(ip.unwrap_or_default())),
        );
        return (Verdict::InternalError, monitors());
    };
    let decided = with_snapshot(|view, _| {
        let verdict = policy::check_company_ip(view, company, source).verdict;
        if verdict.code() > 0 {
            return (verdict, false);
        }
        let monitored = policy::is_filter_monitored(view, company, monitors());
        let subject = Subject { source: Some(source.prefix(128)), company, ..Subject::default() };
        let none = Numbers::NONE;
        events::refused(view, &CHECK_COMPANY_IP, verdict, monitored, &subject, &none);
        (verdict, monitored)
    });
    if decided.is_some_and(|(verdict, _)| verdict == Verdict::InternalError) {
        misused(
            CHECK_COMPANY_IP.name,
            format_args!("the company is \"{}\"", Printable::short(company)),
        );
    }
    decided.unwrap_or_else(|| (Verdict::InternalError, monitors()))
}

/// Whether nothing is refused by any function.
pub fn monitors() -> bool {
    state::get().is_some_and(|state| with_rules(state, |rules| rules.monitor_all != 0))
}
