//! Countries: the database is read whole and right, and grants and refuses in a real
//! Kamailio.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::support::kamailio::Config;
use crate::support::mmdb::{Mmdb, Place};
use crate::support::sip::Phone;
use crate::support::sqlite::Sqlite;
use crate::support::{Folder, wait_for};
use proptest::prelude::*;
use serde_json::json;
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

const TENANTS: &str = "
INSERT INTO sipwarden_brand VALUES ('b', 0);
INSERT INTO sipwarden_company VALUES ('abroad', 'b', 1, 0), ('mixed', 'b', 1, 0),
    ('closed', 'b', 1, 0), ('open', 'b', 0, 0);
INSERT INTO sipwarden_company_address VALUES ('mixed', '127.30.0.0', 16);
INSERT INTO sipwarden_company_country VALUES ('abroad', 'ES'), ('abroad', 'PT'), ('mixed', 'ES');
INSERT INTO sipwarden_user VALUES ('ana@abroad', 'abroad', 1);
";

const SCRIPT: &str = r#"
request_route {
    if ($rU == "country") {
        check_country("$hdr(X-List)");
    } else if ($rU == "elsewhere") {
        check_country("ES", "127.20.0.1");
    } else if ($rU == "constant") {
        check_country("es, FR");
    } else if ($rU == "user") {
        roadwarrior_acquire("ana@abroad", "abroad");
    } else if ($rU == "given") {
        check_company_ip("abroad", "127.20.0.1");
    } else if ($rU != "nothing") {
        check_company_ip("$rU");
    }
    append_to_reply("X-Verdict: $swd(code) $swd(reason) $pp\r\n");
    append_to_reply("X-Country: $swd(country)\r\n");
    sl_send_reply("200", "OK");
}
event_route[sipwarden:denied] {
    xlog("L_NOTICE", "denied $swd(ip) of $swd(country)\n");
}
"#;

fn first_database() -> Mmdb {
    Mmdb::new(6, 28).with(&[
        ("127.10.0.0/16", "ES"),
        ("127.20.0.0/16", "FR"),
        ("127.30.0.0/16", "FR"),
        ("2001:db8::/32", "ES"),
    ])
}

fn tenants(folder: &Folder) -> Sqlite {
    let db = Sqlite::create(folder.join("tables.sqlite"));
    db.run(TENANTS);
    db
}

fn geoip(folder: &Folder) -> String {
    format!("modparam(\"sipwarden\", \"geoip_db\", \"{}\")\n", folder.join("c.mmdb").display())
}

fn config(folder: &Folder) -> Config {
    let mut config = Config::new(&tenants(folder).url()).routes(SCRIPT).settings(&geoip(folder));
    config.modules.push_str("loadmodule \"dialog.so\"\nloadmodule \"cfg_rpc.so\"\n");
    config
}

#[test]
fn countries_grant_in_every_worker_and_follow_a_reload() {
    let folder = Folder::new();
    std::fs::write(folder.join("c.mmdb"), first_database().bytes()).unwrap();
    let kamailio = config(&folder).start();
    assert!(
        kamailio.log().contains(
            "countries loaded from Test-Country built at 1790000000, 4 networks of 2 countries"
        ),
        "{}",
        kamailio.log()
    );
    let cases = [
        ("127.10.0.1", "abroad", 3, "granted_country", "ES"),
        ("127.20.0.1", "abroad", -1, "denied_source", "FR"),
        ("127.40.0.1", "abroad", -1, "denied_source", "<null>"),
        ("127.30.0.1", "mixed", 1, "granted_range", "FR"),
        ("127.10.0.1", "mixed", 3, "granted_country", "ES"),
        ("127.20.0.1", "mixed", -1, "denied_source", "FR"),
        ("127.10.0.1", "closed", -2, "denied_no_ranges", "ES"),
        ("127.10.0.1", "open", 2, "filter_off", "ES"),
        ("127.10.0.1", "user", 3, "granted_country", "ES"),
        ("127.20.0.1", "user", 6, "roadwarrior_request", "FR"),
        ("127.10.0.1", "given", -1, "denied_source", "FR"),
        ("127.10.0.1", "constant", 1, "country_listed", "ES"),
        ("127.40.0.1", "constant", -2, "country_unknown", "<null>"),
        ("127.10.0.1", "elsewhere", -1, "country_not_listed", "FR"),
    ];
    for (source, company, code, reason, country) in cases {
        let phone = Phone::new(source, kamailio.address());
        let mut workers = HashSet::new();
        wait_for("two workers to answer", || {
            let reply = phone.request("OPTIONS", company, "").unwrap();
            assert_eq!(reply.header("X-Country"), Some(country), "{source} {company}");
            let told = phone.ask(company);
            assert_eq!((told.code, told.reason.as_str()), (code, reason), "{source} {company}");
            workers.insert(told.worker);
            (workers.len() >= 2).then_some(())
        });
    }
    let check =
        |company: &str, source: &str| kamailio.rpc("sipwarden.check", json!([company, source]));
    let told = check("abroad", "127.10.0.9");
    assert_eq!((&told["code"], &told["country"]), (&json!(3), &json!("ES")), "{told}");
    assert!(told["steps"].to_string().contains("but in ES, which is allowed"), "{told}");
    let told = check("abroad", "127.20.0.9");
    assert!(told["steps"].to_string().contains("its country (FR) is not among the 2"), "{told}");
    assert_eq!(check("abroad", "2001:db8::7")["reason"], "granted_country");
    assert_eq!(kamailio.rpc("sipwarden.company", json!(["abroad"]))["countries"], "ES PT");
    assert_eq!(kamailio.rpc("sipwarden.stats", json!([]))["country_networks"], 4);
    wait_for("the event", || kamailio.log().contains("denied 127.20.0.1 of FR").then_some(()));
    // A country makes no source exempt from flood control.
    assert_eq!(kamailio.rpc("sipwarden.source", json!(["127.10.0.1"]))["class"], "default");

    // Another file holds from the next reload on, for all workers.
    let moved = Mmdb::new(4, 24).with(&[("127.20.0.0/16", "ES")]);
    std::fs::write(folder.join("new"), moved.bytes()).unwrap();
    std::fs::rename(folder.join("new"), folder.join("c.mmdb")).unwrap();
    let phone = Phone::new("127.20.0.1", kamailio.address());
    assert_eq!(phone.ask("abroad").reason, "denied_source");
    let reloaded = kamailio.rpc("sipwarden.reload", json!([]));
    assert!(reloaded["geoip"].to_string().contains("1 networks of 1 countries"), "{reloaded}");
    let warned = reloaded["warnings"].to_string();
    assert!(warned.contains("country PT grants nothing: the database knows no network of it"));
    let mut workers = HashSet::new();
    wait_for("all workers", || {
        let told = phone.ask("abroad");
        assert_eq!(told.reason, "granted_country");
        workers.insert(told.worker);
        (workers.len() == 4).then_some(())
    });
}

