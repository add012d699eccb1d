//! What `nft -j list set` prints.

use serde_json::Value;

use super::element::Element;
use crate::address::Prefix;

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Elements that are prefixes.
    pub elements: Vec<Element>,
    /// The first element that is not a prefix: sipwarden has not added it.
    pub foreign: Option<String>,
}

/// Reads a listing, of whatever sets are in it, at `now` in ms.
pub fn parse_listing(text: &[u8], now: u64) -> Result<Listing, String> {
    let document: Value =
        serde_json::from_slice(text).map_err(|e| format!("what nft lists is not JSON: {e}"))?;
    let objects = document.get("nftables").and_then(Value::as_array);
    let objects = objects.ok_or("nft lists something without \"nftables\"")?;
    let mut listing = Listing::default();
    for set in objects.iter().filter_map(|object| object.get("set")) {
        let listed = set.get("elem").and_then(Value::as_array);
        for listed in listed.into_iter().flatten() {
            match element(listed, now) {
                Some(element) => listing.elements.push(element),
                None => listing.foreign = listing.foreign.or_else(|| Some(listed.to_string())),
            }
        }
    }
    Ok(listing)
}

/// `{"elem": {"val": ..., "expires": 299}}`, or the value alone where it stays.
fn element(listed: &Value, now: u64) -> Option<Element> {
    let inner = listed.get("elem").unwrap_or(listed);
    let seconds = inner.get("expires").map_or(Some(u64::MAX), Value::as_u64)?;
    let value = inner.get("val").unwrap_or(inner);
    let prefix = match (value.as_str(), value.get("prefix")) {
        (Some(address), _) => Prefix::parse(address, None),
        (None, Some(prefix)) => {
            let mask = prefix.get("len")?.as_u64()?.to_string();
            Prefix::parse(prefix.get("addr")?.as_str()?, Some(&mask))
        }
        (None, None) => return None,
    };
    Some(Element {
        prefix: prefix.ok()?,
        // In whole seconds, cut: half a second more is right on average.
        until: now.saturating_add(seconds.saturating_mul(1000)).saturating_add(500),
    })
}

#[cfg(test)]
mod tests {
    use super::super::element::tests::element;
    use super::*;

    #[test]
    fn elements_are_addresses_and_prefixes_with_or_without_an_end() {
        let text = br#"{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"set": {"name": "blocked4",
            "elem": [{"elem": {"val": "192.0.2.1", "timeout": 300, "expires": 299}},
            {"elem": {"val": {"prefix": {"addr": "10.1.0.0", "len": 16}}, "timeout": 20, "expires": 0}},
            {"elem": {"val": {"prefix": {"addr": "2001:db8::", "len": 64}}, "expires": 1}},
            {"range": ["10.0.0.1", "10.0.0.3"]}, "192.0.2.9"]}}]}"#;
        let read = parse_listing(text, 1000).unwrap();
        let expected = [
            element("192.0.2.1", 300_500),
            element("10.1.0.0/16", 1_500),
            element("2001:db8::/64", 2_500),
            element("192.0.2.9", u64::MAX),
        ];
        assert_eq!(read.elements, expected);
        assert_eq!(read.foreign.unwrap(), r#"{"range":["10.0.0.1","10.0.0.3"]}"#);
        let empty = br#"{"nftables": [{"set": {"name": "blocked4"}}]}"#;
        assert_eq!(parse_listing(empty, 0), Ok(Listing::default()));
    }

    #[test]
    fn what_nft_does_not_print_is_refused() {
        for text in ["", "table inet", "{}", "[]"] {
            assert!(parse_listing(text.as_bytes(), 0).is_err(), "{text}");
        }
    }
}
