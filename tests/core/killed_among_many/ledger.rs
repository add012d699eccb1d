//! The ledger: calls of several scopes, one with a rate, and who looks at them.

use sipwarden::ledger::{Ledger, ScopeKind};
use sipwarden::shm::takeovers;

use super::{SIZES, kill_some, lock_taken_over};
use crate::host::alone::alone;
use crate::ledger::SEED;
use crate::ledger_deaths::{CAPACITY, Done, check, is_within, step};
use crate::random::next;

/// Whether no lease and no scope is of what nobody has taken.
fn are_whole(ledger: &Ledger) -> bool {
    let leases = (0..ledger.positions()).filter_map(|at| ledger.at(at));
    let mut known = leases.map(|lease| {
        let first = lease.scopes.first().is_none_or(|scope| scope.kind == ScopeKind::BRAND);
        first && lease.call_id == b"call@test" && (1..=24).contains(&lease.dialog.0)
    });
    known.all(|known| known)
        && (0..ledger.scope_positions()).filter_map(|at| ledger.scope_at(at)).all(|scope| {
            let of_brand = scope.kind == ScopeKind::BRAND;
            of_brand == (scope.id == b"b") && is_within(ledger, scope.kind, &scope.id)
        })
}

#[test]
fn limits_hold_and_counts_are_exact_when_they_are_counted_anew() {
    alone(|| {
        for processes in SIZES {
            takeovers();
            let ledger = Ledger::with_scopes(CAPACITY, 200, SEED).unwrap();
            let done = Done::new(false);
            let round = |place: usize, random: &mut u64| {
                if place % 4 == 3 {
                    return are_whole(&ledger);
                }
                step(&ledger, next(random), &done);
                done.are_within()
            };
            let mut taken_over = lock_taken_over();
            kill_some(processes, 2000, round, |place| {
                ledger.recount_if_due();
                taken_over(place)
            });
            check(&ledger);
        }
    });
}
