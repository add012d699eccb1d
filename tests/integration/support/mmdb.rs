//! Writes MaxMind DB files. Format: <https://maxmind.github.io/MaxMind-DB/>.

use std::collections::BTreeMap;
use std::net::IpAddr;

/// A network's country, and where it is registered.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub country: Option<String>,
    pub registered: Option<String>,
}

impl Place {
    pub fn country(code: &str) -> Self {
        Place { country: Some(code.into()), registered: None }
    }
}

/// Where a record of a node leads to.
#[derive(Clone, Copy)]
enum Record {
    Nothing,
    Node(usize),
    Data(usize),
}

/// A database in the making.
pub struct Mmdb {
    /// 4 or 6; IPv4 lies in `::/96` of an IPv6 database, as in MaxMind's own.
    version: u16,
    /// Bits of a record: 24, 28 or 32.
    record_size: u16,
    kind: &'static str,
    nodes: Vec<[Record; 2]>,
    places: BTreeMap<Place, usize>,
    data: Vec<u8>,
}

impl Mmdb {
    pub fn new(version: u16, record_size: u16) -> Self {
        Mmdb {
            version,
            record_size,
            kind: "Test-Country",
            nodes: vec![[Record::Nothing; 2]],
            places: BTreeMap::new(),
            data: Vec::new(),
        }
    }

    /// With countries of networks, the outer ones first.
    pub fn with(mut self, networks: &[(&str, &str)]) -> Self {
        for (network, country) in networks {
            let (first, len) = network.split_once('/').unwrap();
            self.add(first.parse().unwrap(), len.parse().unwrap(), &Place::country(country));
        }
        self
    }

    /// Adds a network; what it holds already is replaced.
    pub fn add(&mut self, first: IpAddr, len: u8, place: &Place) {
        let data = self.data_of(place);
        let (bits, len) = self.path(first, len);
        self.put(bits, len, Record::Data(data));
    }

    /// Makes `alias` (an IPv6 network of 96 bits or less) the same as all of IPv4.
    pub fn add_alias(&mut self, alias: &str, len: u8) {
        let mut at = Record::Node(0);
        for _ in 0..96 {
            let Record::Node(node) = at else { panic!("no IPv4 networks") };
            at = self.nodes[node][0];
        }
        let (bits, len) = self.path(alias.parse().unwrap(), len);
        self.put(bits, len, at);
    }

    /// The way from the root: bits from the left, and how many.
    fn path(&self, first: IpAddr, len: u8) -> (u128, u8) {
        match (first, self.version) {
            (IpAddr::V4(v4), 4) => (u128::from(u32::from(v4)) << 96, len),
            (IpAddr::V4(v4), _) => (u32::from(v4).into(), len + 96),
            (IpAddr::V6(v6), _) => (v6.into(), len),
        }
    }

    fn put(&mut self, bits: u128, len: u8, record: Record) {
        let side = |depth: u8| (bits >> (127 - depth) & 1) as usize;
        let mut node = 0;
        for depth in 0..len - 1 {
            node = match self.nodes[node][side(depth)] {
                Record::Node(next) => next,
                // What was one network becomes two.
                other => {
                    self.nodes.push([other; 2]);
                    let next = self.nodes.len() - 1;
                    self.nodes[node][side(depth)] = Record::Node(next);
                    next
                }
            };
        }
        self.nodes[node][side(len - 1)] = record;
    }

    fn data_of(&mut self, place: &Place) -> usize {
        if let Some(offset) = self.places.get(place) {
            return *offset;
        }
        let offset = self.data.len();
        let fields = [("country", &place.country), ("registered_country", &place.registered)];
        let fields: Vec<_> =
            fields.iter().filter_map(|(n, code)| Some((n, code.as_ref()?))).collect();
        map(&mut self.data, fields.len());
        for (name, code) in fields {
            text(&mut self.data, name);
            map(&mut self.data, 2);
            text(&mut self.data, "geoname_id");
            number(&mut self.data, 6, 2_510_769);
            text(&mut self.data, "iso_code");
            text(&mut self.data, code);
        }
        self.places.insert(place.clone(), offset);
        offset
    }

    /// The file.
    pub fn bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for node in &self.nodes {
            let [left, right] = node.map(|record| match record {
                Record::Nothing => self.nodes.len() as u32,
                Record::Node(node) => node as u32,
                Record::Data(offset) => (self.nodes.len() + 16 + offset) as u32,
            });
            let (l, r) = (left.to_be_bytes(), right.to_be_bytes());
            match self.record_size {
                24 => {
                    out.extend_from_slice(&l[1..]);
                    out.extend_from_slice(&r[1..]);
                }
                28 => {
                    out.extend_from_slice(&l[1..]);
                    out.push(l[0] << 4 | r[0]);
                    out.extend_from_slice(&r[1..]);
                }
                _ => {
                    out.extend_from_slice(&l);
                    out.extend_from_slice(&r);
                }
            }
        }
        out.extend_from_slice(&[0; 16]);
        out.extend_from_slice(&self.data);
        out.extend_from_slice(b"\xab\xcd\xefMaxMind.com");
        self.metadata(&mut out);
        out
    }

    fn metadata(&self, out: &mut Vec<u8>) {
        map(out, 9);
        text(out, "binary_format_major_version");
        number(out, 5, 2);
        text(out, "binary_format_minor_version");
        number(out, 5, 0);
        text(out, "build_epoch");
        number(out, 9, 1_790_000_000);
        text(out, "database_type");
        text(out, self.kind);
        text(out, "description");
        map(out, 1);
        text(out, "en");
        text(out, "for tests");
        text(out, "ip_version");
        number(out, 5, self.version.into());
        text(out, "languages");
        out.extend_from_slice(&[1, 4]);
        text(out, "en");
        text(out, "node_count");
        number(out, 6, self.nodes.len() as u64);
        text(out, "record_size");
        number(out, 5, self.record_size.into());
    }
}

fn map(out: &mut Vec<u8>, len: usize) {
    out.push(7 << 5 | len as u8);
}

fn text(out: &mut Vec<u8>, text: &str) {
    assert!(text.len() < 29);
    out.push(2 << 5 | text.len() as u8);
    out.extend_from_slice(text.as_bytes());
}

/// A number of a type: 5 (16 bits), 6 (32 bits), 9 (64 bits).
fn number(out: &mut Vec<u8>, kind: u8, value: u64) {
    let bytes = value.to_be_bytes();
    let bytes = &bytes[value.leading_zeros() as usize / 8..];
    match kind {
        9 => out.extend_from_slice(&[bytes.len() as u8, 9 - 7]),
        kind => out.push(kind << 5 | bytes.len() as u8),
    }
    out.extend_from_slice(bytes);
}
