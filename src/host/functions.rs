//! Script functions. Each returns the code of its verdict, never 0.

use super::abi::{sw_message, sw_text};
use super::call::answer;
use super::complaint::misused;
use super::entry::{Entry, guard};
use super::process::with_snapshot;
use super::statistics;
use crate::address::Address;
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
        let verdict = decide(msg, company, ip);
        statistics::count_verdict(&CHECK_COMPANY_IP, verdict);
        answer(msg, CHECK_COMPANY_IP.name, verdict)
    })
}

fn decide(msg: &sw_message, company: &[u8], ip: Option<&[u8]>) -> Verdict {
    let source = match ip {
        Some(text) => Address::parse(text),
        None => msg.source.to_address(),
    };
    let Some(source) = source else {
        misused(
            CHECK_COMPANY_IP.name,
            format_args!("\"{}\" is no IP address", Printable::short(ip.unwrap_or_default())),
        );
        return Verdict::InternalError;
    };
    let verdict = with_snapshot(|view, _| policy::check_company_ip(view, company, source).verdict);
    if verdict == Some(Verdict::InternalError) {
        misused(
            CHECK_COMPANY_IP.name,
            format_args!("the company is \"{}\"", Printable::short(company)),
        );
    }
    verdict.unwrap_or(Verdict::InternalError)
}
