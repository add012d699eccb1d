//! The two sets, and the commands that change them.

use std::collections::HashSet;
use std::fmt::Write;

use super::element::{Element, Elements};
use crate::address::Prefix;

/// Two ends that differ by no more than this many ms are the same: the table's unit.
const SAME: u64 = 100;

/// The sets `blocked4` and `blocked6` of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sets {
    table: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Elements that must go, or get another end.
    pub remove: Vec<Prefix>,
    pub add: Vec<Element>,
    /// An added element overlaps one that is removed or has just run out. In one transaction
    /// that is an error for nft: write the sets anew.
    pub overlaps: bool,
}

impl Changes {
    pub fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.add.is_empty()
    }
}

/// The changes from the `current` to the `wanted` elements, which are disjoint, at `now`. The
/// kernel removes what has run out.
pub fn changes(current: &Elements, wanted: &[Element], now: u64) -> Changes {
    let keep: Elements = wanted.iter().map(|element| (element.prefix, element.until)).collect();
    let same =
        |until: u64, other: Option<&u64>| other.is_some_and(|other| other.abs_diff(until) <= SAME);
    let remove = current
        .iter()
        .filter(|(prefix, until)| **until > now && !same(**until, keep.get(prefix)))
        .map(|(prefix, _)| *prefix)
        .collect();
    let add: Vec<_> = wanted
        .iter()
        .filter(|element| element.until > now && !same(element.until, current.get(&element.prefix)))
        .copied()
        .collect();
    let added: HashSet<_> = add.iter().map(|element| element.prefix).collect();
    let overlaps = is_any_within(current.keys(), &added)
        || is_any_within(&added, &current.keys().copied().collect());
    Changes { remove, add, overlaps }
}

/// Whether any of the prefixes is within another one of `around`.
fn is_any_within<'a>(
    prefixes: impl IntoIterator<Item = &'a Prefix>,
    around: &HashSet<Prefix>,
) -> bool {
    let lengths: HashSet<u8> = around.iter().map(Prefix::mask).collect();
    prefixes.into_iter().any(|prefix| {
        let broader = lengths.iter().filter(|len| **len < prefix.mask());
        broader.into_iter().any(|len| around.contains(&prefix.first().prefix_of(*len)))
    })
}

impl Sets {
    /// Of a table named as `inet sipwarden`.
    pub fn of(table: &str) -> Result<Self, String> {
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '_';
        match table.split(' ').collect::<Vec<_>>().as_slice() {
            ["inet", name]
                if name.starts_with(|c: char| c.is_ascii_alphabetic())
                    && name.chars().all(letters) =>
            {
                Ok(Sets { table: table.to_owned() })
            }
            _ => {
                let shown = table.escape_debug();
                Err(format!("\"{shown}\" is not a table of nftables like \"inet sipwarden\""))
            }
        }
    }

    pub fn table(&self) -> &str {
        &self.table
    }

    /// One transaction that makes the changes, which do not overlap. It runs at `now`.
    pub fn apply(&self, changes: &Changes, now: u64) -> String {
        let mut text = String::new();
        // Added first: to delete an element that has just run out is an error.
        let gone: Vec<_> =
            changes.remove.iter().map(|prefix| Element { prefix: *prefix, until: now }).collect();
        self.command(&mut text, "add", &gone, |_| " timeout 1s".into());
        self.command(&mut text, "delete", &gone, |_| String::new());
        self.command(&mut text, "add", &changes.add, |element| timeout(element, now));
        text
    }

    /// One transaction that replaces all elements by `wanted`.
    pub fn rewrite(&self, wanted: &[Element], now: u64) -> String {
        let mut text = format!("flush set {0} blocked4\nflush set {0} blocked6\n", self.table);
        self.command(&mut text, "add", wanted, |element| timeout(element, now));
        text
    }

    fn command(
        &self,
        text: &mut String,
        verb: &str,
        elements: &[Element],
        more: impl Fn(&Element) -> String,
    ) {
        for (set, v6) in [("blocked4", false), ("blocked6", true)] {
            let mut separator = format!("{verb} element {} {set} {{ ", self.table);
            let mut any = false;
            for element in elements.iter().filter(|e| matches!(e.prefix, Prefix::V6(..)) == v6) {
                // Writing to a String cannot fail.
                let _ = write!(text, "{separator}{}{}", element.prefix.name(), more(element));
                (separator, any) = (", ".into(), true);
            }
            if any {
                text.push_str(" }\n");
            }
        }
    }
}

/// The time that is left, a millisecond at least.
fn timeout(element: &Element, now: u64) -> String {
    let ms = element.until.saturating_sub(now).max(1);
    format!(" timeout {}s{}ms", ms / 1000, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::super::element::tests::element;
    use super::*;

    #[test]
    fn tables_have_a_family_and_a_plain_name() {
        assert_eq!(Sets::of("inet sipwarden").unwrap().table(), "inet sipwarden");
        for bad in
            ["", "inet", "sipwarden", "ip sipwarden", "inet a b", "inet x;", "inet 1", "inet "]
        {
            assert!(Sets::of(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn changes_are_one_transaction_that_removes_before_it_adds() {
        let sets = Sets::of("inet sipwarden").unwrap();
        let current: Elements = [
            element("192.0.2.1", 10_000), // stays
            element("192.0.2.2", 10_000), // is lifted
            element("192.0.2.3", 10_000), // lasts longer now
            element("192.0.2.4", 1_000),  // has run out
        ]
        .iter()
        .map(|element| (element.prefix, element.until))
        .collect();
        let wanted = [
            element("192.0.2.1", 10_100),
            element("192.0.2.3", 65_500),
            element("2001:db8::/64", 4_005),
            element("192.0.2.9", 2_000), // has run out as well
        ];
        let mut changes = changes(&current, &wanted, 2_000);
        changes.remove.sort_by_key(Prefix::name);
        assert_eq!(
            sets.apply(&changes, 2_000),
            "add element inet sipwarden blocked4 { 192.0.2.2 timeout 1s, 192.0.2.3 timeout 1s }\n\
             delete element inet sipwarden blocked4 { 192.0.2.2, 192.0.2.3 }\n\
             add element inet sipwarden blocked4 { 192.0.2.3 timeout 63s500ms }\n\
             add element inet sipwarden blocked6 { 2001:db8::/64 timeout 2s5ms }\n"
        );
        assert_eq!(
            sets.rewrite(&wanted[2..3], 4_500),
            "flush set inet sipwarden blocked4\nflush set inet sipwarden blocked6\n\
             add element inet sipwarden blocked6 { 2001:db8::/64 timeout 0s1ms }\n"
        );
        assert!(super::changes(&current, &wanted[..1], 10_000).is_empty());
        assert!(!changes.overlaps);
        for overlapping in ["192.0.2.4/30", "192.0.2.0/24", "0.0.0.0/0"] {
            let changes = super::changes(&current, &[element(overlapping, 9_000)], 2_000);
            assert!(changes.overlaps, "{overlapping}");
        }
        let current = [(element("192.0.2.0/24", 0).prefix, 1_000)].into();
        assert!(super::changes(&current, &wanted[..1], 2_000).overlaps);
        assert!(!super::changes(&current, &wanted[2..3], 2_000).overlaps);
        assert_eq!(sets.apply(&Changes::default(), 0), "");
    }
}
