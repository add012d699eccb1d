//! Keys of scopes: the same on all nodes, whatever the order of their kinds.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

/// Stands for a shared scope: kind, id, direction and part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u128);

/// Which calls of a scope are counted: a limit with reserved slots is two scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// All.
    All,
    /// All but emergencies.
    Others,
}

impl Part {
    /// Both, in the order of their numbers.
    pub const BOTH: [Part; 2] = [Part::All, Part::Others];
}

/// Shared scopes of one kind and id: three directions, two parts each. Their numbers are the
/// lowest bits of their keys.
pub const PLACES: usize = 6;
const PLACE: u128 = 7;

impl Key {
    /// The key of kind and id, which `hash` stands for, in one of [`PLACES`]: twice the
    /// number of the direction (any, in, out) and the part's.
    pub fn new(hash: u128, place: usize) -> Self {
        Key(hash & !PLACE | place as u128 & PLACE)
    }

    /// Which of [`PLACES`] it is for.
    pub fn place(self) -> usize {
        (self.0 & PLACE) as usize
    }

    /// Whether it is one for kind and id with this hash.
    pub fn is_of(self, hash: u128) -> bool {
        (self.0 ^ hash) & !PLACE == 0
    }
}

/// Version of the way in which keys are made and scripts are called. Nodes of other versions
/// are refused.
const SCHEME: &[u8] = b"sipwarden 2";

/// Makes keys from words.
#[derive(Clone, Copy)]
pub struct Keys {
    seed: (u64, u64),
}

impl Keys {
    /// Of a cluster with this secret.
    pub fn new(secret: &[u8]) -> Self {
        Keys { seed: halves(hash((0, 0), &[b"seed", secret])) }
    }

    /// Seed of the hashes of ids, for a kind by its word: the same on all nodes, whatever
    /// number it has there.
    pub fn kind(&self, word: &[u8]) -> [u64; 2] {
        halves(hash(self.seed, &[b"kind", word])).into()
    }

    /// Key of what proves that something was said by one of the cluster.
    pub fn seal(&self) -> [u64; 2] {
        halves(hash(self.seed, &[b"seal"])).into()
    }

    /// Of the secret, of the way in which keys are made, and of settings that must agree.
    pub fn fingerprint(&self, settings: &[&[u8]]) -> u128 {
        let mut words = vec![&b"fingerprint"[..], SCHEME];
        words.extend(settings);
        hash(self.seed, &words)
    }
}

/// Each word with its length, so that no two lists of words are one text.
fn hash(seed: (u64, u64), words: &[&[u8]]) -> u128 {
    let mut hasher = SipHasher13::new_with_keys(seed.0, seed.1);
    for word in words {
        hasher.write(&(word.len() as u64).to_le_bytes());
        hasher.write(word);
    }
    hasher.finish128().as_u128()
}

fn halves(hash: u128) -> (u64, u64) {
    ((hash >> 64) as u64, hash as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart_by_their_words_and_the_secret() {
        let seed = |secret: &[u8], word: &[u8]| Keys::new(secret).kind(word);
        assert_eq!(seed(b"secret", b"company"), seed(b"secret", b"company"));
        assert_ne!(seed(b"secret", b"company"), seed(b"Secret", b"company"));
        assert_ne!(seed(b"secret", b"company"), seed(b"secret", b"companya"));
    }

    #[test]
    fn a_key_is_of_one_hash_and_one_place() {
        let hash = 0x1234_5678_9abc_def0_1234_5678_9abc_deff;
        let keys: Vec<_> = (0..PLACES).map(|place| Key::new(hash, place)).collect();
        for (place, key) in keys.iter().enumerate() {
            assert_eq!((key.place(), key.is_of(hash), key.is_of(hash ^ 8)), (place, true, false));
        }
        assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
    }

    #[test]
    fn the_fingerprint_is_of_secret_and_settings() {
        let print = |secret: &[u8], settings: &[&[u8]]| Keys::new(secret).fingerprint(settings);
        assert_eq!(print(b"s", &[b"3000", b"10000"]), print(b"s", &[b"3000", b"10000"]));
        assert_ne!(print(b"s", &[b"3000", b"10000"]), print(b"s", &[b"30001", b"0000"]));
        assert_ne!(print(b"s", &[b"3000"]), print(b"t", &[b"3000"]));
    }
}
