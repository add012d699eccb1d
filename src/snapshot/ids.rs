//! Hash index over ids: open addressing with linear probing, at most half full.
//!
//! A slot is `tag << 32 | position + 1`; 0 is empty. The tag is the upper half
//! of a keyed hash, so a lookup reads one slot and one record.

use std::hash::Hash;

use ahash::RandomState;

/// HashKey of the hash; drawn per snapshot, the same in all processes.
pub type HashKey = [u64; 2];

fn hash(key: &HashKey, id: impl Hash) -> u64 {
    RandomState::with_seeds(key[0], key[1], !key[0], !key[1]).hash_one(id)
}

/// Builds the slots for `ids`, which must differ from each other.
pub fn build(key: &HashKey, ids: impl ExactSizeIterator<Item: Hash>) -> Vec<u64> {
    let capacity = (ids.len() * 2).next_power_of_two().max(2);
    let mask = capacity - 1;
    let mut slots = vec![0u64; capacity];
    for (position, id) in ids.enumerate() {
        let h = hash(key, id);
        let entry = (h & 0xffff_ffff_0000_0000) | (position as u64 + 1);
        let mut at = h as usize & mask;
        while let Some(slot) = slots.get_mut(at) {
            if *slot == 0 {
                *slot = entry;
                break;
            }
            at = (at + 1) & mask;
        }
    }
    slots
}

/// Position of `id`, where `is(position)` compares the bytes.
#[inline(always)]
pub fn find(
    slots: &[u64],
    key: &HashKey,
    id: impl Hash,
    is: impl Fn(usize) -> bool,
) -> Option<usize> {
    let mask = slots.len().checked_sub(1)?;
    let h = hash(key, id);
    let mut at = h as usize & mask;
    // Half of the slots are empty, so this ends; the bound covers damage.
    for _ in 0..slots.len() {
        let slot = *slots.get(at)?;
        if slot == 0 {
            return None;
        }
        if slot >> 32 == h >> 32 {
            let position = (slot as u32).wrapping_sub(1) as usize;
            if is(position) {
                return Some(position);
            }
        }
        at = (at + 1) & mask;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::ScopeKind;
    use crate::snapshot::{Blob, View, compile};
    use crate::tables::{BadRows, Loader, Table};

    const KEY: HashKey = [1, 2];
    /// Slots of the index over two ids; that over one has fewer.
    const SLOTS: u64 = 4;

    fn id(n: u32) -> String {
        format!("u{n}@d")
    }

    /// Pairs of ids that share a tag and a place in an index of [`SLOTS`] slots and fewer.
    fn pairs(hash_of: impl Fn(&[u8]) -> u64) -> Vec<[String; 2]> {
        let place = |hash: u64| (hash >> 32, hash % SLOTS);
        let places = (0..1_000_000).map(|n| (place(hash_of(id(n).as_bytes())), n));
        let mut places: Vec<_> = places.collect();
        places.sort_unstable();
        let same = places.windows(2).filter(|two| two[0].0 == two[1].0);
        same.map(|two| [id(two[0].1), id(two[1].1)]).collect()
    }

    /// A company, a user and a limit for each id; the n-th has n calls, from 1 on.
    fn blob(ids: &[String]) -> Blob {
        let mut loader = Loader::new(Table::ALL.map(|t| t.short_name().into()), BadRows::Fail);
        loader.row(Table::Brand, &[Some(b"b"), None]);
        for (id, calls) in ids.iter().zip(["1", "2"]) {
            let (id, calls) = (Some(id.as_bytes()), Some(calls.as_bytes()));
            loader.row(Table::Company, &[id, Some(b"b"), None, calls]);
            loader.row(Table::User, &[id, id, calls]);
            let mut limit = [None; 10];
            limit[..4].copy_from_slice(&[Some(&b"did"[..]), id, Some(b"any"), calls]);
            loader.row(Table::Limit, &limit);
        }
        let Ok((config, _)) = loader.finish() else { panic!("bad rows") };
        compile(config, KEY, 0).unwrap()
    }

    /// The calls of the company, of the user and of the limit that are found for an id.
    fn found(blob: &Blob, id: &str) -> [Option<u32>; 3] {
        let (view, id) = (View::new(blob.bytes()).unwrap(), id.as_bytes());
        let limit = view.limits(view.kind(b"did").unwrap(), id)[0].calls;
        [
            view.company(id).map(|company| company.max_calls()),
            view.user(id).map(|user| user.external_calls),
            Some(limit).filter(|calls| *calls > 0),
        ]
    }

    #[test]
    fn ids_with_one_tag_and_place_are_each_found_as_themselves_and_not_for_each_other() {
        let did = ScopeKind::own(0).unwrap();
        let of_names = pairs(|id| hash(&KEY, id));
        let of_limits = pairs(|id| hash(&KEY, (did, id)));
        assert!(!of_names.is_empty() && !of_limits.is_empty());
        for pair in of_names.iter().chain(&of_limits) {
            let both = blob(pair);
            assert_eq!(found(&both, &pair[0]), [Some(1); 3], "{pair:?}");
            assert_eq!(found(&both, &pair[1]), [Some(2); 3], "{pair:?}");
            let one = blob(&pair[..1]);
            assert_eq!(found(&one, &pair[0]), [Some(1); 3], "{pair:?}");
            assert_eq!(found(&one, &pair[1]), [None; 3], "{pair:?}");
        }
    }

    /// They stand in the last slot and from the first one on.
    #[test]
    fn ids_of_one_place_follow_each_other_beyond_the_end() {
        let last = |id: &String| hash(&KEY, id.as_bytes()) % 16 == 15;
        let all: Vec<String> = (0..).map(id).filter(last).take(9).collect();
        let (ids, other) = all.split_at(8);
        let slots = build(&KEY, ids.iter().map(String::as_bytes));
        assert_eq!(slots.len(), 16);
        let find = |id: &String| find(&slots, &KEY, id.as_bytes(), |n| ids[n] == *id);
        for (n, id) in ids.iter().enumerate() {
            assert_eq!(find(id), Some(n));
        }
        assert_eq!(find(&other[0]), None);
    }

    #[test]
    fn every_id_is_found_and_no_other() {
        let ids: Vec<Vec<u8>> = (0..5000).map(|n| format!("company-{n}").into_bytes()).collect();
        let key = [1, 2];
        let slots = build(&key, ids.iter().map(Vec::as_slice));
        for (n, id) in ids.iter().enumerate() {
            assert_eq!(find(&slots, &key, id, |p| ids[p] == *id), Some(n));
        }
        for n in 5000..6000 {
            let id = format!("company-{n}").into_bytes();
            assert_eq!(find(&slots, &key, &id, |p| ids[p] == id), None);
        }
    }

    #[test]
    fn an_empty_index_finds_nothing() {
        assert_eq!(find(&build(&[0, 0], [b""; 0].into_iter()), &[0, 0], b"x", |_| true), None);
        assert_eq!(find(&[], &[0, 0], b"x", |_| true), None);
    }

    #[test]
    fn a_damaged_full_index_does_not_loop() {
        assert_eq!(find(&[7; 8], &[0, 0], b"x", |_| false), None);
    }
}
