//! Elements of the sets: prefixes that are dropped for a time.

use std::collections::HashMap;

use crate::address::{Address, Prefix};

/// Most elements in the sets.
pub const MOST: usize = 65_536;
/// Ms by which an end in a listing, in whole seconds and a moment old, may differ.
const NEAR: u64 = 3000;

/// A prefix that is dropped until a time in ms of the caller's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// What is dropped.
    pub prefix: Prefix,
    /// Until then.
    pub until: u64,
}

/// The elements of both sets: prefix and end, in ms.
pub type Elements = HashMap<Prefix, u64>;

/// Drops the elements within another one, since a set of intervals takes no address twice.
/// Then drops all but the `most` broadest; how many those were.
pub fn disjoint(elements: &mut Vec<Element>, most: usize) -> usize {
    elements.sort_unstable_by_key(|element| place(&element.prefix));
    let mut last: Option<Prefix> = None;
    elements.retain(|element| {
        let within = last.is_some_and(|last| last.contains(element.prefix));
        if !within {
            last = Some(element.prefix);
        }
        !within
    });
    let too_many = elements.len().saturating_sub(most);
    if too_many > 0 {
        elements.sort_by_key(|element| element.prefix.mask());
        elements.truncate(most);
    }
    too_many
}

/// Ascending, a broader prefix before those within it.
fn place(prefix: &Prefix) -> (bool, u128, u8) {
    match prefix.first() {
        Address::V4(bits) => (false, bits.into(), prefix.mask()),
        Address::V6(bits) => (true, bits, prefix.mask()),
    }
}

/// The elements of a listing, with the exact ends of `wanted` where those are near.
pub fn reconcile(listed: &[Element], wanted: &[Element]) -> Elements {
    let exact: Elements = wanted.iter().map(|element| (element.prefix, element.until)).collect();
    let until = |element: &Element| {
        let exact = exact.get(&element.prefix).copied();
        exact.filter(|exact| exact.abs_diff(element.until) <= NEAR).unwrap_or(element.until)
    };
    listed.iter().map(|element| (element.prefix, until(element))).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    pub fn element(prefix: &str, until: u64) -> Element {
        Element { prefix: Prefix::parse(prefix, None).unwrap(), until }
    }

    #[test]
    fn no_element_lies_within_another() {
        let mut elements = vec![
            element("10.1.2.3", 9),
            element("2001:db8::/64", 1),
            element("10.0.0.0/8", 1),
            element("11.0.0.0", 2),
            element("10.1.0.0/16", 5),
            element("2001:db8::1", 5),
            element("::a00:1", 5),
        ];
        assert_eq!(disjoint(&mut elements, 10), 0);
        let left = ["10.0.0.0/8", "11.0.0.0", "::a00:1", "2001:db8::/64"];
        let prefixes: Vec<_> = elements.iter().map(|e| e.prefix.name()).collect();
        assert_eq!(prefixes, left);
        assert_eq!(disjoint(&mut elements, 2), 2);
        let prefixes: Vec<_> = elements.iter().map(|e| e.prefix.name()).collect();
        assert_eq!(prefixes, ["10.0.0.0/8", "11.0.0.0"]);
    }

    #[test]
    fn sets_have_room_for_so_many_and_no_more() {
        let single =
            (0..70_000u32).map(|n| element(&Ipv4Addr::from(0x0b00_0000 + 2 * n).to_string(), 1));
        let mut elements: Vec<_> = single.collect();
        elements.push(element("192.0.2.0/24", 1));
        assert_eq!(disjoint(&mut elements, MOST), 70_001 - 65_536);
        assert_eq!(elements.len(), 65_536);
        assert!(elements.iter().any(|element| element.prefix.name() == "192.0.2.0/24"));
    }

    #[test]
    fn a_listing_is_as_exact_as_the_blocks() {
        let listed = [element("192.0.2.1", 10_000), element("192.0.2.2", 20_000)];
        let wanted = [element("192.0.2.1", 10_900), element("192.0.2.2", 29_000)];
        let reconciled = reconcile(&listed, &wanted);
        assert_eq!(reconciled[&listed[0].prefix], 10_900);
        assert_eq!(reconciled[&listed[1].prefix], 20_000);
    }
}
