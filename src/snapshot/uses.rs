//! When ranges of companies were last used: a mark per range, beside the snapshot.
//!
//! Marks belong to places of ranges, and a reload gives a range another place: marks are
//! carried over by company and range. A file keeps them over a restart:
//!
//! ```text
//! sipwarden uses 1\n
//! per range: SipHash-1-3 of company and range (u64, little endian), mark (u16)
//! 8 bytes: SipHash-1-3 of all before
//! ```

use std::collections::HashMap;
use std::hash::Hasher;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use siphasher::sip::SipHasher13;

use super::overlaps::order;
use super::view::View;
use crate::address::{Address, Prefix};

/// Begins every such file.
pub const MAGIC: &[u8] = b"sipwarden uses ";
/// Raised with every change of the format.
const FORMAT: &[u8] = b"1\n";
const KEY: u64 = 0x5349_5057_5553_4553;
const DAY: u64 = 86_400;

/// What is known of the uses of a range, in days since 1970. Zero: nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark(u16);

impl Mark {
    const USED: u16 = 1 << 15;

    /// Of a range that is used at a time in seconds since 1970.
    pub fn used(now: u64) -> Self {
        Mark(Self::known(now).0 | Self::USED)
    }

    /// Of a range that is seen for the first time.
    pub fn known(now: u64) -> Self {
        Mark(u16::try_from(now / DAY).unwrap_or(u16::MAX) & !Self::USED)
    }

    pub fn of(slot: &AtomicU16) -> Self {
        Mark(slot.load(Relaxed))
    }

    pub fn bits(self) -> u16 {
        self.0
    }

    pub fn from_bits(bits: u16) -> Self {
        Mark(bits)
    }

    pub fn is_used(self) -> bool {
        self.0 & Self::USED != 0
    }

    /// When the day began on which the range was used, or was seen for the first time; in
    /// seconds since 1970. None if nothing is known.
    pub fn since(self) -> Option<u64> {
        (self.0 != 0).then(|| u64::from(self.0 & !Self::USED) * DAY)
    }

    /// What two marks of one range say together: the last use, else the longest time without.
    fn with(self, other: Self) -> Self {
        match (self.is_used(), other.is_used()) {
            (true, true) => Mark(self.0.max(other.0)),
            (true, false) => self,
            (false, true) => other,
            (false, false) if self.0 == 0 => other,
            (false, false) if other.0 == 0 => self,
            (false, false) => Mark(self.0.min(other.0)),
        }
    }

    /// Adds it to a mark that others may set meanwhile.
    fn add_to(self, slot: &AtomicU16) {
        let add = |old: u16| Some(Mark(old).with(self).0);
        // The closure never gives up.
        let _ = slot.fetch_update(Relaxed, Relaxed, add);
    }
}

/// Each range that decides something, with its place: those of companies with a filter.
fn ranges<'a>(view: &View<'a>) -> impl Iterator<Item = (&'a [u8], usize, Prefix)> {
    let filtered = view.companies().filter(|company| company.ip_filter());
    filtered.flat_map(|company| {
        let places = company.first_range()..;
        places.zip(company.ranges()).map(move |(place, range)| (company.id(), place, range))
    })
}

/// Gives each range of a new snapshot the mark that it had in the old one. One that had none
/// is known from now on.
pub fn carry(
    old: Option<(&View<'_>, &[AtomicU16])>,
    new: &View<'_>,
    marks: &[AtomicU16],
    now: u64,
) {
    for company in new.companies().filter(|company| company.ip_filter()) {
        let before = old.and_then(|(view, marks)| Some((view.company(company.id())?, marks)));
        let before = before.filter(|(company, _)| company.ip_filter());
        let mut before = before.into_iter().flat_map(|(company, marks)| {
            company.ranges().zip(marks.iter().skip(company.first_range()))
        });
        let mut next = before.next();
        for (range, slot) in company.ranges().zip(marks.iter().skip(company.first_range())) {
            while next.is_some_and(|(known, _)| order(&known) < order(&range)) {
                next = before.next();
            }
            let same = next.filter(|(known, _)| *known == range);
            let mark = same.map(|(_, slot)| Mark::of(slot)).filter(|mark| *mark != Mark(0));
            mark.unwrap_or(Mark::known(now)).add_to(slot);
        }
    }
}

fn key_of(company: &[u8], range: Prefix) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(KEY, 0);
    let (family, bits) = match range.first() {
        Address::V4(bits) => (4, u128::from(bits)),
        Address::V6(bits) => (6, bits),
    };
    hasher.write(&[family, range.mask()]);
    hasher.write(&bits.to_le_bytes());
    hasher.write(company);
    hasher.finish()
}

