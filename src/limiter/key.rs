//! A source prefix as the key of an entry.

use crate::address::Prefix;
use ahash::RandomState;

/// A prefix; all zero is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PrefixKey {
    /// Address bits; those of IPv4 are the lowest.
    bits: u128,
    /// Length + 1 for IPv4, length + 64 for IPv6.
    kind: u32,
}

/// Kinds of IPv4 and IPv6 prefixes of length 0. Those of IPv4 fill one word of a
/// set of kinds.
const V4: u32 = 1;
const V6: u32 = 64;

impl PrefixKey {
    /// Kind of the first IPv6 prefix; those of IPv4 come before it.
    pub const FIRST_V6: usize = V6 as usize;
    /// Kinds of keys, 0 (none) included.
    pub const KINDS: usize = V6 as usize + 129;

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

    /// The reverse of [`PrefixKey::parts`].
    pub fn from_parts(words: [u32; 4], kind: u8) -> Self {
        PrefixKey { bits: bytemuck::cast(words), kind: u32::from(kind) }
    }

    /// A number for each family and length, below [`PrefixKey::KINDS`].
    pub fn kind(self) -> usize {
        self.kind as usize
    }

    /// A keyed hash, the same in all processes: strangers cannot aim at a bucket.
    pub fn hash(&self, seed: [u64; 2]) -> u64 {
        RandomState::with_seeds(seed[0], seed[1], !seed[0], !seed[1])
            .hash_one(self.bits ^ u128::from(self.kind) << 88)
    }

    #[inline]
    pub fn hashed(self, seed: [u64; 2]) -> HashedKey {
        HashedKey { key: self, hash: self.hash(seed) }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct HashedKey {
    pub key: PrefixKey,
    pub hash: u64,
}

impl From<Prefix> for PrefixKey {
    fn from(prefix: Prefix) -> Self {
        match prefix {
            Prefix::V4(bits, len) => PrefixKey { bits: bits.into(), kind: V4 + u32::from(len) },
            Prefix::V6(bits, len) => PrefixKey { bits, kind: V6 + u32::from(len) },
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
            let key = PrefixKey::from(prefix);
            assert_eq!(key.prefix(), Some(prefix));
            assert!((1..PrefixKey::KINDS).contains(&key.kind()));
        }
        assert_eq!(PrefixKey::default().prefix(), None);
    }
}
