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
