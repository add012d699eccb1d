//! The text of feeds, beside a reading line by line; what is compiled from them, beside a search
//! of all prefixes.

use std::sync::OnceLock;

use sipwarden::address::{Address, Prefix};
use sipwarden::feeds::{Feed, Source, View, compile, parse};

use super::bytes::Bytes;

/// What each line lists; None: a bad line.
fn plainly(text: &[u8]) -> Vec<Option<Prefix>> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let words = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let end = line.iter().position(|byte| b"#;".contains(byte)).unwrap_or(line.len());
        Some(line[..end].trim_ascii()).filter(|word| !word.is_empty())
    });
    let read = |word| Prefix::parse(std::str::from_utf8(word).ok()?, None).ok();
    words.map(read).collect()
}

/// Of special use.
fn special() -> &'static [Prefix] {
    static SPECIAL: OnceLock<Vec<Prefix>> = OnceLock::new();
    let ranges = [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "224.0.0.0/3",
        "::/127",
        "fc00::/7",
        "fe80::/10",
        "ff00::/8",
    ];
    SPECIAL.get_or_init(|| ranges.map(|range| Prefix::parse(range, None).unwrap()).into())
}

pub fn run(data: &[u8]) {
    let mut input = Bytes(data);
    let first = input.some();
    let texts = [first, input.rest()];
    let mut sources = Vec::new();
    let mut lists = Vec::new();
    for text in texts {
        let lines = plainly(text);
        match parse(text) {
            Ok(entries) => {
                assert!(lines.iter().all(Option::is_some));
                assert_eq!(entries.lines as usize, lines.len());
                assert!(entries.left_out <= entries.lines);
                lists.push(lines.into_iter().flatten().collect::<Vec<_>>());
                sources.push(Source::New(Feed { entries, stamp: Default::default() }));
            }
            Err(bad) => {
                let least = lines.iter().filter(|line| line.is_none()).count();
                assert!(bad.count >= least.max(1) && bad.kept.len() <= 5);
                assert!(!bad.kept[0].to_string().chars().any(char::is_control));
            }
        }
    }
    let kept = sources.iter().map(|_| Source::Kept).collect();
    let set = compile(sources, None).unwrap();
    let old = View::new(bytemuck::cast_slice(&set)).unwrap();
    let again = compile(kept, Some(&old)).unwrap();
    let view = View::new(bytemuck::cast_slice(&again)).unwrap();
    let edges = lists.iter().flatten().take(8).flat_map(|range| {
        let near = |address: Address, by: i8| match address {
            Address::V4(bits) => Address::V4(bits.wrapping_add_signed(by.into())),
            Address::V6(bits) => Address::V6(bits.wrapping_add_signed(by.into())),
        };
        [
            near(range.first(), 0),
            near(range.first(), -1),
            near(range.last(), 0),
            near(range.last(), 1),
        ]
    });
    for probe in edges {
        let is_in = |range: &Prefix| range.distance(probe) == Some(0);
        let is_public = !special().iter().any(is_in);
        let has = |list: &Vec<Prefix>| is_public && list.iter().any(is_in);
        assert_eq!(view.find(probe).is_some(), lists.iter().any(has), "{probe}");
        let of: Vec<_> = view.feeds_of(probe).map(|(n, _)| n).collect();
        let expected: Vec<_> = (0..lists.len()).filter(|n| has(&lists[*n])).collect();
        assert_eq!(of, expected, "{probe}");
        for len in [8, 16, 24, 32, 64] {
            let range = probe.prefix_of(len);
            if let Some(found) = view.overlapping(range) {
                assert!(range.contains(found) || found.contains(range));
            }
        }
    }
}
