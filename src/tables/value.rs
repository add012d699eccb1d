//! Reads one column of a row; errors name the column and its value.

use crate::address::{Prefix, PrefixError};
use crate::digits::parse_digits;
use crate::printable::Printable;
use crate::unset::is_unset;

/// Longest id of a brand or company, in bytes.
pub const MAX_ID: usize = 128;
/// Longest AoR: a user part of 64, `@`, and a domain of 255 bytes.
pub const MAX_AOR: usize = 320;
/// Highest call limit.
pub const MAX_CALLS: u32 = i32::MAX as u32;

/// A column of a row: its text, or None for NULL.
pub(super) type Column<'a> = Option<&'a [u8]>;

/// A value as messages show it.
pub(super) fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", Printable::short(bytes))
}

/// As [`quoted`], for one that may be NULL.
pub(super) fn quoted_or_null(value: Column<'_>) -> String {
    value.map_or_else(|| "NULL".into(), quoted)
}

/// Whether a column is text, and not the bytes of another type: MariaDB returns those
/// of UUID, INET6 and BIT.
fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok() && !bytes.contains(&0)
}

/// What to do with a column of another type.
fn cast(column: &str, to: &str) -> String {
    format!("cast it in a view: CAST({column} AS {to})")
}

/// An id: not NULL, not empty, not what Kamailio prints for an empty variable.
pub(super) fn text<'a>(
    column: &str,
    value: Column<'a>,
    longest: usize,
) -> Result<&'a [u8], String> {
    match value {
        None => Err(format!("{column} is NULL")),
        Some(b"") => Err(format!("{column} is empty")),
        Some(b"<null>") => {
            Err(format!("{column} \"<null>\" is what an unset variable prints; no id may be it"))
        }
        Some(bytes) if bytes.len() > longest => {
            Err(format!("{column} {} is longer than {longest} bytes", quoted(bytes)))
        }
        Some(bytes) if !is_text(bytes) => {
            let cast = cast(column, "CHAR");
            Err(format!("{column} {} is not text (UTF-8); {cast}", quoted(bytes)))
        }
        Some(bytes) => Ok(bytes),
    }
}

/// An id that scripts ask about: as [`text`], and not what they print for an unset variable.
pub(super) fn name<'a>(
    column: &str,
    value: Column<'a>,
    longest: usize,
) -> Result<&'a [u8], String> {
    match text(column, value, longest)? {
        bytes if is_unset(bytes) => Err(format!(
            "{column} {} is what scripts print for nothing; no id may be it",
            quoted(bytes)
        )),
        bytes => Ok(bytes),
    }
}

/// A decimal number from 0 to `most`; NULL is 0.
pub(super) fn number(column: &str, value: Column<'_>, most: u32) -> Result<u32, String> {
    let Some(bytes) = value else { return Ok(0) };
    parse_digits(bytes).filter(|n| *n <= most).ok_or_else(|| {
        let hint = match bytes.iter().all(|b| *b >= b' ') {
            true => String::new(),
            false => format!("; {}", cast(column, "UNSIGNED")),
        };
        format!("{column} {} is not a number from 0 to {most}{hint}", quoted(bytes))
    })
}

/// A switch: a number from 0 to `most`, or a boolean as databases give it; NULL is 0.
pub(super) fn switch(column: &str, value: Column<'_>, most: u32) -> Result<u32, String> {
    match value {
        // BIT of MariaDB and MySQL.
        Some(&[byte]) if u32::from(byte) <= most => Ok(byte.into()),
        Some(word) if [&b"t"[..], b"true"].iter().any(|w| word.eq_ignore_ascii_case(w)) => Ok(1),
        Some(word) if [&b"f"[..], b"false"].iter().any(|w| word.eq_ignore_ascii_case(w)) => Ok(0),
        _ => number(column, value, most),
    }
}

/// A range of addresses.
pub(super) fn prefix(ip: Column<'_>, mask: Column<'_>) -> Result<Prefix, String> {
    let utf8 = |v: Column<'_>| v.map(|b| String::from_utf8_lossy(b).into_owned());
    let (ip_text, mask_text) = (utf8(ip), utf8(mask));
    Prefix::parse(ip_text.as_deref().unwrap_or_default(), mask_text.as_deref()).map_err(|e| {
        // Short, so that an answer that is cut has room for the remedy.
        let mask = mask.filter(|_| !matches!(e, PrefixError::Mask(_)));
        let mask = mask.map_or_else(String::new, |mask| format!(" mask {}", quoted(mask)));
        let hint = match ip.is_none_or(is_text) {
            true => String::new(),
            false => format!("; {}", cast("ip_addr", "CHAR")),
        };
        format!("ip_addr {}{mask}: {e}{hint}", quoted_or_null(ip))
    })
}

/// The id among these that differs in case or blanks only.
pub fn alike<'a>(id: &[u8], mut known: impl Iterator<Item = &'a [u8]>) -> Option<&'a [u8]> {
    let id = id.trim_ascii();
    known.find(|other| other.trim_ascii().eq_ignore_ascii_case(id))
}
