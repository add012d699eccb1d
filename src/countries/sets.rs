//! Elements for the firewall's sets of countries.

use std::collections::BTreeSet;
use std::fmt::{Display, Write};

use ipnet::{Ipv4Net, Ipv6Net};

use super::{CountryCode, CountryNetworks, Network};

/// Lines for `nft -f` that fill the sets `countries4` and `countries6` of the table
/// `inet sipwarden` with the networks of these countries. Err if the database knows no
/// network of one of them: a wrong code would lock its users out.
pub fn country_sets(all: &CountryNetworks, wanted: &[CountryCode]) -> Result<String, String> {
    let mut numbers = BTreeSet::new();
    for country in wanted {
        let number = (1..).zip(&all.codes).find(|(_, code)| *code == country);
        let (number, _) =
            number.ok_or_else(|| format!("knows no network in {}", country.name()))?;
        numbers.insert(number);
    }
    let v4 = of(&all.v4, &numbers).filter_map(|(first, len)| Ipv4Net::new(first.into(), len).ok());
    let v6 = of(&all.v6, &numbers).filter_map(|(first, len)| Ipv6Net::new(first.into(), len).ok());
    let mut out = String::new();
    add(&mut out, "countries4", &Ipv4Net::aggregate(&v4.collect()));
    add(&mut out, "countries6", &Ipv6Net::aggregate(&v6.collect()));
    Ok(out)
}

/// First address and length of the networks of the countries with these numbers.
fn of<K: Copy>(networks: &[Network<K>], numbers: &BTreeSet<u8>) -> impl Iterator<Item = (K, u8)> {
    networks.iter().filter(|(.., number)| numbers.contains(number)).map(|(k, len, _)| (*k, *len))
}

fn add(out: &mut String, set: &str, networks: &[impl Display]) {
    if networks.is_empty() {
        return;
    }
    // A String takes all that is written.
    let _ = writeln!(out, "add element inet sipwarden {set} {{");
    for network in networks {
        let _ = writeln!(out, "\t{network},");
    }
    out.push_str("}\n");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn networks() -> CountryNetworks {
        let codes = [b"FR", b"ES", b"PT"].map(|code| CountryCode::parse(code).unwrap());
        CountryNetworks {
            v4: vec![(0x0a00_0000, 9, 1), (0x0a80_0000, 9, 1), (0xc000_0200, 24, 2)],
            v6: vec![(0x2001_0db8 << 96, 32, 2), (0x2001_0db9 << 96, 32, 3)],
            codes: codes.to_vec(),
            ..CountryNetworks::default()
        }
    }

    #[test]
    fn neighbours_are_one_element_and_other_countries_are_left_out() {
        let country = |code: &[u8]| CountryCode::parse(code).unwrap();
        let sets = country_sets(&networks(), &[country(b"FR"), country(b"ES")]).unwrap();
        assert_eq!(
            sets,
            "add element inet sipwarden countries4 {\n\t10.0.0.0/8,\n\t192.0.2.0/24,\n}\n\
             add element inet sipwarden countries6 {\n\t2001:db8::/32,\n}\n"
        );
        let only_v6 = country_sets(&networks(), &[country(b"PT")]).unwrap();
        assert_eq!(only_v6, "add element inet sipwarden countries6 {\n\t2001:db9::/32,\n}\n");
        let unknown = country_sets(&networks(), &[country(b"PT"), country(b"XX")]);
        assert_eq!(unknown.unwrap_err(), "knows no network in XX");
    }
}
