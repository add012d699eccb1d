//! What operators write: classes with their values, windows, limits.

use super::classes::ClassNames;
use crate::digits::parse_digits;

/// Longest name of a class.
const MAX_NAME: usize = 64;
/// Shortest and longest window in ms.
const WINDOW: std::ops::RangeInclusive<u32> = 100..=3_600_000;
/// Longest window without a unit, in seconds.
const MOST_SECONDS: u32 = 60;

/// The error says what is wrong, with the value.
pub type Parse = fn(&str) -> Result<u32, String>;

/// Reads `name=key:value;...`: the name of a class; `set` takes each key with its value.
pub fn class(
    text: &str,
    mut set: impl FnMut(&str, &str) -> Result<(), String>,
) -> Result<String, String> {
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
    for part in pairs.split(';').map(str::trim).filter(|part| !part.is_empty()) {
        let (key, value) = part
            .split_once(':')
            .ok_or_else(|| format!("{}: \"{}\" is not key:value", shown(), part.escape_debug()))?;
        set(key.trim(), value.trim()).map_err(|why| format!("class {name}: {why}"))?;
    }
    Ok(name.to_owned())
}

/// Reads a window, in ms: `2` or `2s` are seconds, `1500ms` milliseconds. More than 60
/// takes its unit, since it may be meant in milliseconds.
pub fn duration(text: &str) -> Result<u32, String> {
    let (digits, factor) = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => (digits, 1),
        (None, Some(digits)) => (digits, 1000),
        (None, None) => (text, 1000),
    };
    let bare = digits.len() == text.len();
    parse_digits::<u32>(digits.as_bytes())
        .filter(|n| !bare || *n <= MOST_SECONDS)
        .and_then(|n| n.checked_mul(factor))
        .filter(|ms| WINDOW.contains(ms))
        .ok_or_else(|| {
            let text = text.escape_debug();
            format!("\"{text}\" is not 100ms to 3600s, or a number of seconds up to {MOST_SECONDS}")
        })
}

/// Reads how often something may happen in a window.
pub fn limit(text: &str) -> Result<u32, String> {
    within(text, 1, 65_535)
}

/// Reads a number, both bounds allowed.
pub fn within(text: &str, least: u32, most: u32) -> Result<u32, String> {
    parse_digits(text.as_bytes())
        .filter(|n| (least..=most).contains(n))
        .ok_or_else(|| format!("\"{}\" is not from {least} to {most}", text.escape_debug()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_a_name_and_its_pairs() {
        let mut pairs = Vec::new();
        let mut keep = |key: &str, value: &str| {
            pairs.push(format!("{key}={value}"));
            Ok(())
        };
        assert_eq!(class(" carrier = a:1; b : 2;;", &mut keep).as_deref(), Ok("carrier"));
        assert_eq!(class("empty=", &mut keep).as_deref(), Ok("empty"));
        assert_eq!(pairs, ["a=1", "b=2"]);
        let refuse = |key: &str, _: &str| Err(format!("{key} is wrong"));
        assert_eq!(class("c=a:1", refuse).unwrap_err(), "class c: a is wrong");
    }

    #[test]
    fn what_is_wrong_with_a_class_is_named() {
        let long = format!("{}=a:1", "x".repeat(MAX_NAME + 1));
        for (text, what) in [
            ("carrier", "\"carrier\" is not name=key:value"),
            ("=limit:1", "is named with letters"),
            ("a b=limit:1", "is named with letters"),
            (&long, "is named with letters"),
            ("default=limit:1", "the class default is there already"),
            ("exempt=limit:1", "the class exempt is there already"),
            ("c=limit", "\"limit\" is not key:value"),
        ] {
            let error = class(text, |_, _| Ok(())).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }

    #[test]
    fn durations_are_seconds_unless_they_say_ms() {
        assert_eq!(duration("2"), Ok(2000));
        assert_eq!(duration("2s"), Ok(2000));
        assert_eq!(duration("1500ms"), Ok(1500));
        assert_eq!((duration("60"), duration("61s")), (Ok(60_000), Ok(61_000)));
        assert!(duration("61").is_err() && duration("2000").is_err());
        assert!(duration("1.5").is_err() && duration("").is_err());
        assert!(duration("s").is_err() && duration("4294968").is_err());
        assert!(duration("99ms").is_err() && duration("3601s").is_err());
    }

    #[test]
    fn numbers_are_digits_within_their_bounds() {
        assert_eq!((limit("1"), limit("65535")), (Ok(1), Ok(65_535)));
        for text in ["0", "65536", "+5", "-1", "", " 5", "5 ", "0x5", "99999999999"] {
            let error = limit(text).unwrap_err();
            assert_eq!(error, format!("\"{text}\" is not from 1 to 65535"));
        }
    }
}
