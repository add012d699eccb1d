//! What the operator configures, and the rules that follow from it.

use bytemuck::{Pod, Zeroable};

use crate::limiter::{self, ClassId, Field, LONGEST_TERM, Values, parse};

/// In seconds: a week.
pub const LONGEST_WINDOW: u32 = 604_800;
/// In seconds.
pub const LONGEST_BAN: u32 = LONGEST_TERM;
/// Most different AoRs of a limit: spraying estimates their number.
pub const MOST_AORS: u32 = 500;
/// In seconds.
pub const LONGEST_SAME: u32 = 604_800;

pub type AuthSettings = limiter::Settings<ClassValues>;
pub type Rules = limiter::Rules<ClassValues>;
pub type ClassRule = limiter::Rule<ClassValues>;
pub type SharedRules = limiter::SharedRules<ClassValues>;
pub type RulesCopy = limiter::RulesCopy<ClassValues>;
pub type ParsedClass = limiter::ParsedClass<ClassValues>;

#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct ClassValues {
    /// The failure within a window that starts a ban: 1..=65535.
    pub limit: u32,
    /// In seconds.
    pub window: u32,
    /// Length of a ban in seconds.
    pub block: u32,
    /// The count after a ban; below `limit`.
    pub restart: u32,
    /// Different AoRs at which one source may fail within a window: 1..=[`MOST_AORS`];
    /// 0: no limit. Windows are in seconds.
    pub aors: u32,
    pub aors_window: u32,
    /// The same for AoRs that do not exist.
    pub unknown: u32,
    pub unknown_window: u32,
    /// Failures of one source, over all AoRs.
    pub passwords: u32,
    pub passwords_window: u32,
    /// Seconds that a source is blocked for passing one of these limits.
    pub spray_block: u32,
}

/// What is set for all classes together.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct Common {
    /// Seconds in which the same credentials count once; 0: each time.
    pub same: u32,
}

impl Values for ClassValues {
    type Common = Common;

    const FIELDS: &'static [Field<Self>] = &[
        Field { key: "limit", parse: parse::limit, of: |values| &mut values.limit },
        Field { key: "window", parse: parse_window, of: |values| &mut values.window },
        Field { key: "block", parse: parse_ban, of: |values| &mut values.block },
        Field { key: "restart", parse: parse_restart, of: |values| &mut values.restart },
        Field { key: "aors", parse: parse_distinct, of: |values| &mut values.aors },
        Field { key: "aors_window", parse: parse_window, of: |values| &mut values.aors_window },
        Field { key: "unknown", parse: parse_distinct, of: |values| &mut values.unknown },
        Field {
            key: "unknown_window",
            parse: parse_window,
            of: |values| &mut values.unknown_window,
        },
        Field { key: "passwords", parse: parse_restart, of: |values| &mut values.passwords },
        Field {
            key: "passwords_window",
            parse: parse_window,
            of: |values| &mut values.passwords_window,
        },
        Field { key: "spray_block", parse: parse_ban, of: |values| &mut values.spray_block },
    ];
    const COMMON: Common = Common { same: 0 };
    const COMPANY_SOURCES: Option<ClassId> = Some(ClassId::DEFAULT);
    const UNSET: Self = ClassValues::of_bans(1, 0, 1, 0);

    fn window_ms(&self) -> u32 {
        self.window.saturating_mul(1000)
    }

    fn bounded(self) -> Self {
        // One failure more, at least, before the next ban.
        ClassValues { restart: self.restart.min(self.limit.saturating_sub(1)), ..self }
    }
}

impl ClassValues {
    /// Those of bans; spraying has no limits.
    pub const fn of_bans(limit: u32, window: u32, block: u32, restart: u32) -> Self {
        ClassValues {
            limit,
            window,
            block,
            restart,
            aors: 0,
            aors_window: 1,
            unknown: 0,
            unknown_window: 1,
            passwords: 0,
            passwords_window: 1,
            spray_block: 1,
        }
    }
}

impl AuthSettings {
    /// With the class `default` only: the `limit`th failure in `window` seconds starts a ban
    /// of `block` seconds, after which the count begins at `restart`. Spraying has no limits.
    pub fn new(limit: u32, window: u32, block: u32, restart: u32) -> Self {
        Self::of_default(ClassValues::of_bans(limit, window, block, restart))
    }
}

fn parse_distinct(text: &str) -> Result<u32, String> {
    parse::within(text, 0, MOST_AORS)
}

fn parse_window(text: &str) -> Result<u32, String> {
    parse::within(text, 1, LONGEST_WINDOW)
}

fn parse_ban(text: &str) -> Result<u32, String> {
    parse::within(text, 1, LONGEST_BAN)
}

fn parse_restart(text: &str) -> Result<u32, String> {
    parse::within(text, 0, 65_535)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_has_its_values_and_restarts_below_its_limit() {
        let class = ParsedClass::parse("office=limit:50; block:60").unwrap();
        let mut settings = AuthSettings::new(100, 1800, 43_200, 80);
        assert!(settings.set_class(1, &class));
        let rules = Rules::new(&settings, &Rules::NONE);
        let office = rules.class(Some(ClassId(1)));
        assert_eq!((office.limit, office.window, office.block), (50, 1800, 60));
        assert_eq!((office.restart, rules.class(None).restart), (49, 80));
        assert_eq!(rules.company_sources(), Some(ClassId::DEFAULT));
    }

    #[test]
    fn what_is_wrong_with_a_class_is_named() {
        for (text, what) in [
            ("office", "\"office\" is not name=key:value"),
            ("exempt=limit:1", "the class exempt is there already"),
            ("c=limit:0", "class c: limit \"0\" is not from 1 to 65535"),
            ("c=window:0", "class c: window \"0\" is not from 1 to 604800"),
            ("c=window:1h", "\"1h\""),
            ("c=block:0", "class c: block \"0\" is not from 1 to 31536000"),
            ("c=restart:65536", "class c: restart \"65536\" is not from 0 to 65535"),
            ("c=block:5;block:5", "class c: block stands twice"),
            ("c=block_max:1", "\"block_max\" is not one of limit, window, block, restart"),
        ] {
            let error = ParsedClass::parse(text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
