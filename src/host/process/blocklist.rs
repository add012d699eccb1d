//! The file in which blocks, bans and grants survive a restart: its format.
//!
//! A line of text per block: prefix, start and end in ms since 1970, requests
//! refused, blocks in a row, reason, class, ways.
//!
//! A line per ban: `ban`, source, start and end in ms since 1970, requests refused, reason,
//! class, hash of the AoR, AoR. All bytes but letters, digits and `@._-+` are written as `%`
//! and two digits. One line for the seed of the hashes.
//!
//! A line per grant: `grant`, source, start and end in ms since 1970, requests allowed, giver,
//! company, note; the last two written like an AoR.

use std::fmt::Write;

use crate::address::Prefix;
use crate::auth::{Aor, Ban, LONGEST_AOR, LONGEST_BAN};
use crate::clock::Moment;
use crate::flood::{Block, LONGEST_BLOCK};
use crate::grants::{Grant, GrantedBy, LONGEST_GRANT, MAX_COMPANY, MAX_NOTE};
use crate::host::report::blocks::MIN_BLOCK_PREFIX;
use crate::host::settings::Settings;
use crate::host::state::State;
use crate::limiter::{ClassId, Reason};
use crate::source::{Learnt, Ways};
use crate::tables::MAX_ID;

/// First line of the file; it names the format.
pub const HEADER: &str = "sipwarden blocks 1";

const _: () = assert!(MAX_COMPANY == MAX_ID);

pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|b| *b == b'\n').filter(|line| !line.is_empty())
}

/// Whether this is a file of blocks, which may be replaced.
pub fn is_ours(text: &[u8]) -> bool {
    lines(text).next().is_none_or(|first| first == HEADER.as_bytes())
}

pub fn block_line(settings: &Settings, now: Moment, block: &Block) -> String {
    format!(
        "{} {} {} {} {} {} {} {}\n",
        block.prefix,
        now.date(block.since),
        now.date(block.until),
        block.seen,
        block.times,
        block.reason.name(),
        settings.classes.name(block.class),
        block.ways.names(),
    )
}

/// The block of a line, with the time that is left; None if the line is not a block.
pub fn parse_block(settings: &Settings, now: Moment, line: &[u8]) -> Option<Block> {
    let line = std::str::from_utf8(line).ok()?;
    let fields: Vec<&str> = line.split(' ').collect();
    // Files of earlier versions have no ways: they knew packets only.
    let (fields, ways) = match fields.as_slice() {
        [fields @ .., ways] if fields.len() == 7 => (fields, Ways::from_names(ways)?),
        fields => (fields, Learnt::Packet.into()),
    };
    let &[prefix, since, until, seen, times, reason, class] = fields else { return None };
    let (since, until): (u64, u64) = (since.parse().ok()?, until.parse().ok()?);
    let length = until.checked_sub(since).filter(|ms| *ms <= u64::from(LONGEST_BLOCK) * 1000)?;
    // A date that was set back makes it no longer.
    let left = until.saturating_sub(now.wall).min(length);
    let prefix = Prefix::parse(prefix, None)
        .ok()
        .filter(|prefix| !MIN_BLOCK_PREFIX.is_longer_than(prefix))?;
    Some(Block {
        prefix,
        // For a class that is gone.
        class: settings.classes.parse(class).unwrap_or(Some(ClassId::DEFAULT)),
        since: now.monotonic(since).min(now.monotonic),
        until: now.monotonic.saturating_add(left),
        seen: seen.parse().ok()?,
        times: times.parse().ok()?,
        reason: Reason::from_name(reason)
            .filter(|reason| !matches!(reason, Reason::Failures | Reason::Listed))?,
        ways,
    })
}

pub fn ban_line(settings: &Settings, now: Moment, ban: &Ban) -> String {
    format!(
        "ban {} {} {} {} {} {} {}{} {}\n",
        ban.source,
        now.date(ban.since),
        now.date(ban.until),
        ban.seen,
        ban.reason.name(),
        settings.classes.name(ban.class),
        if ban.aor.is_cut() { "+" } else { "" },
        hex(bytemuck::bytes_of(&ban.aor.hash)),
        escaped(ban.aor.bytes()),
    )
}

