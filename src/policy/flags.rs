//! Flags of script functions: letters.

/// Passes each letter to `take`, which returns whether it is known; the first unknown one.
pub(super) fn read_letters(text: &[u8], mut take: impl FnMut(u8) -> bool) -> Option<u8> {
    let mut unknown = None;
    for &letter in text {
        if !take(letter) {
            unknown = unknown.or(Some(letter));
        }
    }
    unknown
}
