//! The rules in shared memory, and the copy that each process keeps.

use std::cell::RefCell;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::*};

use bytemuck::AnyBitPattern;

use super::rules::{Rules, Settings, Values};
use crate::shm::{Area, SharedMutex};

#[repr(C)]
#[derive(Clone, Copy, AnyBitPattern)]
struct Current<V>
where
    V: Values,
{
    settings: Settings<V>,
    rules: Rules<V>,
}

/// Settings and rules of all processes.
pub struct SharedRules<V: Values> {
    /// [`Rules::version`] of the current ones.
    version: &'static AtomicU64,
    current: &'static SharedMutex<Current<V>>,
}

impl<V: Values> SharedRules<V> {
    /// Maps shared memory for them.
    pub fn new(settings: Settings<V>) -> io::Result<Self> {
        let shared = SharedRules { version: Area::share()?, current: Area::share()? };
        shared.change(|current| *current = settings);
        Ok(shared)
    }

    /// Changes settings; processes follow with their next check.
    pub fn change(&self, change: impl FnOnce(&mut Settings<V>)) {
        let mut current = self.current.lock();
        change(&mut current.settings);
        current.rules = Rules::new(&current.settings, &current.rules);
        self.version.store(current.rules.version, Release);
    }

    pub fn settings(&self) -> Settings<V> {
        self.current.lock().settings
    }

    /// Brings a process's copy up to date.
    #[inline]
    pub fn refresh(&self, copy: &mut Rules<V>) {
        if self.is_newer_than(copy) {
            *copy = self.current.lock().rules;
        }
    }

    #[inline]
    fn is_newer_than(&self, copy: &Rules<V>) -> bool {
        copy.version != self.version.load(Acquire)
    }
}

/// A process's copy of the rules.
pub struct RulesCopy<V: Values>(RefCell<Rules<V>>);

impl<V: Values> RulesCopy<V> {
    pub const fn new() -> Self {
        RulesCopy(RefCell::new(Rules::NONE))
    }

    /// Runs `f` on the current rules. A call within `f` gets the same rules.
    #[inline]
    pub fn with<R>(&self, shared: &SharedRules<V>, f: impl FnOnce(&Rules<V>) -> R) -> R {
        if shared.is_newer_than(&self.0.borrow()) {
            self.refresh(shared);
        }
        f(&self.0.borrow())
    }

    #[cold]
    fn refresh(&self, shared: &SharedRules<V>) {
        if let Ok(mut rules) = self.0.try_borrow_mut() {
            shared.refresh(&mut rules);
        }
    }
}

impl<V: Values> Default for RulesCopy<V> {
    fn default() -> Self {
        RulesCopy::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limiter::test_values::TestValues;

    fn shared() -> SharedRules<TestValues> {
        SharedRules::new(Settings::of_default(TestValues { window: 2000, size: 100 })).unwrap()
    }

    fn size(rules: &Rules<TestValues>) -> u32 {
        rules.class(None).size
    }

    #[test]
    fn copies_follow_the_settings() {
        let (shared, copy) = (shared(), RulesCopy::new());
        assert_eq!(copy.with(&shared, |rules| (rules.version, size(rules))), (1, 100));
        shared.change(|settings| settings.default_mut().size = 60);
        assert_eq!(copy.with(&shared, |rules| (rules.version, size(rules))), (2, 60));
        assert_eq!(shared.settings().default_mut().size, 60);
    }

    #[test]
    fn a_call_within_a_call_gets_the_same_rules() {
        let (shared, copy) = (shared(), RulesCopy::new());
        let now = || copy.with(&shared, size);
        let nested = copy.with(&shared, |rules| {
            shared.change(|settings| settings.default_mut().size = 60);
            (size(rules), now())
        });
        assert_eq!((nested, now()), ((100, 100), 60));
    }
}
