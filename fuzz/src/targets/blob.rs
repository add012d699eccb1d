//! Look-ups in blobs that we built and somebody has damaged: nothing is found, or something
//! wrong, and no more than that.

use std::sync::OnceLock;
use std::time::Instant;

use sipwarden::address::Address;
use sipwarden::countries::{CountryCode, CountryNetworks};
use sipwarden::feeds;
use sipwarden::snapshot::{View, compile, copy_of};
use sipwarden::tables::{BadRows, Table};

use super::bytes::Bytes;
use super::looks::look;
use super::tables_file::loader;

/// A snapshot of everything, and a set of feeds.
fn built() -> &'static [Vec<u8>; 2] {
    static BUILT: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    BUILT.get_or_init(|| [snapshot(), feeds()])
}

fn snapshot() -> Vec<u8> {
    let mut loader = loader(BadRows::Fail).networks(CountryNetworks {
        v4: vec![(0x0a00_0000, 8, 1), (0x0a01_0000, 16, 2)],
        v6: vec![(0x2001_0db8 << 96, 32, 2)],
        codes: [b"ES", b"FR"].map(|code| CountryCode::parse(code).unwrap()).to_vec(),
        built: 7,
        kind: "test".into(),
    });
    let mut row = |table: Table, values: &[&str]| {
        let value = |text: &&str| (*text != "NULL").then(|| text.as_bytes().to_vec());
        let values: Vec<_> = values.iter().map(value).collect();
        let values: Vec<_> = values.iter().map(Option::as_deref).collect();
        loader.row(table, &values);
    };
    row(Table::Brand, &["b", "5"]);
    for company in ["c0", "c1", "a company whose id is longer than a record has room for"] {
        row(Table::Company, &[company, "b", "1", "3"]);
    }
    for n in 0..20 {
        row(Table::CompanyAddress, &["c0", &format!("10.{n}.0.0"), "17"]);
        row(Table::CompanyAddress, &["c1", &format!("2001:db8:{n}::"), "48"]);
    }
    row(Table::CompanyAddress, &["c1", "192.0.2.0", "24"]);
    row(Table::CompanyAddress, &["c1", "office.example", "NULL"]);
    row(Table::CompanyCountry, &["c1", "ES"]);
    row(Table::User, &["alice@example.com", "c0", "2"]);
    row(Table::Trusted, &["198.51.100.0", "24", "carrier"]);
    row(Table::Trusted, &["2001:db8:ff::", "48", "NULL"]);
    row(Table::Limit, &["did", "7", "in", "5", "3", "60", "1", "3600", "50", "4"]);
    row(
        Table::Limit,
        &["company", "*", "any", "9", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL"],
    );
    row(Table::Tool, &["user_agent", "prefix", "friendly"]);
    let Ok((config, _)) = loader.finish() else { panic!("bad rows") };
    compile(config, [1, 2], 9).unwrap().bytes().to_vec()
}

fn feeds() -> Vec<u8> {
    let texts = ["192.0.2.0/24\n203.0.113.7\n2001:db8::/32\n", "203.0.113.0/24 # x\n"];
    let read = |text: &str| {
        let entries = feeds::parse(text.as_bytes()).unwrap();
        feeds::Source::New(feeds::Feed { entries, ..Default::default() })
    };
    bytemuck::cast_slice(&feeds::compile(texts.map(read).into(), None).unwrap()).to_vec()
}

pub fn run(data: &[u8]) {
    let mut input = Bytes(data);
    let which = input.below(2);
    let mut bytes = built()[which].clone();
    // Places are often in the header and where words are.
    while !input.is_empty() {
        let [kind, low, high, value] = input.array();
        let at = usize::from(low) | usize::from(high) << 8;
        let at = if kind & 1 == 0 { at * 4 % 384 } else { at };
        let mut set = |at: usize, value: u8| {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        };
        match kind >> 1 & 3 {
            0 => set(at, value),
            1 => (0..4).for_each(|n| set(at + n, value)),
            2 => (0..16).for_each(|n| set(at + n, value)),
            _ => bytes.truncate(bytes.len() - usize::from(value).min(bytes.len())),
        }
    }
    let probes = [
        Address::V4(0x0a01_0203),
        Address::V4(0xc633_6407),
        Address::V4(u32::MAX),
        Address::V6(0x2001_0db8_0003 << 80),
        Address::V6(0),
    ];
    let copy = copy_of(&bytes);
    let copy: &[u8] = bytemuck::cast_slice(&copy);
    let began = Instant::now();
    if which == 0 {
        if let Some(view) = View::new(copy) {
            look(&view, &probes);
        }
    } else if let Some(view) = feeds::View::new(copy) {
        for probe in probes {
            let _ = (view.find(probe), view.feeds_of(probe).count());
            for len in 0..=32 {
                let _ = view.overlapping(probe.prefix_of(len));
            }
        }
        let _ = (view.count(), view.copied());
        for feed in (0..99).map_while(|n| view.feed(n)) {
            let _ = (feed.count(), feed.lines(), feed.left_out(), feed.stamp());
        }
        let _ = feeds::compile(vec![feeds::Source::Kept, feeds::Source::Kept], Some(&view));
    }
    assert!(began.elapsed().as_secs() < 5, "so long that a request would hang");
}
