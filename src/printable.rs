//! Shows bytes of unknown origin on terminals and in logs.
#![forbid(unsafe_code)]

use std::fmt;

/// Longest text shown; the rest is cut and marked with `...`.
const LONGEST: usize = 128;

/// Displays bytes as text: UTF-8 as it is, control characters, quotes,
/// backslashes and invalid bytes escaped, cut after 128 bytes.
pub struct Printable<'a>(pub &'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..LONGEST).unwrap_or(self.0);
        for chunk in shown.utf8_chunks() {
            write!(f, "{}", chunk.valid().escape_debug())?;
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        if shown.len() < self.0.len() {
            f.write_str("...")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_and_invalid_bytes_are_escaped() {
        let shown = Printable(b"a\x1b[2J\"\n\xff\xc3\xa9").to_string();
        assert_eq!(shown, "a\\u{1b}[2J\\\"\\n\\xffé");
    }

    #[test]
    fn long_text_is_cut() {
        let shown = Printable(&[b'x'; 65536]).to_string();
        assert_eq!(shown.len(), LONGEST + 3);
        assert!(shown.ends_with("x..."));
    }
}
