//! What is spent of the budgets that are set.

use super::State;
use super::rules::with_rules;
use crate::clock;
use crate::limiter::ClassId;

/// A budget, and what is spent of it.
pub struct Spent {
    /// The class that it is for.
    pub class: ClassId,
    /// Requests in its window.
    pub requests: u32,
    /// Requests that it admits.
    pub budget: u32,
    /// In ms.
    pub window: u32,
    /// Seconds, 1 at least, since unknown sources are refused; 0: they are not.
    pub refused_seconds: u64,
}

/// All budgets that are set.
pub fn all(state: &State) -> Vec<Spent> {
    state.settings.classes.ids().filter_map(|class| of(state, class)).collect()
}

/// That of a class; None without one.
pub fn of(state: &State, class: ClassId) -> Option<Spent> {
    let now = clock::monotonic();
    let rule = with_rules(state, |rules| rules.class(Some(class)));
    let since = state.budgets.refused_since(class, rule.window, now);
    (rule.budget > 0).then(|| Spent {
        class,
        requests: state.budgets.spent(class, rule.window, now),
        budget: rule.budget,
        window: rule.window,
        refused_seconds: since.map_or(0, |since| (now.saturating_sub(since) / 1000).max(1)),
    })
}

/// Percent of the budget of which most is spent; 0 without budgets.
pub fn percent(state: &State) -> u64 {
    let percent = |spent: &Spent| u64::from(spent.requests) * 100 / u64::from(spent.budget.max(1));
    all(state).iter().map(percent).max().unwrap_or(0)
}