fn checksum(bytes: &[u8]) -> [u8; 8] {
    let mut hasher = SipHasher13::new_with_keys(KEY, 1);
    hasher.write(bytes);
    hasher.finish().to_le_bytes()
}

/// The file that keeps the marks of a snapshot.
pub fn file(view: &View<'_>, marks: &[u16]) -> Vec<u8> {
    let mut out = [MAGIC, FORMAT].concat();
    for (company, place, range) in ranges(view) {
        if let Some(mark) = marks.get(place).filter(|mark| **mark != 0) {
            out.extend_from_slice(&key_of(company, range).to_le_bytes());
            out.extend_from_slice(&mark.to_le_bytes());
        }
    }
    out.extend_from_slice(&checksum(&out));
    out
}

/// Adds what a file keeps to the marks; the number of ranges that it knows.
///
/// # Errors
/// What is wrong with the file.
pub fn restore(file: &[u8], view: &View<'_>, marks: &[AtomicU16]) -> Result<usize, String> {
    let rest = file.strip_prefix(MAGIC).ok_or("it is not a file of uses")?;
    let rest = rest.strip_prefix(FORMAT).ok_or("its format is another one")?;
    let (records, sum) = rest.split_last_chunk().ok_or("it is cut off")?;
    let whole = file.get(..file.len() - sum.len()).unwrap_or_default();
    if *sum != checksum(whole) {
        return Err("it is damaged or cut off".into());
    }
    let records = records.chunks_exact(10).filter_map(|record| {
        let (key, mark) = record.split_first_chunk()?;
        let mark = u16::from_le_bytes(mark.try_into().ok()?);
        Some((u64::from_le_bytes(*key), Mark(mark)))
    });
    let kept: HashMap<u64, Mark> = records.collect();
    let mut known = 0;
    for (company, place, range) in ranges(view) {
        if let Some((mark, slot)) = kept.get(&key_of(company, range)).zip(marks.get(place)) {
            mark.add_to(slot);
            known += 1;
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Blob, compile};
    use crate::tables::{BadRows, Loader, Table};

    fn blob(rows: &[(&str, &[&str])]) -> Blob {
        let mut loader = Loader::new(Table::ALL.map(|t| t.short_name().into()), BadRows::Fail);
        loader.row(Table::Brand, &[Some(b"b"), None]);
        for (company, ranges) in rows {
            let (id, filter) = company.split_once(' ').unwrap_or((company, "1"));
            let [id, filter] = [id, filter].map(|text| Some(text.as_bytes()));
            loader.row(Table::Company, &[id, Some(b"b"), filter, None]);
            for range in *ranges {
                loader.row(Table::CompanyAddress, &[id, Some(range.as_bytes()), None]);
            }
        }
        let Ok((config, _)) = loader.finish() else { panic!("bad rows") };
        compile(config, [1, 2], 0).unwrap()
    }

    fn marks(view: &View<'_>) -> Vec<AtomicU16> {
        (0..view.range_count()).map(|_| AtomicU16::new(0)).collect()
    }

    fn place(view: &View<'_>, company: &str, address: &str) -> usize {
        let address = Address::parse(address.as_bytes()).unwrap();
        view.company(company.as_bytes()).unwrap().locate(address).unwrap().0 as usize
    }

    #[test]
    fn marks_follow_their_ranges() {
        let many: Vec<String> = (0..40).map(|n| format!("10.{n}.0.0/16")).collect();
        let many: Vec<&str> = many.iter().map(|range| &**range).collect();
        let mixed = ["192.0.2.0/24", "2001:db8::/48", "198.51.100.7"];
        let blob_before = blob(&[("one", &mixed), ("many", &many), ("off 0", &["192.0.2.0/24"])]);
        let before = View::new(blob_before.bytes()).unwrap();
        let old = marks(&before);
        assert_eq!(old.len(), 44);
        carry(None, &before, &old, DAY);
        let mut places = Vec::new();
        for (company, address) in [
            ("one", "192.0.2.9"),
            ("one", "2001:db8::1"),
            ("many", "10.0.0.1"),
            ("many", "10.39.2.3"),
        ] {
            places.push(place(&before, company, address));
            Mark::used(3 * DAY).add_to(&old[places[places.len() - 1]]);
        }
        let mut different = places.clone();
        different.dedup();
        assert_eq!(different.len(), 4, "{places:?}");
        let bytes = file(&before, &old.iter().map(|mark| mark.load(Relaxed)).collect::<Vec<_>>());

        let fewer = ["10.39.0.0/16", "10.0.0.0/15", "10.7.0.0/16"];
        let blob_after =
            blob(&[("new", &many), ("many", &fewer), ("off", &["192.0.2.0/24"]), ("one", &mixed)]);
        let after = View::new(blob_after.bytes()).unwrap();
        let (carried, restored) = (marks(&after), marks(&after));
        // A request that came before the marks were carried over.
        Mark::used(9 * DAY).add_to(&carried[place(&after, "one", "198.51.100.7")]);
        carry(Some((&before, &old)), &after, &carried, 9 * DAY);
        // As after a restart: all are known from then on, and the file knows better.
        carry(None, &after, &restored, 9 * DAY);
        assert_eq!(restore(&bytes, &after, &restored), Ok(5));
        let used_late = Mark::used(9 * DAY);
        for (company, address, expected) in [
            ("one", "192.0.2.9", Mark::used(3 * DAY)),
            ("one", "2001:db8::1", Mark::used(3 * DAY)),
            ("many", "10.39.2.3", Mark::used(3 * DAY)),
            ("many", "10.7.0.1", Mark::known(DAY)),
            ("many", "10.0.0.1", Mark::known(9 * DAY)),
            ("new", "10.39.2.3", Mark::known(9 * DAY)),
            ("off", "192.0.2.1", Mark::known(9 * DAY)),
            ("one", "198.51.100.7", Mark::known(DAY)),
        ] {
            let at = place(&after, company, address);
            assert_eq!(Mark::of(&restored[at]), expected, "{company} {address}");
            let was_used = address == "198.51.100.7";
            let expected = if was_used { used_late } else { expected };
            assert_eq!(Mark::of(&carried[at]), expected, "{company} {address}");
        }
    }

    #[test]
    fn a_file_that_is_not_whole_is_refused() {
        let blob = blob(&[("one", &["192.0.2.0/24"])]);
        let view = View::new(blob.bytes()).unwrap();
        let slots = marks(&view);
        let whole = file(&view, &[Mark::used(DAY).bits()]);
        for cut in 0..whole.len() {
            assert!(restore(&whole[..cut], &view, &slots).is_err(), "{cut}");
            let mut damaged = whole.clone();
            damaged[cut] ^= 1;
            assert!(restore(&damaged, &view, &slots).is_err(), "{cut}");
        }
        assert_eq!(Mark::of(&slots[0]), Mark::default());
        assert_eq!(restore(&whole, &view, &slots), Ok(1));
        assert_eq!(Mark::of(&slots[0]).since(), Some(DAY));
        // Another table's ranges are left as they are.
        assert_eq!(restore(&whole, &view, &[]), Ok(0));
    }

    #[test]
    fn the_last_use_and_the_longest_silence_are_kept() {
        let (used, known) = (|day| Mark::used(day * DAY), |day| Mark::known(day * DAY));
        for (one, other, both) in [
            (used(3), used(5), used(5)),
            (used(3), known(9), used(3)),
            (known(3), known(9), known(3)),
            (Mark::default(), known(9), known(9)),
        ] {
            assert_eq!((one.with(other), other.with(one)), (both, both));
        }
        assert!(used(5).is_used() && !known(5).is_used());
        assert_eq!((used(5).since(), Mark::default().since()), (Some(5 * DAY), None));
    }
}
