//! How a host name is written.

/// Longest name and longest part of it, in bytes.
const LONGEST: usize = 253;
const LONGEST_LABEL: usize = 63;

/// The host name that a text is: in lower case, without a dot at its end. Letters, digits and
/// hyphens in two or more parts, of which the last one begins with a letter: so no address
/// that is written badly is taken for a name.
pub fn host_name(text: &[u8]) -> Option<Box<[u8]>> {
    let text = text.strip_suffix(b".").unwrap_or(text);
    let mut labels = text.rsplit(|byte| *byte == b'.');
    let last = labels.next()?;
    let is_name = text.len() <= LONGEST
        && text.contains(&b'.')
        && last.first()?.is_ascii_alphabetic()
        && is_label(last)
        && labels.all(is_label);
    is_name.then(|| text.to_ascii_lowercase().into())
}

fn is_label(label: &[u8]) -> bool {
    (1..=LONGEST_LABEL).contains(&label.len())
        && label.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
        && !label.starts_with(b"-")
        && !label.ends_with(b"-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_addresses_and_from_errors() {
        let name = |text: &str| {
            host_name(text.as_bytes()).map(|name| String::from_utf8(name.into()).unwrap())
        };
        assert_eq!(name("Office.DYN.example.").as_deref(), Some("office.dyn.example"));
        assert_eq!(name("7.a-b.xn--p1ai").as_deref(), Some("7.a-b.xn--p1ai"));
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(longest.len(), LONGEST);
        assert!(name(&longest).is_some());
        for wrong in [
            "",
            ".",
            "office",
            "office.",
            "office..example",
            ".office.example",
            "office.example..",
            "192.0.2.7",
            "192.0.2.256",
            "192.0.2.7x",
            "192.0.2.7/24",
            "office.example/24",
            "2001:db8::1",
            "::ffff:192.0.2.7",
            "-office.example",
            "office-.example",
            "of_fice.example",
            "office example.org",
            " office.example",
            "office.example:5060",
            "sip:office.example",
            "b\u{fc}ro.example",
            &format!("{longest}a"),
            &format!("a{label}.example"),
        ] {
            assert_eq!(name(wrong), None, "{wrong}");
        }
    }
}
