//! `sipwarden.company`.

use super::reply::{Call, Fault};
use crate::host::process::with_snapshot;
use crate::host::state::State;
use crate::ledger::ScopeKind;
use crate::printable::Printable;
use crate::snapshot::CompanyView;

/// Ranges on one page: ctl replies are bounded to 8 KB per structure.
const PAGE: usize = 50;

pub(super) fn no_snapshot() -> Fault {
    Fault::internal("no snapshot is loaded")
}

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
    let page = page(call)?;
    with_snapshot(|view, pinned| {
        let company = view.company(&id).ok_or_else(|| {
            Fault::unknown(format!("company \"{}\" is not known", Printable::short(&id)))
        })?;
        let pages = company.range_count().div_ceil(PAGE).max(1);
        if page > pages {
            return Err(Fault::argument(format!("page {page}: the last one is {pages}")));
        }
        let (brand, brand_limit) = company.brand();
        let reply = call.reply();
        reply.int(c"generation", pinned.generation());
        reply.text(c"company", Printable::full(company.id()));
        reply.text(c"brand", Printable::full(brand));
        reply.text(c"ip_filter", filter(&company));
        reply.int(c"calls", state.ledger.live(ScopeKind::Company, company.id()));
        reply.int(c"max_calls", company.max_calls());
        reply.int(c"brand_calls", state.ledger.live(ScopeKind::Brand, brand));
        reply.int(c"brand_max_calls", brand_limit);
        reply.text(c"countries", countries(company.countries()));
        reply.int(c"range_count", company.range_count() as u64);
        reply.int(c"page", page as u64);
        reply.int(c"pages", pages as u64);
        let ranges = reply.array(c"ranges");
        for range in company.ranges().skip((page - 1) * PAGE).take(PAGE) {
            ranges.item(range);
        }
        Ok(())
    })
    .ok_or_else(no_snapshot)?
}

/// The page asked for, from 1; the first one without an argument.
pub fn page(call: &Call) -> Result<usize, Fault> {
    let Some(text) = call.argument() else { return Ok(1) };
    std::str::from_utf8(&text)
        .ok()
        .and_then(|t| t.parse().ok())
        .filter(|page| (1..=1_000_000).contains(page))
        .ok_or_else(|| {
            Fault::argument(format!("page \"{}\" is no number from 1", Printable::short(&text)))
        })
}

fn countries(codes: &[[u8; 2]]) -> String {
    let codes: Vec<_> = codes.iter().map(|code| String::from_utf8_lossy(code)).collect();
    codes.join(" ")
}
