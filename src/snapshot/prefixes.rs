//! Sets of disjoint prefixes, and maps of intervals, that are searched in few
//! cache lines.
//!
//! A block has the network addresses of one company in ascending order, then the prefix
//! lengths (of a map: the values), one byte each, in the same or the next cache line. More
//! than 16 addresses get index levels in front, each with every 16th key of the level below
//! (a static B-tree), so a million ranges take five short scans:
//!
//! ```text
//! [top level <= 16 keys] ... [every 16th key] [all keys] [lengths, padded]
//! ```
//!
//! Prefixes are nested or disjoint, so after dropping those that another one
//! contains, only the last prefix that begins at or below an address can match.

use bytemuck::Pod;

/// Keys per step of a search; 16 IPv4 keys are one cache line.
const FANOUT: usize = 16;
/// Levels above the keys: 16^8 keys do not fit in memory.
const MAX_LEVELS: usize = 8;

/// A network address: `u32` or `u128` in host order.
pub trait AddressBits: Pod + Ord {
    /// The address with all bits after the first `len` set.
    fn last_of(self, len: u8) -> Self;
    /// The next address.
    fn next(self) -> Option<Self>;
    /// Whether no bit after the first `len` is set.
    fn is_network(self, len: u8) -> bool;
}

impl AddressBits for u32 {
    fn last_of(self, len: u8) -> Self {
        self | u32::MAX.checked_shr(u32::from(len)).unwrap_or(0)
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn is_network(self, len: u8) -> bool {
        self & u32::MAX.checked_shr(u32::from(len)).unwrap_or(0) == 0
    }
}

impl AddressBits for u128 {
    fn last_of(self, len: u8) -> Self {
        self | u128::MAX.checked_shr(u32::from(len)).unwrap_or(0)
    }

    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }

    fn is_network(self, len: u8) -> bool {
        self & u128::MAX.checked_shr(u32::from(len)).unwrap_or(0) == 0
    }
}

/// Sorts prefixes and drops those that another one contains. Returns how many
/// were dropped.
pub fn normalise<K: AddressBits>(prefixes: &mut Vec<(K, u8)>) -> usize {
    prefixes.sort_unstable();
    let before = prefixes.len();
    let mut end: Option<K> = None;
    prefixes.retain(|&(start, len)| {
        let contained = end.is_some_and(|end| start <= end);
        if !contained {
            end = Some(start.last_of(len));
        }
        !contained
    });
    before - prefixes.len()
}

/// Cuts prefixes with values, which may nest, into a map of intervals: pairs of a first
/// address and the value of the longest prefix there, 0 for none. A pair is valid up to the
/// next one. Values are above 0, and the prefixes differ.
pub fn flatten<K: AddressBits>(mut prefixes: Vec<(K, u8, u8)>) -> Vec<(K, u8)> {
    prefixes.sort_unstable();
    let mut out: Vec<(K, u8)> = Vec::new();
    // The prefixes around the current address, the longest last.
    let mut open: Vec<(K, u8)> = Vec::new();
    let mut put = |start: K, value: u8| match out.last_mut() {
        Some(last) if last.0 == start => last.1 = value,
        _ => out.push((start, value)),
    };
    let close = |open: &mut Vec<(K, u8)>, before: Option<K>, put: &mut dyn FnMut(K, u8)| {
        let ends = |(end, _): &(K, u8)| before.is_none_or(|before| *end < before);
        while let Some((end, _)) = open.last().copied().filter(ends) {
            open.pop();
            if let Some(next) = end.next() {
                put(next, open.last().map_or(0, |outer| outer.1));
            }
        }
    };
    for (start, len, value) in prefixes {
        close(&mut open, Some(start), &mut put);
        put(start, value);
        open.push((start.last_of(len), value));
    }
    close(&mut open, None, &mut put);
    out
}

/// The reverse of [`flatten`]: the fewest prefixes that make this map. Addresses with value
/// 0 are in none.
pub fn unflatten<K: AddressBits>(map: impl Iterator<Item = (K, u8)>) -> Vec<(K, u8, u8)> {
    let mut map = map.peekable();
    let mut out = Vec::new();
    while let Some((first, value)) = map.next() {
        let end = map.peek().map(|(next, _)| *next);
        let is_inside = |last: K| end.is_none_or(|end| last < end);
        let mut first = Some(first).filter(|_| value > 0);
        while let Some(start) = first.filter(|start| is_inside(*start)) {
            let mut len = 8 * size_of::<K>() as u8;
            while len > 0 && start.is_network(len - 1) && is_inside(start.last_of(len - 1)) {
                len -= 1;
            }
            out.push((start, len, value));
            first = start.last_of(len).next();
        }
    }
    out
}

