//! What the operator configures, and the rules that follow from it.

use bytemuck::{Pod, Zeroable};

use crate::address::{Address, Prefix};
use crate::limiter::{self, ClassId, Field, LONGEST_TERM, Values, parse};

/// In seconds.
pub const LONGEST_BLOCK: u32 = LONGEST_TERM;

/// Most requests of a budget.
pub const MOST_BUDGET: u32 = 1_000_000_000;

pub type FloodSettings = limiter::Settings<ClassValues>;
pub type Rules = limiter::Rules<ClassValues>;
pub type ClassRule = limiter::Rule<ClassValues>;
pub type SharedRules = limiter::SharedRules<ClassValues>;
pub type RulesCopy = limiter::RulesCopy<ClassValues>;
pub type ParsedClass = limiter::ParsedClass<ClassValues>;

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct ClassValues {
    /// Requests that a window admits: 1..=65535.
    pub limit: u32,
    /// In ms.
    pub window: u32,
    /// First block in seconds; 0 throttles and never blocks.
    pub block: u32,
    /// Longest block in seconds; a shorter one than `block` is as that.
    pub block_max: u32,
    /// Requests that a window admits of all unknown sources of the class together; 0: any
    /// number.
    pub budget: u32,
}

/// What is set for all classes together.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Common {
    /// Bits of an IPv6 address that make a source: 16..=128.
    pub ipv6_prefix: u32,
    /// Shortest prefix lengths at which a company's range decides a class; with the next
    /// reload.
    pub min_prefix_v4: u32,
    pub min_prefix_v6: u32,
    /// 1: nothing is refused by any function.
    pub monitor_all: u32,
    /// The [`ClassId::to_number`] of proven sources that nobody has listed.
    pub proven_class: u32,
    /// Seconds that a proof is kept; 0: there are no proven sources.
    pub proven_keep: u32,
    /// 1: a source that has never proven itself is blocked; 0: throttled.
    pub block_unproven: u32,
}

impl Values for ClassValues {
    type Common = Common;

    const FIELDS: &'static [Field<Self>] = &[
        Field { key: "limit", parse: parse::limit, of: |values| &mut values.limit },
        Field { key: "window", parse: parse::duration, of: |values| &mut values.window },
        Field { key: "block", parse: parse_block, of: |values| &mut values.block },
        Field { key: "block_max", parse: parse_block, of: |values| &mut values.block_max },
        Field { key: "budget", parse: parse_budget, of: |values| &mut values.budget },
    ];
    const COMMON: Common = Common {
        ipv6_prefix: 64,
        min_prefix_v4: 16,
        min_prefix_v6: 32,
        monitor_all: 0,
        proven_class: ClassId::to_number(Some(ClassId::DEFAULT)) as u32,
        proven_keep: 86_400,
        block_unproven: 0,
    };
    const COMPANY_SOURCES: Option<ClassId> = None;
    const UNSET: Self = ClassValues { limit: 0, window: 0, block: 0, block_max: 0, budget: 0 };

    fn window_ms(&self) -> u32 {
        self.window
    }

    fn bounded(self) -> Self {
        ClassValues { block_max: self.block_max.max(self.block), ..self }
    }

    fn class_basis(common: &Common) -> u32 {
        common.proven_class
    }

    fn are_monitored(common: &Common) -> bool {
        common.monitor_all != 0
    }
}

impl ClassValues {
    /// Length in ms of the block after `before` blocks in a row: it doubles.
    pub fn block_ms(&self, before: u8) -> u64 {
        let doubled = u64::from(self.block) << before.min(32);
        doubled.min(u64::from(self.block_max)) * 1000
    }
}

impl FloodSettings {
    /// With the class `default` only: `limit` requests in `window` ms, blocks of `block` to
    /// `block_max` seconds.
    pub fn new(limit: u32, window: u32, block: u32, block_max: u32) -> Self {
        Self::of_default(ClassValues { limit, window, block, block_max, budget: 0 })
    }
}

impl Rules {
    /// The source that an address belongs to.
    #[inline]
    pub fn source_of(&self, address: Address) -> Prefix {
        address.prefix(self.common.ipv6_prefix as u8)
    }

    /// The class of a proven source that nobody has listed.
    pub fn proven_class(&self) -> ClassId {
        ClassId::from_number(self.common.proven_class as u8).unwrap_or(ClassId::DEFAULT)
    }

    /// Whether two classes are those of sources that nobody has listed, proven or not.
    pub fn are_unlisted(&self, a: Option<ClassId>, b: Option<ClassId>) -> bool {
        let is_one = |class| class == Some(ClassId::DEFAULT) || class == Some(self.proven_class());
        is_one(a) && is_one(b)
    }
}

fn parse_budget(text: &str) -> Result<u32, String> {
    parse::within(text, 0, MOST_BUDGET)
}

fn parse_block(text: &str) -> Result<u32, String> {
    parse::within(text, 0, LONGEST_BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(settings: &FloodSettings, class: u8) -> ClassRule {
        Rules::new(settings, &Rules::NONE).class(Some(ClassId(class)))
    }

    #[test]
    fn a_class_has_its_values_and_blocks_not_shorter_than_its_first() {
        let class = ParsedClass::parse("carrier=limit:2000; window:500ms;block:0").unwrap();
        let mut settings = FloodSettings::new(100, 2000, 300, 600);
        assert!(settings.set_class(1, &class));
        let carrier = rule(&settings, 1);
        assert_eq!((carrier.limit, carrier.window), (2000, 500));
        assert_eq!((carrier.block, carrier.block_max), (0, 600));
        settings.default_mut().block_max = 0;
        let default = rule(&settings, 0);
        assert_eq!((default.block, default.block_max), (300, 300));
    }

    #[test]
    fn blocks_double_up_to_the_longest() {
        let rule = rule(&FloodSettings::new(1, 1000, 10, 60), 0);
        assert_eq!(
            [0, 1, 2, 3, 255].map(|before| rule.block_ms(before) / 1000),
            [10, 20, 40, 60, 60]
        );
        let longest = FloodSettings::new(1, 1000, LONGEST_BLOCK, LONGEST_BLOCK);
        assert_eq!(self::rule(&longest, 0).block_ms(255), u64::from(LONGEST_BLOCK) * 1000);
    }

    #[test]
    fn one_monitor_is_enough() {
        let mut settings = FloodSettings::new(1, 1000, 10, 60);
        let monitor = |settings: &FloodSettings| Rules::new(settings, &Rules::NONE).monitor;
        assert_eq!(monitor(&settings), 0);
        settings.monitor = 1;
        assert_eq!(monitor(&settings), 1);
        (settings.monitor, settings.common.monitor_all) = (0, 1);
        assert_eq!(monitor(&settings), 1);
    }

    #[test]
    fn what_is_wrong_with_a_class_is_named() {
        for (text, what) in [
            ("c=limit:0", "class c: limit \"0\" is not from 1 to 65535"),
            ("c=limit:65536", "class c: limit \"65536\" is not from 1 to 65535"),
            ("c=limit:+5", "\"+5\""),
            ("c=limit:", "\"\""),
            ("c=window:99ms", "class c: window \"99ms\" is not 100ms to 3600s"),
            ("c=window:3601", "\"3601\""),
            ("c=window:5000000", "\"5000000\""),
            ("c=limit:5;block:0;limit:6", "class c: limit stands twice"),
            ("c=block:31536001", "class c: block \"31536001\" is not from 0 to 31536000"),
            ("c=blok:1", "\"blok\" is not one of limit, window, block, block_max, budget"),
        ] {
            let error = ParsedClass::parse(text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
