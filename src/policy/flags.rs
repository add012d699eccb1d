//! Flags of script functions: letters.

/// Gives each letter to `take`, which says whether it is known; the first one
/// that is not.
pub(super) fn read_letters(text: &[u8], mut take: impl FnMut(u8) -> bool) -> Option<u8> {
    let mut unknown = None;
    for &letter in text {
        if !take(letter) {
            unknown = unknown.or(Some(letter));
        }
    }
    unknown
}
