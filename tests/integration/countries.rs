//! Countries: the database is read whole and right. How they grant is in tests/hosts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::support::mmdb::{Mmdb, Place};
use proptest::prelude::*;
use sipwarden::address::Address;
use sipwarden::countries::CountryNetworks;
use sipwarden::policy;
use sipwarden::snapshot::{View, compile};
use sipwarden::tables::{BadRows, Loader, Table};
use sipwarden::verdict::Verdict;

/// A snapshot of a database alone.
fn with_database<R>(bytes: &[u8], f: impl FnOnce(&View<'_>) -> R) -> Result<R, String> {
    let networks = CountryNetworks::read(bytes)?;
    let loader = Loader::new(Table::ALL.map(|t| t.short_name().into()), BadRows::Fail);
    let Ok((config, _)) = loader.networks(networks).finish() else { panic!("bad rows") };
    let blob = compile(config, [1, 2], 0).unwrap();
    Ok(f(&View::new(blob.bytes()).unwrap()))
}

fn country(view: &View<'_>, address: &str) -> Option<&'static str> {
    view.country_of(Address::parse(address.as_bytes()).unwrap()).map(|code| code.name())
}

#[test]
fn every_record_size_and_both_families_are_read() {
    for record_size in [24, 28, 32] {
        for version in [4, 6] {
            let mut db = Mmdb::new(version, record_size).with(&[
                ("10.0.0.0/8", "ES"),
                ("10.1.0.0/16", "FR"),
                ("10.1.2.3/32", "PT"),
            ]);
            let registered = Place { country: None, registered: Some("GB".into()) };
            db.add("192.0.2.0".parse().unwrap(), 24, &registered);
            db.add("198.51.100.0".parse().unwrap(), 24, &Place::default());
            let both = Place { country: Some("IE".into()), registered: Some("GB".into()) };
            db.add("203.0.113.0".parse().unwrap(), 25, &both);
            if version == 6 {
                db = db.with(&[("2001:db8::/32", "DE"), ("2001:db8:1::/48", "AT")]);
                db.add_alias("2002::", 16);
                db.add_alias("::ffff:0:0", 96);
            }
            with_database(&db.bytes(), |view| {
                for (address, expected) in [
                    ("9.255.255.255", None),
                    ("10.0.0.0", Some("ES")),
                    ("10.1.0.0", Some("FR")),
                    ("10.1.2.2", Some("FR")),
                    ("10.1.2.3", Some("PT")),
                    ("10.1.2.4", Some("FR")),
                    ("10.2.0.0", Some("ES")),
                    ("::ffff:10.1.2.3", Some("PT")),
                    ("11.0.0.0", None),
                    ("192.0.2.77", Some("GB")),
                    ("198.51.100.1", None),
                    ("203.0.113.127", Some("IE")),
                    ("203.0.113.128", None),
                ] {
                    assert_eq!(country(view, address), expected, "{address}");
                }
                let six = |expected: &'static str| (version == 6).then_some(expected);
                assert_eq!(country(view, "2001:db8::1"), six("DE"));
                assert_eq!(country(view, "2001:db8:1::1"), six("AT"));
                assert_eq!(country(view, "2001:db9::1"), None);
                assert_eq!(country(view, "2002:a01:203::1"), None, "aliases are left out");
            })
            .unwrap();
        }
    }
}

#[test]
fn what_is_no_database_of_countries_is_said() {
    let wrong = |bytes: &[u8]| CountryNetworks::read(bytes).unwrap_err();
    assert!(wrong(b"").contains("is not a MaxMind DB"), "{}", wrong(b""));
    assert!(wrong(&[7; 5000]).contains("is not a MaxMind DB"));
    let mut empty = Mmdb::new(6, 28);
    empty.add("192.0.2.0".parse().unwrap(), 24, &Place::default());
    let said = wrong(&empty.bytes());
    assert!(said.contains("tells no countries (it is a \"Test-Country\")"), "{said}");
    let said = wrong(&Mmdb::new(4, 24).with(&[("10.0.0.0/8", "Spain")]).bytes());
    assert!(said.contains("\"Spain\" is not a country"), "{said}");
    let letters = || (b'A'..=b'Z').map(char::from);
    let mut many = Mmdb::new(4, 32);
    for (n, name) in letters().flat_map(|a| letters().map(move |b| format!("{a}{b}"))).enumerate() {
        many.add(IpAddr::V4(Ipv4Addr::from((n as u32) << 16)), 16, &Place::country(&name));
    }
    assert!(wrong(&many.bytes()).contains("more than 255 countries"));
}

type Network = (IpAddr, u8, usize);

const CODES: [&str; 4] = ["ES", "FR", "PT", "DE"];

fn network() -> impl Strategy<Value = Network> {
    let v4 = (any::<u32>(), 1u8..=32, 0..4usize).prop_map(|(bits, len, code)| {
        // Few different ones, so that they nest.
        let bits = bits & 0x0307_0f0f & !u32::MAX.checked_shr(len.into()).unwrap_or(0);
        (IpAddr::V4(bits.into()), len, code)
    });
    let v6 = (any::<u128>(), 3u8..=128, 0..4usize).prop_map(|(bits, len, code)| {
        let high = 0x2000u128 << 112;
        let bits = high | bits & 0x0307_0000_0000_000f_0000_0000_0000_0003;
        let bits = bits & !u128::MAX.checked_shr(len.into()).unwrap_or(0);
        (IpAddr::V6(bits.into()), len, code)
    });
    prop_oneof![v4, v6]
}

fn contains(network: &Network, address: IpAddr) -> bool {
    match (network.0, address) {
        (IpAddr::V4(first), IpAddr::V4(at)) => {
            (u32::from(first) ^ u32::from(at)).leading_zeros() >= network.1.into()
        }
        (IpAddr::V6(first), IpAddr::V6(at)) => {
            (u128::from(first) ^ u128::from(at)).leading_zeros() >= network.1.into()
        }
        _ => false,
    }
}

/// The last address of a network, and the one behind it.
fn edges(network: &Network) -> [IpAddr; 3] {
    match network.0 {
        IpAddr::V4(first) => {
            let last = u32::from(first) | u32::MAX.checked_shr(network.1.into()).unwrap_or(0);
            [network.0, Ipv4Addr::from(last).into(), Ipv4Addr::from(last.wrapping_add(1)).into()]
        }
        IpAddr::V6(first) => {
            let last = u128::from(first) | u128::MAX.checked_shr(network.1.into()).unwrap_or(0);
            [network.0, Ipv6Addr::from(last).into(), Ipv6Addr::from(last.wrapping_add(1)).into()]
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn all_addresses_equal_the_naive_model(
        networks in prop::collection::vec(network(), 1..60),
        record_size in prop_oneof![Just(24u16), Just(28), Just(32)],
    ) {
        let mut networks = networks;
        networks.sort_by_key(|network| network.1);
        let mut db = Mmdb::new(6, record_size);
        for (first, len, code) in &networks {
            db.add(*first, *len, &Place::country(CODES[*code]));
        }
        with_database(&db.bytes(), |view| {
            for address in networks.iter().flat_map(edges) {
                // Of the same network twice, the last one holds.
                let naive = networks.iter().rfind(|network| contains(network, address));
                let expected = naive.map(|network| CODES[network.2]);
                assert_eq!(country(view, &address.to_string()), expected, "{address}");
            }
        }).unwrap();
    }

    #[test]
    fn a_damaged_file_is_refused_or_read_and_never_worse(
        cut in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
        truncated in any::<bool>(),
    ) {
        let mut bytes = Mmdb::new(6, 28)
            .with(&[("10.0.0.0/8", "ES"), ("10.1.0.0/16", "FR"), ("2001:db8::/32", "DE")])
            .bytes();
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if truncated {
            bytes.truncate(cut.index(bytes.len()));
        }
        let read = with_database(&bytes, |view| country(view, "10.1.2.3"));
        if let Err(why) = read {
            assert!(!why.is_empty());
        }
    }
}

#[test]
fn a_tree_that_leads_back_into_itself_ends() {
    // A tree of 64 nodes whose records both lead to the next one has 2^64 ends.
    let mut bytes = Mmdb::new(6, 32).with(&[("2001:db8::/64", "ES")]).bytes();
    for node in 0..63u32 {
        let at = node as usize * 8;
        let next = (node + 1).to_be_bytes();
        bytes[at..at + 4].copy_from_slice(&next);
        bytes[at + 4..at + 8].copy_from_slice(&next);
    }
    let said = CountryNetworks::read(&bytes).unwrap_err();
    assert!(said.contains("leads back into itself"), "{said}");
}

#[test]
fn lists_of_countries_are_read_as_scripts_write_them() {
    let bytes = Mmdb::new(6, 24).with(&[("10.0.0.0/8", "ES")]).bytes();
    with_database(&bytes, |view| {
        let ask = |list: &'static str, address: &str| {
            let address = Address::parse(address.as_bytes()).unwrap();
            policy::check_country(view, list.as_bytes(), address)
        };
        assert_eq!(ask("fr, es", "10.0.0.1"), Ok(Verdict::CountryListed));
        assert_eq!(ask("FR", "10.0.0.1"), Ok(Verdict::CountryNotListed));
        assert_eq!(ask("ES", "11.0.0.1"), Ok(Verdict::CountryUnknown));
        assert_eq!(ask("ES,Spain", "10.0.0.1"), Err(&b"Spain"[..]));
        assert_eq!(ask("", "10.0.0.1"), Err(&b""[..]));
    })
    .unwrap();
}

/// As many networks as a free database of all countries has. Prints what it costs.
#[test]
#[ignore = "a measurement"]
fn a_database_of_full_size() {
    let mut db = Mmdb::new(6, 28);
    let letters = || (b'A'..=b'P').map(char::from);
    let places: Vec<_> = letters()
        .flat_map(|a| letters().map(move |b| Place::country(&format!("{a}{b}"))))
        .take(250)
        .collect();
    let mut random = 88_172_645_463_325_252u64;
    let mut next = || crate::random::next(&mut random);
    for _ in 0..400_000 {
        let bits = next() as u32 & 0xffff_ff00;
        db.add(IpAddr::V4(bits.into()), 24, &places[next() as usize % 250]);
    }
    for _ in 0..300_000 {
        let bits = 0x2000u128 << 112 | u128::from(next() >> 16 << 3) << 77;
        let bits = bits >> 80 << 80;
        db.add(IpAddr::V6(bits.into()), 48, &places[next() as usize % 250]);
    }
    let bytes = db.bytes();
    let started = std::time::Instant::now();
    let networks = CountryNetworks::read(&bytes).unwrap();
    println!(
        "{} bytes of file, {} networks: read {:?}",
        bytes.len(),
        networks.count(),
        started.elapsed()
    );
    let loader = Loader::new(Table::ALL.map(|t| t.short_name().into()), BadRows::Fail);
    let Ok((config, _)) = loader.networks(networks).finish() else { panic!("bad rows") };
    let started = std::time::Instant::now();
    let blob = compile(config, [1, 2], 0).unwrap();
    println!("compiled {:?}, {} bytes", started.elapsed(), blob.bytes().len());
    let view = View::new(blob.bytes()).unwrap();
    let addresses: Vec<_> = (0..1 << 20).map(|_| Address::V4(next() as u32)).collect();
    let started = std::time::Instant::now();
    let found = addresses.iter().filter(|address| view.country_of(**address).is_some()).count();
    println!("{} ns a look-up, {found} found", started.elapsed().as_nanos() >> 20);
}
