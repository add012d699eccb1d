//! What scripts print for a variable that is not set.
#![forbid(unsafe_code)]

/// Whether a text stands for nothing: it is empty, or what Kamailio's script (`<null>`),
/// JavaScript (`null`, `undefined`), Python (`None`) or Lua (`nil`) print for a variable
/// that is not set.
#[inline(always)]
pub fn is_unset(text: &[u8]) -> bool {
    // Nearly every name begins otherwise.
    matches!(text.first(), None | Some(b'<' | b'n' | b'u' | b'N')) && is_word(text)
}

#[inline(never)]
fn is_word(text: &[u8]) -> bool {
    matches!(text, b"" | b"<null>" | b"null" | b"undefined" | b"None" | b"nil")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_words_name_nothing() {
        for text in ["", "<null>", "null", "undefined", "None", "nil"] {
            assert!(is_unset(text.as_bytes()), "{text}");
        }
        for text in ["0", "none", "NULL", "null@example.com", " ", "nil "] {
            assert!(!is_unset(text.as_bytes()), "{text}");
        }
    }
}
