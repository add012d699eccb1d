//! The rules of both limiters as this process knows them.

use std::cell::RefCell;

use super::{State, get, with_snapshot};
use crate::address::{Address, Prefix};
use crate::auth;
use crate::flood::{ClassId, Rules};
use crate::policy;

thread_local! {
    /// This process's copies.
    static FLOOD: RefCell<Rules> = const { RefCell::new(Rules::NONE) };
    static AUTH: RefCell<auth::Rules> = const { RefCell::new(auth::Rules::NONE) };
}

/// Runs `f` on the current rules of flood control.
pub fn with_rules<R>(state: &State, f: impl FnOnce(&Rules) -> R) -> R {
    FLOOD.with_borrow_mut(|rules| {
        state.flood_rules.refresh(rules);
        f(rules)
    })
}

/// Runs `f` on the current rules of brute force protection.
pub fn with_auth_rules<R>(state: &State, f: impl FnOnce(&auth::Rules) -> R) -> R {
    AUTH.with_borrow_mut(|rules| {
        state.auth_rules.refresh(rules);
        f(rules)
    })
}

/// Whether no function refuses anything.
pub fn monitors() -> bool {
    get().is_some_and(|state| with_rules(state, |rules| rules.monitor_all != 0))
}

/// Whether brute force protection refuses nothing.
pub fn is_monitored(state: &State, rules: &auth::Rules) -> bool {
    rules.monitor != 0 || with_rules(state, |flood| flood.monitor_all != 0)
}

/// The source that an address belongs to.
pub fn source_of(state: &State, address: Address) -> Prefix {
    with_rules(state, |rules| address.prefix(rules.ipv6_prefix as u8))
}

/// The class of a source by the current snapshot; without one everybody is of `default`.
pub fn class_of(source: Address, company_sources: Option<ClassId>) -> Option<ClassId> {
    with_snapshot(|view, _| policy::source_class(view, source, company_sources).0)
        .unwrap_or(Some(ClassId::DEFAULT))
}
