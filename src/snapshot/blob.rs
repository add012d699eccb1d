//! Layout of the blob: a header of words, then sections, each 128-byte aligned.
//!
//! ```text
//! word 0      magic          word 3..5   time of compilation (low, high)
//! word 1      layout version word 5..7   hash key (4 words from 8)
//! word 2      bytes in all   word 12..20 rows read per table, 20..26 of sources,
//!                            26..31 of countries, 31 of ranges, 32..34 of limits
//! word 34+2i  offset of section i in bytes, word 35+2i its length in bytes
//! ```

use bytemuck::Pod;

/// A private copy of a blob, aligned as blobs are.
pub fn copy_of(bytes: &[u8]) -> Vec<u128> {
    let mut words = vec![0u128; bytes.len() / 16];
    let to: &mut [u8] = bytemuck::cast_slice_mut(&mut words);
    to.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    words
}

/// First word of every blob: "SWSN".
pub const MAGIC: u32 = 0x4e53_5753;
/// Raised with every change of the layout.
pub const LAYOUT: u32 = 8;
/// Header size in words.
pub const HEADER_WORDS: usize = 96;
/// Sections begin at multiples of a pair of cache lines, which many processors
/// fetch together.
const ALIGN: usize = 128;

/// Header word of the layout version.
pub const WORD_LAYOUT: usize = 1;
/// Header word of the size in bytes.
pub const WORD_BYTES: usize = 2;
/// First of two header words: time of compilation, seconds since 1970.
pub const WORD_TIME: usize = 3;
/// First of four header words: key of the id hash.
pub const WORD_KEY: usize = 8;
/// First of eight header words: rows per table.
pub const WORD_ROWS: usize = 12;
/// First of four header words: entries of the source sections, in their order.
pub const WORD_SOURCES: usize = 20;
/// First of two header words: shortest lengths at which companies' ranges decide a class,
/// IPv4 and IPv6.
pub const WORD_BROADEST: usize = 24;
/// First of two header words: entries of the maps of countries, IPv4 and IPv6.
pub const WORD_COUNTRIES: usize = 26;
/// First of two header words: when their database was built, seconds since 1970.
pub const WORD_BUILT: usize = 28;
/// Header word: networks in it; 0 without one.
pub const WORD_NETWORKS: usize = 30;
/// Header word: ranges left out because another range contains them.
pub const WORD_CONTAINED: usize = 31;
/// Header word: a bit for each kind of scope of which ids are listed, and one for limits of other
/// ids. 0: there are no limits.
pub const WORD_LISTED: usize = 32;
/// Header word: percent from which on calls are near a limit, where no row says it.
pub const WORD_NEAR: usize = 33;
const WORD_SECTIONS: usize = 34;

/// Parts of the blob.
#[derive(Clone, Copy)]
pub enum Section {
    /// `[u32; 8]` per brand.
    Brands,
    /// [`super::compile::CompanyRecord`] per company.
    Companies,
    /// `[u32; 4]` per user.
    Users,
    /// `[u32; 8]` per trusted range.
    Trusted,
    /// Hash slots over brand ids.
    BrandIndex,
    /// Hash slots over company ids.
    CompanyIndex,
    /// Hash slots over AoRs.
    UserIndex,
    /// Bytes of ids, AoRs and tags.
    Text,
    /// Prefix blocks of IPv4 ranges that do not fit into their company's record, `u32`.
    RangesV4,
    /// Prefix blocks of IPv6 ranges, `u128`.
    RangesV6,
    /// `CountryCode` per country of a company.
    Countries,
    /// Map of trusted IPv4 sources: 0 none, 1 exempt, else class + 2.
    TrustedV4,
    /// Map of trusted IPv6 sources.
    TrustedV6,
    /// Prefix block of all ranges of companies that decide a class.
    CompanyV4,
    /// The same for IPv6.
    CompanyV6,
    /// Map of IPv4 addresses to numbers of countries, 0 for none.
    CountryV4,
    /// The same for IPv6.
    CountryV6,
    /// The countries, number 1 first.
    CountryCodes,
    /// [`super::limits::LimitRecord`] per scope with limits of its own.
    Limits,
    /// Hash slots over their kinds and ids.
    LimitIndex,
    /// Limits of each kind for ids that are not listed; empty where there are none.
    KindLimits,
    /// `[u32; 2]` per word of the operator's: offset and length.
    Kinds,
    /// `[u32; 4]` per pattern of a scanner: offset and length, header, kind.
    Tools,
    /// [`super::names::NamedRecord`] per row with a host name.
    NamedRows,
    /// [`super::names::AddressRecord`] per address of such a row.
    NamedAddresses,
    /// `[ScopeKey; 2]` per company: of its brand and of itself. Empty if they do not last.
    ScopeKeys,
}

