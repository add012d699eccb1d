//! The rules in force, in the form that checks read.

use bytemuck::{Pod, Zeroable};

use super::settings::FloodSettings;
use crate::limiter::{ClassId, Counting, MAX_CLASSES};

/// Limit and block time of one class.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct ClassRule {
    /// Requests that a window admits: 1..=65535.
    pub limit: u32,
    /// The window in ms.
    pub window: u32,
    /// First block in seconds; 0 throttles and never blocks.
    pub block: u32,
    /// Longest block in seconds; not below `block`.
    pub block_max: u32,
    /// How they are counted.
    pub counting: Counting,
}

impl ClassRule {
    const NONE: Self =
        ClassRule { limit: 0, window: 0, block: 0, block_max: 0, counting: Counting::NONE };

    /// Length in ms of the block after `before` blocks in a row: it doubles.
    pub fn block_ms(&self, before: u8) -> u64 {
        let doubled = u64::from(self.block) << before.min(32);
        doubled.min(u64::from(self.block_max)) * 1000
    }
}

/// All rules; what a process keeps a copy of.
#[repr(C)]
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
pub struct Rules {
    /// Raised with every change.
    pub version: u64,
    /// Bits of an IPv6 address that make a source.
    pub ipv6_prefix: u32,
    /// 1: nobody is refused.
    pub monitor: u32,
    /// Raised when sources may be of another class for the settings' sake.
    pub sources_version: u32,
    /// 1: nothing is refused by any function.
    pub monitor_all: u32,
    classes: [ClassRule; MAX_CLASSES],
    /// Classes there are.
    class_count: u32,
    company_sources: u32,
}

impl Rules {
    /// Those of a process that has not asked for the rules yet.
    pub const NONE: Self = Rules {
        version: 0,
        ipv6_prefix: 64,
        monitor: 0,
        sources_version: 0,
        monitor_all: 0,
        classes: [ClassRule::NONE; MAX_CLASSES],
        class_count: 0,
        company_sources: 0,
    };

    /// The rules of `settings`, which follow on `previous`.
    pub fn new(settings: &FloodSettings, previous: &Rules) -> Self {
        let mut rules = Rules {
            version: previous.version + 1,
            ipv6_prefix: settings.ipv6_prefix,
            monitor: settings.monitor | settings.monitor_all,
            monitor_all: settings.monitor_all,
            class_count: settings.class_count,
            company_sources: settings.company_sources,
            ..*previous
        };
        let same = settings.company_sources == previous.company_sources;
        rules.sources_version = rules.sources_version.wrapping_add(u32::from(!same));
        for (rule, class) in rules.classes.iter_mut().zip(settings.classes()) {
            *rule = ClassRule {
                limit: class.limit,
                window: class.window,
                block: class.block,
                block_max: class.block_max.max(class.block),
                counting: rule.counting.change(class.window, settings.tick),
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
