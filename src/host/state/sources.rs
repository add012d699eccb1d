//! May a source send for a company: by its tables, else by a grant.

use super::get;
use crate::address::Address;
use crate::clock;
use crate::policy::{self, SourceDecision};
use crate::snapshot::CompanyView;

/// The decision on a source for the company with an id. `counts`: a request asks, so that
/// the grant by which it is allowed counts it.
#[inline]
pub fn judge_source(
    company: Option<&CompanyView<'_>>,
    id: &[u8],
    source: Address,
    counts: bool,
) -> SourceDecision {
    policy::with_grant(policy::check_source(company, id, source), || {
        get()?.grants.allows(id, source, clock::monotonic(), counts)
    })
}
