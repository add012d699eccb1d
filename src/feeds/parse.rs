//! The text of a feed.

use std::fmt;

use super::special::ordinary;
use crate::address::Prefix;
use crate::printable::Printable;
use crate::tables::MinPrefix;

/// Broader ranges are never blocked: a typing error must not stop the platform.
pub const BROADEST: MinPrefix = MinPrefix { v4: 8, v6: 16 };
/// Bad lines that are kept with their text; the others are counted.
const KEPT: usize = 5;
/// Some editors begin a file with this.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// What a feed lists, as it stands there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entries {
    pub v4: Vec<(u32, u8)>,
    pub v6: Vec<(u128, u8)>,
    /// Lines with an address or a prefix.
    pub lines: u32,
    /// Of these, lines that are of special use as a whole: private addresses, for example.
    pub left_out: u32,
}

/// A line that is neither an address, nor a prefix, nor a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// From 1.
    pub number: usize,
    /// The line and what is wrong with it; printable.
    pub text: String,
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.number, self.text)
    }
}

/// The first bad lines, and the count of all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BadLines {
    pub kept: Vec<BadLine>,
    pub count: usize,
}

impl BadLines {
    fn add(&mut self, number: usize, line: &[u8], why: &dyn fmt::Display) {
        self.count += 1;
        if self.kept.len() < KEPT {
            let text = format!("\"{}\" {why}", Printable::short(line));
            self.kept.push(BadLine { number, text });
        }
    }
}

/// Reads a feed: an address or a prefix a line; what follows `#` or `;` is a comment.
///
/// # Errors
/// The bad lines: a feed is taken as a whole or not at all.
pub fn parse(text: &[u8]) -> Result<Entries, BadLines> {
    let text = text.strip_prefix(MARK).unwrap_or(text);
    let (mut entries, mut bad) = (Entries::default(), BadLines::default());
    for (number, line) in (1..).zip(text.split(|byte| *byte == b'\n')) {
        let mut parts = line.split(|byte| matches!(byte, b'#' | b';'));
        let listed = parts.next().unwrap_or_default().trim_ascii();
        if listed.is_empty() {
            continue;
        }
        if let Err(why) = entries.add(listed) {
            bad.add(number, line.trim_ascii(), &why);
        }
    }
    if bad.count == 0 { Ok(entries) } else { Err(bad) }
}

impl Entries {
    fn add(&mut self, listed: &[u8]) -> Result<(), String> {
        let listed = std::str::from_utf8(listed).map_err(|_| "is not text")?;
        let prefix = Prefix::parse(listed, None).map_err(|why| why.to_string())?;
        let parts = ordinary(prefix);
        if !parts.is_empty() && BROADEST.is_longer_than(&prefix) {
            let MinPrefix { v4, v6 } = BROADEST;
            return Err(format!("is broader than /{v4} (IPv6: /{v6})"));
        }
        self.lines = self.lines.saturating_add(1);
        self.left_out = self.left_out.saturating_add(u32::from(parts.is_empty()));
        for part in parts {
            match part {
                Prefix::V4(first, len) => self.v4.push((first, len)),
                Prefix::V6(first, len) => self.v6.push((first, len)),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(text: &str) -> Vec<String> {
        parse(text.as_bytes()).unwrap_err().kept.iter().map(BadLine::to_string).collect()
    }

    #[test]
    fn comments_blanks_and_line_ends_of_all_kinds_are_read() {
        let text = b"\xef\xbb\xbf# a list\r\n\r\n; another comment\n  203.0.113.0/24 ; SBL1\n\
            198.51.100.7\t# why\r\n2001:db8::/32\n\n::ffff:192.0.2.1\n203.0.113.0/24";
        let entries = parse(text).unwrap();
        let host = |d| u32::from_be_bytes(d);
        let v4 = [
            (host([203, 0, 113, 0]), 24),
            (host([198, 51, 100, 7]), 32),
            (host([192, 0, 2, 1]), 32),
            (host([203, 0, 113, 0]), 24),
        ];
        assert_eq!((&entries.v4[..], &entries.v6[..]), (&v4[..], &[(0x2001_0db8 << 96, 32)][..]));
        assert_eq!((entries.lines, entries.left_out), (5, 0));
        assert_eq!(parse(b"# nothing today\n"), Ok(Entries::default()));
    }

    #[test]
    fn bad_lines_are_named_and_only_some_are_kept() {
        assert_eq!(
            bad("192.0.2.1\n\n<html>\n192.0.2.1/24 # x\n0.0.0.0/0\n12.0.0.0/7\n2000::/3\n"),
            [
                "line 3: \"<html>\" is not an IP address",
                "line 4: \"192.0.2.1/24 # x\" host bits set: write 192.0.2.0/24",
                "line 5: \"0.0.0.0/0\" is broader than /8 (IPv6: /16)",
                "line 6: \"12.0.0.0/7\" is broader than /8 (IPv6: /16)",
                "line 7: \"2000::/3\" is broader than /8 (IPv6: /16)",
            ]
        );
        assert_eq!(
            bad("192.0.2.1 192.0.2.2\n")[0].split('"').nth(2),
            Some(" is not an IP address")
        );
        let many = parse("x\n".repeat(1000).as_bytes()).unwrap_err();
        assert_eq!((many.count, many.kept.len()), (1000, KEPT));
    }

    #[test]
    fn private_networks_of_bogon_lists_are_left_out() {
        let entries =
            parse(b"10.0.0.0/8\n224.0.0.0/3\n192.168.1.1\n203.0.113.9\nfc00::/7").unwrap();
        assert_eq!((entries.lines, entries.left_out), (5, 4));
        assert_eq!((entries.v4.len(), entries.v6.len()), (1, 0));
    }
}
