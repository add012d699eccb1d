//! Script functions about a company's sources.

use super::answer::{About, answer};
use super::judged::{NoSource, judged};
use crate::events::Subject;
use crate::host::contract::counters;
use crate::host::contract::message::Message;
use crate::host::report::complaint::misused;
use crate::host::report::events::{self, subject};
use crate::host::state::rules::monitors;
use crate::host::state::sources::judge_source;
use crate::host::state::{note_use, with_snapshot};
use crate::policy::{self, Numbers};
use crate::printable::Printable;
use crate::source::Source;
use crate::verdict::{CHECK_COMPANY_IP, CHECK_COUNTRY, Verdict};

/// `check_company_ip(company [, ip])`.
#[inline(always)]
pub fn check_company_ip(msg: Message<'_>, company: &[u8]) -> Verdict {
    let source = judged(msg, &CHECK_COMPANY_IP);
    let (verdict, monitored) = decide(msg, company, source);
    counters::count_verdict(&CHECK_COMPANY_IP, verdict);
    let (told, watched) = policy::watch(verdict, monitored);
    if watched {
        counters::count_verdict(&CHECK_COMPANY_IP, told);
    }
    answer(msg, CHECK_COMPANY_IP.name, (told, verdict), source.ok(), About::Nothing)
}

/// `check_country(list [, ip])`.
pub fn check_country(msg: Message<'_>, list: &[u8]) -> Verdict {
    let source = judged(msg, &CHECK_COUNTRY);
    let verdict = match source {
        Ok(source) => decide_country(list, source).unwrap_or(Verdict::InternalError),
        Err(none) => none.refusal(),
    };
    if matches!(verdict, Verdict::InternalError | Verdict::BadAddress) {
        report_error(msg, verdict, source.ok());
    }
    counters::count_verdict(&CHECK_COUNTRY, verdict);
    answer(msg, CHECK_COUNTRY.name, (verdict, verdict), source.ok(), About::Nothing)
}

/// What is refused for an argument can be found like any other refusal.
#[cold]
fn report_error(msg: Message<'_>, verdict: Verdict, source: Option<Source>) {
    let none = Numbers::NONE;
    events::refused(None, msg, &CHECK_COUNTRY, verdict, false, &subject(source), &none);
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
            misused(CHECK_COUNTRY.name, format_args!("\"{part}\" in \"{list}\" is not a country"));
        };
        decided.map_err(wrong).ok()
    })?
}

/// The verdict, and whether refusals are only watched.
fn decide(msg: Message<'_>, id: &[u8], source: Result<Source, NoSource>) -> (Verdict, bool) {
    let decided = with_snapshot(|view, pinned| {
        let company = view.company(id);
        let company = company.as_ref();
        let decision = match source {
            Ok(source) => judge_source(company, id, source.address, true),
            Err(none) => none.refusal().into(),
        };
        let verdict = decision.verdict;
        if verdict.code() > 0 {
            note_use(pinned, decision.place);
            return (verdict, false);
        }
        let monitored = policy::is_filter_monitored(company, monitors());
        let subject = Subject { company: id, ..subject(source.ok()) };
        let none = Numbers::NONE;
        events::refused(company, msg, &CHECK_COMPANY_IP, verdict, monitored, &subject, &none);
        (verdict, monitored)
    });
    if source.is_ok() && decided.is_some_and(|(verdict, _)| verdict == Verdict::InternalError) {
        misused(CHECK_COMPANY_IP.name, format_args!("the company is \"{}\"", Printable::short(id)));
    }
    decided.unwrap_or_else(|| (Verdict::InternalError, monitors()))
}
