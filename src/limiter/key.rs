//! A source prefix as the key of an entry.

use crate::address::Prefix;
use ahash::RandomState;

/// A prefix. All zero is no prefix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// Address bits; those of IPv4 are the lowest.
    bits: u128,
    /// Length + 1 for IPv4, length + 64 for IPv6.
    kind: u32,
}

/// Kinds of IPv4 and IPv6 prefixes of length 0. Those of IPv4 fill one word of a
/// set of kinds.
const V4: u32 = 1;
const V6: u32 = 64;

impl Key {
    /// Kind of the first IPv6 prefix; those of IPv4 come before it.
    pub const FIRST_V6: usize = V6 as usize;
    /// Kinds of keys, 0 (none) included.
    pub const KINDS: usize = V6 as usize + 129;

    /// The prefix, if this is one.
    pub fn prefix(self) -> Option<Prefix> {
        match self.kind.checked_sub(V6) {
            Some(len) => Some(Prefix::V6(self.bits, len as u8)),
            None => Some(Prefix::V4(self.bits as u32, self.kind.checked_sub(V4)? as u8)),
        }
    }

    /// Address bits and kind, as entries keep them.
    pub fn parts(self) -> ([u32; 4], u8) {
        (bytemuck::cast(self.bits), self.kind as u8)
    }

    /// The reverse of [`Key::parts`].
    pub fn from_parts(words: [u32; 4], kind: u8) -> Self {
        Key { bits: bytemuck::cast(words), kind: u32::from(kind) }
    }

    /// Tells keys of one family and length from others; below [`Key::KINDS`].
    pub fn kind(self) -> usize {
        self.kind as usize
    }

    /// Keyed hash, the same in all processes: nobody outside can aim at a place.
    pub fn hash(&self, seed: [u64; 2]) -> u64 {
        RandomState::with_seeds(seed[0], seed[1], !seed[0], !seed[1])
            .hash_one(self.bits ^ u128::from(self.kind) << 88)
    }

    /// The key with its hash.
    #[inline]
    pub fn placed(self, seed: [u64; 2]) -> Placed {
        Placed { key: self, place: self.hash(seed) }
    }
}

/// A key, and what tells where its entry can lie.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    /// The key.
    pub key: Key,
    /// Its hash.
    pub place: u64,
}

impl From<Prefix> for Key {
    fn from(prefix: Prefix) -> Self {
        match prefix {
            Prefix::V4(bits, len) => Key { bits: bits.into(), kind: V4 + u32::from(len) },
            Prefix::V6(bits, len) => Key { bits, kind: V6 + u32::from(len) },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_its_prefix() {
        for text in ["0.0.0.0/0", "192.0.2.7/32", "10.0.0.0/8", "::/0", "2001:db8::/64", "::1/128"]
        {
            let prefix = Prefix::parse(text, None).unwrap();
            let key = Key::from(prefix);
            assert_eq!(key.prefix(), Some(prefix));
            assert!((1..Key::KINDS).contains(&key.kind()));
        }
        assert_eq!(Key::default().prefix(), None);
    }
}
