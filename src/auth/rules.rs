//! The rules in force, in the form that checks read.

use bytemuck::{Pod, Zeroable};

use super::settings::AuthSettings;
use crate::flood::window::Slicing;
use crate::flood::{ClassId, MAX_CLASSES};

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
    /// Raised when the window changes: counts of another one mean nothing.
    pub window_id: u32,
    padding: u32,
    /// How the window is cut.
    pub(crate) slicing: Slicing,
}

impl ClassRule {
    const NONE: Self = ClassRule {
        limit: 1,
        window: 0,
        block: 1,
        restart: 0,
        window_id: 0,
        padding: 0,
        slicing: Slicing::new(1000),
    };
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
            let same = rule.window == class.window;
            *rule = ClassRule {
                limit: class.limit,
                window: class.window,
                block: class.block,
                // One failure more, at least, before the next ban.
                restart: class.restart.min(class.limit.saturating_sub(1)),
                window_id: rule.window_id.wrapping_add(u32::from(!same)),
                padding: 0,
                // The clock shows a time up to a tick too early: so two failures may
                // seem nearer to each other than they are.
                slicing: Slicing::new((class.window * 1000).saturating_sub(settings.tick)),
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
