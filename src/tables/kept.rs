//! The tables as a file keeps them: rows as text, as they come from a database.
//!
//! Rows and not the compiled snapshot: a snapshot belongs to one build, which trusts it. Rows
//! outlive an upgrade, and go through the same [`Loader`] as those of a database, so that
//! nothing in the file can be worse than a bad row.
//!
//! ```text
//! sipwarden tables 5 <date of the tables> <bytes of the rows>\n
//! per row: table, then per column its length (u16, little endian; 65535: NULL) and text
//! before rows that have a host name: 254, the name, what it means, apart by blanks
//! after the last row 255, and with a database of countries the CountryNetworks
//! 8 bytes: SipHash-1-3 of all before
//! ```
//!
//! The checksum finds damage and nothing else: its key is known, so only the owner of the
//! file is trusted.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;

use super::{Loader, Table};
use crate::address::Address;
use crate::countries::{CountryCode, CountryNetworks};
use crate::names::{Answers, parse_addresses};

/// Bytes of the largest file that is read.
pub const MOST_BYTES: u64 = 4 << 30;
/// Begins every such file, whatever its format.
pub const MAGIC: &[u8] = b"sipwarden tables ";
/// Raised with every change of the format. 1 lacked the limits of scopes, 2 the patterns of
/// scanners, 3 what host names mean, 4 `max_ringing` of limits.
const FORMAT: u32 = 5;
/// Of this one on limits have all their columns.
const WITH_RINGING: u32 = 5;
/// The oldest one that can be read.
const OLDEST: u32 = 1;
/// Most bytes of the first line.
const LONGEST_HEAD: usize = 128;
const CHECKSUM: usize = 8;
const KEY: u64 = 0x5349_5057_4152_444e;
/// In place of a row's table.
const END: u8 = u8::MAX;
const ANSWER: u8 = END - 1;
const ANSWER_COLUMNS: usize = 2;
const NULL: u16 = u16::MAX;
/// Place of this column in a row of limits.
const NEAR_PERCENT: usize = 8;

fn checksum(bytes: &[u8], format: u32) -> [u8; CHECKSUM] {
    let mut hasher = SipHasher13::new_with_keys(KEY, u64::from(format));
    hasher.write(bytes);
    hasher.finish().to_le_bytes()
}

/// What takes rows, in the order in which a [`Loader`] takes them.
pub trait Rows {
    /// Takes a row.
    fn row(&mut self, table: Table, values: &[Option<&[u8]>]);
    /// Takes what a host name means.
    fn answer(&mut self, name: &[u8], addresses: &[Address]);
}

/// Stands for rows, whatever their order; not for what host names mean. Nothing is copied.
#[derive(Default)]
pub struct Mark(u64);

impl Mark {
    /// Never 0.
    pub fn get(&self) -> u64 {
        self.0.max(1)
    }
}

impl Rows for Mark {
    fn row(&mut self, table: Table, values: &[Option<&[u8]>]) {
        // When a node warns of a limit is its own affair: rows without near_percent have that
        // of the node.
        let is_own = |at: usize| table == Table::Limit && at == NEAR_PERCENT;
        let values = values.iter().enumerate().filter(|(at, _)| !is_own(*at));
        let mut hasher = SipHasher13::new_with_keys(KEY, KEY);
        hasher.write(&[table.index() as u8]);
        for (_, value) in values {
            hasher.write(&length(*value).to_le_bytes());
            hasher.write(value.unwrap_or_default());
        }
        self.0 = self.0.wrapping_add(hasher.finish());
    }

    fn answer(&mut self, _: &[u8], _: &[Address]) {}
}

/// The length of a value; no valid one is as long as that of NULL.
fn length(value: Option<&[u8]>) -> u16 {
    value.map_or(NULL, |value| u16::try_from(value.len()).unwrap_or(NULL))
}

/// Collects rows.
#[derive(Default)]
pub struct RowWriter {
    rows: Vec<u8>,
}

impl Rows for RowWriter {
    fn row(&mut self, table: Table, values: &[Option<&[u8]>]) {
        self.rows.push(table.index() as u8);
        self.values(values);
    }

