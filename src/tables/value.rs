//! Reads one column of a row; what is wrong is said with its name and value.

use crate::address::Prefix;
use crate::printable::Printable;
use crate::unset::is_unset;

/// A column of a row: its text, or None for NULL.
pub(super) type Value<'a> = Option<&'a [u8]>;

/// A value as messages show it.
pub(super) fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", Printable::short(bytes))
}

/// As [`quoted`], for one that may be NULL.
pub(super) fn quoted_or_null(value: Value<'_>) -> String {
    value.map_or_else(|| "NULL".into(), quoted)
}

/// An id: not NULL, not empty, not what Kamailio prints for an empty variable.
pub(super) fn text<'a>(column: &str, value: Value<'a>, longest: usize) -> Result<&'a [u8], String> {
    match value {
        None => Err(format!("{column} is NULL")),
        Some(b"") => Err(format!("{column} is empty")),
        Some(b"<null>") => {
            Err(format!("{column} \"<null>\" is what an unset variable prints; no id may be it"))
        }
        Some(bytes) if bytes.len() > longest => {
            Err(format!("{column} {} is longer than {longest} bytes", quoted(bytes)))
        }
        Some(bytes) => Ok(bytes),
    }
}

/// An id that scripts ask about: as [`text`], and no word for nothing.
pub(super) fn name<'a>(column: &str, value: Value<'a>, longest: usize) -> Result<&'a [u8], String> {
    match text(column, value, longest)? {
        bytes if is_unset(bytes) => Err(format!(
            "{column} {} is what scripts print for nothing; no id may be it",
            quoted(bytes)
        )),
        bytes => Ok(bytes),
    }
}

/// A decimal number from 0 to `most`; NULL is 0.
pub(super) fn number(column: &str, value: Value<'_>, most: u32) -> Result<u32, String> {
    let Some(bytes) = value else { return Ok(0) };
    let digits = !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(bytes)
        .ok()
        .filter(|_| digits)
        .and_then(|text| text.parse().ok())
        .filter(|n| *n <= most)
        .ok_or_else(|| format!("{column} {} is not a number from 0 to {most}", quoted(bytes)))
}

/// A range of addresses.
pub(super) fn prefix(ip: Value<'_>, mask: Value<'_>) -> Result<Prefix, String> {
    let utf8 = |v: Value<'_>| v.map(|b| String::from_utf8_lossy(b).into_owned());
    let (ip_text, mask_text) = (utf8(ip), utf8(mask));
    Prefix::parse(ip_text.as_deref().unwrap_or_default(), mask_text.as_deref())
        .map_err(|e| format!("ip_addr {} mask {}: {e}", quoted_or_null(ip), quoted_or_null(mask)))
}
