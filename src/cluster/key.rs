//! Keys of scopes: the same on all nodes, whatever the order of their kinds.

use std::hash::Hasher;

use siphasher::sip128::{Hasher128, SipHasher13};

/// Stands for a shared scope.
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

/// Version of the way in which keys are made and scripts are called. Nodes of other versions
/// are refused.
const SCHEME: &[u8] = b"sipwarden 1";

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

    /// The key of the calls of a scope in a direction: all of them words.
    pub fn scope(&self, kind: &[u8], direction: &[u8], part: Part, id: &[u8]) -> Key {
        let part: &[u8] = match part {
            Part::All => b"all",
            Part::Others => b"others",
        };
        Key(hash(self.seed, &[b"scope", kind, direction, part, id]))
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
    fn keys_tell_words_apart_and_are_the_same_on_all_nodes() {
        let keys = Keys::new(b"secret");
        let key = keys.scope(b"company", b"any", Part::All, b"ab");
        assert_eq!(key, Keys::new(b"secret").scope(b"company", b"any", Part::All, b"ab"));
        assert_ne!(key, Keys::new(b"Secret").scope(b"company", b"any", Part::All, b"ab"));
        assert_ne!(key, keys.scope(b"company", b"any", Part::Others, b"ab"));
        assert_ne!(key, keys.scope(b"companya", b"ny", Part::All, b"ab"));
        assert_ne!(key, keys.scope(b"company", b"in", Part::All, b"ab"));
    }

    #[test]
    fn the_fingerprint_is_of_secret_and_settings() {
        let print = |secret: &[u8], settings: &[&[u8]]| Keys::new(secret).fingerprint(settings);
        assert_eq!(print(b"s", &[b"3000", b"10000"]), print(b"s", &[b"3000", b"10000"]));
        assert_ne!(print(b"s", &[b"3000", b"10000"]), print(b"s", &[b"30001", b"0000"]));
        assert_ne!(print(b"s", &[b"3000"]), print(b"t", &[b"3000"]));
    }
}
