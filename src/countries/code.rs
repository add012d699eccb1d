//! Two letters that name a country, and lists of them as scripts write them.

use bytemuck::{Pod, Zeroable};

/// A country: two capital letters (ISO 3166-1 alpha-2).
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Pod, Zeroable)]
pub struct CountryCode([u8; 2]);

const LETTERS: usize = 26;

/// All pairs of capitals, so that the name of a code is `'static`.
#[allow(clippy::indexing_slicing)] // while compiling
static NAMES: [[u8; 2]; LETTERS * LETTERS] = {
    let mut names = [[0; 2]; LETTERS * LETTERS];
    let mut n = 0;
    while n < names.len() {
        names[n] = [b'A' + (n / LETTERS) as u8, b'A' + (n % LETTERS) as u8];
        n += 1;
    }
    names
};

impl CountryCode {
    /// Reads two capitals.
    pub fn parse(text: &[u8]) -> Option<Self> {
        match text {
            &[a, b] if a.is_ascii_uppercase() && b.is_ascii_uppercase() => Some(Self([a, b])),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        let [a, b] = self.0.map(|letter| usize::from(letter.wrapping_sub(b'A')));
        let name = NAMES.get(a * LETTERS + b).map(<[u8; 2]>::as_slice).unwrap_or_default();
        std::str::from_utf8(name).unwrap_or_default()
    }
}

/// The countries of a list such as `ES, fr,PT`; an error is a part that is not a country. An
/// empty list is an error too.
pub fn countries_of(list: &[u8]) -> impl Iterator<Item = Result<CountryCode, &[u8]>> {
    list.split(|byte| *byte == b',').map(|part| {
        let part = part.trim_ascii();
        let capitals: Option<[u8; 2]> =
            part.try_into().ok().map(|letters: [u8; 2]| letters.map(|l| l.to_ascii_uppercase()));
        capitals.and_then(|letters| CountryCode::parse(&letters)).ok_or(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_two_capitals() {
        for text in ["ES", "AA", "ZZ", "GB"] {
            assert_eq!(CountryCode::parse(text.as_bytes()).unwrap().name(), text);
        }
        for text in ["es", "E", "ESP", "E1", "", "É"] {
            assert_eq!(CountryCode::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn lists_have_commas_and_any_case() {
        let names = |list: &str| {
            countries_of(list.as_bytes())
                .map(|code| code.map(CountryCode::name).map_err(<[u8]>::to_vec))
                .collect::<Vec<_>>()
        };
        assert_eq!(names("ES, fr,Pt "), [Ok("ES"), Ok("FR"), Ok("PT")]);
        assert_eq!(names("ES,,1"), [Ok("ES"), Err(b"".to_vec()), Err(b"1".to_vec())]);
        assert_eq!(names(""), [Err(b"".to_vec())]);
    }
}
