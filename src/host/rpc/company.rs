//! `sipwarden.company`.

use std::ffi::CStr;

use super::arguments::{no_snapshot, unknown};
use super::grants;
use super::limits::tell_limits;
use super::names;
use super::page::Page;
use super::totals::{Of, Totals, keys_of};
use crate::countries::CountryCode;
use crate::host::contract::rpc::{Call, Fault};
use crate::host::state::{State, with_snapshot};
use crate::ledger::{Direction, ScopeKind};
use crate::policy::limit_of;
use crate::printable::Printable;
use crate::snapshot::CompanyView;

/// Ranges on one page: hosts bound a structure of a reply to 8 KB.
const PAGE: usize = 50;

pub(super) fn filter(company: &CompanyView<'_>) -> &'static str {
    match (company.ip_filter(), company.monitor()) {
        (false, _) => "off",
        (true, false) => "on",
        (true, true) => "monitor",
    }
}

/// Settings and one page of the ranges of a company: id, page (from 1).
pub fn company(call: &Call, state: &State) -> Result<(), Fault> {
    let id = call.required("company")?;
    let page = Page::read(call, PAGE)?;
    call.no_more()?;
    let totals = Totals::ask(state, |view| {
        let company = view.company(&id);
        company.map(|company| keys_of(state, shown(&company))).unwrap_or_default()
    });
    with_snapshot(|view, pinned| {
        let unknown = || Fault::unknown(unknown(view, &id).unwrap_or_default());
        let company = view.company(&id).ok_or_else(unknown)?;
        page.check(company.range_count())?;
        let (brand, brand_limit) = company.brand();
        let reply = call.reply();
        reply.int(c"generation", pinned.generation());
        reply.text(c"company", Printable::full(company.id()));
        reply.text(c"brand", Printable::full(brand));
        reply.text(c"ip_filter", filter(&company));
        let tell = |(calls_name, all_name): (&CStr, &CStr), (kind, id), max_calls| {
            let here = state.ledger.live(kind, id);
            reply.int(calls_name, here);
            let limit = limit_of(view, kind, id, max_calls).calls;
            if let Some(all) = totals.of(state, (kind, id, Direction::Any), limit, here) {
                reply.int(all_name, all);
            }
        };
        let [of_company, of_brand] = scopes_of(&company);
        tell((c"calls", c"calls_everywhere"), of_company, company.max_calls());
        reply.int(c"max_calls", company.max_calls());
        tell((c"brand_calls", c"brand_calls_everywhere"), of_brand, brand_limit);
        reply.int(c"brand_max_calls", brand_limit);
        reply.text(c"countries", countries(company.countries()));
        reply.int(c"range_count", company.range_count() as u64);
        page.tell(&reply, company.range_count());
        grants::tell_of_company(&reply, state, company.id());
        names::tell_of_company(&reply, state, &company);
        let limits = reply.array(c"limits");
        for (kind, id) in [of_brand, of_company] {
            let scope = ((kind, id), *view.limits(kind, id));
            tell_limits(&limits, state, view, scope, &totals);
        }
        let ranges = reply.array(c"ranges");
        for range in page.of(company.ranges()) {
            ranges.item(range);
        }
        Ok(())
    })
    .ok_or_else(no_snapshot)?
}

fn scopes_of<'a>(company: &CompanyView<'a>) -> [(ScopeKind, &'a [u8]); 2] {
    [(ScopeKind::COMPANY, company.id()), (ScopeKind::BRAND, company.brand().0)]
}

/// The scopes whose calls are told.
fn shown<'a>(company: &CompanyView<'a>) -> impl Iterator<Item = Of<'a>> {
    let each = scopes_of(company).into_iter();
    each.flat_map(|(kind, id)| Direction::ALL.map(|of| (kind, id, of)))
}

fn countries(codes: &[CountryCode]) -> String {
    let codes: Vec<_> = codes.iter().map(|code| code.name()).collect();
    codes.join(" ")
}