    fn answer(&mut self, name: &[u8], addresses: &[Address]) {
        let addresses: Vec<String> = addresses.iter().map(Address::to_string).collect();
        self.rows.push(ANSWER);
        self.values(&[Some(name), Some(addresses.join(" ").as_bytes())]);
    }
}

impl RowWriter {
    fn values(&mut self, values: &[Option<&[u8]>]) {
        for value in values {
            let len = length(*value);
            self.rows.extend_from_slice(&len.to_le_bytes());
            if len != NULL {
                self.rows.extend_from_slice(value.unwrap_or_default());
            }
        }
    }

    /// The file. `date` is that of the tables, in seconds since 1970.
    pub fn finish(mut self, networks: &CountryNetworks, date: u64) -> Vec<u8> {
        self.rows.push(END);
        if networks.count() > 0 {
            self.networks(networks);
        }
        let head = format!("{FORMAT} {date} {}\n", self.rows.len());
        let mut file = self.rows;
        file.splice(0..0, MAGIC.iter().chain(head.as_bytes()).copied());
        file.extend_from_slice(&checksum(&file, FORMAT));
        file
    }

    fn networks(&mut self, networks: &CountryNetworks) {
        let CountryNetworks { v4, v6, codes, built, kind } = networks;
        let out = &mut self.rows;
        let count = |count: usize| (count as u64).to_le_bytes();
        out.extend_from_slice(&built.to_le_bytes());
        for len in [kind.len(), codes.len(), v4.len(), v6.len()] {
            out.extend_from_slice(&count(len));
        }
        out.extend_from_slice(kind.as_bytes());
        codes.iter().for_each(|code| out.extend_from_slice(code.name().as_bytes()));
        for (bits, len, number) in v4 {
            out.extend_from_slice(&bits.to_le_bytes());
            out.extend_from_slice(&[*len, *number]);
        }
        for (bits, len, number) in v6 {
            out.extend_from_slice(&bits.to_le_bytes());
            out.extend_from_slice(&[*len, *number]);
        }
    }
}

/// A file that is whole.
pub struct Kept<'a> {
    /// When its tables were read, in seconds since 1970.
    pub date: u64,
    format: u32,
    rows: &'a [u8],
}

impl<'a> Kept<'a> {
    /// Checks a file.
    pub fn read(file: &'a [u8]) -> Result<Self, String> {
        let rest = file.strip_prefix(MAGIC).ok_or("it is not a file of tables")?;
        let line = rest.get(..LONGEST_HEAD.min(rest.len())).unwrap_or_default();
        let end = line.iter().position(|b| *b == b'\n');
        let (line, rows) = end.and_then(|end| rest.split_at_checked(end)).ok_or("it is cut off")?;
        let line = std::str::from_utf8(line).unwrap_or_default();
        let numbers: Vec<u64> = line.split(' ').map_while(|word| word.parse().ok()).collect();
        let format = numbers.first().map(|format| u32::try_from(*format).unwrap_or(u32::MAX));
        let format = format.unwrap_or(FORMAT);
        if !(OLDEST..=FORMAT).contains(&format) {
            let reads = format!("this version reads {OLDEST} to {FORMAT}");
            return Err(format!("its format is {line}, and {reads}"));
        }
        let &[_, date, len] = numbers.as_slice() else { return Err("its head is damaged".into()) };
        let rows = rows.get(1..).unwrap_or_default();
        let (rows, sum) =
            rows.split_at_checked(rows.len().saturating_sub(CHECKSUM)).unwrap_or_default();
        if rows.len() as u64 != len {
            let (has, lacks) = (rows.len(), "bytes of rows and should have");
            return Err(format!("it is damaged or cut off: it has {has} {lacks} {len}"));
        }
        let summed = file.get(..file.len().saturating_sub(CHECKSUM)).unwrap_or_default();
        if sum != checksum(summed, format) {
            return Err("it is damaged: its checksum is wrong".into());
        }
        Ok(Kept { date, format, rows })
    }

