//! What the operator configures, checked, and changed at run time.

use bytemuck::{Pod, Zeroable};

use crate::flood::{
    ClassNames, INHERIT, LONGEST_BLOCK, MAX_CLASSES, Parse, parse_keys, parse_limit, parse_within,
};

/// Longest window in seconds: a week.
pub const LONGEST_WINDOW: u32 = 604_800;
/// Longest ban in seconds: a year.
pub const LONGEST_BAN: u32 = LONGEST_BLOCK;
/// Longest time in seconds in which the same credentials count once.
pub const LONGEST_SAME: u32 = 604_800;

/// Values of one class; some may be [`INHERIT`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub(super) struct ClassValues {
    pub limit: u32,
    /// In seconds.
    pub window: u32,
    /// In seconds.
    pub block: u32,
    pub restart: u32,
}

impl ClassValues {
    const NONE: Self =
        ClassValues { limit: INHERIT, window: INHERIT, block: INHERIT, restart: INHERIT };

    fn or(self, default: Self) -> Self {
        let pick = |own: u32, other: u32| if own == INHERIT { other } else { own };
        ClassValues {
            limit: pick(self.limit, default.limit),
            window: pick(self.window, default.window),
            block: pick(self.block, default.block),
            restart: pick(self.restart, default.restart),
        }
    }
}

/// The settings as configured, plain numbers that can lie in shared memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct AuthSettings {
    /// 1: count and log, refuse nothing.
    pub monitor: u32,
    /// Seconds in which the same credentials count once; 0: each time.
    pub same: u32,
    /// The [`crate::flood::ClassId::to_number`] of sources that companies with a
    /// filter list.
    pub company_sources: u32,
    /// Ms between two times that the clock shows: 0..=10.
    pub tick: u32,
    class_count: u32,
    /// The first one is `default` and inherits nothing.
    values: [ClassValues; MAX_CLASSES],
}

impl AuthSettings {
    /// Settings with the class `default` only: the `limit`th failure in `window`
    /// seconds starts a ban of `block` seconds, after which the count begins at
    /// `restart`.
    pub fn new(limit: u32, window: u32, block: u32, restart: u32) -> Self {
        let mut values = [ClassValues::NONE; MAX_CLASSES];
        let [default, ..] = &mut values;
        *default = ClassValues { limit, window, block, restart };
        AuthSettings { monitor: 0, same: 0, company_sources: 1, tick: 0, class_count: 1, values }
    }

    /// Changes the class `default`, whose values others inherit: limit, window, block
    /// and restart.
    pub fn set_default(&mut self, set: impl FnOnce(&mut u32, &mut u32, &mut u32, &mut u32)) {
        let [default, ..] = &mut self.values;
        let ClassValues { limit, window, block, restart } = default;
        set(limit, window, block, restart);
    }

    /// Puts `class` at a position from 1 on; what it does not name stays as it is.
    /// False if there is no room.
    pub fn set_class(&mut self, position: usize, class: &ParsedClass) -> bool {
        let Some(values) = self.values.get_mut(position).filter(|_| position > 0) else {
            return false;
        };
        *values = class.values.or(*values);
        self.class_count = self.class_count.max(position as u32 + 1);
        true
    }

    /// Makes all classes of `names` known; those that nothing is set of are as
    /// `default`.
    pub fn know(&mut self, names: &ClassNames) {
        self.class_count = names.ids().count() as u32;
    }

    /// The classes with what they inherit.
    pub(super) fn classes(&self) -> impl Iterator<Item = ClassValues> {
        let [default, ..] = self.values;
        self.values.into_iter().take(self.class_count as usize).map(move |v| v.or(default))
    }
}

/// A class as the operator writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedClass {
    /// Its name.
    pub name: String,
    values: ClassValues,
}

/// Reads `office=limit:500;window:3600;block:600;restart:0`; keys that are missing
/// are those of the class `default`.
///
/// # Errors
/// What is wrong, with the value.
pub fn parse_class(text: &str) -> Result<ParsedClass, String> {
    let keys: [(&str, Parse); 4] = [
        ("limit", parse_limit),
        ("window", |text| parse_within(text, 1, LONGEST_WINDOW)),
        ("block", |text| parse_within(text, 1, LONGEST_BAN)),
        ("restart", |text| parse_within(text, 0, 65_535)),
    ];
    let (name, [limit, window, block, restart]) = parse_keys(text, &keys)?;
    Ok(ParsedClass { name, values: ClassValues { limit, window, block, restart } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_overrides_what_it_names_and_inherits_the_rest() {
        let class = parse_class("office=limit:500; block:60").unwrap();
        let mut settings = AuthSettings::new(100, 1800, 43_200, 80);
        assert!(settings.set_class(1, &class));
        let expected = ClassValues { limit: 500, window: 1800, block: 60, restart: 80 };
        assert_eq!(settings.classes().nth(1), Some(expected));
        settings.set_default(|_, window, _, restart| (*window, *restart) = (60, 7));
        assert_eq!(settings.classes().nth(1).map(|c| (c.window, c.restart)), Some((60, 7)));
        assert!(!settings.set_class(0, &class) && !settings.set_class(MAX_CLASSES, &class));
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
            let error = parse_class(text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
