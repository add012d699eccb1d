//! What all feeds list, as one immutable blob: compiled in private memory, read at any address.
//!
//! ```text
//! word 0  magic    1  layout    2  bytes in all    3  feeds
//! word 4..8        block of all feeds together: offset and count of IPv4, of IPv6
//! word 8+16n..     feed n: the same for its own block, then lines, lines left out, time of the
//!                  file, time of loading (each two words)
//! then the blocks of prefixes, each 64-byte aligned
//! ```
//!
//! A request is looked up in the block of all. That of one feed alone tells which feed lists a
//! source, and is what stays when its file turns bad.

use bytemuck::Pod;

use super::parse::Entries;
use crate::address::{Address, Prefix};
use crate::snapshot::copy_of;
use crate::snapshot::prefixes::{self, AddressBits};

/// Most feeds.
pub const MAX_FEEDS: usize = 16;
/// First word: "SWFD".
const MAGIC: u32 = 0x4446_5753;
/// Raised with every change of the layout.
const LAYOUT: u32 = 1;
/// Words before the first feed, and of each.
const COMMON: usize = 8;
const EACH: usize = 16;
/// Of the block of all feeds, in the words before the first.
const ALL: usize = 4;
const HEADER: usize = COMMON + EACH * MAX_FEEDS;
/// Blocks begin at multiples of a cache line.
const ALIGN: usize = 64;

const _: () = assert!(HEADER * 4 % 16 == 0);

/// When a feed was read. Seconds since 1970; 0: never.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The time of its file.
    pub modified: u64,
    pub loaded: u64,
}

/// A feed that was read.
#[derive(Clone, Debug, Default)]
pub struct Feed {
    pub entries: Entries,
    pub stamp: Stamp,
}

/// Where a feed of the new set comes from.
pub enum Source {
    /// It was read anew.
    New(Feed),
    /// It stays as it was.
    Kept,
}

/// The prefixes of a feed, or of all.
#[derive(Default)]
struct Lists {
    v4: Vec<(u32, u8)>,
    v6: Vec<(u128, u8)>,
}

/// Compiles the feeds, in their order; `old` has those that stay. None if it takes 4 GiB or
/// more.
pub fn compile(sources: Vec<Source>, old: Option<&View<'_>>) -> Option<Vec<u128>> {
    let mut out = Builder::new(sources.len());
    let mut all = Lists::default();
    let mut filled = 0;
    for (n, source) in sources.into_iter().take(MAX_FEEDS).enumerate() {
        let (mut lists, about) = match source {
            Source::New(Feed { entries, stamp }) => {
                let about = [entries.lines, entries.left_out];
                (Lists { v4: entries.v4, v6: entries.v6 }, (about, stamp))
            }
            Source::Kept => match old.and_then(|old| old.feed(n)) {
                Some(feed) => (feed.lists(), ([feed.lines(), feed.left_out()], feed.stamp())),
                None => continue,
            },
        };
        prefixes::normalise(&mut lists.v4);
        prefixes::normalise(&mut lists.v6);
        let at = COMMON + EACH * n;
        out.lists(at, &lists)?;
        out.about(at + 4, about);
        let is_empty = lists.v4.is_empty() && lists.v6.is_empty();
        filled += usize::from(!is_empty);
        if filled == 1 && !is_empty {
            // It may be all there is.
            out.copy_words(at, ALL);
            all = lists;
        } else {
            all.v4.append(&mut lists.v4);
            all.v6.append(&mut lists.v6);
        }
    }
    if filled > 1 {
        prefixes::normalise(&mut all.v4);
        prefixes::normalise(&mut all.v6);
        out.lists(ALL, &all)?;
    }
    out.finish()
}

struct Builder {
    header: [u32; HEADER],
    words: Vec<u128>,
}

impl Builder {
    fn new(feeds: usize) -> Self {
        let mut header = [0; HEADER];
        header[0] = MAGIC;
        header[1] = LAYOUT;
        header[3] = feeds as u32;
        Builder { header, words: vec![0; (HEADER * 4).next_multiple_of(ALIGN) / 16] }
    }

    fn set(&mut self, at: usize, value: u32) {
        if let Some(word) = self.header.get_mut(at) {
            *word = value;
        }
    }

    fn copy_words(&mut self, from: usize, to: usize) {
        for n in 0..4 {
            let value = self.header.get(from + n).copied().unwrap_or(0);
            self.set(to + n, value);
        }
    }

    fn lists(&mut self, at: usize, lists: &Lists) -> Option<()> {
        self.block(at, &lists.v4)?;
        self.block(at + 2, &lists.v6)
    }