const _: () = assert!(WORD_SECTIONS + 2 * (Section::ScopeKeys as usize + 1) <= HEADER_WORDS);

/// A compiled snapshot in private memory, aligned for every element type.
pub struct Blob {
    words: Vec<u128>,
    len: usize,
}

impl Blob {
    /// The bytes, a multiple of 16.
    pub fn bytes(&self) -> &[u8] {
        let all: &[u8] = bytemuck::cast_slice(&self.words);
        all.get(..self.len).unwrap_or(all)
    }
}

/// Collects header words and sections.
pub struct Builder {
    header: [u32; HEADER_WORDS],
    words: Vec<u128>,
    len: usize,
}

impl Builder {
    /// An empty blob with room for `capacity` bytes.
    pub fn new(capacity: usize) -> Self {
        let mut builder = Builder {
            header: [0; HEADER_WORDS],
            words: Vec::with_capacity(capacity.div_ceil(16) + ALIGN),
            len: 0,
        };
        builder.append(&[0u8; HEADER_WORDS * 4]);
        builder.word(0, MAGIC);
        builder.word(WORD_LAYOUT, LAYOUT);
        builder
    }

    pub fn word(&mut self, index: usize, value: u32) {
        if let Some(word) = self.header.get_mut(index) {
            *word = value;
        }
    }

    /// Adds a section. None if the blob would exceed 4 GiB.
    pub fn section<T: Pod>(&mut self, section: Section, items: &[T]) -> Option<()> {
        let bytes: &[u8] = bytemuck::cast_slice(items);
        let offset = u32::try_from(self.len).ok()?;
        u32::try_from(self.len.checked_add(bytes.len())?).ok()?;
        self.word(WORD_SECTIONS + 2 * section as usize, offset);
        self.word(WORD_SECTIONS + 2 * section as usize + 1, bytes.len() as u32);
        self.append(bytes);
        Some(())
    }

    fn append(&mut self, bytes: &[u8]) {
        let at = self.words.len();
        self.words.resize((at + bytes.len().div_ceil(16)).next_multiple_of(ALIGN / 16), 0);
        let room: &mut [u8] =
            bytemuck::cast_slice_mut(self.words.get_mut(at..).unwrap_or_default());
        room.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        self.len = self.words.len() * 16;
    }

    pub fn finish(mut self) -> Blob {
        self.word(WORD_BYTES, self.len as u32);
        let words: &mut [u32] = bytemuck::cast_slice_mut(&mut self.words);
        words.iter_mut().zip(self.header).for_each(|(to, from)| *to = from);
        Blob { words: self.words, len: self.len }
    }
}

/// The header of a blob, if it is one of this layout.
pub fn header(bytes: &[u8]) -> Option<&[u32; HEADER_WORDS]> {
    let (head, _) = bytes.split_first_chunk::<{ HEADER_WORDS * 4 }>()?;
    let words: &[u32; HEADER_WORDS] = bytemuck::try_from_bytes(head).ok()?;
    (words[0] == MAGIC && words[WORD_LAYOUT] == LAYOUT).then_some(words)
}

/// The items of a section; empty if the blob is damaged.
pub fn section<'a, T: Pod>(
    bytes: &'a [u8],
    header: &[u32; HEADER_WORDS],
    section: Section,
) -> &'a [T] {
    let at = WORD_SECTIONS + 2 * section as usize;
    let (Some(&offset), Some(&len)) = (header.get(at), header.get(at + 1)) else {
        return &[];
    };
    let (offset, len) = (offset as usize, len as usize);
    bytes
        .get(offset..offset.saturating_add(len))
        .and_then(|part| bytemuck::try_cast_slice(part).ok())
        .unwrap_or_default()
}
