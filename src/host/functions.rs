//! Script functions. Each returns the code of its verdict, never 0.

use super::abi::{sw_message, sw_text};
use super::call::answer;
use super::entry::{Entry, guard};
use super::process::with_snapshot;
use super::{log, statistics};
use crate::address::Address;
use crate::policy;
use crate::printable::Printable;
use crate::verdict::Verdict;

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
        log::debug(format_args!(
            "check_company_ip: \"{}\" is not an IP address",
            Printable(ip.unwrap_or_default())
        ));
        return Verdict::InternalError;
    };
    with_snapshot(|view, _| policy::check_company_ip(view, company, source).verdict)
        .unwrap_or(Verdict::InternalError)
}
