//! A short text that all processes read and some replace.

use std::io;

use super::area::Area;
use super::mutex::SharedMutex;

/// A text of up to `N - 1` bytes; a longer one is cut.
pub struct SharedText<const N: usize>(&'static SharedMutex<[u8; N]>);

impl<const N: usize> SharedText<N> {
    pub fn new() -> io::Result<Self> {
        Ok(SharedText(Area::share()?))
    }

    pub fn set(&self, text: &str) {
        let mut bytes = self.0.lock();
        *bytes = [0; N];
        bytes.iter_mut().zip(cut::<N>(text)).for_each(|(to, from)| *to = *from);
    }

    pub fn get(&self) -> String {
        let bytes = *self.0.lock();
        let text = bytes.split(|b| *b == 0).next().unwrap_or_default();
        String::from_utf8_lossy(text).into_owned()
    }

    /// Whether [`SharedText::set`] of this text would change nothing.
    pub fn is(&self, text: &str) -> bool {
        self.get() == String::from_utf8_lossy(cut::<N>(text))
    }
}

/// The first bytes of a text as the words of a record, with zeros behind it. Made of words:
/// bytes that were just written cannot be read as a word until they have left the processor.
pub fn words_of<const N: usize>(text: &[u8]) -> [u64; N] {
    let (text, mut words) = (text.get(..8 * N).unwrap_or(text), [0; N]);
    let whole = text.chunks_exact(8);
    let rest = whole.remainder();
    for (word, bytes) in words.iter_mut().zip(whole) {
        *word = u64::from_ne_bytes(bytes.try_into().unwrap_or_default());
    }
    if let Some(word) = words.get_mut(text.len() / 8) {
        *word = match text.last_chunk::<8>() {
            // What is before the rest is shifted out.
            Some(last) => u64::from_le_bytes(*last).checked_shr(64 - 8 * rest.len() as u32),
            None => Some(rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))),
        }
        .unwrap_or(0)
        .to_le();
    }
    words
}

/// The part that fits: the last byte stays zero.
fn cut<const N: usize>(text: &str) -> &[u8] {
    text.as_bytes().get(..N - 1).unwrap_or(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_bytes_of_a_text_and_zeros() {
        let text: Vec<u8> = (1..40).collect();
        for length in 0..=text.len() {
            let words = words_of::<4>(&text[..length]);
            let mut bytes = text[..length.min(32)].to_vec();
            bytes.resize(32, 0);
            let read: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
            assert_eq!(read, bytes, "{length}");
        }
    }

    #[test]
    fn a_text_is_replaced_whole_and_cut_where_room_ends() {
        let text = SharedText::<8>::new().unwrap();
        assert_eq!(text.get(), "");
        text.set("a long one");
        assert_eq!(text.get(), "a long ");
        assert!(text.is("a long one, too") && !text.is("a lone"));
        text.set("b");
        assert_eq!(text.get(), "b");
    }
}