/// Appends the block of sorted, disjoint prefixes, or of a map of intervals.
pub fn append<K: AddressBits>(out: &mut Vec<K>, prefixes: &[(K, u8)]) {
    let (_, levels) = level_sizes(prefixes.len());
    for level in (1..levels).rev() {
        let stride = FANOUT.pow(level as u32);
        out.extend(prefixes.iter().step_by(stride).map(|p| p.0));
    }
    out.extend(prefixes.iter().map(|p| p.0));
    for chunk in prefixes.chunks(size_of::<K>()) {
        let mut element = K::zeroed();
        let bytes = bytemuck::bytes_of_mut(&mut element);
        bytes.iter_mut().zip(chunk).for_each(|(to, p)| *to = p.1);
        out.push(element);
    }
}

/// Sizes of the levels of a block of `count` prefixes: `[0]` is all keys, the
/// last one has at most [`FANOUT`]. With it the number of levels.
fn level_sizes(count: usize) -> ([usize; MAX_LEVELS], usize) {
    let mut sizes = [0; MAX_LEVELS];
    let mut levels = 0;
    let mut size = count;
    for slot in &mut sizes {
        *slot = size;
        levels += 1;
        if size <= FANOUT {
            break;
        }
        size = size.div_ceil(FANOUT);
    }
    (sizes, levels)
}

/// The prefix that contains `address`, from the block of `count` prefixes that
/// begins at `block[0]`.
#[inline]
pub fn find<K: AddressBits>(block: &[K], count: usize, address: K) -> Option<(K, u8)> {
    locate(block, count, address).map(|(_, start, len)| (start, len))
}

/// The same, with its position among all.
#[inline]
pub fn locate<K: AddressBits>(block: &[K], count: usize, address: K) -> Option<(usize, K, u8)> {
    search(block, count, address).filter(|(_, start, len)| address <= start.last_of(*len))
}

/// The last key at or below `address`, and its byte.
pub fn last_at<K: AddressBits>(block: &[K], count: usize, address: K) -> Option<(K, u8)> {
    search(block, count, address).map(|(_, key, byte)| (key, byte))
}

/// The same, with its position among all keys.
fn search<K: AddressBits>(block: &[K], count: usize, address: K) -> Option<(usize, K, u8)> {
    if count <= FANOUT {
        let keys = block.get(..count)?;
        return with_byte(keys, block.get(count..)?, rank(keys, address));
    }
    let (sizes, levels) = level_sizes(count);
    let mut rest = block;
    // Position in the level above of the key that leads down; 0 above the top.
    let mut parent = 0usize;
    for level in (0..levels).rev() {
        let (keys, below) = rest.split_at_checked(*sizes.get(level)?)?;
        let from = parent * FANOUT;
        let to = keys.len().min(from + FANOUT);
        let n = from + rank(keys.get(from..to)?, address);
        if level == 0 {
            return with_byte(keys, below, n);
        }
        parent = n.checked_sub(1)?;
        rest = below;
    }
    None
}

/// How many keys are at or below the address. No branch depends on the data.
fn rank<K: AddressBits>(keys: &[K], address: K) -> usize {
    keys.iter().map(|key| usize::from(*key <= address)).sum()
}

/// The last of the first `rank` keys: its position, itself, its byte.
fn with_byte<K: AddressBits>(keys: &[K], bytes: &[K], rank: usize) -> Option<(usize, K, u8)> {
    let at = rank.checked_sub(1)?;
    let element = bytes.get(at / size_of::<K>())?;
    let byte = *bytemuck::bytes_of(element).get(at % size_of::<K>())?;
    Some((at, *keys.get(at)?, byte))
}

