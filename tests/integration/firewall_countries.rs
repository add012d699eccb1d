//! The tool that fills the firewall's sets of countries, as the guide shows it.

use std::process::{Command, Output};

use crate::support::guide::block;
use crate::support::mmdb::Mmdb;
use crate::support::netns::Namespace;
use crate::support::nft::{Rules, nft};
use crate::support::{Folder, project};

fn tool(command: &str) -> Output {
    Command::new("sh")
        .args(["-c", command])
        .env(
            "PATH",
            format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", project().join("target/release").display()),
        )
        .output()
        .unwrap()
}

#[test]
fn the_rules_take_countries_from_a_database() {
    let (server, _client) = Namespace::pair();
    server.enter();
    let rules = Rules::new();
    rules.set("countries", "countries_only");
    let folder = Folder::new();
    let database = folder.join("countries.mmdb");
    let networks = [
        ("192.0.2.0/25", "ES"),
        ("192.0.2.128/25", "ES"),
        ("198.51.100.0/24", "PT"),
        ("203.0.113.0/24", "FR"),
        ("2001:db8::/32", "PT"),
    ];
    std::fs::write(&database, Mmdb::new(6, 28).with(&networks).bytes()).unwrap();
    let shown = block("firewall.md", "countries");
    let command = shown.lines().next().unwrap();
    let file = rules.countries_file();
    let command = command
        .replace("/var/lib/GeoIP/GeoLite2-Country.mmdb", database.to_str().unwrap())
        .replace("/etc/sipwarden/countries.nft", file.to_str().unwrap());
    let done = tool(&command);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    rules.load();
    for (address, listed) in [
        ("countries4 { 192.0.2.200 }", true),
        ("countries4 { 198.51.100.1 }", true),
        ("countries4 { 203.0.113.1 }", false),
        ("countries6 { 2001:db8::1 }", true),
        ("countries6 { 2001:db9::1 }", false),
    ] {
        let found = tool(&format!("nft get element inet sipwarden '{address}'"));
        assert_eq!(found.status.success(), listed, "{address}");
    }
    assert!(nft("list set inet sipwarden countries4").contains("192.0.2.0/24"));

    // What is wrong is named, and the file stays.
    let before = std::fs::read_to_string(&file).unwrap();
    for (wrong, said) in [
        (command.replace(" PT", " XX"), "knows no network in XX"),
        (command.replace(" PT", " Portugal"), "\"Portugal\" is not a country"),
        (
            command.replace(database.to_str().unwrap(), "/nowhere.mmdb"),
            "/nowhere.mmdb: No such file",
        ),
        ("sipwarden-countries".to_owned(), "usage: sipwarden-countries DATABASE FILE COUNTRY"),
    ] {
        let done = tool(&wrong);
        let error = String::from_utf8_lossy(&done.stderr);
        assert!(!done.status.success() && error.contains(said), "{wrong}: {error}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    }
}
