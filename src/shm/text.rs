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

/// The part that fits: the last byte stays zero.
fn cut<const N: usize>(text: &str) -> &[u8] {
    text.as_bytes().get(..N - 1).unwrap_or(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

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
