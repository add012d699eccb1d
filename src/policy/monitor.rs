//! Monitor mode: what would be refused is only watched.

use crate::snapshot::CompanyView;
use crate::verdict::Verdict;

/// Whether refusals for the source are only watched for a company: everywhere, or
/// since its filter says so. A company that is not known says nothing.
pub fn is_filter_monitored(company: Option<&CompanyView<'_>>, everywhere: bool) -> bool {
    everywhere || company.is_some_and(CompanyView::monitor)
}

/// What the script is told of a verdict, and whether it was a refusal that is only
/// watched.
pub fn watch(verdict: Verdict, monitored: bool) -> (Verdict, bool) {
    match verdict.code() {
        ..0 if monitored => (Verdict::Monitored, true),
        _ => (verdict, false),
    }
}