/// Start and end of a ban or grant in ms of the monotonic clock, from dates; None if it is not
/// a term of up to `longest` seconds. A date that was set back makes it no longer.
fn term(now: Moment, dates: [&str; 2], longest: u32) -> Option<(u64, u64)> {
    let [since, until] = dates;
    let (since, until): (u64, u64) = (since.parse().ok()?, until.parse().ok()?);
    let length = until.checked_sub(since).filter(|ms| *ms <= u64::from(longest) * 1000)?;
    let until = now.monotonic(until.min(now.wall.saturating_add(length)));
    Some((now.monotonic(since).min(now.monotonic), until))
}

pub fn grant_line(now: Moment, grant: &Grant) -> String {
    format!(
        "grant {} {} {} {} {} {} {}\n",
        grant.source,
        now.date(grant.since),
        now.date(grant.until),
        grant.used,
        grant.by.name(),
        escaped(&grant.company),
        escaped(&grant.note),
    )
}

/// The grant of a line, with the time that is left; None if the line is not a grant.
pub fn parse_grant(now: Moment, line: &[u8]) -> Option<Grant> {
    let line = std::str::from_utf8(line).ok()?;
    let fields: Vec<&str> = line.split(' ').collect();
    let &["grant", source, since, until, used, by, company, note] = fields.as_slice() else {
        return None;
    };
    let (since, until) = term(now, [since, until], LONGEST_GRANT)?;
    Some(Grant {
        company: unescaped(company).filter(|id| (1..=MAX_COMPANY).contains(&id.len()))?,
        source: Prefix::parse(source, None).ok()?,
        since,
        until,
        used: used.parse().ok()?,
        by: GrantedBy::from_name(by)?,
        note: unescaped(note).filter(|note| note.len() <= MAX_NOTE)?,
    })
}

pub fn seed_line(seed: [u64; 2]) -> String {
    let [a, b] = seed;
    format!("seed {a:016x}{b:016x}\n")
}

/// None if the line is not a seed.
pub fn parse_seed(line: &[u8]) -> Option<[u64; 2]> {
    let digits = std::str::from_utf8(line.strip_prefix(b"seed ")?).ok()?;
    let seed = u128::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 32)?;
    Some([(seed >> 64) as u64, seed as u64])
}

/// The ban of a line, with the time that is left; None if the line is not a ban.
pub fn parse_ban(state: &State, now: Moment, line: &[u8]) -> Option<Ban> {
    let line = std::str::from_utf8(line).ok()?;
    let fields: Vec<&str> = line.split(' ').collect();
    let &["ban", source, since, until, seen, reason, class, hash, aor] = fields.as_slice() else {
        return None;
    };
    let (since, until) = term(now, [since, until], LONGEST_BAN)?;
    let aor = unescaped(aor).filter(|aor| (1..=LONGEST_AOR).contains(&aor.len()))?;
    let (cut, hash) = match hash.strip_prefix('+') {
        Some(hash) => (true, bytemuck::cast(parse_hex(hash)?)),
        None => (false, state.auth.aor_hash(&aor)),
    };
    Some(Ban {
        aor: Aor::new(&aor, cut, hash),
        source: Prefix::parse(source, None).ok()?,
        // For a class that is gone.
        class: state.settings.classes.parse(class).unwrap_or(Some(ClassId::DEFAULT)),
        since,
        until,
        seen: seen.parse().ok()?,
        reason: Reason::from_name(reason)
            .filter(|reason| matches!(reason, Reason::Failures | Reason::Manual))?,
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn parse_hex(text: &str) -> Option<[u8; 16]> {
    let number = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32)?;
    Some(number.to_be_bytes())
}

/// Bytes as one word of text.
pub fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"@._-+".contains(byte) {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "%{byte:02x}");
        }
        text
    })
}

/// The reverse of [`escaped`].
pub fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, plain) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(plain.as_bytes());
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_aor_is_one_word_and_comes_back() {
        for aor in [&b"alice@example.com"[..], b"a b\n%\xff@x", b"\"<%41>\""] {
            let text = escaped(aor);
            assert!(!text.contains([' ', '\n']), "{text}");
            assert_eq!(unescaped(&text).as_deref(), Some(aor));
        }
        assert_eq!((unescaped("a%4"), unescaped("a%zz")), (None, None));
    }

    #[test]
    fn a_seed_and_a_hash_come_back() {
        let seed = [1, u64::MAX - 7];
        assert_eq!(parse_seed(seed_line(seed).trim_end().as_bytes()), Some(seed));
        assert_eq!(parse_seed(b"seed 12"), None);
        let hash = [1u32, 2, 3, u32::MAX];
        let back: [u32; 4] = bytemuck::cast(parse_hex(&hex(bytemuck::bytes_of(&hash))).unwrap());
        assert_eq!(back, hash);
    }
}