#[test]
fn a_bad_file_stops_the_start_and_leaves_what_runs() {
    let folder = Folder::new();
    let log = config(&folder).fail_to_start();
    assert!(log.contains("geoip_db: ") && log.contains("c.mmdb\" cannot be read"), "{log}");
    let path = folder.join("c.mmdb");
    std::fs::write(&path, b"not a database").unwrap();
    let log = Config::new(&Sqlite::create(folder.join("t.sqlite")).url())
        .settings(&geoip(&folder))
        .fail_to_start();
    assert!(log.contains("c.mmdb\" is not a MaxMind DB"), "{log}");

    std::fs::write(&path, first_database().bytes()).unwrap();
    let other = Folder::new();
    let kamailio = {
        let mut config = Config::new(&tenants(&other).url())
            .routes(SCRIPT)
            .settings(&geoip(&folder))
            .settings("modparam(\"sipwarden\", \"reload_bad_rows\", \"skip\")\n");
        config.modules.push_str("loadmodule \"dialog.so\"\nloadmodule \"cfg_rpc.so\"\n");
        config.start()
    };
    let phone = Phone::new("127.10.0.1", kamailio.address());
    let whole = first_database().bytes();
    let mut flipped = whole.clone();
    flipped[..64].fill(0x3f);
    for bad in [&whole[..whole.len() / 2], b"", &flipped] {
        std::fs::write(&path, bad).unwrap();
        let fault = kamailio.try_rpc("sipwarden.reload", json!([])).unwrap_err();
        assert!(fault.contains("geoip_db: "), "{fault}");
        assert!(kamailio.log().contains("c.mmdb\" is "), "{fault}");
        assert_eq!(phone.ask("abroad").reason, "granted_country");
    }
    std::fs::remove_file(&path).unwrap();
    kamailio.try_rpc("sipwarden.reload", json!([])).unwrap_err();
    assert_eq!(phone.ask("abroad").reason, "granted_country");
    assert_eq!(kamailio.rpc("sipwarden.stats", json!([]))["generation"], 1);
    // Bad lists, and none at all, are errors of the script.
    for list in ["", "Spain", "ES,", "<null>"] {
        let reply = phone.request("OPTIONS", "country", &format!("X-List: {list}\r\n")).unwrap();
        let verdict = reply.header("X-Verdict").unwrap();
        assert!(verdict.starts_with("-9 internal_error"), "{list}: {verdict}");
    }
    let reply = phone.request("OPTIONS", "country", "X-List: pt, ES\r\n").unwrap();
    assert!(reply.header("X-Verdict").unwrap().starts_with("1 country_listed"));
}

#[test]
fn the_database_is_switched_on_and_off_with_reloads() {
    let folder = Folder::new();
    let path = folder.join("c.mmdb");
    std::fs::write(&path, first_database().bytes()).unwrap();
    let mut config = Config::new(&tenants(&folder).url()).routes(SCRIPT);
    config.modules.push_str("loadmodule \"dialog.so\"\nloadmodule \"cfg_rpc.so\"\n");
    let kamailio = config.start();
    let warned = "country ES grants nothing: geoip_db is not set, nor do 2 more rows";
    assert!(kamailio.log().contains(warned), "{}", kamailio.log());
    let phone = Phone::new("127.10.0.1", kamailio.address());
    assert_eq!(phone.ask("abroad").reason, "denied_source");
    assert_eq!(phone.ask("constant").reason, "internal_error");
    let set =
        |value: &str| kamailio.kamcmd(&["cfg.set_now_string", "sipwarden", "geoip_db", value]);
    let answer = set("c.mmdb");
    assert!(answer.contains("error"), "{answer}");
    assert!(kamailio.log().contains("geoip_db: \"c.mmdb\" does not begin with /"));
    let answer = set(path.to_str().unwrap());
    assert!(!answer.contains("error"), "{answer}");
    kamailio.rpc("sipwarden.reload", json!([]));
    assert_eq!(phone.ask("abroad").reason, "granted_country");
    set("s:");
    kamailio.rpc("sipwarden.reload", json!([]));
    assert_eq!(phone.ask("abroad").reason, "denied_source");
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
