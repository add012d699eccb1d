//! `sipwarden.lint`: ranges that look like a mistake, though each row is valid.

use super::arguments::no_snapshot;
use super::page::Page;
use crate::address::Prefix;
use crate::host::contract::rpc::{Call, Fault};
use crate::host::state::{State, with_snapshot};
use crate::printable::Printable;
use crate::snapshot::{View, overlaps};

/// Findings on a page.
const PAGE: usize = 20;

/// Something to look at.
struct Finding<'a> {
    what: &'static str,
    company: &'a [u8],
    range: Prefix,
    /// The other company and its range.
    other: Option<(&'a [u8], Prefix)>,
}

/// Each range that another company has too, or that is within one of another company; and
/// those that are too broad to count for flood control.
fn findings<'a>(view: &View<'a>, mut found: impl FnMut(Finding<'a>)) {
    let ranges =
        view.companies().flat_map(|company| company.ranges().map(move |range| (range, company)));
    let ranges: Vec<_> = ranges.collect();
    for (range, company) in &ranges {
        if company.ip_filter() && view.min_prefix().is_longer_than(range) {
            found(Finding { what: "broad", company: company.id(), range: *range, other: None });
        }
    }
    overlaps(ranges, |(inner, company), (outer, other)| {
        let what = if inner == outer { "shared" } else { "within" };
        let other = Some((other.id(), outer));
        found(Finding { what, company: company.id(), range: inner, other });
    });
}

/// One page of what was found: [page].
pub fn lint(call: &Call, _: &State) -> Result<(), Fault> {
    let page = Page::read(call, PAGE)?;
    call.no_more()?;
    with_snapshot(|view, _| {
        let (mut total, mut shown) = (0, Vec::new());
        findings(view, |finding| {
            if page.has(total) {
                shown.push(finding);
            }
            total += 1;
        });
        page.check(total)?;
        let reply = call.reply();
        reply.int(c"total", total as u64);
        page.tell(&reply, total);
        let list = reply.array(c"findings");
        for finding in shown {
            let node = list.item_structure();
            node.text(c"finding", finding.what);
            node.text(c"company", Printable::full(finding.company));
            node.text(c"range", finding.range);
            if let Some((company, range)) = finding.other {
                node.text(c"of_company", Printable::full(company));
                node.text(c"of_range", range);
            }
        }
        Ok(())
    })
    .ok_or_else(no_snapshot)?
}