    fn block<K: AddressBits>(&mut self, at: usize, prefixes: &[(K, u8)]) -> Option<()> {
        let mut elements: Vec<K> = Vec::with_capacity(prefixes.len() * 3 / 2);
        prefixes::append(&mut elements, prefixes);
        let bytes: &[u8] = bytemuck::cast_slice(&elements);
        let offset = self.words.len() * 16;
        self.set(at, u32::try_from(offset).ok()?);
        self.set(at + 1, u32::try_from(prefixes.len()).ok()?);
        self.words.resize((offset + bytes.len()).next_multiple_of(ALIGN) / 16, 0);
        let room: &mut [u8] = bytemuck::cast_slice_mut(&mut self.words);
        room.iter_mut().skip(offset).zip(bytes).for_each(|(to, from)| *to = *from);
        Some(())
    }

    fn about(&mut self, at: usize, ([lines, left_out], stamp): ([u32; 2], Stamp)) {
        let Stamp { modified, loaded } = stamp;
        let halves =
            [modified as u32, (modified >> 32) as u32, loaded as u32, (loaded >> 32) as u32];
        let words = [lines, left_out].into_iter().chain(halves);
        words.enumerate().for_each(|(n, word)| self.set(at + n, word));
    }

    fn finish(mut self) -> Option<Vec<u128>> {
        self.set(2, u32::try_from(self.words.len() * 16).ok()?);
        let words: &mut [u32] = bytemuck::cast_slice_mut(&mut self.words);
        words.iter_mut().zip(self.header).for_each(|(to, from)| *to = from);
        Some(self.words)
    }
}

/// A compiled set. In a damaged one nothing is found. Nothing here allocates or locks, but for
/// [`FeedView::lists`].
#[derive(Clone, Copy)]
pub struct View<'a> {
    bytes: &'a [u8],
    header: &'a [u32; HEADER],
}

/// One feed of it.
#[derive(Clone, Copy)]
pub struct FeedView<'a> {
    view: View<'a>,
    at: usize,
}

impl<'a> View<'a> {
    /// None if `bytes` are no set of this layout, or not aligned to 16.
    #[inline]
    pub fn new(bytes: &'a [u8]) -> Option<Self> {
        let (head, _) = bytes.split_first_chunk::<{ HEADER * 4 }>()?;
        let header: &[u32; HEADER] = bytemuck::try_from_bytes(head).ok()?;
        (header[0] == MAGIC && header[1] == LAYOUT).then_some(View { bytes, header })
    }

    fn word(&self, at: usize) -> u32 {
        self.header.get(at).copied().unwrap_or(0)
    }

    /// A block and its prefixes; `at` is the word with its offset.
    fn block<K: Pod>(&self, at: usize) -> (&'a [K], usize) {
        let (offset, count) = (self.word(at) as usize, self.word(at + 1) as usize);
        let rest = self.bytes.get(offset..).unwrap_or_default();
        (bytemuck::try_cast_slice(rest).unwrap_or_default(), count)
    }

    #[inline]
    fn find_at(&self, at: usize, address: Address) -> Option<Prefix> {
        match address {
            Address::V4(bits) => {
                let (block, count) = self.block::<u32>(at);
                prefixes::find(block, count, bits).map(|(first, len)| Prefix::V4(first, len))
            }
            Address::V6(bits) => {
                let (block, count) = self.block::<u128>(at + 2);
                prefixes::find(block, count, bits).map(|(first, len)| Prefix::V6(first, len))
            }
        }
    }

    /// The prefix that lists an address, in whatever feed.
    #[inline]
    pub fn find(&self, address: Address) -> Option<Prefix> {
        self.find_at(ALL, address)
    }

    /// A prefix of the list that is within another one, or around it.
    pub fn overlapping(&self, other: Prefix) -> Option<Prefix> {
        self.find(other.first()).or_else(|| {
            // The last one that begins in it.
            let begins = match other.last() {
                Address::V4(last) => {
                    let (block, count) = self.block::<u32>(ALL);
                    prefixes::last_at(block, count, last).map(|(first, len)| Prefix::V4(first, len))
                }
                Address::V6(last) => {
                    let (block, count) = self.block::<u128>(ALL + 2);
                    prefixes::last_at(block, count, last).map(|(first, len)| Prefix::V6(first, len))
                }
            };
            begins.filter(|begins| other.contains(*begins))
        })
    }

    /// Prefixes of all feeds together, none within another.
    pub fn count(&self) -> u64 {
        u64::from(self.word(ALL + 1)) + u64::from(self.word(ALL + 3))
    }

    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// A private copy.
    pub fn copied(&self) -> Vec<u128> {
        copy_of(self.bytes)
    }

