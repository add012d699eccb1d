//! What an entry is about: an AoR and the source from which it is tried.

use siphasher::sip128::{Hasher128, SipHasher13};
use std::hash::Hasher;

use crate::address::Prefix;
use crate::limiter::PrefixKey;

/// Bytes of an AoR that an entry keeps for listings. Its hash is of all bytes.
pub const LONGEST_AOR: usize = 100;

/// An AoR and a source, as the table knows them.
#[derive(Clone, Copy)]
pub struct Login<'a> {
    pub(super) aor: &'a [u8],
    pub(super) aor_hash: [u32; 4],
    pub(super) source: PrefixKey,
    pub(super) hash: u64,
}

/// Keys the hashes, the same in all processes: strangers cannot aim at a bucket or find two
/// AoRs with one hash.
#[derive(Clone, Copy)]
pub(super) struct Secret(pub [u64; 2]);

impl Secret {
    fn hasher(self, purpose: u8) -> SipHasher13 {
        let [a, b] = self.0;
        let mut hasher = SipHasher13::new_with_keys(a, b);
        hasher.write_u8(purpose);
        hasher
    }

    pub fn login<'a>(self, aor: &'a [u8], source: Prefix) -> Login<'a> {
        let aor_hash = self.aor_hash(aor);
        self.known(aor, aor_hash, source)
    }

    /// As [`Secret::login`] for an AoR whose hash is known.
    pub fn known<'a>(self, aor: &'a [u8], aor_hash: [u32; 4], source: Prefix) -> Login<'a> {
        let source = PrefixKey::from(source);
        let [a, b, ..] = aor_hash;
        let hash = source.hash(self.0) ^ (u64::from(a) << 32 | u64::from(b));
        Login { aor, aor_hash, source, hash }
    }

    /// One hash for AoRs that differ in ASCII case only: a guess at `ALICE@x` may be one at
    /// alice's password, and must not get a count of its own.
    pub fn aor_hash(self, aor: &[u8]) -> [u32; 4] {
        let mut hasher = self.hasher(0);
        for chunk in aor.chunks(64) {
            let mut lower = [0; 64];
            let (lower, _) = lower.split_at_mut(chunk.len());
            lower.copy_from_slice(chunk);
            lower.make_ascii_lowercase();
            hasher.write(lower);
        }
        let hash = hasher.finish128();
        bytemuck::cast([hash.h1, hash.h2])
    }

    pub fn fingerprint<'a>(self, parts: impl Iterator<Item = &'a [u8]>) -> [u32; 2] {
        let mut hasher = self.hasher(1);
        for part in parts {
            hasher.write_usize(part.len());
            hasher.write(part);
        }
        bytemuck::cast(hasher.finish128().h1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_does_not_matter_and_all_bytes_do() {
        let secret = Secret([1, 2]);
        assert_eq!(secret.aor_hash(b"Alice@Example.COM"), secret.aor_hash(b"alice@example.com"));
        let (mut long, mut longer) = (vec![b'x'; 300], vec![b'X'; 300]);
        assert_eq!(secret.aor_hash(&long), secret.aor_hash(&longer));
        long.push(b'a');
        longer.push(b'b');
        assert_ne!(secret.aor_hash(&long), secret.aor_hash(&longer));
        assert_ne!(secret.aor_hash(b"a"), Secret([1, 3]).aor_hash(b"a"));
        let print = |parts: &[&'static [u8]]| secret.fingerprint(parts.iter().copied());
        assert_ne!(print(&[b"ab", b"c"]), print(&[b"a", b"bc"]));
        assert_eq!(print(&[b"ab"]), print(&[b"ab"]));
    }
}
