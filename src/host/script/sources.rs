//! Script functions about a company's sources. Each returns the code of its verdict,
//! never 0.

use super::judged::NoSource;
use super::told::{About, answer};
use crate::events::Subject;
use crate::host::contract::abi::{sw_message, sw_text};
use crate::host::contract::counters;
use crate::host::contract::guard::{Entry, guard};
use crate::host::report::complaint::misused;
use crate::host::report::events::{self, subject};
use crate::host::state::rules::monitors;
use crate::host::state::with_snapshot;
use crate::policy::{self, Numbers};
use crate::printable::Printable;
use crate::source::Source;
use crate::verdict::{CHECK_COMPANY_IP, CHECK_COUNTRY, Verdict};

/// `check_company_ip(company [, ip])`.
pub unsafe extern "C" fn check_company_ip(msg: *const sw_message, company: sw_text) -> i32 {
    guard(Entry::CheckCompanyIp, Verdict::InternalError.code(), || {
        // SAFETY: the shim passes a message and a text that outlive the call.
        let (msg, company) = unsafe { (msg.as_ref(), company.bytes()) };
        let Some(msg) = msg else { return Verdict::InternalError.code() };
        let source = msg.judged(&CHECK_COMPANY_IP);
        let (verdict, monitored) = decide(msg, company, source);
        counters::count_verdict(&CHECK_COMPANY_IP, verdict);
        let (told, watched) = policy::watch(verdict, monitored);
        if watched {
            counters::count_verdict(&CHECK_COMPANY_IP, told);
        }
        answer(msg, CHECK_COMPANY_IP.name, (told, verdict), source.ok(), About::Nothing)
    })
}

/// `check_country(list [, ip])`.
pub unsafe extern "C" fn check_country(msg: *const sw_message, list: sw_text) -> i32 {
    guard(Entry::CheckCountry, Verdict::InternalError.code(), || {
        // SAFETY: the shim passes a message and a text that outlive the call.
        let (msg, list) = unsafe { (msg.as_ref(), list.bytes()) };
        let Some(msg) = msg else { return Verdict::InternalError.code() };
        let source = msg.judged(&CHECK_COUNTRY);
        let verdict = match source {
            Ok(source) => decide_country(list, source).unwrap_or(Verdict::InternalError),
            Err(none) => none.refusal(),
        };
        if matches!(verdict, Verdict::InternalError | Verdict::BadAddress) {
            report_error(msg, verdict, source.ok());
        }
        counters::count_verdict(&CHECK_COUNTRY, verdict);
        answer(msg, CHECK_COUNTRY.name, (verdict, verdict), source.ok(), About::Nothing)
    })
}

/// What is refused for an argument can be found like any other refusal.
#[cold]
fn report_error(msg: &sw_message, verdict: Verdict, source: Option<Source>) {
    with_snapshot(|view, _| {
        let none = Numbers::NONE;
        events::refused(view, msg, &CHECK_COUNTRY, verdict, false, &subject(source), &none);
    });
}

fn decide_country(list: &[u8], source: Source) -> Option<Verdict> {
    with_snapshot(|view, _| {
        if view.country_networks() == 0 {
            misused(CHECK_COUNTRY.name, format_args!("geoip_db is not set"));
            return None;
        }
        let decided = policy::check_country(view, list, source.address);
        let wrong = |part: &[u8]| {
            let (part, list) = (Printable::short(part), Printable::short(list));
            misused(CHECK_COUNTRY.name, format_args!("\"{part}\" in \"{list}\" is no country"));
        };
        decided.map_err(wrong).ok()
    })?
}

/// The verdict, and whether refusals are only watched.
fn decide(msg: &sw_message, company: &[u8], source: Result<Source, NoSource>) -> (Verdict, bool) {
    let decided = with_snapshot(|view, _| {
        let verdict = match source {
            Ok(source) => policy::check_company_ip(view, company, source.address).verdict,
            Err(none) => none.refusal(),
        };
        if verdict.code() > 0 {
            return (verdict, false);
        }
        let monitored = policy::is_filter_monitored(view, company, monitors());
        let subject = Subject { company, ..subject(source.ok()) };
        let none = Numbers::NONE;
        events::refused(view, msg, &CHECK_COMPANY_IP, verdict, monitored, &subject, &none);
        (verdict, monitored)
    });
    if source.is_ok() && decided.is_some_and(|(verdict, _)| verdict == Verdict::InternalError) {
        misused(
            CHECK_COMPANY_IP.name,
            format_args!("the company is \"{}\"", Printable::short(company)),
        );
    }
    decided.unwrap_or_else(|| (Verdict::InternalError, monitors()))
}
