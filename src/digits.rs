//! Numbers of decimal digits only: no sign, no blanks.
#![forbid(unsafe_code)]

use std::str::FromStr;

/// None if there is another character, no digit, or the number is too large for `T`.
pub fn parse_digits<T: FromStr>(text: &[u8]) -> Option<T> {
    if !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digits_are_a_number() {
        assert_eq!((parse_digits(b"0"), parse_digits(b"007")), (Some(0u8), Some(7u8)));
        for text in ["", "+5", "-1", " 5", "5 ", "0x5", "256", "\u{663}"] {
            assert_eq!(parse_digits::<u8>(text.as_bytes()), None, "{text}");
        }
    }
}
