//! Texts of operators and of scripts: classes, windows, addresses, prefixes, host names, lists
//! of countries, scopes; beside plain readings of the same.

use std::net::IpAddr;

use sipwarden::address::{Address, Prefix};
use sipwarden::countries::{CountryCode, countries_of};
use sipwarden::digits::parse_digits;
use sipwarden::limiter::parse;
use sipwarden::names::{MOST_ADDRESSES, absurd, host_name, parse_addresses};
use sipwarden::policy::named_scopes;
use sipwarden::printable::{Printable, beginning, without_password};
use sipwarden::{auth, flood};

use super::bytes::Bytes;

pub fn run(data: &[u8]) {
    let mut input = Bytes(data);
    let kind = input.below(8);
    let bytes = input.rest();
    let text = String::from_utf8_lossy(bytes);
    match kind {
        0 => classes(&text),
        1 => numbers(bytes, &text),
        2 => address(bytes),
        3 => prefix(&text),
        4 => name(bytes),
        5 => lists(bytes),
        6 => scopes(bytes),
        _ => shown(bytes, &text),
    }
}

fn classes(text: &str) {
    let flood = flood::ParsedClass::parse(text);
    let auth = auth::ParsedClass::parse(text);
    for name in [flood.map(|class| class.name), auth.map(|class| class.name)].into_iter().flatten()
    {
        assert!((1..=64).contains(&name.len()), "{name}");
        assert!(name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-'));
        assert!(name != "default" && name != "exempt");
        assert_eq!(text.split('=').next().map(str::trim), Some(&*name));
    }
}

/// Of decimal digits only, by hand; None above 32 bits.
fn plain_number(bytes: &[u8]) -> Option<u32> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
    let add = |sum: u64, byte| Some((sum * 10 + digit(byte)?).min(u64::from(u32::MAX) + 1));
    let number = bytes.iter().try_fold(0, add).filter(|_| !bytes.is_empty())?;
    u32::try_from(number).ok()
}

fn numbers(bytes: &[u8], text: &str) {
    assert_eq!(parse_digits::<u32>(bytes), plain_number(bytes));
    let number = plain_number(text.as_bytes());
    let in_bounds = |least, most| number.filter(|n| (least..=most).contains(n));
    assert_eq!(parse::limit(text).ok(), in_bounds(1, 65_535));
    assert_eq!(parse::within(text, 0, 7).ok(), in_bounds(0, 7));
    let ms = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => plain_number(digits.as_bytes()).map(u64::from),
        (None, Some(digits)) => plain_number(digits.as_bytes()).map(|s| u64::from(s) * 1000),
        (None, None) => in_bounds(0, 60).map(|s| u64::from(s) * 1000),
    };
    let ms = ms.filter(|ms| (100..=3_600_000).contains(ms));
    assert_eq!(parse::duration(text).ok().map(u64::from), ms);
}

fn address(bytes: &[u8]) {
    let read = Address::parse(bytes);
    let text = std::str::from_utf8(bytes).ok();
    let bare = text.and_then(|text| text.parse::<IpAddr>().ok());
    if let Some(ip) = bare {
        assert_eq!(read, Some(ip.into()));
    }
    let Some(address) = read else { return };
    assert_eq!(Address::parse(address.to_string().as_bytes()), Some(address));
    for len in [0, 1, 31, 32, 33, 64, 96, 127, 128, 255] {
        let range = address.prefix_of(len);
        assert!(range.contains(address.prefix(128)));
        assert_eq!(range.distance(address), Some(0));
        assert_eq!(range.first().prefix_of(len), range);
        assert_eq!(range.last().prefix_of(len), range);
    }
}

fn prefix(text: &str) {
    let mut columns = text.splitn(2, '\n');
    let (ip, mask) = (columns.next().unwrap_or(""), columns.next());
    match Prefix::parse(ip, mask) {
        Ok(prefix) => {
            assert_eq!(Prefix::parse(&prefix.to_string(), None), Ok(prefix));
            assert_eq!(Prefix::parse(&prefix.name(), None), Ok(prefix));
            let (first, last) = (prefix.first(), prefix.last());
            assert!(first <= last && prefix.contains(first.prefix(128)));
            assert!(prefix.contains(last.prefix(128)));
            assert_eq!(prefix.is_everything(), prefix.mask() == 0);
        }
        Err(why) => assert!(!why.to_string().is_empty()),
    }
}

fn name(bytes: &[u8]) {
    if let Some(name) = host_name(bytes) {
        assert!(name.len() <= 253 && Address::parse(&name).is_none());
        assert!(Prefix::parse(std::str::from_utf8(&name).unwrap_or("1.2.3.4"), None).is_err());
        assert_eq!(host_name(&name).as_ref(), Some(&name));
    }
    let addresses = parse_addresses(bytes);
    assert!(addresses.len() <= MOST_ADDRESSES);
    assert!(addresses.iter().all(|address| absurd(*address).is_none()));
}

fn lists(bytes: &[u8]) {
    let parts = bytes.split(|b| *b == b',').count();
    assert_eq!(countries_of(bytes).count(), parts);
    for code in countries_of(bytes).flatten() {
        assert_eq!(CountryCode::parse(code.name().as_bytes()), Some(code));
    }
}

fn scopes(bytes: &[u8]) {
    for scope in named_scopes(bytes) {
        let Ok((word, id)) = scope else { continue };
        assert!(!word.is_empty() && !word.contains(&b'=') && !word.contains(&b';'));
        assert!(!id.contains(&b';') && id.trim_ascii() == id);
    }
}

fn shown(bytes: &[u8], text: &str) {
    for (shown, most) in [(Printable::short(bytes), 48), (Printable::full(bytes), 320)] {
        let shown = shown.to_string();
        assert!(!shown.chars().any(char::is_control), "{shown:?}");
        // The longest form of a byte is that of one that is not text: \u{10ffff} is of four.
        assert!(shown.len() <= most * 8 + 3);
    }
    for most in [0, 1, 5, 1000] {
        let begun = beginning(text, most);
        assert!(begun.len() <= most && text.starts_with(begun));
    }
    assert_eq!(without_password(&format!("mysql://u:{text}@h")), "mysql://u:***@h");
    let _ = without_password(text);
}
