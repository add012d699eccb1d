//! The server's script for notices, its arguments, and its answer.

use super::notice::{Notice, Seal};

/// The script. It has four keys.
pub const SCRIPT: &str = include_str!("script.lua");

/// Notices that the server keeps; so many nobody has but under attack.
const MOST: u32 = 50_000;
/// Notices of one answer.
const PORTION: u32 = 500;

/// No clock shows a later time, in ms: the end of the year 9999. What is computed from it stays
/// a number.
const LATEST: u64 = 253_402_300_799_999;

/// What the server has answered.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Its memory; another one begins empty.
    pub id: String,
    /// Number of its last change.
    pub change: u64,
    /// That of the last notice in this answer.
    pub reached: u64,
    /// Its clock, in ms.
    pub now: u64,
    /// Notices that it has no room for.
    pub left: u64,
    /// Names and texts.
    pub told: Vec<(String, String)>,
}

impl Heard {
    /// Whether there is more to read.
    pub fn has_more(&self) -> bool {
        self.told.len() >= PORTION as usize
    }
}

/// The script's arguments: `id` for a memory without one ([`Seal::memory`]), `from` the last change that was read.
pub fn arguments(id: &str, from: u64, told: &[Notice], seal: Seal) -> Vec<String> {
    let mut all = vec![id.to_owned(), from.to_string(), MOST.to_string(), PORTION.to_string()];
    for notice in told {
        all.extend([notice.name.clone(), notice.until.to_string(), notice.write(seal)]);
    }
    all
}

/// The answer of the script: its texts, and those of the notices.
pub fn heard(head: [&str; 5], told: Vec<String>) -> Option<Heard> {
    let [id, change, reached, now, left] = head;
    let mut texts = told.into_iter();
    let mut pairs = Vec::new();
    while let Some(name) = texts.next() {
        pairs.push((name, texts.next()?));
    }
    Some(Heard {
        id: id.to_owned(),
        change: change.parse().ok()?,
        reached: reached.parse().ok()?,
        now: now.parse().ok().filter(|now| *now <= LATEST)?,
        left: left.parse().ok()?,
        told: pairs,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_whose_clock_shows_no_time_says_nothing() {
        let of = |now: &str| heard(["id", "1", "1", now, "0"], Vec::new());
        assert_eq!(of("1790000000000").map(|heard| heard.now), Some(1_790_000_000_000));
        for now in ["253402300800000", "18446744073709551615", "18446744073709551616", "-1", ""] {
            assert_eq!(of(now), None, "{now}");
        }
    }
}