/// All prefixes of a block, ascending.
pub fn iter<K: AddressBits>(block: &[K], count: usize) -> impl Iterator<Item = (K, u8)> {
    let (sizes, levels) = level_sizes(count);
    let above: usize = sizes.iter().take(levels).skip(1).sum();
    let keys = block.get(above..above + count).unwrap_or_default();
    let lengths: &[u8] = block.get(above + count..).map(bytemuck::cast_slice).unwrap_or_default();
    keys.iter().copied().zip(lengths.iter().copied())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check<K: AddressBits + std::fmt::Debug>(mut prefixes: Vec<(K, u8)>, probes: Vec<K>) {
        let all = prefixes.clone();
        normalise(&mut prefixes);
        let mut block = vec![K::zeroed(); 3];
        append(&mut block, &prefixes);
        let block = &block[3..];
        assert!(iter(block, prefixes.len()).eq(prefixes.iter().copied()));
        let edges = all.iter().flat_map(|&(s, l)| [s, s.last_of(l)]);
        for probe in probes.into_iter().chain(edges) {
            let naive = all.iter().any(|&(s, l)| s <= probe && probe <= s.last_of(l));
            let found = find(block, prefixes.len(), probe);
            assert_eq!(found.is_some(), naive, "{probe:?} in {all:?}");
            if let Some((s, l)) = found {
                assert!(s <= probe && probe <= s.last_of(l) && all.contains(&(s, l)));
            }
        }
    }

    /// Addresses from a small space too, so that prefixes nest and touch.
    fn v4() -> impl Strategy<Value = u32> {
        prop_oneof![any::<u32>(), (0u32..512).prop_map(|x| 0x0a00_0000 | x), Just(u32::MAX)]
    }

    fn v6() -> impl Strategy<Value = u128> {
        prop_oneof![any::<u128>(), (0u128..512).prop_map(|x| (0x2001_0db8u128 << 96) | x)]
    }

    fn prefix_v4() -> impl Strategy<Value = (u32, u8)> {
        (v4(), prop_oneof![0..=32u8, 22..=32u8]).prop_map(|(a, l)| (a & !0u32.last_of(l), l))
    }

    fn prefix_v6() -> impl Strategy<Value = (u128, u8)> {
        (v6(), prop_oneof![0..=128u8, 118..=128u8]).prop_map(|(a, l)| (a & !0u128.last_of(l), l))
    }

    proptest! {
        #[test]
        fn ipv4_equals_the_naive_model(
            prefixes in prop::collection::vec(prefix_v4(), 0..400),
            probes in prop::collection::vec(v4(), 0..64),
        ) {
            // One /0 hides the rest: keep it in some cases only.
            let keep_all = probes.len() % 4 == 0;
            let prefixes = prefixes.into_iter().filter(|p| keep_all || p.1 > 8).collect();
            check(prefixes, probes);
        }

        #[test]
        fn ipv6_equals_the_naive_model(
            prefixes in prop::collection::vec(prefix_v6(), 0..400),
            probes in prop::collection::vec(v6(), 0..64),
        ) {
            let keep_all = probes.len() % 4 == 0;
            let prefixes = prefixes.into_iter().filter(|p| keep_all || p.1 > 8).collect();
            check(prefixes, probes);
        }
    }

    fn check_map<K: AddressBits + std::fmt::Debug>(prefixes: Vec<(K, u8, u8)>, probes: Vec<K>) {
        let mut all = prefixes;
        all.sort_unstable();
        all.dedup_by_key(|p| (p.0, p.1));
        let map = flatten(all.clone());
        assert!(map.windows(2).all(|pair| pair[0].0 < pair[1].0), "{map:?}");
        let mut merged = map.clone();
        merged.dedup_by_key(|(_, value)| *value);
        let mut again = flatten(unflatten(merged.iter().copied()));
        again.dedup_by_key(|(_, value)| *value);
        assert_eq!(again, merged);
        let mut block = Vec::new();
        append(&mut block, &map);
        let edges = all.iter().flat_map(|&(s, l, _)| [Some(s), s.last_of(l).next()]).flatten();
        for probe in probes.into_iter().chain(edges) {
            let around = all.iter().filter(|p| p.0 <= probe && probe <= p.0.last_of(p.1));
            let naive = around.max_by_key(|p| p.1).map_or(0, |p| p.2);
            let found = last_at(&block, map.len(), probe).map_or(0, |(_, value)| value);
            assert_eq!(found, naive, "{probe:?} in {all:?}");
        }
    }

    proptest! {
        #[test]
        fn a_map_gives_the_value_of_the_longest_prefix(
            v4 in prop::collection::vec((prefix_v4(), 1u8..9), 0..80),
            v6 in prop::collection::vec((prefix_v6(), 1u8..9), 0..80),
            probes_v4 in prop::collection::vec(self::v4(), 0..64),
            probes_v6 in prop::collection::vec(self::v6(), 0..64),
        ) {
            check_map(v4.into_iter().map(|((a, l), v)| (a, l, v)).collect(), probes_v4);
            check_map(v6.into_iter().map(|((a, l), v)| (a, l, v)).collect(), probes_v6);
        }
    }

    #[test]
    fn every_size_around_the_level_bounds_is_searched_right() {
        for count in [0, 1, 15, 16, 17, 255, 256, 257, 4095, 4096, 4097, 70_000] {
            let prefixes: Vec<(u32, u8)> = (0..count).map(|n| (n * 4 + 4, 31)).collect();
            let mut block = Vec::new();
            append(&mut block, &prefixes);
            for probe in 0..count * 4 + 8 {
                let inside = probe >= 4 && probe < count * 4 + 4 && probe % 4 < 2;
                assert_eq!(
                    find(&block, count as usize, probe).is_some(),
                    inside,
                    "{count} {probe}"
                );
            }
        }
    }

    #[test]
    fn slash_zero_contains_everything() {
        check::<u32>(vec![(0, 0), (0x0a00_0000, 8)], vec![0, 1, u32::MAX]);
        check::<u128>(vec![(0, 0)], vec![0, 1, u128::MAX]);
    }

    #[test]
    fn a_damaged_block_matches_nothing() {
        assert_eq!(find::<u32>(&[], 5, 1), None);
        assert_eq!(find::<u32>(&[1, 2, 3], 1000, 1), None);
    }
}
