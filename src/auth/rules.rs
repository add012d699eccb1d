//! The rules in force, in the form that checks read.

use bytemuck::{Pod, Zeroable};

use super::settings::AuthSettings;
use crate::limiter::{ClassId, Counting, MAX_CLASSES};

/// Limit and length of bans of one class.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct ClassRule {
    /// The failure within a window that starts a ban: 1..=65535.
    pub limit: u32,
    /// The window in seconds.
    pub window: u32,
    /// Seconds of a ban.
    pub block: u32,
    /// Where the count begins after a ban; below `limit`.
    pub restart: u32,
    /// How they are counted.
    pub counting: Counting,
}

impl ClassRule {
    const NONE: Self =
        ClassRule { limit: 1, window: 0, block: 1, restart: 0, counting: Counting::NONE };
}

/// All rules; what a process keeps a copy of.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Rules {
    /// Raised with every change.
    pub version: u64,
    /// 1: nobody is refused.
    pub monitor: u32,
    /// Seconds in which the same credentials count once.
    pub same: u32,
    company_sources: u32,
    padding: u32,
    classes: [ClassRule; MAX_CLASSES],
}

impl Rules {
    /// Those of a process that has not asked for the rules yet.
    pub const NONE: Self = Rules {
        version: 0,
        monitor: 0,
        same: 0,
        company_sources: 1,
        padding: 0,
        classes: [ClassRule::NONE; MAX_CLASSES],
    };

    /// The rules of `settings`, which follow on `previous`.
    pub fn new(settings: &AuthSettings, previous: &Rules) -> Self {
        let mut rules = Rules {
            version: previous.version + 1,
            monitor: settings.monitor,
            same: settings.same,
            company_sources: settings.company_sources,
            ..*previous
        };
        for (rule, class) in rules.classes.iter_mut().zip(settings.classes()) {
            *rule = ClassRule {
                limit: class.limit,
                window: class.window,
                block: class.block,
                // One failure more, at least, before the next ban.
                restart: class.restart.min(class.limit.saturating_sub(1)),
                counting: rule.counting.change(class.window.saturating_mul(1000), settings.tick),
            };
        }
        rules
    }

    /// The rule of a class; that of `default` for an exempt source.
    pub fn class(&self, class: Option<ClassId>) -> &ClassRule {
        let [default, ..] = &self.classes;
        class.and_then(|ClassId(id)| self.classes.get(usize::from(id))).unwrap_or(default)
    }

    /// The class of companies' ranges; None: exempt.
    pub fn company_sources(&self) -> Option<ClassId> {
        ClassId::from_number(self.company_sources as u8)
    }
}
