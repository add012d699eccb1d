//! Every question that can be asked of a snapshot, whatever is in it.

use sipwarden::address::{Address, Prefix};
use sipwarden::ledger::ScopeKind;
use sipwarden::limiter::ClassNames;
use sipwarden::policy::{CallScopes, call_scopes, limit_of};
use sipwarden::snapshot::{View, kept, mark, overlaps};

/// Asks all of it; the answers are of no interest.
pub fn look(view: &View<'_>, probes: &[Address]) {
    let (classes, counts) = (ClassNames::default(), view.counts());
    let _ = (counts, view.range_count(), view.min_prefix(), view.near());
    let _ = (view.compiled_at(), view.country_networks(), view.countries_built_at());
    let mut seen = 0usize;
    let mut see = |bytes: &[u8]| seen = seen.wrapping_add(bytes.len());
    for (id, _) in view.brands() {
        see(id);
    }
    for company in view.companies().take(64) {
        see(company.id());
        see(company.brand().0);
        let _ = view.company(company.id());
        let ranges = company.ranges().map(|range| (range, 0)).collect();
        overlaps(ranges, |_, _| {});
        for probe in probes {
            let _ = (company.locate(*probe), company.country_granted(*probe));
        }
        let _ = (company.lists_anything(), company.named_rows().count());
        let _ = call_scopes(view, &company, sipwarden::ledger::Direction::In);
        let mut scopes = CallScopes::new(view, &company, sipwarden::ledger::Direction::Out);
        let _ = scopes.add_named(view, sipwarden::ledger::Direction::Out, b"did=7;carrier=x");
    }
    for (aor, company, _) in view.users().take(64) {
        see(aor);
        see(company.id());
        let _ = view.user(aor);
    }
    for probe in probes {
        let _ = (view.source_kind(*probe), view.country_of(*probe), view.trusted_range(*probe));
        let _ = view.company_of(*probe, |_| true);
        let host = probe.prefix(128);
        let _ = (view.name_of(None, host), view.name_of(Some(b"c0"), host));
        for len in [0, 8, 24, 64, 128] {
            let range: Prefix = probe.prefix_of(len);
            let _ = (view.divides(range), view.trusted_within(range));
        }
    }
    for (kind, id, ..) in view.limit_rows().take(64) {
        see(view.word_of(kind));
        let _ = (view.limits(kind, id.unwrap_or_default()), view.kind(view.word_of(kind)));
    }
    let _ = limit_of(view, ScopeKind::COMPANY, b"c0", 3);
    let _ = (view.kinds(), view.answers());
    let claims = || [&b"friendly-scanner"[..], b"sip:a@b", b"sipvicious"];
    let _ = view.tools().any_matches(claims);
    let _ = (mark(view, &classes), kept(view, &classes));
}
