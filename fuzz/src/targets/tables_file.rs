//! Files of tables and of uses that somebody has forged, checksum and all: they give rows, or are
//! refused.

use std::hash::Hasher;
use std::sync::atomic::AtomicU16;

use siphasher::sip::SipHasher13;
use sipwarden::address::Address;
use sipwarden::limiter::ClassNames;
use sipwarden::snapshot::{View, compile, kept, mark, uses};
use sipwarden::tables::kept::Kept;
use sipwarden::tables::{BadRows, Configuration, HostNames, Limits, Loader, Table};

use super::bytes::Bytes;
use super::looks::look;

/// As in the module, where its key is no secret.
fn sealed(mut file: Vec<u8>, key: u64, number: u64) -> Vec<u8> {
    let mut hasher = SipHasher13::new_with_keys(key, number);
    hasher.write(&file);
    file.extend_from_slice(&hasher.finish().to_le_bytes());
    file
}

fn tables(format: u64, rows: &[u8]) -> Vec<u8> {
    let head = format!("sipwarden tables {format} 1700000000 {}\n", rows.len());
    sealed([head.as_bytes(), rows].concat(), 0x5349_5057_4152_444e, format)
}

fn marks_of_uses(records: &[u8]) -> Vec<u8> {
    sealed([b"sipwarden uses 1\n", records].concat(), 0x5349_5057_5553_4553, 1)
}

/// One class beside those that are always there.
pub fn classes() -> ClassNames {
    let mut classes = ClassNames::default();
    classes.add("carrier".into()).unwrap();
    classes
}

pub fn loader(bad_rows: BadRows) -> Loader {
    let names = Table::ALL.map(|table| table.short_name().to_owned());
    let loader = Loader::new(names, bad_rows).flood(classes(), Default::default());
    let loader = loader.limits(Limits::new(Default::default(), 80, 4));
    loader.host_names(HostNames::new(8, Default::default()))
}

fn loaded(file: &[u8], bad_rows: BadRows) -> Option<Configuration> {
    let kept = Kept::read(file).ok()?;
    let _ = kept.answers();
    kept.load(loader(bad_rows)).ok()?.finish().ok().map(|(config, _)| config)
}

/// What a snapshot keeps of itself makes the same snapshot again, without a bad row.
pub fn is_kept(view: &View<'_>) {
    let again = loaded(&kept(view, &classes()), BadRows::Fail).expect("rows of our own are bad");
    let again = compile(again, [3, 4], 0).unwrap();
    let again = View::new(again.bytes()).unwrap();
    assert_eq!(mark(&again, &classes()), mark(view, &classes()));
    assert_eq!(again.range_count(), view.range_count());
}

pub fn run(data: &[u8]) {
    let mut input = Bytes(data);
    let kind = input.below(8);
    let records = input.some().to_vec();
    let rest = input.rest();
    let file = match kind {
        0 => rest.to_vec(),
        format => tables(1 + format as u64 % 5, rest),
    };
    let Some(config) = loaded(&file, BadRows::Skip) else { return };
    let blob = compile(config, [1, 2], 0).unwrap();
    let view = View::new(blob.bytes()).unwrap();
    look(&view, &[Address::V4(0xc000_0207), Address::V6(0x2001_0db8 << 96)]);
    is_kept(&view);
    let marks: Vec<_> = (0..view.range_count()).map(|_| AtomicU16::new(0)).collect();
    let known = uses::restore(&marks_of_uses(&records), &view, &marks);
    assert!(known.is_ok_and(|known| known <= marks.len()));
    assert!(uses::restore(&records, &view, &marks).is_err());
    let marks: Vec<u16> = marks.into_iter().map(AtomicU16::into_inner).collect();
    let _ = uses::file(&view, &marks);
}
