//! Monitor mode: refusals are only reported.

use crate::snapshot::CompanyView;
use crate::verdict::Verdict;

/// Whether refusals for the source of a company are only reported: everywhere, or by its
/// filter.
pub fn is_filter_monitored(company: Option<&CompanyView<'_>>, everywhere: bool) -> bool {
    everywhere || company.is_some_and(CompanyView::monitor)
}

/// The verdict for the script, and whether it replaces a refusal that is only reported.
pub fn watch(verdict: Verdict, monitored: bool) -> (Verdict, bool) {
    match verdict.code() {
        ..0 if monitored => (Verdict::Monitored, true),
        _ => (verdict, false),
    }
}
