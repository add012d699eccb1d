//! What `nft -j list set` prints.

use serde_json::Value;

use super::element::Element;
use crate::address::Prefix;

/// The elements of a listing, of whatever sets are in it, at `now` in ms.
///
/// # Errors
/// What is not as nft prints it, or an element that is no prefix.
pub fn parse_listing(text: &[u8], now: u64) -> Result<Vec<Element>, String> {
    let mut elements = Vec::new();
    for document in serde_json::Deserializer::from_slice(text).into_iter::<Value>() {
        let document = document.map_err(|e| format!("nft lists what is no JSON: {e}"))?;
        let objects = document.get("nftables").and_then(Value::as_array);
        let objects = objects.ok_or("nft lists something without \"nftables\"")?;
        for set in objects.iter().filter_map(|object| object.get("set")) {
            let listed = set.get("elem").and_then(Value::as_array);
            for listed in listed.into_iter().flatten() {
                let element = element(listed, now);
                elements.push(element.ok_or_else(|| format!("element {listed} is none of ours"))?);
            }
        }
    }
    Ok(elements)
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
    fn both_sets_are_read() {
        let text = br#"{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"set": {"name": "blocked4",
            "elem": [{"elem": {"val": "192.0.2.1", "timeout": 300, "expires": 299}},
            {"elem": {"val": {"prefix": {"addr": "10.1.0.0", "len": 16}}, "timeout": 20, "expires": 0}},
            "192.0.2.9"]}}]}
            {"nftables": [{"set": {"name": "blocked6",
            "elem": [{"elem": {"val": {"prefix": {"addr": "2001:db8::", "len": 64}}, "expires": 1}}]}}]}
            {"nftables": [{"set": {"name": "empty"}}]}"#;
        let read = parse_listing(text, 1000).unwrap();
        let expected = [
            element("192.0.2.1", 300_500),
            element("10.1.0.0/16", 1_500),
            element("192.0.2.9", u64::MAX),
            element("2001:db8::/64", 2_500),
        ];
        assert_eq!(read, expected);
        assert_eq!(parse_listing(b"", 0), Ok(vec![]));
    }

    #[test]
    fn what_is_not_ours_is_refused() {
        let range = br#"{"nftables": [{"set": {"elem": [{"range": ["10.0.0.1", "10.0.0.3"]}]}}]}"#;
        assert!(parse_listing(range, 0).unwrap_err().contains("10.0.0.3"));
        assert!(parse_listing(b"table inet", 0).is_err());
        assert!(parse_listing(b"{}", 0).is_err());
    }
}
