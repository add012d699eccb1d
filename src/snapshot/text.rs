//! The texts of a snapshot.

/// All ids, one after the other.
#[derive(Default)]
pub struct Text {
    /// Their bytes.
    pub bytes: Vec<u8>,
}

impl Text {
    /// Offset of the text; None past 4 GiB.
    pub fn add(&mut self, text: &[u8]) -> Option<u32> {
        let offset = u32::try_from(self.bytes.len()).ok()?;
        self.bytes.extend_from_slice(text);
        Some(offset)
    }
}
