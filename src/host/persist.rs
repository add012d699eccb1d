//! The file in which blocks survive a restart.
//!
//! A line of text per block: prefix, start and end in ms since 1970, requests
//! refused, blocks in a row, reason, class. Written by one process, whole and
//! under another name first, so that a reader always finds a whole file.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::clock::Moment;
use super::flood::with_rules;
use super::log;
use super::settings::Settings;
use super::state::State;
use crate::address::Prefix;
use crate::flood::{Block, ClassId, Reason};
use crate::printable::Printable;

/// First line of the file; another one is another format.
const HEADER: &str = "sipwarden blocks 1";

/// Writes all blocks. False if that failed, which is logged.
pub fn write(state: &State, path: &Path) -> bool {
    let now = Moment::now();
    let mut text = format!("{HEADER}\n");
    state.flood.blocks(now.monotonic, |block| {
        text.push_str(&line(&state.settings, now, block));
    });
    let result = replace(path, text.as_bytes());
    if let Err(error) = &result {
        log::error(format_args!("flood_persist {}: {error}; tried again", path.display()));
    }
    result.is_ok()
}

fn line(settings: &Settings, now: Moment, block: &Block) -> String {
    format!(
        "{} {} {} {} {} {} {}\n",
        block.prefix,
        now.date(block.since),
        now.date(block.until),
        block.seen,
        block.times,
        block.reason.name(),
        settings.class_name(block.class),
    )
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = beside(path);
    let mut file = File::create(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    name.into()
}

/// Reads the blocks of an earlier run back, with the time that is left of them.
/// A line that is none is logged and left out.
///
/// # Errors
/// The file cannot be read, or not be written later.
pub fn load(state: &State, path: &Path) -> Result<usize, String> {
    let failed = |what: &str, error: io::Error| {
        format!("parameter flood_persist: \"{}\" cannot be {what}: {error}", path.display())
    };
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed("read", error)),
    };
    let new = beside(path);
    File::create(&new).and_then(|_| fs::remove_file(&new)).map_err(|e| failed("written", e))?;
    let mut lines = text.split(|b| *b == b'\n').filter(|line| !line.is_empty());
    match lines.next() {
        None => return Ok(0),
        Some(first) if first == HEADER.as_bytes() => {}
        Some(other) => {
            return Err(format!(
                "parameter flood_persist: \"{}\" is no file of ours: it begins with \"{}\"",
                path.display(),
                Printable::short(other)
            ));
        }
    }
    let now = Moment::now();
    let mut loaded = 0;
    for line in lines {
        let Some(block) = parse(&state.settings, now, line) else {
            let line = Printable::short(line);
            log::warning(format_args!(
                "flood_persist {}: \"{line}\" is no block; left out",
                path.display()
            ));
            continue;
        };
        if block.until > now.monotonic {
            let kept = with_rules(state, |rules| state.flood.block(&block, rules, now.monotonic));
            loaded += usize::from(kept.is_ok());
        }
    }
    Ok(loaded)
}

fn parse(settings: &Settings, now: Moment, line: &[u8]) -> Option<Block> {
    let line = std::str::from_utf8(line).ok()?;
    let fields: Vec<&str> = line.split(' ').collect();
    let &[prefix, since, until, seen, times, reason, class] = fields.as_slice() else {
        return None;
    };
    let (since, until): (u64, u64) = (since.parse().ok()?, until.parse().ok()?);
    // Not longer than it was meant to be, should the date have been set back.
    let left = until.saturating_sub(now.wall).min(until.checked_sub(since)?);
    Some(Block {
        prefix: Prefix::parse(prefix, None).ok()?,
        // A class that is gone: everybody's.
        class: match class {
            "exempt" => None,
            name => settings.class_id(name).or(Some(ClassId::DEFAULT)),
        },
        since: now.monotonic(since).min(now.monotonic),
        until: now.monotonic + left,
        seen: seen.parse().ok()?,
        times: times.parse().ok()?,
        reason: Reason::from_name(reason)?,
    })
}
