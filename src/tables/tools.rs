//! What scanners call themselves: rows of header, kind and pattern.

use super::value::{Column, quoted, quoted_or_null, text};

/// Longest pattern, in bytes.
pub const LONGEST_PATTERN: usize = 64;
/// Most rows: each request is compared with all of them.
const MOST_TOOLS: usize = 256;

/// The header that a pattern is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ToolHeader {
    UserAgent,
    From,
    To,
}

/// Where a pattern stands in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ToolMatch {
    Equal,
    Prefix,
    Contains,
}

impl ToolHeader {
    pub const ALL: [ToolHeader; 3] = [ToolHeader::UserAgent, ToolHeader::From, ToolHeader::To];

    pub const fn name(self) -> &'static str {
        match self {
            ToolHeader::UserAgent => "user_agent",
            ToolHeader::From => "from",
            ToolHeader::To => "to",
        }
    }
}

impl ToolMatch {
    pub const ALL: [ToolMatch; 3] = [ToolMatch::Equal, ToolMatch::Prefix, ToolMatch::Contains];

    pub const fn name(self) -> &'static str {
        match self {
            ToolMatch::Equal => "equal",
            ToolMatch::Prefix => "prefix",
            ToolMatch::Contains => "contains",
        }
    }
}

/// A pattern of a scanner. ASCII case does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tool {
    pub header: ToolHeader,
    pub kind: ToolMatch,
    /// 1..=[`LONGEST_PATTERN`] bytes, in lower case.
    pub pattern: Box<[u8]>,
}

impl Tool {
    /// Reads a row; `count` rows were read before.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn row(values: [Column<'_>; 3], count: usize) -> Result<Self, String> {
        let [header, kind, pattern] = values;
        let pattern = text("pattern", pattern, LONGEST_PATTERN)?;
        let named = |e: String| format!("{e} (pattern {})", quoted(pattern));
        if count >= MOST_TOOLS {
            return Err(named(format!("there are more than {MOST_TOOLS} patterns")));
        }
        let of = |known: &'static str| move |value: &[u8]| value == known.as_bytes();
        let header = ToolHeader::ALL
            .into_iter()
            .find(|known| header.is_some_and(of(known.name())))
            .ok_or_else(|| {
                let header = quoted_or_null(header);
                named(format!("header {header} is not user_agent, from or to"))
            })?;
        let kind = ToolMatch::ALL
            .into_iter()
            .find(|known| kind.is_some_and(of(known.name())))
            .ok_or_else(|| {
                let kind = quoted_or_null(kind);
                named(format!("kind {kind} is not equal, prefix or contains"))
            })?;
        Ok(Tool { header, kind, pattern: pattern.to_ascii_lowercase().into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_a_row_is_named() {
        let row = |header: &'static str, kind: &'static str, pattern: &'static str, count| {
            Tool::row([header, kind, pattern].map(|text| Some(text.as_bytes())), count)
        };
        let tool = row("user_agent", "prefix", "Friendly-Scanner", 0).unwrap();
        assert_eq!(tool.pattern.as_ref(), b"friendly-scanner");
        for (result, what) in [
            (row("agent", "prefix", "x", 0), "header \"agent\" is not user_agent, from or to"),
            (row("from", "regex", "x", 0), "kind \"regex\" is not equal, prefix or contains"),
            (row("from", "equal", "", 0), "pattern is empty"),
            (row("from", "equal", "x", 256), "there are more than 256 patterns (pattern \"x\")"),
        ] {
            let error = result.unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }
}
