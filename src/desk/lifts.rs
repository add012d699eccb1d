//! What operators have lifted here, for the broker to tell others. In shared memory.

use std::io;

use crate::address::Prefix;
use crate::limiter::PrefixKey;
use crate::shm::Ring;

/// Longest text of a lift in bytes.
const TEXT: usize = 128;
/// Words of a lift: kind and lengths, the prefix, the text.
const WORDS: usize = 3 + TEXT / 8;
/// Lifts that wait for the broker.
const WAITING: usize = 256;

/// What kind of thing is lifted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifted {
    /// Blocks of sources.
    Blocks,
    /// Bans of an AoR.
    Bans,
    /// Grants of a company.
    Grants,
}

/// What an operator has lifted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lift {
    pub what: Lifted,
    /// Of sources in here; None: of all.
    pub within: Option<Prefix>,
    /// AoR or company; None: of all.
    pub of: Option<Vec<u8>>,
}

/// Those that wait.
pub struct Lifts(Ring<WORDS>);

impl Lifts {
    /// Maps an empty queue.
    pub fn new() -> io::Result<Self> {
        Ok(Lifts(Ring::new(WAITING)?))
    }

    /// Puts one in. False: its text is too long, or too many wait.
    pub fn put(&self, lift: &Lift) -> bool {
        let text = lift.of.as_deref().unwrap_or_default();
        if text.len() > TEXT {
            return false;
        }
        let (bits, kind) = lift.within.map_or(([0; 4], 0), |of| PrefixKey::from(of).parts());
        let flags = [lift.within.is_some(), lift.of.is_some()].map(u8::from);
        let head = [lift.what as u8, kind, flags[0], flags[1], text.len() as u8, 0, 0, 0];
        let mut words = [0; WORDS];
        let [a, b, c, d] = bits.map(u64::from);
        let first = [u64::from_le_bytes(head), a | b << 32, c | d << 32];
        let rest = text.chunks(8).map(|bytes| {
            let mut whole = [0; 8];
            whole.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
            u64::from_le_bytes(whole)
        });
        words.iter_mut().zip(first.into_iter().chain(rest)).for_each(|(to, from)| *to = from);
        self.0.push(&words)
    }

    /// The oldest one. One process calls this, the broker.
    pub fn take(&self) -> Option<Lift> {
        let [head, low, high, text @ ..] = self.0.pop()?;
        let [what, kind, has_prefix, has_text, length, ..] = head.to_le_bytes();
        let [[a, b], [c, d]] = [low, high].map(|word| [word as u32, (word >> 32) as u32]);
        let mut bytes: Vec<u8> = text.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.truncate(length.into());
        Some(Lift {
            what: match what {
                0 => Lifted::Blocks,
                1 => Lifted::Bans,
                _ => Lifted::Grants,
            },
            within: PrefixKey::from_parts([a, b, c, d], kind).prefix().filter(|_| has_prefix != 0),
            of: (has_text != 0).then_some(bytes),
        })
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out() {
        let prefix = |text| Some(Prefix::parse(text, None).unwrap());
        let of = |text: &str| Some(text.as_bytes().to_vec());
        let all = [
            Lift { what: Lifted::Blocks, within: None, of: None },
            Lift { what: Lifted::Blocks, within: prefix("192.0.2.0/24"), of: None },
            Lift { what: Lifted::Bans, within: prefix("2001:db8::/64"), of: of("a@b") },
            Lift { what: Lifted::Grants, within: None, of: of(&"c".repeat(TEXT)) },
            Lift { what: Lifted::Grants, within: None, of: of("") },
        ];
        let lifts = Lifts::new().unwrap();
        assert!(all.iter().all(|lift| lifts.put(lift)));
        let taken: Vec<_> = std::iter::from_fn(|| lifts.take()).collect();
        assert_eq!(taken, all);
        let long = Lift { what: Lifted::Bans, within: None, of: of(&"a".repeat(TEXT + 1)) };
        assert!(!lifts.put(&long));
    }
}
