//! What the operator configures, checked, and changed at run time.

use bytemuck::{Pod, Zeroable};

use crate::limiter::{ClassNames, LONGEST_TERM, MAX_CLASSES, parse};

/// Longest block in seconds: a year.
pub const LONGEST_BLOCK: u32 = LONGEST_TERM;
/// The class takes the value of `default`.
pub(crate) const INHERIT: u32 = u32::MAX;

/// Values of one class; some may be [`INHERIT`].
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub(super) struct ClassValues {
    pub limit: u32,
    /// In ms.
    pub window: u32,
    /// In seconds.
    pub block: u32,
    /// In seconds, 0: as `block`.
    pub block_max: u32,
}

impl ClassValues {
    const NONE: Self =
        ClassValues { limit: INHERIT, window: INHERIT, block: INHERIT, block_max: INHERIT };

    fn or(self, default: Self) -> Self {
        let pick = |own: u32, other: u32| if own == INHERIT { other } else { own };
        ClassValues {
            limit: pick(self.limit, default.limit),
            window: pick(self.window, default.window),
            block: pick(self.block, default.block),
            block_max: pick(self.block_max, default.block_max),
        }
    }
}

/// The settings as configured, plain numbers that can lie in shared memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Pod, Zeroable)]
pub struct FloodSettings {
    /// Bits of an IPv6 address that make a source: 16..=128.
    pub ipv6_prefix: u32,
    /// 1: count and log, refuse nothing.
    pub monitor: u32,
    /// The [`ClassId::to_number`] of sources that companies with a filter list.
    pub company_sources: u32,
    /// IPv4 and IPv6 ranges of companies count from these lengths on, with the
    /// next reload.
    pub broadest_v4: u32,
    /// See [`FloodSettings::broadest_v4`].
    pub broadest_v6: u32,
    /// Ms between two times that the clock shows: 0..=10.
    pub tick: u32,
    pub(super) class_count: u32,
    /// 1: nothing is refused by any function.
    pub monitor_all: u32,
    /// The first one is `default` and inherits nothing.
    values: [ClassValues; MAX_CLASSES],
}

impl FloodSettings {
    /// Settings with the class `default` only: `limit` requests in `window` ms,
    /// blocks of `block` to `block_max` seconds.
    pub fn new(limit: u32, window: u32, block: u32, block_max: u32) -> Self {
        let mut values = [ClassValues::NONE; MAX_CLASSES];
        let [default, ..] = &mut values;
        *default = ClassValues { limit, window, block, block_max };
        FloodSettings {
            ipv6_prefix: 64,
            monitor: 0,
            company_sources: 0,
            broadest_v4: 16,
            broadest_v6: 32,
            tick: 0,
            class_count: 1,
            monitor_all: 0,
            values,
        }
    }

    /// Changes the class `default`, whose values others inherit.
    pub fn set_default(&mut self, set: impl FnOnce(&mut u32, &mut u32, &mut u32, &mut u32)) {
        let [default, ..] = &mut self.values;
        let ClassValues { limit, window, block, block_max } = default;
        set(limit, window, block, block_max);
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

    /// Makes all classes of [`ClassNames`] known; those that nothing is set of are as
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

/// Reads `carrier=limit:2000;window:2;block:0`; keys that are missing are those
/// of the class `default`.
///
/// # Errors
/// What is wrong, with the value.
pub fn parse_class(text: &str) -> Result<ParsedClass, String> {
    let keys: [(&str, parse::Parse); 4] = [
        ("limit", parse::limit),
        ("window", parse::duration),
        ("block", parse_block),
        ("block_max", parse_block),
    ];
    let (name, [limit, window, block, block_max]) = parse_keys(text, &keys)?;
    Ok(ParsedClass { name, values: ClassValues { limit, window, block, block_max } })
}

/// Reads the name of a class and the value of each of `keys`, [`INHERIT`] where it is
/// missing.
///
/// # Errors
/// What is wrong, with the value.
pub(crate) fn parse_keys<const N: usize>(
    text: &str,
    keys: &[(&str, parse::Parse); N],
) -> Result<(String, [u32; N]), String> {
    let mut values = [INHERIT; N];
    let name = parse::class(text, |key, value| {
        let known = keys.iter().zip(&mut values).find(|((known, _), _)| *known == key);
        let Some(((_, parse), slot)) = known else {
            let known = keys.map(|(key, _)| key).join(", ");
            return Err(format!("\"{}\" is none of {known}", key.escape_debug()));
        };
        if *slot != INHERIT {
            return Err(format!("{key} stands twice"));
        }
        *slot = parse(value).map_err(|e| format!("{key} {e}"))?;
        Ok(())
    })?;
    Ok((name, values))
}

fn parse_block(text: &str) -> Result<u32, String> {
    parse::within(text, 0, LONGEST_BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_overrides_what_it_names_and_inherits_the_rest() {
        let class = parse_class(" carrier=limit:2000; window:500ms;block:0").unwrap();
        assert_eq!(class.name, "carrier");
        let mut settings = FloodSettings::new(100, 2000, 300, 600);
        assert!(settings.set_class(1, &class));
        let expected = ClassValues { limit: 2000, window: 500, block: 0, block_max: 600 };
        assert_eq!(settings.classes().nth(1), Some(expected));
        settings.set_default(|_, _, _, block_max| *block_max = 900);
        assert_eq!(settings.classes().nth(1).unwrap().block_max, 900);
        settings.set_class(1, &parse_class("carrier=limit:4000").unwrap());
        let changed = settings.classes().nth(1).unwrap();
        assert_eq!((changed.limit, changed.window, changed.block), (4000, 500, 0));
        assert!(!settings.set_class(0, &class) && !settings.set_class(MAX_CLASSES, &class));
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
            ("c=blok:1", "\"blok\" is none of limit, window, block, block_max"),
        ] {
            let error = parse_class(text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
