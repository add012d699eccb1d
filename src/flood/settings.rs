//! What the operator configures, checked, and changed at run time.

use bytemuck::{Pod, Zeroable};

use super::names::ClassNames;

/// Classes that there can be, `default` included.
pub const MAX_CLASSES: usize = 15;
/// Shortest and longest window in ms.
const WINDOW: std::ops::RangeInclusive<u32> = 100..=3_600_000;
/// Longest window without a unit, in seconds.
const MOST_SECONDS: u32 = 60;
/// Requests that a window may admit.
const LIMIT: std::ops::RangeInclusive<u32> = 1..=65_535;
/// Longest block in seconds: a year.
pub const LONGEST_BLOCK: u32 = 31_536_000;
/// Longest name of a class.
const MAX_NAME: usize = 64;
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
    let keys: [(&str, Parse); 4] = [
        ("limit", parse_limit),
        ("window", parse_duration),
        ("block", parse_block),
        ("block_max", parse_block),
    ];
    let (name, [limit, window, block, block_max]) = parse_keys(text, &keys)?;
    Ok(ParsedClass { name, values: ClassValues { limit, window, block, block_max } })
}

/// Reads a value, or says what is wrong with it.
pub(crate) type Parse = fn(&str) -> Result<u32, String>;

/// Reads `name=key:value;...`: the name of a class, and the value of each of `keys`,
/// [`INHERIT`] where it is missing.
///
/// # Errors
/// What is wrong, with the value.
pub(crate) fn parse_keys<const N: usize>(
    text: &str,
    keys: &[(&str, Parse); N],
) -> Result<(String, [u32; N]), String> {
    let shown = || format!("\"{}\"", text.escape_debug());
    let (name, pairs) =
        text.split_once('=').ok_or_else(|| format!("{} is not name=key:value;...", shown()))?;
    let name = name.trim();
    let valid = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(valid) {
        return Err(format!("{}: a class is named with letters, digits, '_' and '-'", shown()));
    }
    if ClassNames::is_reserved(name) {
        return Err(format!("{}: the class {name} is there already", shown()));
    }
    let mut values = [INHERIT; N];
    for part in pairs.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let (key, value) = part
            .split_once(':')
            .ok_or_else(|| format!("{}: \"{}\" is not key:value", shown(), part.escape_debug()))?;
        let (key, value) = (key.trim(), value.trim());
        let known = keys.iter().zip(&mut values).find(|((known, _), _)| *known == key);
        let Some(((_, parse), slot)) = known else {
            let known = keys.map(|(key, _)| key).join(", ");
            let key = key.escape_debug();
            return Err(format!("class {name}: \"{key}\" is not one of {known}"));
        };
        if *slot != INHERIT {
            return Err(format!("class {name}: {key} stands twice"));
        }
        *slot = parse(value).map_err(|e| format!("class {name}: {key} {e}"))?;
    }
    Ok((name.to_owned(), values))
}

/// Reads a window: `2` or `2s` are seconds, `1500ms` milliseconds. More than 60
/// takes its unit, since it may be meant in milliseconds.
///
/// # Errors
/// What is wrong, with the value.
pub fn parse_duration(text: &str) -> Result<u32, String> {
    let (digits, factor) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => (digits, 1),
        (None, Some(digits)) => (digits, 1000),
        (None, None) => (text, 1000),
    };
    let bare = digits.len() == text.len();
    number(digits)
        .filter(|n| !bare || *n <= MOST_SECONDS)
        .and_then(|n| n.checked_mul(factor))
        .filter(|ms| WINDOW.contains(ms))
        .ok_or_else(|| {
            let text = text.escape_debug();
            format!("\"{text}\" is not 100ms to 3600s, or a number of seconds up to {MOST_SECONDS}")
        })
}

/// Reads how often something may happen in a window.
pub(crate) fn parse_limit(text: &str) -> Result<u32, String> {
    parse_within(text, *LIMIT.start(), *LIMIT.end())
}

fn parse_block(text: &str) -> Result<u32, String> {
    parse_within(text, 0, LONGEST_BLOCK)
}

/// Reads a number, both bounds allowed.
pub(crate) fn parse_within(text: &str, least: u32, most: u32) -> Result<u32, String> {
    number(text)
        .filter(|n| (least..=most).contains(n))
        .ok_or_else(|| format!("\"{}\" is not from {least} to {most}", text.escape_debug()))
}

/// Digits only: no sign, no blanks.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok())?
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
            ("carrier", "\"carrier\" is not name=key:value"),
            ("=limit:1", "is named with letters"),
            ("a b=limit:1", "is named with letters"),
            ("default=limit:1", "the class default is there already"),
            ("exempt=limit:1", "the class exempt is there already"),
            ("c=limit", "\"limit\" is not key:value"),
            ("c=limit:0", "class c: limit \"0\" is not from 1 to 65535"),
            ("c=limit:65536", "class c: limit \"65536\" is not from 1 to 65535"),
            ("c=limit:+5", "\"+5\""),
            ("c=limit:", "\"\""),
            ("c=window:99ms", "class c: window \"99ms\" is not 100ms to 3600s"),
            ("c=window:3601", "\"3601\""),
            ("c=window:5000000", "\"5000000\""),
            ("c=limit:5;block:0;limit:6", "class c: limit stands twice"),
            ("c=block:31536001", "class c: block \"31536001\" is not from 0 to 31536000"),
            ("c=blok:1", "\"blok\" is not one of limit, window, block, block_max"),
        ] {
            let error = parse_class(text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }

    #[test]
    fn durations_are_seconds_unless_they_say_ms() {
        assert_eq!(parse_duration("2"), Ok(2000));
        assert_eq!(parse_duration("2s"), Ok(2000));
        assert_eq!(parse_duration("1500ms"), Ok(1500));
        assert_eq!((parse_duration("60"), parse_duration("61s")), (Ok(60_000), Ok(61_000)));
        assert!(parse_duration("61").is_err() && parse_duration("2000").is_err());
        assert!(parse_duration("1.5").is_err() && parse_duration("").is_err());
        assert!(parse_duration("s").is_err() && parse_duration("4294968").is_err());
    }
}