    /// Hands all rows to a loader, and the countries.
    ///
    /// # Errors
    /// A [`RowWriter`] did not make this.
    pub fn load(&self, mut loader: Loader) -> Result<Loader, String> {
        let mut input = Input(self.rows);
        let read = input.rows(self.format, |table, values| match (table, values) {
            (Some(table), values) => loader.row(table, values),
            (None, &[name, addresses]) => {
                loader.kept_answer(name.unwrap_or_default(), addresses.unwrap_or_default());
            }
            (None, _) => {}
        });
        read.ok_or_else(wrong)?;
        if input.0.is_empty() {
            return Ok(loader);
        }
        let networks = input.networks().filter(|_| input.0.is_empty()).ok_or_else(wrong)?;
        Ok(loader.networks(networks))
    }

    /// What host names meant.
    ///
    /// # Errors
    /// As [`Kept::load`].
    pub fn answers(&self) -> Result<Answers, String> {
        let mut answers = Answers::new();
        let read = Input(self.rows).rows(self.format, |table, values| {
            if let (None, &[Some(name), Some(addresses)]) = (table, values) {
                answers.insert(name.into(), parse_addresses(addresses));
            }
        });
        read.map(|()| answers).ok_or_else(wrong)
    }
}

fn wrong() -> String {
    "it contains something that is not a row".into()
}

