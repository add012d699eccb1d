//! Budgets: words without a lock.

use std::sync::Arc;

use sipwarden::flood::{Budgets, Spending};
use sipwarden::limiter::ClassId;

use super::{check, spawn};

const CLASS: ClassId = ClassId(1);
const BUDGET: u32 = 4;
/// Its slices are of 100 ms.
const WINDOW: u32 = 1400;
const NOW: u64 = 50_000;
const WORKERS: u64 = 3;

/// Workers spend a budget at once, in slices that follow one another, from which old counts must
/// go first. Each may exceed the budget by one request.
#[test]
fn no_more_is_admitted_than_the_budget_and_one_request_of_each_other_worker() {
    check(|| {
        let budgets = Arc::new(Budgets::new().unwrap());
        // Far in the past, in the same words.
        for slice in 0..2 {
            let then = NOW - 16_000 + slice * 100;
            assert_eq!(budgets.spend(CLASS, (BUDGET, WINDOW), then), Spending::Admitted);
        }
        let workers: Vec<_> = (0..WORKERS)
            .map(|worker| {
                spawn(&budgets, move |budgets| {
                    let now = NOW + worker / 2 * 100;
                    [(); 3].map(|()| budgets.spend(CLASS, (BUDGET, WINDOW), now))
                })
            })
            .collect();
        let told: Vec<_> = workers.into_iter().flat_map(|w| w.join().unwrap()).collect();
        let admitted = told.iter().filter(|told| **told == Spending::Admitted).count() as u32;
        let most = BUDGET + WORKERS as u32 - 1;
        assert!((BUDGET..=most).contains(&admitted), "{admitted}: {told:?}");
        assert_eq!(budgets.spent(CLASS, WINDOW, NOW + 100), admitted);
        let mut begun = 0;
        for spending in told {
            let Spending::Refused { since, begins } = spending else { continue };
            assert!(since >= NOW, "refused since {since}");
            begun += u32::from(begins);
        }
        assert_eq!(begun, 1, "refusals begin once");
        let next = budgets.spend(CLASS, (BUDGET, WINDOW), NOW + 100);
        assert!(matches!(next, Spending::Refused { begins: false, .. }), "{next:?}");
        assert_eq!(budgets.spent(ClassId(0), WINDOW, NOW), 0);
    });
}
