//! The rules in force, in the form that checks read.

use bytemuck::{Pod, Zeroable};

use super::settings::{FloodSettings, MAX_CLASSES};
use super::window::Slicing;

/// A class of sources: position in the list of classes; 0 is `default`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassId(pub u8);

impl ClassId {
    /// Everybody who is in no other class.
    pub const DEFAULT: Self = ClassId(0);

    /// A class, or None (exempt), as a number.
    pub const fn to_number(class: Option<Self>) -> u8 {
        match class {
            None => 0,
            Some(ClassId(class)) => class.saturating_add(1),
        }
    }

    /// The reverse of [`ClassId::to_number`].
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => None,
            number => Some(ClassId(number - 1)),
        }
    }
}

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
    /// Raised when the window changes: counts of another one mean nothing.
    pub window_id: u32,
    padding: u32,
    /// How the window is cut.
    pub slicing: Slicing,
}

impl ClassRule {
    const NONE: Self = ClassRule {
        limit: 0,
        window: 0,
        block: 0,
        block_max: 0,
        window_id: 0,
        padding: 0,
        slicing: Slicing::new(1000),
    };

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
            let same = rule.window == class.window;
            *rule = ClassRule {
                limit: class.limit,
                window: class.window,
                block: class.block,
                block_max: class.block_max.max(class.block),
                window_id: rule.window_id.wrapping_add(u32::from(!same)),
                padding: 0,
                // The clock shows a time up to a tick too early: so two requests may
                // seem nearer to each other than they are.
                slicing: Slicing::new(class.window - settings.tick),
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