/// Bytes that are read from the front.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn bytes(&mut self, len: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(bytes)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    /// Hands over the rows up to their end: table, or None for what a host name means, and
    /// values.
    fn rows(
        &mut self,
        format: u32,
        mut row: impl FnMut(Option<Table>, &[Option<&[u8]>]),
    ) -> Option<()> {
        loop {
            let table = match self.array()? {
                [END] => return Some(()),
                [ANSWER] => None,
                [table] => Some(*Table::ALL.get(usize::from(table))?),
            };
            let mut values = [None; Table::MOST_COLUMNS];
            let count = table.map_or(ANSWER_COLUMNS, |table| table.columns().len());
            let lacks = table == Some(Table::Limit) && format < WITH_RINGING;
            self.values(&mut values, count - usize::from(lacks))?;
            row(table, values.get(..count)?);
        }
    }

    /// The values of a row: so many.
    fn values(&mut self, values: &mut [Option<&'a [u8]>], count: usize) -> Option<()> {
        for value in values.get_mut(..count)? {
            *value = match u16::from_le_bytes(self.array()?) {
                NULL => None,
                len => Some(self.bytes(len.into())?),
            };
        }
        Some(())
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn networks(&mut self) -> Option<CountryNetworks> {
        let built = self.number()?;
        let mut count = || self.number().and_then(|n| usize::try_from(n).ok());
        let (kind, codes, v4, v6) = (count()?, count()?, count()?, count()?);
        let kind = String::from_utf8_lossy(self.bytes(kind)?).into_owned();
        let code = |_| self.array::<2>().and_then(|code| CountryCode::parse(&code));
        let codes = (0..codes).map(code).collect::<Option<Vec<_>>>()?;
        let valid = |len: u8, most: u8, number: u8| {
            (len <= most && (1..=codes.len()).contains(&number.into())).then_some((len, number))
        };
        let v4 = (0..v4).map(|_| {
            let (bits, [len, number]) = (u32::from_le_bytes(self.array()?), self.array()?);
            valid(len, 32, number).map(|(len, number)| (bits, len, number))
        });
        let v4 = v4.collect::<Option<Vec<_>>>()?;
        let v6 = (0..v6).map(|_| {
            let (bits, [len, number]) = (u128::from_le_bytes(self.array()?), self.array()?);
            valid(len, 128, number).map(|(len, number)| (bits, len, number))
        });
        let v6 = v6.collect::<Option<Vec<_>>>()?;
        Some(CountryNetworks { v4, v6, codes, built, kind })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::BadRows;

    fn file() -> Vec<u8> {
        let mut writer = RowWriter::default();
        writer.row(Table::Brand, &[Some(b"b"), None]);
        writer.row(Table::Company, &[Some(b"c"), Some(b"b"), Some(b"1"), Some(b"7")]);
        writer.row(Table::CompanyAddress, &[Some(b"c"), Some(b"192.0.2.0/24"), None]);
        let networks = CountryNetworks {
            v4: vec![(0x0a00_0000, 8, 1)],
            v6: vec![(1, 128, 1)],
            codes: vec![CountryCode::parse(b"ES").unwrap()],
            built: 9,
            kind: String::new(),
        };
        writer.finish(&networks, 1_700_000_000)
    }

    fn load(kept: &Kept<'_>) -> Result<Loader, String> {
        kept.load(Loader::new(Table::ALL.map(|t| t.short_name().into()), BadRows::Fail))
    }

    fn refusal(file: &[u8]) -> String {
        Kept::read(file).err().unwrap()
    }

    #[test]
    fn rows_and_countries_come_back() {
        let file = file();
        let kept = Kept::read(&file).unwrap();
        assert_eq!(kept.date, 1_700_000_000);
        let Ok((config, _)) = load(&kept).unwrap().finish() else { panic!("bad rows") };
        assert_eq!((config.brands.len(), config.companies.len()), (1, 1));
        assert_eq!(config.companies[0].max_calls, 7);
        assert_eq!(config.ranges_v4.len(), 1);
        assert_eq!((config.networks.count(), config.networks.built), (2, 9));
    }

    #[test]
    fn limits_of_an_older_format_have_no_bound_of_ringing_calls() {
        let limit = [Some(&b"did"[..]), Some(b"7"), Some(b"any"), Some(b"5"), None];
        let limit = [&limit[..], &[None, None, None, Some(b"80"), Some(b"3")]].concat();
        for (format, columns, ringing) in [(4, 9, 0), (5, 10, 3)] {
            let mut writer = RowWriter::default();
            writer.row(Table::Limit, &limit[..columns]);
            writer.row(Table::Brand, &[Some(b"b"), None]);
            let file = writer.finish(&CountryNetworks::default(), 1);
            let head = format!("sipwarden tables {format}");
            let mut file = [head.as_bytes(), &file[head.len()..file.len() - CHECKSUM]].concat();
            file.extend_from_slice(&checksum(&file, format));
            let Ok((config, _)) = load(&Kept::read(&file).unwrap()).unwrap().finish() else {
                panic!("bad rows");
            };
            assert_eq!(config.limits.rows[0].limit.ringing, ringing);
            assert_eq!((config.limits.rows.len(), config.brands.len()), (1, 1));
        }
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_found() {
        let whole = file();
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut damaged = whole.clone();
                damaged[at] ^= 1 << bit;
                assert!(Kept::read(&damaged).is_err(), "byte {at} bit {bit}");
            }
            assert!(Kept::read(&whole[..at]).is_err(), "{at} bytes");
        }
        assert!(Kept::read(&[&whole[..], b"x"].concat()).is_err());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let whole = file();
        assert_eq!(refusal(b""), "it is not a file of tables");
        assert_eq!(refusal(b"root:x:0:0"), "it is not a file of tables");
        assert_eq!(
            refusal(b"sipwarden tables 6 1 1\n"),
            "its format is 6 1 1, and this version reads 1 to 5"
        );
        assert_eq!(refusal(b"sipwarden tables 1 17"), "it is cut off");
        assert!(refusal(&whole[..whole.len() - 9]).contains("damaged or cut off"));
        let mut damaged = whole.clone();
        damaged[60] ^= 1;
        assert_eq!(refusal(&damaged), "it is damaged: its checksum is wrong");
    }

    /// A forged file with a right checksum is refused or gives rows, and nothing worse.
    fn forged(rows: &[u8]) -> Result<(), String> {
        let file = RowWriter { rows: rows.to_vec() }.finish(&CountryNetworks::default(), 1);
        load(&Kept::read(&file).unwrap()).map(drop)
    }

    #[test]
    fn forged_rows_are_refused_or_bad() {
        for rows in [&[9u8][..], &[0], &[0, 5, 0, b'x'], &[END, 1], &[END; 60]] {
            assert_eq!(
                forged(rows).unwrap_err(),
                "it contains something that is not a row",
                "{rows:?}"
            );
        }
        assert!(forged(&[1, 255, 255, 255, 255, 255, 255, 255, 255]).is_ok());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_fail_otherwise(rows in proptest::collection::vec(0u8..8, 0..200)) {
            let _ = forged(&rows);
            let _ = Kept::read(&rows);
        }
    }
}
