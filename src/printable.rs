//! Shows bytes of unknown origin on terminals and in logs.
#![forbid(unsafe_code)]

use std::fmt;

/// Displays bytes as text: UTF-8 as it is, control characters, quotes,
/// backslashes and invalid bytes escaped. What is cut is marked with `...`.
pub struct Printable<'a> {
    bytes: &'a [u8],
    longest: usize,
}

impl<'a> Printable<'a> {
    /// Bytes that [`Printable::short`] shows: few enough that a fault that a host cuts still
    /// says what is wrong with the text.
    pub const SHORT: usize = 48;
    /// Bytes that [`Printable::full`] shows: every valid id and AoR whole.
    pub const FULL: usize = 320;

    /// For messages.
    pub fn short(bytes: &'a [u8]) -> Self {
        Printable { bytes, longest: Self::SHORT }
    }

    /// For answers about the text itself.
    pub fn full(bytes: &'a [u8]) -> Self {
        Printable { bytes, longest: Self::FULL }
    }
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.bytes.get(..self.longest).unwrap_or(self.bytes);
        for chunk in shown.utf8_chunks() {
            write!(f, "{}", chunk.valid().escape_debug())?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        if shown.len() < self.bytes.len() {
            f.write_str("...")?;
        }
        Ok(())
    }
}

/// The beginning of a text: whole characters, of so many bytes at most.
pub fn beginning(text: &str, most: usize) -> &str {
    let ends = |at: &usize| text.is_char_boundary(*at);
    let end = (0..=most.min(text.len())).rev().find(ends).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

/// A database URL without its password.
pub fn without_password(url: &str) -> String {
    // scheme://user:password@host; a password may contain any of these signs.
    let Some((head, host)) = url.rsplit_once('@') else {
        return url.to_owned();
    };
    let scheme_end = head.find("://").map_or(0, |at| at + 3);
    let (scheme, user) = head.split_at_checked(scheme_end).unwrap_or(("", head));
    let user = user.split(':').next().unwrap_or_default();
    format!("{scheme}{user}:***@{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_invalid_bytes_are_escaped() {
        let shown = Printable::short(b"a\x1b[2J\"\n\xff\xc3\xa9").to_string();
        assert_eq!(shown, "a\\u{1b}[2J\\\"\\n\\xffé");
    }

    #[test]
    fn a_beginning_has_whole_characters() {
        assert_eq!([0, 1, 2, 3, 9].map(|most| beginning("aé!", most)), ["", "a", "a", "aé", "aé!"]);
    }

    #[test]
    fn long_text_is_cut() {
        let shown = Printable::short(&[b'x'; 65536]).to_string();
        assert_eq!(shown.len(), Printable::SHORT + 3);
        assert!(shown.ends_with("x..."));
    }

    #[test]
    fn passwords_are_not_shown() {
        for (url, shown) in [
            ("mysql://kamailio:se:cr@t@db.example/sip", "mysql://kamailio:***@db.example/sip"),
            ("mysql:kamailio:secret@db.example/sip", "mysql:***@db.example/sip"),
            ("sqlite:////tmp/x", "sqlite:////tmp/x"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }
}
