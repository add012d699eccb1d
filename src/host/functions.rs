//! Script functions. Each returns the code of its verdict, never 0.

use super::abi::{sw_message, sw_text};
use super::call::{About, Numbers, answer, answer_judged};
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
use crate::verdict::{CHECK_COMPANY_IP, CHECK_COUNTRY, Function, Verdict};

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
        answer_judged(msg, CHECK_COMPANY_IP.name, (told, verdict), about(ip))
    })
}

/// `check_country(list)` where `ip` is NULL, else with that address.
pub unsafe extern "C" fn check_country(
    msg: *const sw_message,
    list: sw_text,
    ip: *const sw_text,
) -> i32 {
    guard(Entry::CheckCountry, Verdict::InternalError.code(), || {
        // SAFETY: the shim passes a message that outlives the call.
        let Some(msg) = (unsafe { msg.as_ref() }) else {
            return Verdict::InternalError.code();
        };
        // SAFETY: the texts outlive the call.
        let (list, ip) = unsafe { (list.bytes(), ip.as_ref().map(|t| t.bytes())) };
        let verdict = decide_country(msg, list, ip).unwrap_or(Verdict::InternalError);
        statistics::count_verdict(&CHECK_COUNTRY, verdict);
        answer(msg, CHECK_COUNTRY.name, verdict, about(ip))
    })
}

fn decide_country(msg: &sw_message, list: &[u8], ip: Option<&[u8]>) -> Option<Verdict> {
    let source = address_of(&CHECK_COUNTRY, msg, ip)?;
    with_snapshot(|view, _| {
        if view.country_networks() == 0 {
            misused(CHECK_COUNTRY.name, format_args!("geoip_db is not set"));
            return None;
        }
        let decided = policy::check_country(view, list, source);
        let wrong = |part: &[u8]| {
            let (part, list) = (Printable::short(part), Printable::short(list));
            misused(CHECK_COUNTRY.name, format_args!("\"{part}\" in \"{list}\" is no country"));
        };
        decided.map_err(wrong).ok()
    })?
}

/// The address that is asked about: the one given, else the source of the message.
fn address_of(function: &Function, msg: &sw_message, ip: Option<&[u8]>) -> Option<Address> {
    let address = match ip {
        Some(text) => Address::parse(text),
        None => msg.source.to_address(),
    };
    if address.is_none() {
        let text = Printable::short(ip.unwrap_or_default());
        misused(function.name, format_args!("\"{text}\" is no IP address"));
    }
    address
}

/// What `$swd` tells of besides the verdict.
fn about(ip: Option<&[u8]>) -> About {
    ip.and_then(Address::parse).map_or(About::Nothing, About::Address)
}

/// The verdict, and whether refusals are only watched.
fn decide(msg: &sw_message, company: &[u8], ip: Option<&[u8]>) -> (Verdict, bool) {
    let Some(source) = address_of(&CHECK_COMPANY_IP, msg, ip) else {
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
        events::refused(view, msg, &CHECK_COMPANY_IP, verdict, monitored, &subject, &none);
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
