//! Ranges of one that are within ranges of another.

use crate::address::{Address, Prefix};

/// Orders ranges so that one comes before those within it.
pub(super) fn order(range: &Prefix) -> (bool, u128, u8) {
    let (is_v6, bits) = match range.first() {
        Address::V4(bits) => (false, u128::from(bits)),
        Address::V6(bits) => (true, bits),
    };
    (is_v6, bits, range.mask())
}

/// Tells of each range that equals another one, or is within it: the narrowest one around it.
pub fn overlaps<T: Copy>(
    mut ranges: Vec<(Prefix, T)>,
    mut found: impl FnMut((Prefix, T), (Prefix, T)),
) {
    ranges.sort_by_key(|(range, _)| order(range));
    // Those around the current range, the narrowest last.
    let mut around: Vec<(Prefix, T)> = Vec::new();
    for inner in ranges {
        while around.last().is_some_and(|(outer, _)| !outer.contains(inner.0)) {
            around.pop();
        }
        if let Some(outer) = around.last() {
            found(inner, *outer);
        }
        around.push(inner);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_range_is_told_with_the_narrowest_around_it() {
        let ranges = [
            "10.0.0.0/8",
            "192.0.2.7",
            "10.1.0.0/16",
            "10.1.2.0/24",
            "10.2.0.0/16",
            "192.0.2.7",
            "::/0",
            "2001:db8::/32",
        ];
        let ranges: Vec<_> =
            ranges.iter().enumerate().map(|(n, r)| (Prefix::parse(r, None).unwrap(), n)).collect();
        let mut told = Vec::new();
        overlaps(ranges, |(inner, n), (outer, m)| told.push(format!("{n} {inner} in {m} {outer}")));
        assert_eq!(
            told,
            [
                "2 10.1.0.0/16 in 0 10.0.0.0/8",
                "3 10.1.2.0/24 in 2 10.1.0.0/16",
                "4 10.2.0.0/16 in 0 10.0.0.0/8",
                "5 192.0.2.7/32 in 1 192.0.2.7/32",
                "7 2001:db8::/32 in 6 ::/0",
            ]
        );
    }
}