    /// Feed number `n`.
    pub fn feed(&self, n: usize) -> Option<FeedView<'a>> {
        let is_there = n < (self.word(3) as usize).min(MAX_FEEDS);
        is_there.then_some(FeedView { view: *self, at: COMMON + EACH * n })
    }

    /// The feeds that list an address, and their prefixes.
    pub fn feeds_of(&self, address: Address) -> impl Iterator<Item = (usize, Prefix)> + use<'a> {
        let feeds = (0..MAX_FEEDS).map_while({
            let view = *self;
            move |n| view.feed(n)
        });
        feeds.enumerate().filter_map(move |(n, feed)| Some((n, feed.find(address)?)))
    }
}

impl FeedView<'_> {
    fn wide(&self, at: usize) -> u64 {
        let word = |n: usize| u64::from(self.view.word(self.at + at + n));
        word(0) | word(1) << 32
    }

    fn find(&self, address: Address) -> Option<Prefix> {
        self.view.find_at(self.at, address)
    }

    /// Prefixes, none within another.
    pub fn count(&self) -> u64 {
        u64::from(self.view.word(self.at + 1)) + u64::from(self.view.word(self.at + 3))
    }

    /// Lines of its file with an address or prefix.
    pub fn lines(&self) -> u32 {
        self.view.word(self.at + 4)
    }

    /// Of these, lines of special use.
    pub fn left_out(&self) -> u32 {
        self.view.word(self.at + 5)
    }

    pub fn stamp(&self) -> Stamp {
        Stamp { modified: self.wide(6), loaded: self.wide(8) }
    }

    fn lists(&self) -> Lists {
        let (v4, v4_count) = self.view.block::<u32>(self.at);
        let (v6, v6_count) = self.view.block::<u128>(self.at + 2);
        Lists {
            v4: prefixes::iter(v4, v4_count).collect(),
            v6: prefixes::iter(v6, v6_count).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::parse;
    use super::*;

    fn feed(text: &str) -> Source {
        let entries = parse(text.as_bytes()).unwrap();
        Source::New(Feed { entries, stamp: Stamp { modified: 7, loaded: 1 << 33 } })
    }

    fn bytes(words: &[u128]) -> View<'_> {
        View::new(bytemuck::cast_slice(words)).unwrap()
    }

    fn address(text: &str) -> Address {
        Address::parse(text.as_bytes()).unwrap()
    }

    fn found(view: &View<'_>, text: &str) -> String {
        view.find(address(text)).map_or(String::new(), |prefix| prefix.name())
    }

    #[test]
    fn one_feed_changes_and_the_others_stay() {
        let old = compile(
            vec![feed("203.0.113.0/24\n203.0.113.7"), feed("203.0.113.0/25\n2001:db8::/32")],
            None,
        )
        .unwrap();
        let old = bytes(&old);
        assert_eq!(found(&old, "203.0.113.200"), "203.0.113.0/24");
        let feeds = |view: &View<'_>, of: &str| {
            let feeds = view.feeds_of(address(of));
            feeds.map(|(n, prefix)| format!("{n} {}", prefix.name())).collect::<Vec<_>>()
        };
        assert_eq!(feeds(&old, "203.0.113.7"), ["0 203.0.113.0/24", "1 203.0.113.0/25"]);
        let first = old.feed(0).unwrap();
        assert_eq!((first.lines(), first.count(), old.count()), (2, 1, 2));
        assert_eq!(first.stamp(), Stamp { modified: 7, loaded: 1 << 33 });
        let new = compile(vec![feed("198.51.100.7"), Source::Kept], Some(&old)).unwrap();
        let new = bytes(&new);
        assert_eq!(found(&new, "203.0.113.200"), "");
        assert_eq!(found(&new, "203.0.113.7"), "203.0.113.0/25");
        assert_eq!(found(&new, "198.51.100.7"), "198.51.100.7");
        assert_eq!(found(&new, "2001:db8:9::1"), "2001:db8::/32");
        assert_eq!(new.feed(1).unwrap().lines(), 2);
        assert!(new.feed(2).is_none());
    }

    #[test]
    fn nothing_is_found_in_nothing() {
        let empty = compile(vec![Source::Kept, feed("# empty")], None).unwrap();
        let view = bytes(&empty);
        assert_eq!((view.count(), found(&view, "203.0.113.7")), (0, String::new()));
        assert_eq!(view.feed(0).unwrap().stamp(), Stamp::default());
        assert!(View::new(&[0; 4096]).is_none() && View::new(&[]).is_none());
    }

    #[test]
    fn what_overlaps_a_range_is_found() {
        let set = compile(vec![feed("203.0.113.64/26\n2001:db8:7::/48")], None).unwrap();
        let view = bytes(&set);
        for (range, listed) in [
            ("203.0.113.0/24", "203.0.113.64/26"),
            ("203.0.113.65", "203.0.113.64/26"),
            ("203.0.113.0/26", ""),
            ("203.0.113.128/25", ""),
            ("2001:db8::/32", "2001:db8:7::/48"),
        ] {
            let found = view.overlapping(Prefix::parse(range, None).unwrap());
            assert_eq!(found.map_or(String::new(), |prefix| prefix.name()), listed, "{range}");
        }
    }

    /// A line of a feed, good or bad, and what a plain reading makes of it.
    fn line() -> impl Strategy<Value = String> {
        let v4 = (0u32..1024, 20u8..=32)
            .prop_map(|(at, len)| {
                Prefix::of_network((0xcb00_7000 | at << 2).to_be_bytes().into(), len)
            })
            .prop_filter_map("host bits", |prefix| prefix.map(|prefix| prefix.name()));
        let v6 = (0u16..512, 100u8..=128)
            .prop_map(|(at, len)| {
                let mut octets = [0x20, 1, 13, 184, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
                octets[14..].copy_from_slice(&(at << 3).to_be_bytes());
                Prefix::of_network(octets.into(), len)
            })
            .prop_filter_map("host bits", |prefix| prefix.map(|prefix| prefix.name()));
        let around = prop_oneof![Just(""), Just(" "), Just("\t"), Just("  ")];
        let comment = prop_oneof![Just(""), Just("# x"), Just(";y"), Just(" # 192.0.2.1 ; z")];
        let end = prop_oneof![Just("\n"), Just("\r\n"), Just("\n\n")];
        let listed = prop_oneof![4 => v4, 2 => v6, 1 => Just(String::new())];
        (around.clone(), listed, around, comment, end)
            .prop_map(|(a, listed, b, comment, end)| format!("{a}{listed}{b}{comment}{end}"))
    }

    /// All prefixes of a text, by the words of its lines.
    fn plainly(text: &str) -> Vec<Prefix> {
        let words = text.lines().filter_map(|line| line.split(['#', ';']).next());
        let words = words.map(str::trim).filter(|word| !word.is_empty());
        words.map(|word| Prefix::parse(word, None).unwrap()).collect()
    }

    proptest! {
        #[test]
        fn an_address_is_listed_if_a_line_has_it(
            feeds in prop::collection::vec(prop::collection::vec(line(), 0..60), 1..4),
            probes in prop::collection::vec((0u32..4096, 0u16..4096), 40),
        ) {
            let texts: Vec<String> = feeds.iter().map(|lines| lines.concat()).collect();
            let set = compile(texts.iter().map(|text| feed(text)).collect(), None).unwrap();
            // Once more, from the compiled one.
            let kept = texts.iter().map(|_| Source::Kept).collect();
            let set = compile(kept, Some(&bytes(&set))).unwrap();
            let view = bytes(&set);
            let plain: Vec<Vec<Prefix>> = texts.iter().map(|text| plainly(text)).collect();
            let edges = plain.iter().flatten().flat_map(|prefix| [prefix.first(), prefix.last()]);
            let probes = probes.iter().flat_map(|(v4, v6)| {
                let v6 = 0x2001_0db8u128 << 96 | u128::from(*v6);
                [Address::V4(0xcb00_7000 | v4), Address::V6(v6)]
            });
            for probe in probes.chain(edges) {
                let lists = |prefixes: &Vec<Prefix>| {
                    prefixes.iter().any(|prefix| prefix.distance(probe) == Some(0))
                };
                prop_assert_eq!(view.find(probe).is_some(), plain.iter().any(lists));
                let of: Vec<usize> = view.feeds_of(probe).map(|(n, _)| n).collect();
                let expected: Vec<usize> = (0..plain.len()).filter(|n| lists(&plain[*n])).collect();
                prop_assert_eq!(of, expected);
            }
            for (n, prefixes) in plain.iter().enumerate() {
                prop_assert_eq!(view.feed(n).unwrap().lines() as usize, prefixes.len());
            }
        }

        /// No text makes it panic, and a text with a bad line lists nothing.
        #[test]
        fn any_bytes_are_a_feed_or_are_refused(
            good in prop::collection::vec(line(), 0..5),
            noise in prop::collection::vec(any::<u8>(), 0..60),
        ) {
            let mut text = good.concat().into_bytes();
            text.extend(&noise);
            let plain = text.split(|byte| *byte == b'\n').map(|line| {
                let line = line.split(|byte| b"#;".contains(byte)).next().unwrap_or(b"");
                line.trim_ascii()
            });
            let is_good = |word: &&[u8]| {
                std::str::from_utf8(word).is_ok_and(|word| Prefix::parse(word, None).is_ok())
            };
            let bad = plain.filter(|word| !word.is_empty()).filter(|word| !is_good(word)).count();
            match parse(&text) {
                Ok(_) => prop_assert_eq!(bad, 0),
                Err(lines) => prop_assert!(lines.count >= bad.max(1)),
            }
        }
    }
}
