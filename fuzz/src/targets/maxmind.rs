//! Databases of countries: whatever they contain, networks come out, or an error.

use sipwarden::address::Address;
use sipwarden::countries::{CountryNetworks, country_sets};
use sipwarden::snapshot::{View, compile};
use sipwarden::tables::BadRows;

use super::tables_file::loader;

pub fn run(data: &[u8]) {
    let Ok(networks) = CountryNetworks::read(data) else { return };
    assert!(!networks.summary().chars().any(char::is_control), "{}", networks.summary());
    let codes = networks.codes.len();
    let v4 = networks.v4.iter().map(|(_, len, number)| (*len, 32, *number));
    let v6 = networks.v6.iter().map(|(_, len, number)| (*len, 128, *number));
    for (len, most, number) in v4.chain(v6) {
        assert!(len <= most && (1..=codes).contains(&number.into()));
    }
    let count = networks.count();
    let some = networks.v4.first().map(|(bits, _, number)| (*bits, *number));
    let known = networks.codes.clone();
    let _ = country_sets(&networks, &known);
    let (config, _) = loader(BadRows::Fail).networks(networks).finish().ok().unwrap();
    let blob = compile(config, [1, 2], 0).unwrap();
    let view = View::new(blob.bytes()).unwrap();
    assert_eq!(view.country_networks() as usize, count);
    if let Some((bits, _)) = some {
        assert!(view.country_of(Address::V4(bits)).is_some_and(|code| known.contains(&code)));
    }
}
