//! `sipwarden.lint`: ranges that look like a mistake, though each row is valid.

use super::arguments::no_snapshot;
use super::page::Page;
use crate::address::Prefix;
use crate::clock;
use crate::host::contract::rpc::{Call, Fault, Node};
use crate::host::state::feeds::{Feeds, with_feeds};
use crate::host::state::{State, with_snapshot};
use crate::memory;
use crate::printable::Printable;
use crate::shm::Pinned;
use crate::snapshot::{Mark, View, overlaps};

/// Findings on a page.
const PAGE: usize = 20;
/// Days without use after which a range is told, where none are given.
const UNUSED_DAYS: u32 = 90;
const DAY: u64 = 86_400;
/// Most bytes for a range while all are sorted.
const RANGE_BYTES: usize = 320;

/// Something to look at.
struct Finding<'a> {
    company: &'a [u8],
    range: Prefix,
    what: What<'a>,
}

enum What<'a> {
    /// Too broad to count for flood control.
    Broad,
    /// Another company has it, or one around it.
    Overlaps { company: &'a [u8], range: Prefix },
    /// It has granted no request for days.
    Unused(Mark),
    /// A feed lists addresses in it, or all of it.
    Listed { prefix: Prefix },
}

/// What is looked at.
struct Linted<'a> {
    view: &'a View<'a>,
    pinned: &'a Pinned<'a>,
    feeds: Option<&'a Feeds>,
    /// A range that was last used before then is unused.
    unused_before: u64,
}

impl<'a> Linted<'a> {
    /// Marks of the ranges of companies with a filter.
    fn marks(&self) -> impl Iterator<Item = (&'a [u8], Prefix, Mark)> + use<'a> {
        let marks = self.pinned.marks();
        let filtered = self.view.companies().filter(|company| company.ip_filter());
        filtered.flat_map(move |company| {
            let marks = marks.iter().skip(company.first_range()).map(Mark::of);
            company.ranges().zip(marks).map(move |(range, mark)| (company.id(), range, mark))
        })
    }

    /// When uses began to be counted, in seconds since 1970; None without ranges.
    fn counted_since(&self) -> Option<u64> {
        self.marks().filter_map(|(_, _, mark)| mark.since()).min()
    }

    /// Each range that is too broad, or that another company has too, or that is within one
    /// of another company, or that a feed lists, or that is not used.
    fn findings(&self, mut found: impl FnMut(Finding<'a>)) {
        let ranges = self
            .view
            .companies()
            .flat_map(|company| company.ranges().map(move |range| (range, company)));
        let ranges: Vec<_> = ranges.collect();
        for (range, company) in &ranges {
            if company.ip_filter() && self.view.min_prefix().is_longer_than(range) {
                found(Finding { company: company.id(), range: *range, what: What::Broad });
            }
        }
        if let Some(feeds) = self.feeds {
            for (range, company) in &ranges {
                let prefix = with_feeds(feeds, |view, _| view.overlapping(*range)).flatten();
                if let Some(prefix) = prefix {
                    let what = What::Listed { prefix };
                    found(Finding { company: company.id(), range: *range, what });
                }
            }
        }
        overlaps(ranges, |(range, company), (outer, other)| {
            let what = What::Overlaps { company: other.id(), range: outer };
            found(Finding { company: company.id(), range, what });
        });
        for (company, range, mark) in self.marks() {
            if mark.since().is_some_and(|since| since < self.unused_before) {
                found(Finding { company, range, what: What::Unused(mark) });
            }
        }
    }
}

impl Finding<'_> {
    fn name(&self) -> &'static str {
        match self.what {
            What::Broad => "broad",
            What::Overlaps { range, .. } if range == self.range => "shared",
            What::Overlaps { .. } => "within",
            What::Unused(_) => "unused",
            What::Listed { .. } => "listed",
        }
    }

    fn tell(&self, node: &Node<'_>, view: &View<'_>) {
        node.text(c"finding", self.name());
        node.text(c"company", Printable::full(self.company));
        node.text(c"range", self.range);
        if let Some(name) = view.name_of(Some(self.company), self.range) {
            node.text(c"host_name", Printable::full(name));
        }
        match self.what {
            What::Broad => {}
            What::Listed { prefix } => node.text(c"listed", prefix.name()),
            What::Overlaps { company, range } => {
                node.text(c"of_company", Printable::full(company));
                node.text(c"of_range", range);
            }
            What::Unused(mark) => {
                let since = mark.since().unwrap_or_default();
                let day = clock::day(since);
                node.text(c"last_used", if mark.is_used() { &day } else { "never" });
                node.text(c"since", &day);
                node.int(c"days", clock::age(since) / DAY);
            }
        }
    }
}

/// One page of what was found: [page [days]].
pub fn lint(call: &Call, state: &State) -> Result<(), Fault> {
    let page = Page::read(call, PAGE)?;
    let days = call.number("days", 1..=3650)?.unwrap_or(UNUSED_DAYS);
    call.no_more()?;
    with_snapshot(|view, pinned| {
        memory::ask_for(RANGE_BYTES * view.range_count()).map_err(Fault::internal)?;
        // A range that was used at the end of that day has been unused for fewer days.
        let unused_before = clock::seconds().saturating_sub(u64::from(days) * DAY) / DAY * DAY;
        let feeds = state.feeds.as_ref();
        let linted = Linted { view, pinned, feeds, unused_before };
        let (mut total, mut shown) = (0, Vec::new());
        linted.findings(|finding| {
            if page.has(total) {
                shown.push(finding);
            }
            total += 1;
        });
        page.check(total)?;
        let reply = call.reply();
        reply.int(c"total", total as u64);
        page.tell(&reply, total);
        reply.int(c"unused_days", days);
        reply.text(c"counted_since", linted.counted_since().map(clock::day).unwrap_or_default());
        let list = reply.array(c"findings");
        shown.iter().for_each(|finding| finding.tell(&list.item_structure(), view));
        Ok(())
    })
    .ok_or_else(no_snapshot)?
}
