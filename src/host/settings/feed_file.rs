//! The file of a feed.

use std::path::PathBuf;

/// Longest name in bytes.
const LONGEST_NAME: usize = 32;

/// A file with addresses, and what operators call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedFile {
    pub name: String,
    pub path: PathBuf,
}

impl FeedFile {
    /// Of a text like `drop=/var/lib/sipwarden/drop.txt`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let shown = text.escape_debug();
        let Some((name, path)) = text.split_once('=') else {
            return Err(format!("\"{shown}\" is not like name=/path"));
        };
        let letters = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if !(1..=LONGEST_NAME).contains(&name.len()) || !name.chars().all(letters) {
            return Err(format!(
                "\"{shown}\": its name is not 1 to {LONGEST_NAME} letters, digits, '_', '-' and '.'"
            ));
        }
        // The host changes its folder when it starts.
        if !path.starts_with('/') {
            return Err(format!("\"{shown}\": its path does not begin with /"));
        }
        Ok(FeedFile { name: name.into(), path: path.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feed_has_a_name_and_a_path() {
        let feed = FeedFile::parse("drop=/var/lib/a=b.txt").unwrap();
        assert_eq!((feed.name.as_str(), feed.path), ("drop", PathBuf::from("/var/lib/a=b.txt")));
        for (text, what) in [
            ("/var/lib/drop.txt", "is not like name=/path"),
            ("=/x", "its name is not 1 to 32"),
            ("a b=/x", "its name is not 1 to 32"),
            ("drop=drop.txt", "its path does not begin with /"),
        ] {
            let refused = FeedFile::parse(text).unwrap_err();
            assert!(refused.contains(what), "{text}: {refused}");
        }
    }
}
