//! Constants in a shared library, as the linker has put them there: pointers are relocations,
//! and what they point to is read-only.

use std::path::Path;

use crate::reference::read;

/// A library of 64 bits, little endian.
pub struct Library {
    bytes: Vec<u8>,
}

/// Types of section headers.
const RELOCATIONS: u32 = 4;
const DYNAMIC_SYMBOLS: u32 = 11;
/// Type of program headers.
const LOAD: u32 = 1;

/// Offset, size and linked section.
struct Section {
    offset: u64,
    size: u64,
    link: u32,
}

impl Library {
    pub fn open(path: &Path) -> Option<Self> {
        let bytes = read(path);
        bytes.starts_with(b"\x7fELF\x02\x01").then_some(Library { bytes })
    }

    fn number<const N: usize>(&self, at: u64) -> Option<u64> {
        let at = usize::try_from(at).ok()?;
        let bytes = self.bytes.get(at..at.checked_add(N)?)?;
        Some(bytes.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }

    fn section(&self, index: u64) -> Option<(u32, Section)> {
        let at = self.number::<8>(0x28)? + index * self.number::<2>(0x3a)?;
        let section = Section {
            offset: self.number::<8>(at + 0x18)?,
            size: self.number::<8>(at + 0x20)?,
            link: self.number::<4>(at + 0x28)? as u32,
        };
        Some((self.number::<4>(at + 4)? as u32, section))
    }

    fn sections(&self, kind: u32) -> impl Iterator<Item = Section> {
        let count = self.number::<2>(0x3c).unwrap_or(0);
        (0..count).filter_map(move |i| self.section(i).filter(|(k, _)| *k == kind)).map(|(_, s)| s)
    }

    /// Where an address is in the file.
    fn place(&self, address: u64) -> Option<u64> {
        let (first, size) = (self.number::<8>(0x20)?, self.number::<2>(0x36)?);
        (0..self.number::<2>(0x38)?).map(|i| first + i * size).find_map(|at| {
            let begin = self.number::<8>(at + 0x10)?;
            let inside = address.checked_sub(begin)?;
            let is_there =
                self.number::<4>(at)? as u32 == LOAD && inside < self.number::<8>(at + 0x20)?;
            is_there.then_some(self.number::<8>(at + 8)? + inside)
        })
    }

    /// The text at a place, up to its NUL.
    fn text(&self, place: u64) -> Option<String> {
        let rest = self.bytes.get(usize::try_from(place).ok()?..)?;
        let text = rest.split(|byte| *byte == 0).next()?;
        String::from_utf8(text.to_vec()).ok()
    }

    /// The address of an exported symbol.
    pub fn symbol(&self, name: &str) -> Option<u64> {
        self.sections(DYNAMIC_SYMBOLS).find_map(|symbols| {
            let (_, names) = self.section(symbols.link.into())?;
            (0..symbols.size / 24).map(|i| symbols.offset + i * 24).find_map(|at| {
                let known = self.text(names.offset + self.number::<4>(at)?)?;
                (known == name).then(|| self.number::<8>(at + 8))?
            })
        })
    }

    /// The text that the pointer at an address points to.
    pub fn text_behind(&self, address: u64) -> Option<String> {
        let relocated = self.sections(RELOCATIONS).find_map(|section| {
            (0..section.size / 24).map(|i| section.offset + i * 24).find_map(|at| {
                (self.number::<8>(at)? == address).then(|| self.number::<8>(at + 16))?
            })
        });
        // A compact list of relocations leaves the value where it belongs.
        let target = relocated.or_else(|| self.number::<8>(self.place(address)?))?;
        self.text(self.place(target)?)
    }
}
